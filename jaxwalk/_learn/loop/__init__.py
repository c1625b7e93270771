"""The loop of training: the batches of each epoch, the compiled step, what is recorded of it, and where it stops."""
