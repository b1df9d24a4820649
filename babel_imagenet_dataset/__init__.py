"""Labels: where they come from, how they are chosen, how they are published."""
