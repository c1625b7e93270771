"""A batch through the compiled step, and the totals of batches, on the device and on the host."""
