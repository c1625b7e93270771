"""Formulas of single entries, in SymPy."""
