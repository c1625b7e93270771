"""`faithfulness`: scores against what the result really loses without the value, or the unit, that has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._callables import transform
from ..._errors import ArgumentError, argument, check_count, counted, near, shown
from ..._show.fit import tabular
from ..._show.table import Table, is_readable, number
from ..._source.user_files import Source
from .._along.batches import each
from .._along.path import baseline_of
from .._attribution import Attribution
from .._explaining import Explaining
from .correlation import pearson, spearman
from .reruns import AT_ONCE, Reruns
from .scores import by_step, check_attribution, check_value, name_at, names_at, scores_at, sign_of
from .units import Units


@tabular
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Faithfulness:
    """Scores of values, or of their units, against what the result really loses without them. A pytree.

    Attributes:
        method: that of the attribution.
        of: the name of the point whose units they are, or "points".
        scores: of each.
        changes: what happened: fun(args) − fun with it put to its baseline; of `patching` the converse.
        pearson: the linear correlation of the two; NaN where one does not vary, or is not finite.
        spearman: that of their ranks.
        where: of each, the point and the index: of the step of a loop, and of the unit, if there is one.
        among: of how many these are a sample, or all.
    """

    method: str
    of: str
    scores: jax.Array
    changes: jax.Array
    pearson: jax.Array
    spearman: jax.Array
    where: tuple[tuple[str, tuple[int, ...]], ...]
    among: int

    def _table(self) -> Table:
        columns = ("point", "index", "score", "change")
        scores, changes = self.scores, self.changes
        title = f"faithfulness of {self.method} at {self.of}, " + self._extent()
        if not all(map(is_readable, (scores, changes, self.pearson, self.spearman))) or scores.ndim != 1:
            return Table(title, columns, [(name, _shown(index), "", "") for name, index in self.where])
        order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
        rows = [(self.where[i][0], _shown(self.where[i][1]), number(scores[i]), number(changes[i])) for i in order]
        notes = self._notes()
        title += "" if notes else f": Pearson {number(self.pearson, 3)}, Spearman {number(self.spearman, 3)}"
        right, lead, more = ("score", "change"), ("point", "index"), "`where`, `scores` and `changes` have each"
        return Table(title, columns, rows, right, notes, (), lead, ("point",), more=more)

    def _extent(self) -> str:
        units = counted(self.among, "value" if self.of == "points" else "unit")
        return units if self.among == len(self.where) else f"{len(self.where)} drawn from {units}"

    def _notes(self) -> list[str]:
        if not np.isnan(np.asarray(self.pearson, np.float32)):
            return []
        both = {"scores": np.asarray(self.scores, np.float64), "changes": np.asarray(self.changes, np.float64)}
        for name, found in both.items():
            if not np.isfinite(found).all():
                return [f"There is no correlation: of the {name} {np.sum(~np.isfinite(found))} are NaN or Inf."]
        name = next((name for name, found in both.items() if found.max() == found.min()), "scores")
        return [f"There is no correlation: the {name} are all the same."]


def _shown(index: tuple[int, ...]) -> str:
    return str(list(index)) if index else ""


jax.tree_util.register_dataclass(
    Faithfulness, ["scores", "changes", "pearson", "spearman"], ["method", "of", "where", "among"]
)


@transform
def faithfulness(
    attribution: Attribution,
    fun: Callable,
    *,
    at: str | None = None,
    axis: int | None = None,
    by: str | None = None,
    source: Source = None,
    to: Any = None,
    absolute: bool = False,
    samples: int = 256,
    seed: int = 0,
    batch_size: int = AT_ONCE,
) -> Callable[..., Faithfulness]:
    """Compare scores with what really happens: each value, or unit of a value, is put to a baseline as by
    `jw.intervene`, one at a time, and what the result loses is correlated with its score (the test of Ancona et al.,
    arXiv 1711.06104, at any point; of attribution patching that of Kramár et al., arXiv 2403.00745).

    Arguments:
        attribution: of `fun`, at these arguments, by any method; of a value with several entries the sum of its scores
            is taken.
        fun: the function that it is of.
        at: None for the whole values at all points with scores, each step of a loop apart; or the name of one point,
            for the entries of its value.
        axis: with `at`, the axis of units, of a value without the axes of loops: each unit is changed at all positions.
        by, source: those of the attribution.
        to: the baseline: None for zeros (ablation), but of patching, whose scores are of another run; by point name,
            values of the shapes there, as those of another run, `jw.outputs(fun)(*others)[1]`, or their mean over data;
            or a function from the value to that, as `lambda v: jnp.full_like(v, v.mean())`.
        absolute: whether sizes are compared, of scores and of changes: for `saliency`, whose scores have no sign.
        samples: how many at most; of more, so many are drawn at random, each once, which the table says.
        seed: of that.
        batch_size: as of `deletion`. All are run by one program.

    Returns:
        A function of the arguments of `fun` that returns a `Faithfulness`.

    Raises:
        PointError: (when called) there are no scores there, or `fun` has no such point.
        ArgumentError: an option does not fit; (when called) the attribution is of other arguments; `to` lacks a point,
            or has another shape.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(jnp.tanh(x), "tanh") * jnp.array([1.0, -2.0, 3.0]))
    >>> x = jnp.array([0.5, 1.0, 2.0])
    >>> found = jw.attribute.faithfulness(jw.attribute.gradient_times_output(fun)(x), fun, at="tanh")(x)
    >>> round(float(found.pearson), 4), round(float(found.spearman), 4)  # what follows is linear
    (1.0, 1.0)
    """
    check_attribution(attribution)
    check_count("samples", samples)
    check_count("batch_size", batch_size)
    check_count("seed", seed, 0)
    _check_place(at, axis)
    _check_to(to, attribution)
    explaining = Explaining.of_points("faithfulness", fun, at, by, source)

    def measure(*args: Any) -> Faithfulness:
        names = names_at(attribution, at) if at is None else [name_at(attribution, at)]
        reruns = Reruns.traced(explaining, args, names)
        units = Units.of([reruns.points[name] for name in names], at is None, axis)
        if not units.total:
            raise ArgumentError(f"`{argument('attribution')}` has no entry there; a correlation is of at least 2.")
        scores = jnp.concatenate([_scores(attribution, name, units, whole=at is None) for name in names])
        like = {p.name: jnp.zeros(p.shape, p.dtype) for p in reruns.points.values()}
        values = reruns.outputs()[1] if callable(to) else like
        start = {name: _start(to, name, values[name]) for name in names}
        chosen = units.sample(samples, seed)

        def result(places: dict[str, jax.Array]) -> jax.Array:
            return reruns.replacing({name: (units.numbers(name) == places[name], start[name]) for name in names})

        # First of all as it is, by the same program: no unit has the number −1.
        places = units.places(np.asarray([-1, *chosen]))
        found = each(result, places, batch_size).astype(jnp.result_type(float))
        check_value(attribution, found[0])
        both = scores[chosen], sign_of(attribution) * (found[0] - found[1:])
        compared = [jnp.abs(x) if absolute else x for x in both]
        where = tuple(map(units.where, chosen))
        alike = pearson(*compared), spearman(*compared)
        return Faithfulness(
            attribution.method, names[0] if at else "points", *both, *alike, where=where, among=units.total
        )

    return explaining.explained(measure)


def _check_place(at: Any, axis: Any) -> None:
    if at is not None and not isinstance(at, str):
        raise ArgumentError(f"`at` is {shown(at)}; it must be the name of one point, or None for all.")
    if axis is not None and (at is None or not isinstance(axis, int) or isinstance(axis, bool)):
        raise ArgumentError(f"`axis` is {shown(axis)}; it must be the number of an axis of the point `at`, or None.")


def _check_to(to: Any, attribution: Attribution) -> None:
    if to is None and sign_of(attribution) < 0:
        raise ArgumentError(
            f"`{argument('attribution')}` is of `{attribution.method}`, whose scores are of the values of another run;"
            f" give these by `{argument('to')}`, as `jw.outputs(fun)(*others)[1]`, or `jnp.zeros_like` for zeros."
        )


def _scores(attribution: Attribution, name: str, units: Units, whole: bool) -> jax.Array:
    """Return the sum of the scores of each unit at a point."""
    if whole:
        scores = jnp.sum(jnp.real(by_step(attribution, name)), -1)
    else:
        scores = scores_at(attribution, name, units.shapes[name])
        scores = jnp.sum(jnp.real(scores), units.others(name))
    return jnp.ravel(scores).astype(jnp.result_type(float))


def _start(to: Any, name: str, value: jax.Array) -> jax.Array:
    if isinstance(to, Mapping):
        if name not in to:
            raise ArgumentError(
                f"`{argument('to')}` has no value for `{name}`; give one for each point with scores, or choose one by"
                f" `{argument('at')}`. {near(name, to)}"
            )
        to = to[name]
    return baseline_of(to, value, "to", name)
