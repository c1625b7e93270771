"""`Seen`: what a watched step has seen."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from .._points.ordered_mapping import Named
from .._points.point import Points


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """What a watched training step has seen. A pytree: it goes through `jit`, `scan` and `vmap`.

    Attributes:
        loss: of the batch, before the update.
        aux: the second result of the function, with `has_aux`; else None.
        kept: what `keep` made of output and δ at each point, by name in forward order; with `every=k` zeros in the
            steps between.
        weights: by the path of each array of the params ("layer/kernel"), `weight_l2`, `gradient_l2` and `update_l2`:
            the ℓ2 norms of it before the update, of its gradient, and of what the optimizer adds to it.
        is_seen: a boolean: whether the points were looked at in this step, as in each k-th with `every=k`.
        points: the `Points` that are watched.
    """

    loss: Any
    aux: Any
    kept: Named
    weights: Named
    is_seen: Any
    points: Points


_LEAVES = ("loss", "aux", "kept", "weights", "is_seen")
jax.tree_util.register_pytree_with_keys(
    Seen,
    lambda seen: ([(jax.tree_util.GetAttrKey(name), getattr(seen, name)) for name in _LEAVES], seen.points),
    lambda points, children: Seen(**dict(zip(_LEAVES, children, strict=True)), points=points),
)
