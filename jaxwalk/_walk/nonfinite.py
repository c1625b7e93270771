"""Where a NaN or an Inf is first met in a walk, and whether it came in with the data."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from .._jax.leaves import is_value
from .._jax.origin import file_and_line
from .._points.ordered_mapping import Named
from .._points.point import Point, Points
from .._printable import printable
from .._show.fit import as_lines
from .culprits import concrete, sizes_of

FINITE, INF, NAN = range(3)
KINDS = ("", "Inf", "NaN")


@dataclasses.dataclass(frozen=True, repr=False)
class Nonfinite:
    """Where a NaN or an Inf is first met; shows itself as a sentence.

    Attributes:
        point: its name; None in the loss and in the gradients.
        array: "output", "loss", "delta" or "grads".
        index: counts from 0; the axes of `vmap`, then of scans, come first.
        value: the number.
        file, line: where in the source the point is; "" and 0 if that is not known.
        inputs: the arguments that have a NaN or an Inf themselves, as "args[1]": what is met may come from there.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> walk = jw.walk(lambda w, x: jnp.sum(jw.tag(w * x, "scaled")))(2.0, jnp.array([1.0, jnp.nan]))
    >>> found = walk.first_nonfinite()
    >>> found.point, found.index, found.inputs
    ('scaled', (1,), ('args[1]',))
    """

    point: str | None
    array: str
    index: tuple[int, ...]
    value: Any
    file: str = ""
    line: int = 0
    inputs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        array = {"output": "the output", "delta": "δ", "loss": "the loss", "grads": "the gradients"}[self.array]
        at = f" at {list(self.index)}" if self.index else ""
        place = f", {file_and_line(self.file, self.line)}" if self.file else ""
        where = f"{array} of `{self.point}`" if self.point is not None else array
        kind = "NaN" if np.isnan(self.value) else str(self.value)
        came = (
            f"; a NaN or Inf is in {' and '.join(f'`{name}`' for name in self.inputs)} already" if self.inputs else ""
        )
        return as_lines(printable(f"{kind} in {where}{at}{place}{came}"))


def nonfinite_inputs(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Named:
    """Return, of the arguments that are data, by place, 0, 1 if there is an Inf among the numbers, 2 if a NaN.

    Of several arguments the first is taken for parameters: they can be larger than all that a walk holds.
    """
    data = {f"args[{i}]": arg for i, arg in enumerate(args) if i > 0 or len(args) == 1} | dict(kwargs)
    return Named({f"{name}{keystr(path)}": kind_of(leaf) for name, arg in data.items() for path, leaf in _floats(arg)})


def kind_of_all(leaves: Any) -> jax.Array:
    """Return `kind_of` all numbers of some arrays."""
    return jnp.max(jnp.stack([jnp.int8(FINITE), *(kind_of(leaf) for _, leaf in _floats(leaves))]))


def not_finite(leaves: Any) -> jax.Array:
    """Return whether some number of some arrays is NaN or Inf: with less to compile than `kind_of_all`."""
    sums = [jnp.sum(0 * part) for _, leaf in _floats(leaves) for part in _real_parts(leaf)]
    return functools.reduce(operator.or_, map(jnp.isnan, sums), jnp.bool_(False))


def _real_parts(x: Any) -> list[jax.Array]:
    return [jnp.real(x), jnp.imag(x)] if jnp.iscomplexobj(x) else [x]


def _floats(arg: Any) -> list[tuple[Any, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(arg)
    return [
        (path, leaf) for path, leaf in leaves if is_value(leaf) and jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
    ]


def kind_of(x: Any) -> jax.Array:
    """Return 0 if all numbers are finite, 1 if there is an Inf among them, 2 if there is a NaN."""
    kinds = jnp.where(jnp.isnan(x), NAN, jnp.where(jnp.isfinite(x), FINITE, INF)).astype(jnp.int8)
    return jnp.max(kinds, initial=FINITE)


def first_nonfinite(
    outputs: Named, value: Any, deltas: Named, grads: Any, points: Points, inputs: Named
) -> Nonfinite | None:
    """Return the first bad entry: of the outputs in the order of the run, the loss, the deltas from the loss backward,
    the gradients."""
    first = functools.partial(_first_at_points, points=points, lead=jnp.ndim(value))
    found = (
        first(outputs, array="output", extreme=min)
        or _first_in(value, "loss")
        or first(deltas, array="delta", extreme=max)
        or _first_in(grads, "grads")
    )
    if found is None:
        return None
    datum = found.index[: jnp.ndim(value)] if found.array != "grads" else ()
    bad = [name for name, kinds in inputs.items() if _is_bad(concrete(kinds, "first_nonfinite"), datum)]
    return dataclasses.replace(found, inputs=tuple(bad))


def _is_bad(kinds: np.ndarray, datum: tuple[int, ...]) -> bool:
    return bool(np.any(kinds[datum] if kinds.ndim == len(datum) else kinds))


def _first_at_points(arrays: Named, points: Points, array: str, lead: int, extreme: Callable) -> Nonfinite | None:
    """Return the bad entry whose time is extreme: `min` for the first of a forward pass, `max` of a backward pass.

    `lead` axes are before those of the loops.
    """
    found = []
    for name, values in arrays.items():
        if jnp.issubdtype(values.dtype, jnp.inexact):
            values = concrete(values, "first_nonfinite")
            if (bad := ~np.isfinite(sizes_of(values))).any():
                steps, index = _extreme_step(bad, points[name], lead, extreme)
                point = points[name]
                found.append((point.time(steps), Nonfinite(name, array, index, values[index], point.file, point.line)))
    return extreme(found, key=lambda f: f[0])[1] if found else None


def _extreme_step(bad: np.ndarray, point: Point, lead: int, extreme: Callable) -> tuple[tuple, tuple]:
    """Return, of the steps of the loops around a point with a bad entry, the extreme one; and its first bad entry."""
    others = tuple(i for i in range(bad.ndim) if not lead <= i < lead + len(point.axes))
    steps = extreme((tuple(map(int, s)) for s in np.argwhere(bad.any(others))), key=point.time)
    first = _first_of(bad[(slice(None),) * lead + steps])
    return steps, (*first[:lead], *steps, *first[lead:])


def _first_of(bad: np.ndarray) -> tuple[int, ...]:
    return tuple(map(int, np.argwhere(bad)[0]))


def _first_in(tree: Any, array: str) -> Nonfinite | None:
    """Return the first bad entry of the loss or the gradients, which are at no point."""
    for values in jax.tree.leaves(tree):
        values = concrete(values, "first_nonfinite")
        if (bad := ~np.isfinite(sizes_of(values))).any():
            index = _first_of(bad)
            return Nonfinite(None, array, index, values[index])
    return None
