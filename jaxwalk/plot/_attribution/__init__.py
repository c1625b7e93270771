"""The picture of an attribution: the totals of its points as bars, or the scores at one point as a map."""
