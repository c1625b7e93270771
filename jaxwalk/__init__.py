"""Walk through any JAX model, forward and backward: every intermediate value, and how much each is to blame.

Where to begin reading:

- `_walk/walk.py`: the transforms `walk`, `outputs`, `vjp`: taps at the points, and one `jax.vjp` over them.
- `_points/walkable_values.py`: which points a traced function has, and what is known of each.
- `_rewrite/rewire.py`: the function evaluated again, with something done at chosen points.
- `_rewrite/tap.py`: the identity through which δ leaves the backward pass.
- `_kinks/kinks.py`: where a derivative jumps, and what rounding decides.
- `_formulas/formulas.py`: the formula of each step, as a textbook has it.
- `_evaluate/evaluate.py`: a walk through a whole dataset, in constant memory.
- `_jax/jaxpr/`: what is known of a traced program, and nowhere else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from ._api import *  # noqa: F403
    from ._api import __all__ as __all__


def __getattr__(name: str) -> Any:
    """Import everything with the first name that is asked for: `jaxwalk --help` need not wait for JAX."""
    if not name.startswith("_") or name == "__all__":
        api = importlib.import_module(f"{__name__}._api")
        names = getattr(api, "__all__", ())  # there are none while it is being imported
        globals().update({public: getattr(api, public) for public in ("__all__", *names) if names})
        if name in globals():
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


def __dir__() -> list[str]:
    return [*__getattr__("__all__"), "__version__"]
