"""One run, forward and backward, and what it found."""
