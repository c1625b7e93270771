"""The learning phase: a training step that is watched, and what its history tells."""
