"""Pictures of what was found: each a function that draws on matplotlib's axes, and returns them."""

from ._culprits import culprits as culprits
from ._heat import heat as heat
from ._move.prediction import prediction as prediction

__all__ = ["culprits", "heat", "prediction"]
