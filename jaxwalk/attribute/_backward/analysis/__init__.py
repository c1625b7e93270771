"""Where a function is more than linear in what is explained, and what it computes there."""
