"""The user's source: files, statements, control flow, what ran while a function was traced, and what it captures."""
