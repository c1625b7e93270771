"""The user's source: files, statements, control flow, and what ran while a function was traced."""
