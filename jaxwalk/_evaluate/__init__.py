"""A whole dataset through the walk, batch by batch, in constant memory."""
