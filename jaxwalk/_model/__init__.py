"""The names a user gives: tags, chains of layers, modules that open a scope."""
