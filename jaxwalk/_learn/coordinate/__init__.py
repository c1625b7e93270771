"""The width check of muP: how large outputs, δ and updates are, against width."""
