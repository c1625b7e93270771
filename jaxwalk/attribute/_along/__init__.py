"""Along a path from a baseline to the inputs, or over random samples, in constant memory."""
