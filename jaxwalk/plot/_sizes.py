"""How large the output and the δ of each point are, step by step: of a walk, or of what statistics of one say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._errors import ArgumentError, PointError, shown
from .._evaluate.result.evaluation import Evaluation
from .._points.point import Point
from .._rewrite.tap import loops
from .._show.table import is_readable
from .._walk.result import Walk


@dataclasses.dataclass(frozen=True, eq=False)
class Side:
    """How large the output at a point is, or its δ. Arrays of the shape of the loops around the point, a step an entry.

    Attributes:
        rms: root mean square of the finite entries; NaN if there is none.
        max: the largest of their sizes; NaN if there is none.
        zeros: the share of the entries that are zero; NaN if that is not known.
        nonfinite: how many are a NaN or an Inf; where that alone was kept, how many data have one.
    """

    rms: np.ndarray
    max: np.ndarray
    zeros: np.ndarray
    nonfinite: np.ndarray

    @property
    def is_zero(self) -> bool:
        """Tell whether there are entries, and all are exactly zero, at every step."""
        return bool(self.max.size) and bool(np.all(self.max == 0)) and not np.any(self.nonfinite)


@dataclasses.dataclass(frozen=True, eq=False)
class Size:
    """A point and its sides; a side of which nothing is known is None.

    Attributes:
        dead: the share of its units that are dead; None if that was not kept.
        blocked: the share of its units' δ that ends here; None if that was not kept.
        data: how many data these are of; 1 of a single walk.
    """

    point: Point
    output: Side | None
    delta: Side | None
    dead: float | None = None
    blocked: float | None = None
    data: int = 1

    def marks(self) -> tuple[str, ...]:
        """Return what is remarkable here: of "non-finite", "unused", "dead" and "blocked", those that hold.

        "dead" is a point whose outputs, or all of whose units, are zero; "blocked" one whose δ is exactly zero though
        the loss depends on it.
        """
        sides = [side for side in (self.output, self.delta) if side is not None]
        ends = self.delta is not None and self.delta.is_zero and not self.point.unused
        found = {
            "non-finite": any(np.any(side.nonfinite) for side in sides),
            "unused": self.point.unused,
            "dead": (self.output is not None and self.output.is_zero) or self.dead == 1,
            "blocked": ends or self.blocked == 1,
        }
        return tuple(mark for mark, holds in found.items() if holds)


def sizes_of(result: Any) -> list[Size]:
    """Return the sizes at the points of a walk or an evaluation at which anything is known, in forward order.

    Raises:
        ArgumentError: it is neither, or is being traced.
        PointError: what was kept tells no size of any point.
    """
    if not isinstance(result, (Walk, Evaluation)):
        raise ArgumentError(
            f"`result` is {shown(result)}; give the `Walk` or the `Evaluation` that `jw.walk` or `jw.evaluate` made."
        )
    if isinstance(result, Walk) and isinstance(result.value, Tracer):
        raise ArgumentError("The walk is being traced, and has no numbers to draw; draw what `jit` returns.")
    found = list(_of_evaluation(result) if isinstance(result, Evaluation) else _of_walk(result))
    if not found and len(result.points):
        raise PointError("What was kept tells no sizes; keep `jw.stats.norms` or `jw.stats.summary`.")
    return found


def _of_evaluation(result: Evaluation) -> Iterator[Size]:
    for name, point in result.points.items():
        if name in result.kept and (size := _of_kept(point, result.kept[name], 0, result.count)):
            yield size


def _of_walk(walk: Walk) -> Iterator[Size]:
    lead = jnp.ndim(walk.value)
    for name, point in walk.points.items():
        if name in walk.kept:
            size = _of_kept(point, walk.kept[name], lead, walk.value.size)
        else:
            output, delta = (_of_array(point, m.get(name), lead) for m in (walk.outputs, walk.deltas))
            size = Size(point, output, delta, data=walk.value.size) if output or delta else None
        if size:
            yield size


def _of_array(point: Point, values: Any, lead: int) -> Side | None:
    if not is_readable(values) or values.dtype == jnp.bool_:
        return None
    steps = range(lead, lead + len(loops(point)))
    values = np.asarray(values)
    values = values.astype(np.complex128 if np.iscomplexobj(values) else np.float64)
    over = tuple(axis for axis in range(values.ndim) if axis not in steps)
    finite = np.isfinite(values)
    sizes = np.where(finite, np.abs(values), 0)
    count, largest = finite.sum(over), np.max(sizes, over, initial=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(largest > 0, largest, 1)
        parts = sizes / np.expand_dims(scale, over)
        rms = np.where(count, scale * np.sqrt((parts**2).sum(over) / count), np.nan)
        zeros = (values == 0).sum(over) / count
    return Side(rms, np.where(count, largest, np.nan), zeros, (~finite).sum(over))


def _of_kept(point: Point, kept: Any, lead: int, data: int) -> Size | None:
    if not isinstance(kept, Mapping):
        return None
    value = {str(key): np.asarray(leaf) for key, leaf in kept.items() if is_readable(leaf)}
    output, delta = (_side(value, side, lead) for side in ("output", "delta"))
    dead, blocked = (_mean(value.get(key)) for key in ("dead_share", "blocked_share"))
    is_known = any(part is not None for part in (output, delta, dead, blocked))
    return Size(point, output, delta, dead, blocked, data) if is_known else None


def _side(kept: Mapping[str, np.ndarray], side: str, lead: int) -> Side | None:
    rms, largest = kept.get(f"{side}_rms"), kept.get(f"{side}_max")
    if rms is None or largest is None:
        return None
    over = tuple(range(lead))
    absent = np.full(rms.shape, np.nan)
    mean = lambda values: np.sqrt(np.mean(np.square(values.astype(np.float64)), over))
    kinds = [f"{side}_{kind}" for kind in ("nan", "inf", "nonfinite_data")]  # the last, if it alone was kept
    counts = [kept[kind] for kind in kinds if kind in kept]
    bad = sum(counts[:2], start=np.zeros(rms.shape))
    zeros = np.mean(kept.get(f"{side}_zeros", absent), over)
    return Side(mean(rms), np.max(largest, over, initial=0), zeros, np.sum(bad, over).astype(np.int64))


def _mean(values: np.ndarray | None) -> float | None:
    return None if values is None or values.size == 0 else float(np.mean(values))
