"""The worked example: patients, a model of three layers, a loss; walked through, and taught."""
