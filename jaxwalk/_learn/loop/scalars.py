"""What `log` is told of a step: its numbers by name."""

from __future__ import annotations

import jax
import numpy as np

from ..._points.ordered_mapping import Named
from ..._points.point import Points
from ..._rewrite.tap import loops


def scalars(kept: Named, weights: Named, points: Points) -> dict[str, float]:
    """Return all numbers of one step that are no arrays: "point/delta_l2", in a loop "point/0/delta_l2" for each step
    of it, and "weights/path/update_l2". What has a number for each unit is left out."""
    found = {}
    for name, results in kept.items():
        lengths = loops(points[name])
        for path, value in jax.tree_util.tree_leaves_with_path(results):
            key = jax.tree_util.keystr(path, simple=True, separator="/")
            if value.shape == lengths and not np.iscomplexobj(value):
                for step in np.ndindex(lengths):
                    found["/".join(filter(None, [name, *map(str, step), key]))] = float(value[step])
    for path, sizes in weights.items():
        found |= {"/".join(filter(None, ["weights", path, key])): float(value) for key, value in sizes.items()}
    return found
