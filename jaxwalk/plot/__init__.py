"""Pictures of what was found: each a function that draws on matplotlib's axes, and returns them."""

from ._culprits import culprits as culprits
from ._heat import heat as heat

__all__ = ["culprits", "heat"]
