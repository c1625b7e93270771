"""Paths: through which scopes, or lines of source, a value comes to be, where it leaves them, and what it is called."""
