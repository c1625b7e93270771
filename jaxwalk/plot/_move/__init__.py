"""A move of values at points: what δ predicts of the loss, and what happens to it."""
