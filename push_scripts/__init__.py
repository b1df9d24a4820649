"""What was built, out to the Hub."""
