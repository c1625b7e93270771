"""Methods of one walk, or two: scores from the values and the δ that it has."""
