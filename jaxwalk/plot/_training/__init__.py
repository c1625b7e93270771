"""The picture of a training: points × steps as a heat map, with the loss above it."""
