"""The user's source: files, statements, bytecode, and what ran while a function was traced."""
