"""Pictures of what was found: each a function that draws on matplotlib's axes, and returns them."""

__all__: list[str] = []
