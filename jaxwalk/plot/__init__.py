"""Pictures of what was found: each a function that draws on matplotlib's axes, and returns them."""

from ._graph.graph import graph as graph

__all__ = ["graph"]
