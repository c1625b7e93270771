"""Points of one type: what is kept of them is computed in a loop over them, whose body is compiled once for all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from ..._jax.jaxpr import jaxprs
from ..._jax.jaxpr.jaxprs import Closed
from ..._jax.jaxpr.kinds import kinds
from ..._points.point import Point
from ..._rewrite.sides import sides_of

Kept: TypeAlias = dict[str, Any]
"""What is kept of a datum at a point: `norm`, of δ; its state, `apart`, or that of the whole batch, `merged`; and of
each of these that was taken the quick way whether it is `wrong`."""

# Of points, where what is kept of several is one: behind that of the data.
AXES = {"norm": 1, "wrong": 1, "apart": 1, "merged": 0}

FEWEST = 4  # points that a loop is worth: their values are copied, to lie side by side
ROOM = 2**21  # bytes of these copies on a device
SHARE = 16  # where the values at all points take more than so many times as much, a copy may take this part of them


def divide(closed: Closed, points: Sequence[Point], statistics: Mapping[str, Any], rows: int) -> list[list[Point]]:
    """Return the points of each loop, in forward order. The others have their statistics where they are.

    What is copied is held until all the values of a loop are there, so that loops are short where values are large.
    Inside `jax.checkpoint`, values are not meant to be held at all.

    Arguments:
        closed: the traced function.
        points: those with a δ.
        statistics: by name, what to keep at the points.
        rows: how many data of a batch are on one device.
    """
    alike: dict[Any, list[Point]] = {}
    for point in points:
        if not (point.loops or point.conditional):
            key = point.type, id(statistics[point.name]), _is_computed_again(closed, point)
            alike.setdefault(key, []).append(point)
    held = sum(_bytes(type, rows) * len(many) for (type, _, is_again), many in alike.items() if not is_again)
    loops = []
    for (type, _, is_again), many in alike.items():
        room = ROOM if is_again else max(ROOM, held // SHARE)
        most = room // max(1, _bytes(type, rows))
        if min(len(many), most) >= FEWEST:
            number = math.ceil(len(many) / most)
            bounds = [len(many) * i // number for i in range(number + 1)]
            loops += [many[start:stop] for start, stop in itertools.pairwise(bounds)]
    return loops


def _bytes(type: Any, rows: int) -> int:
    return rows * math.prod(type.shape) * type.dtype.itemsize


def _is_computed_again(closed: Closed, point: Point) -> bool:
    """Tell whether a point is inside `jax.checkpoint`."""
    jaxpr, kind_of = closed.jaxpr, kinds()
    for index, branch in point.site.calls:
        if kind_of(eqn := jaxpr.eqns[index]) == "checkpoint":
            return True
        jaxpr = jaxprs.jaxprs_of(eqn)[branch].jaxpr
    return False


# What is kept -----------------------------------------------------------------------------------------------


def alone(kept: Kept) -> Kept:
    """Return what is kept of one point with an axis of points."""
    return {key: jax.tree.map(lambda leaf, key=key: jnp.expand_dims(leaf, AXES[key]), kept[key]) for key in kept}


def in_a_loop(keep: Callable[[Any, Any, Any], Kept], type: Any) -> Callable[..., Kept]:
    """Return (outputs, deltas, whether each datum counts) -> what is kept of them, with an axis of points.

    Outputs and deltas are lists by point, with a leading axis of data. What looks at the outputs alone is a loop of its
    own, which can be run before the backward pass.

    Arguments:
        keep: (whether a datum counts, output, δ) -> what is kept.
        type: of the value at the points.
    """
    counted = jax.ShapeDtypeStruct((), bool)
    closed, shapes = jaxprs.trace(lambda output, delta, counts: keep(counts, output, delta), type, type, counted)
    sides, (found, tree) = sides_of(closed), jax.tree_util.tree_flatten_with_path(shapes)
    axes = [None if path[0].key == "merged" else 0 for path, _ in found]

    def over_data(part: Closed, is_early: bool) -> Callable:
        its_axes = [axis for axis, early in zip(axes, sides.is_early, strict=True) if early is is_early]
        return jax.jit(jax.vmap(lambda *args: jaxprs.evaluate(part, args), out_axes=its_axes))

    early, late = over_data(sides.early, True), over_data(sides.late, False)

    def of_points(outputs: Any, deltas: Any, counts: Any) -> Kept:
        outputs, deltas = jnp.stack(outputs), jnp.stack(deltas)
        first = lax.map(lambda output: early(output, output, counts), outputs) if any(sides.is_early) else []
        if sides.needs_output:
            second = lax.map(lambda both: late(*both, counts), (outputs, deltas))
        else:
            second = lax.map(lambda delta: late(delta, delta, counts), deltas)
        kept = jax.tree.unflatten(tree, sides.joined(first, second))
        return {key: jax.tree.map(lambda leaf, key=key: jnp.moveaxis(leaf, 0, AXES[key]), kept[key]) for key in kept}

    return of_points


class Form(NamedTuple):
    """States of one form, of which those of all points are one array: merging is compiled once for them.

    Attributes:
        kind: `apart` or `merged`.
        among: in which pieces they are.
        names: of the points, in alphabetical order.
        places: where each of these is in the array.
    """

    kind: str
    among: list[int]
    names: list[str]
    places: list[int]

    def joined(self, pieces: Sequence[Kept]) -> Any:
        join = lambda *leaves: leaves[0] if len(leaves) == 1 else jnp.concatenate(leaves, AXES[self.kind])
        return jax.tree.map(join, *(pieces[i][self.kind] for i in self.among))


def forms_of(names: Sequence[Sequence[str]], pieces: Sequence[Kept]) -> list[Form]:
    """Group the states by their form. They are in pieces, as shapes, each of the points of some names."""
    found: dict[Any, list[int]] = {}
    for i, piece in enumerate(pieces):
        for kind in piece.keys() & {"apart", "merged"}:
            leaves, tree = jax.tree.flatten(piece[kind])
            one = lambda leaf, axis=AXES[kind]: (leaf.shape[:axis] + leaf.shape[axis + 1 :], leaf.dtype)
            found.setdefault((kind, tree, *map(one, leaves)), []).append(i)
    forms = []
    for (kind, *_), among in found.items():
        there = [name for i in among for name in names[i]]
        forms.append(Form(kind, among, sorted(there), sorted(range(len(there)), key=there.__getitem__)))
    return sorted(forms, key=lambda form: (form.kind, form.names))  # an order that is kept on disk
