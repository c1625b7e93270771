"""A jaxpr run on entries of its arrays: symbols or fractions, in NumPy arrays of objects."""
