"""Watching a function while it is traced: what Python tells of its run, and what is seen of which equation."""
