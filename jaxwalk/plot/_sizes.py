"""How large the output and the δ of each point are, step by step: of a walk, or of what statistics of one say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError, PointError, shown
from .._evaluate.result.evaluation import Evaluation
from .._learn.history import History
from .._points.point import Point, Points
from .._rewrite.tap import loops
from .._show.table import is_readable
from .._walk.result import Walk
from ._checks import check_sized

NO_SIZES = "What was kept tells no sizes; keep `jw.stats.norms` or `jw.stats.summary`."
SMALL = 2**14  # entries of an array, at most, that is looked at together with others


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
    def overall(self) -> float | None:
        """The root mean square over all steps, of those that are known; None if nothing is."""
        known = self.rms[np.isfinite(self.rms)]
        if not known.size:
            return None
        scale = float(known.max()) or 1.0
        return scale * math.sqrt(np.mean((known / scale) ** 2))

    @property
    def is_zero(self) -> bool:
        """Tell whether there are entries, and all are exactly zero, at every step."""
        return self.max.size > 0 and not self.max.any() and not self.nonfinite.any()


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

    @property
    def sides(self) -> dict[str, Side]:
        """The sides of which something is known, by name."""
        both = {"output": self.output, "delta": self.delta}
        return {name: side for name, side in both.items() if side is not None}

    def marks(self) -> tuple[str, ...]:
        """Return what is remarkable: of "not taken", "non-finite", "unused", "dead" and "blocked", those that hold.

        "not taken" is a point in a branch at which all is zero, as it is where the branch is not taken: nothing else is
        said of it. "dead" is a point whose outputs, or all of whose units, are zero (integers are none: they may be
        indices); "blocked" one whose δ is exactly zero though the loss depends on it.
        """
        sides = self.sides.values()
        if self.point.conditional and sides and all(side.is_zero for side in sides):
            return ("not taken",)
        ends = self.delta is not None and self.delta.is_zero and not self.point.unused
        found = {
            "non-finite": any(np.any(self.nonfinite_steps(side)) for side in sides),
            "unused": self.point.unused,
            "dead": jnp.issubdtype(self.point.dtype, jnp.inexact) and (self.is_silent or self.dead == 1),
            "blocked": ends,
        }
        return tuple(mark for mark, holds in found.items() if holds)

    @property
    def is_silent(self) -> bool:
        """Tell whether all outputs are exactly zero."""
        return self.output is not None and self.output.is_zero

    @property
    def is_activated(self) -> bool:
        """Tell whether dead units were judged after the activation that reads the value."""
        return any(units.statistic == "dead" and units.note.startswith("after ") for units in self.point.units)

    def nonfinite_steps(self, side: Side) -> np.ndarray:
        """Tell of each step whether an entry is a NaN or an Inf: it is counted, or what was kept is one itself."""
        is_empty = 0 in self.point.shape or self.data == 0
        return (side.nonfinite > 0) | (~np.isfinite(side.rms) & (not is_empty))


def sizes_of(result: Any, step: int | None = None) -> list[Size]:
    """Return the sizes at the points of a walk, an evaluation, or a step of a history at which anything is known.

    They are in forward order; of a history, unless told, the last step is taken.

    Raises:
        ArgumentError: it is none of these, or is being traced; or it has no such step.
        PointError: what was kept tells no size of any point.
    """
    check_sized(result)
    if step is not None and not isinstance(result, History):
        raise ArgumentError(f"`step` is {shown(step)}, but `result` is no `History`; leave it out.")
    if isinstance(result, History):
        found = list(_of_history(result, place_of(result, step)))
    else:
        found = list(_of_evaluation(result) if isinstance(result, Evaluation) else _of_walk(result))
    if not found and len(result.points):
        raise PointError(NO_SIZES)
    return found


def drawable(sizes: Sequence[Size]) -> Sequence[Size]:
    """Return the sizes, of which there are some to draw.

    Raises:
        PointError: there is none: of these points other things were kept.
    """
    if sizes and not any(size.sides for size in sizes):
        raise PointError(NO_SIZES)
    return sizes


def _of_evaluation(result: Evaluation) -> Iterator[Size]:
    for name, point in result.points.items():
        if name in result.kept and (size := _of_kept(point, result.kept[name], 0, result.count)):
            missed = np.asarray(point.conditional & (np.asarray(result.seen[name]) == 0))
            sides = (None if s is None else _zero_where(missed, s) for s in (size.output, size.delta))
            yield dataclasses.replace(size, **dict(zip(("output", "delta"), sides, strict=True)))


def place_of(history: History, step: int | None) -> int:
    """Return at which place of a history a step is, the last one for None.

    Raises:
        ArgumentError: it holds no such step.
    """
    held = np.asarray(history.steps)
    if step is None:
        return len(held) - 1
    found = np.flatnonzero(held == step) if isinstance(step, (int, np.integer)) else held[:0]
    if not found.size:
        every = f", every {history.stride} of them" if history.stride > 1 else ""
        raise ArgumentError(
            f"`step` is {shown(step)}, which the history does not hold: it has {held[0]} to {held[-1]}{every}."
        )
    return int(found[0])


def kept_at(history: History, place: int) -> dict[str, dict[str, np.ndarray]]:
    """Return what was kept at each point in one of the steps that a history holds; results by name alone."""
    return {
        name: {str(key): np.asarray(values)[place] for key, values in kept.items() if is_readable(values)}
        for name, kept in history.kept.items()
        if isinstance(kept, Mapping)
    }


def _of_history(history: History, place: int) -> Iterator[Size]:
    lead, kept = np.ndim(history.loss) - 1, kept_at(history, place)
    for name, point in history.points.items():
        if name in kept and (size := _of_kept(point, kept[name], lead, math.prod(np.shape(history.loss)[1:]))):
            yield size


def _zero_where(missed: np.ndarray, side: Side) -> Side:
    """Return a side that is zero at the steps at which no datum took the branch, as it is in a walk."""
    rms, largest, bad = (np.where(missed, 0, values) for values in (side.rms, side.max, side.nonfinite))
    return Side(rms, largest, np.where(missed, 1, side.zeros), bad)


def _of_walk(walk: Walk) -> Iterator[Size]:
    lead, data = jnp.ndim(walk.value), walk.value.size
    outputs, deltas = (_of_arrays(walk.points, values, lead) for values in (walk.outputs, walk.deltas))
    for name, point in walk.points.items():
        if name in walk.kept:
            size = _of_kept(point, walk.kept[name], lead, data)
        else:
            output, delta = outputs.get(name), deltas.get(name)
            size = Size(point, output, delta, data=data) if output or delta else None
        if size:
            yield size


def _of_arrays(points: Points, arrays: Mapping[str, Any], lead: int) -> dict[str, Side]:
    """Return the sides of arrays; of many small ones, those with as many entries a step are looked at in one go."""
    alike: dict[int, dict[str, np.ndarray]] = {}
    sides = {}
    for name, values in arrays.items():
        if not is_readable(values) or values.dtype == jnp.bool_:
            continue
        sizes = _by_step(np.asarray(values), lead, len(loops(points[name])))
        if sizes.size > SMALL:
            sides[name] = _side_of(sizes)
        else:
            alike.setdefault(sizes.shape[-1], {})[name] = sizes
    for count, many in alike.items():
        whole = _side_of(np.concatenate([sizes.reshape(math.prod(sizes.shape[:-1]), count) for sizes in many.values()]))
        start = 0
        for name, sizes in many.items():
            stop = start + math.prod(sizes.shape[:-1])
            parts = (getattr(whole, field.name)[start:stop] for field in dataclasses.fields(Side))
            sides[name], start = Side(*(part.reshape(sizes.shape[:-1]) for part in parts)), stop
    return sides


def _by_step(values: np.ndarray, lead: int, loops: int) -> np.ndarray:
    """Return the magnitudes of an array's entries: an axis for each loop around it, and a last one of entries."""
    sizes = np.abs(values.astype(np.complex128 if np.iscomplexobj(values) else np.float64))
    if lead and loops:
        sizes = np.moveaxis(sizes, range(lead), range(loops, loops + lead))
    shape = sizes.shape[:loops]
    return sizes.reshape(*shape, sizes.size // math.prod(shape) if sizes.size else 0)


def _side_of(sizes: np.ndarray) -> Side:
    """Return the side of entries of these sizes: the last axis is over the entries of a step."""
    count, bad = sizes.shape[-1], np.zeros(sizes.shape[:-1], np.int64)
    zeros = count - np.count_nonzero(sizes, axis=-1)
    largest = sizes.max(-1, initial=0)
    if not np.all(np.isfinite(largest)):
        finite = np.isfinite(sizes)
        bad, count = (~finite).sum(-1), finite.sum(-1)
        sizes = np.where(finite, sizes, 0)
        largest = sizes.max(-1, initial=0)
    scale = np.where(largest > 0, largest, 1)  # squares of very large or very small entries are no number, or zero
    with np.errstate(invalid="ignore", divide="ignore"):
        rms = scale * np.sqrt(np.sum((sizes / scale[..., None]) ** 2, -1) / count)
        return Side(rms, np.where(count, largest, np.nan), np.true_divide(zeros, count), bad)


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
