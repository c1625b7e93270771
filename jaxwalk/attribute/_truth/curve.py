"""A curve of the result while entries are put to a baseline, or back, in the order of their scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import ArgumentError, argument, check_count, shown
from ..._jax.jaxpr.types import widened
from ..._jax.leaves import flatten
from ..._show.fit import tabular
from ..._show.table import Table, is_readable, number
from .._along.batches import each
from .._along.path import baseline_of
from .._attribution import Attribution
from .._explaining import Explaining
from .reruns import Reruns, check_result
from .scores import check_attribution, check_inputs, check_value, name_at, scores_at, scores_of_inputs, sign_of


@tabular
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Curve:
    """The result while entries are put to a baseline, or back, in the order of their scores. A pytree.

    Attributes:
        kind: "deletion" or "insertion".
        method: that of the attribution.
        of: the name of the point whose entries they are, or "inputs".
        fractions: which part of the entries has gone, or is back: from 0 to 1.
        values: what the function returned there.
        area: under the curve, by the trapezoid rule.
    """

    kind: str
    method: str
    of: str
    fractions: jax.Array
    values: jax.Array
    area: jax.Array

    def _table(self) -> Table:
        title = f"{self.kind} of {self.of} by {self.method}"
        if not all(is_readable(x) and x.ndim < 2 for x in (self.fractions, self.values, self.area)) or self.area.ndim:
            return Table(title, ("fraction", "result"), ())
        rows = [(number(x, 3), number(y)) for x, y in zip(self.fractions, self.values, strict=True)]
        why = ["NaN: a score is NaN, so that there is no order; or the function returns it."]
        note = why if np.isnan(np.asarray(self.area, np.float32)) else []
        both = ("fraction", "result")
        more = "`values` has each"
        return Table(f"{title}: area {number(self.area)}", both, rows, both, note, more=more)


jax.tree_util.register_dataclass(Curve, ["fractions", "values", "area"], ["kind", "method", "of"])


class Ordering(NamedTuple):
    """Whose entries are put to what, and in how many steps: the options of `deletion` and of `insertion`."""

    attribution: Attribution
    explaining: Explaining
    baseline: Any
    channel: int | None
    steps: int
    batch_size: int

    def checked(self) -> Ordering:
        check_attribution(self.attribution)
        check_count("steps", self.steps)
        check_count("batch_size", self.batch_size)
        at, channel = self.explaining.at, self.channel
        if at is not None and not isinstance(at, str):
            raise ArgumentError(f"`at` is {shown(at)}; it must be the name of one point, or None for the inputs.")
        if channel is not None and (not isinstance(channel, int) or isinstance(channel, bool)):
            raise ArgumentError(f"`channel` is {shown(channel)}; it must be the number of an axis, or None.")
        return self

    def curve(self, *args: Any) -> Curve:
        """Return the curve at these arguments."""
        kind = self.explaining.method
        check_result(self.explaining, args)
        entries = (_of_inputs if self.explaining.at is None else _of_point)(self, args)
        ranks, counts, is_ordered = _ranked([sign_of(self.attribution) * s for s in entries.scores], self.steps)

        def result(count: jax.Array) -> jax.Array:
            gone = [rank < count if kind == "deletion" else rank >= count for rank in ranks]
            return entries.rerun(gone)

        found = each(result, jnp.asarray(counts), self.batch_size)
        check_value(self.attribution, found[0 if kind == "deletion" else -1])  # where nothing is gone
        found = jnp.where(is_ordered, found.astype(widened(found.dtype)), jnp.nan)
        fractions = jnp.asarray(counts / counts[-1], found.dtype)
        at = self.explaining.at
        of = "inputs" if at is None else name_at(self.attribution, at)
        return Curve(kind, self.attribution.method, of, fractions, found, jnp.trapezoid(found, fractions))


class _Entries(NamedTuple):
    """The scores of entries that go together, an array for each array of them, of as many axes; and what runs the
    function with the entries put to the baseline for which masks of these shapes say so."""

    scores: Sequence[jax.Array]
    rerun: Callable[[Sequence[jax.Array]], jax.Array]


def _of_inputs(of: Ordering, args: tuple) -> _Entries:
    explaining = of.explaining
    values, tree = flatten(explaining.inputs(args))
    check_inputs(of.attribution, explaining, args)
    scores = scores_of_inputs(of.attribution, [jnp.shape(x) for x in values])
    scores = [_together(s, _axis("an argument", jnp.shape(x), 0, of.channel)) for s, x in zip(scores, values)]
    start = jax.tree.leaves(baseline_of(of.baseline, explaining.inputs(args)))

    def rerun(gone: Sequence[jax.Array]) -> jax.Array:
        left = [jnp.where(g, b, x) for g, b, x in zip(gone, start, values, strict=True)]
        return explaining.fun(*explaining.with_inputs(args, tree.unflatten(left)))

    return _Entries(scores, rerun)


def _of_point(of: Ordering, args: tuple) -> _Entries:
    explaining = of.explaining
    name = name_at(of.attribution, explaining.at)
    reruns = Reruns.traced(explaining, args, [name])
    value = reruns.outputs()[1][name]
    start = baseline_of(of.baseline, value, point=name)
    axis = _axis(f"`{name}`", value.shape, len(reruns.points[name].axes), of.channel)
    without = value.shape if axis is None else (*value.shape[:axis], *value.shape[axis + 1 :])
    scores = scores_at(of.attribution, name, value.shape, without)
    if axis is not None and scores.shape == without:  # those of `grad_cam`
        scores = jnp.expand_dims(scores, axis)
    return _Entries([_together(scores, axis)], lambda gone: reruns.replacing({name: (gone[0], start)}))


def _axis(of: str, shape: tuple[int, ...], lead: int, channel: int | None) -> int | None:
    rank = len(shape) - lead
    if channel is None:
        return None
    if not -rank <= channel < rank:
        raise ArgumentError(
            f"`{argument('channel')}` is {channel}, and {of} has the shape {shape[lead:]}; give an axis."
        )
    return lead + channel % rank


def _together(scores: jax.Array, axis: int | None) -> jax.Array:
    scores = jnp.real(scores)
    return scores if axis is None else jnp.sum(scores, axis, keepdims=True)


def _ranked(scores: Sequence[jax.Array], steps: int) -> tuple[list[jax.Array], np.ndarray, jax.Array]:
    """Return the ranks of scores among those of all arrays, from the largest; how many of them go, step by step; and
    whether none is NaN. Of equal scores the first goes first."""
    flat = jnp.concatenate([jnp.ravel(s) for s in scores])
    if not flat.size:
        raise ArgumentError(f"`{argument('attribution')}` has no entry there; an order is one of at least 1.")
    ranks = jnp.argsort(jnp.argsort(-flat, stable=True))
    ends = np.cumsum([0, *(s.size for s in scores)])
    each = [ranks[a:b].reshape(s.shape) for a, b, s in zip(ends[:-1], ends[1:], scores, strict=True)]
    counts = np.linspace(0, flat.size, min(steps, flat.size) + 1).round().astype(int)
    return each, counts, ~jnp.isnan(flat).any()
