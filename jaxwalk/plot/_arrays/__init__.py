"""Arrays as pictures: which part of them, how they lie, and what colours numbers have."""
