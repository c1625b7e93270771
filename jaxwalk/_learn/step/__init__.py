"""A step of training: the mean loss of a batch, an update that is guarded, and the programs of it, reused."""
