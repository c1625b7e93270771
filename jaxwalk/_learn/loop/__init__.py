"""The loop of training: the batches of each epoch, what is recorded of its steps, and where it stops."""
