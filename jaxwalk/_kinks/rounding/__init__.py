"""Bounds of the rounding error of every value, carried from operation to operation."""
