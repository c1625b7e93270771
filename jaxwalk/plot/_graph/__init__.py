"""The picture of a model: its points as boxes, what is computed from what as arrows."""
