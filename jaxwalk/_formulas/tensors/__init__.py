"""Formulas of whole tensors: terms, read from a jaxpr and simplified."""
