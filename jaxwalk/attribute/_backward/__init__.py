"""Methods with a backward rule of their own, where a function is more than linear."""
