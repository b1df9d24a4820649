"""Human decisions on single labels, as reviewed TSV files."""
