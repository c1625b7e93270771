"""Is it true? Scores against what happens to the result where the inputs, or values at points, really change."""
