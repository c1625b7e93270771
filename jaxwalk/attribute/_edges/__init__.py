"""Edges: what each point writes into what each other reads, along the sums of a residual stream."""
