"""One batch through the walk: the compiled step of an evaluation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from .._jax.tracing import Staged
from .._jax.types import widened
from .._points.point import Point, Points
from .._points.units import Keep
from .._walk.nonfinite import kind_of_all
from .._walk.walk import walk_staged
from ..stats import Statistic
from ..stats._batched import of_batch, of_datum, over_data
from ..stats._fold import Partial
from ..stats._quick import divided, quick_or
from ..stats._subnormal import largest, rescaled, scale_of, scaled
from ..stats._sums import is_safe, plain_squares, real
from . import device_totals
from .batches import COUNTS, FAILED
from .device_totals import GroupState, Totals
from .placement import Placement
from .result.ranking import Rows

SMALL = 64  # numbers in a state: fewer are merged after the backward pass, more inside it


class Task(NamedTuple):
    """What an evaluation does with every datum.

    Attributes:
        staged: the loss of one datum, traced.
        params: the values of its first inputs.
        datum: the shapes and dtypes of the others.
        points: those chosen.
        statistic: what to keep of them; None for nothing but norms.
        top: how many culprits.
        rows: how many rows a step takes, of all processes together.
        placed: where arrays are.
        kept_at: by point, what the statistic is there, if it differs among them.
    """

    staged: Staged
    params: list[Any]
    datum: list[jax.ShapeDtypeStruct]
    points: Points
    statistic: Statistic | None
    top: int
    rows: int
    placed: Placement
    kept_at: Any = None

    @property
    def with_delta(self) -> list[Point]:
        """The points that have a δ, of several names of one value one."""
        same = self.points.same()
        return [p for p in self.points.values() if p.has_delta and p.name not in same]


class CompiledStep(NamedTuple):
    """A batch through the walk, and the three functions of a group of batches. They are compiled.

    Attributes:
        init: the number of batches in a group -> a group without data.
        update: (params, group, leaves, counts) -> (group, rows). The group is donated.
        finish: the group -> (its totals, the rows of all its batches).
        no_totals: () -> the totals of no data.
        names: of the points that norms are of.
        alike: of the points of each of `Totals.states`, the names.
    """

    init: Callable[[int], GroupState]
    update: Callable[..., tuple[GroupState, Rows]]
    finish: Callable[[GroupState], tuple[Totals, Rows]]
    no_totals: Callable[[], Totals]
    names: list[str]
    alike: list[list[str]]


def step_of(task: Task) -> CompiledStep:
    """Return the step. Nothing is compiled before it is called."""
    statistic, (of_group, of_rows), whole = task.statistic, _shardings(task.placed), task.placed.whole
    leaves = [jax.ShapeDtypeStruct((task.rows, *row.shape), row.dtype) for row in task.datum]
    example = task.params, leaves, jax.ShapeDtypeStruct((task.rows,), jnp.int8)
    each = _each_datum(task)
    found = jax.eval_shape(each, *example)
    apart_alike, merged_alike = _alike(found.apart), _alike(found.merged)

    def batch(params: list[Any], leaves: Sequence[Any], counts: jax.Array) -> tuple[Rows, list[Partial]]:
        if task.placed.processes > 1:  # what one fails in is taken again, by all, when the evaluation is resumed
            counts = jnp.where(jnp.any(counts == FAILED), jnp.int8(FAILED), counts)
        rows, apart, merged = each(params, leaves, counts)
        if statistic is None:
            return rows, []
        after = [over_data(statistic, partial, task.placed.groups) for partial in _stacked(apart, apart_alike, 1)]
        return rows, [*after, *_stacked(merged, merged_alike, 0)]

    def update(params: list[Any], state: GroupState, leaves: Sequence[Any], counts: jax.Array):
        rows, states = batch(params, leaves, counts)
        return device_totals.update(statistic, state, rows, states), rows

    @functools.cache
    def shapes() -> tuple[Rows, list[Partial]]:
        return jax.eval_shape(batch, *example)

    return CompiledStep(
        jax.jit(lambda batches: device_totals.init(*shapes(), batches), static_argnums=0, out_shardings=of_group),
        jax.jit(update, donate_argnums=1, out_shardings=(of_group, of_rows)),
        jax.jit(lambda state: device_totals.finish(state, task.top), out_shardings=whole),
        jax.jit(lambda: device_totals.no_totals(*shapes()), out_shardings=whole),
        [p.name for p in task.with_delta],
        [*apart_alike, *merged_alike],
    )


def _shardings(placed: Placement) -> tuple[Any, Any]:
    """Return those of a group and of a batch's rows, which stay where their data are; each of several processes reads
    all rows."""
    if placed.mesh is None or placed.whole is None:
        return None, None
    room: Any = NamedSharding(placed.mesh, PartitionSpec(None, placed.mesh.axis_names[0]))
    each: Any = placed.whole
    return GroupState(each, room, each), placed.whole if jax.process_count() > 1 else placed.divided


class _Each(NamedTuple):
    """What is found in a batch: its rows; states by point, one per datum; states by point, of the whole batch."""

    rows: Rows
    apart: dict[str, Partial]
    merged: dict[str, Partial]


def _stacked(states: dict[str, Partial], alike: list[list[str]], axis: int) -> list[Partial]:
    """Return the states of alike points as one, with an axis of points."""
    stack = lambda *leaves: jnp.stack(leaves, axis)
    return [jax.tree.map(stack, *(states[name] for name in names)) for names in alike]


def _alike(states: dict[str, Partial]) -> list[list[str]]:
    """Group the names of points by the form of their states: for each form, merging is compiled once."""
    forms: dict[Any, list[str]] = {}
    for name, partial in states.items():
        leaves, tree = jax.tree.flatten(partial)
        forms.setdefault((tree, *((leaf.shape, leaf.dtype) for leaf in leaves)), []).append(name)
    return list(forms.values())


# One datum -----------------------------------------------------------------------------------------------


def _each_datum(task: Task) -> Callable[..., _Each]:
    keep = _keep_of(task)
    names = [p.name for p in task.with_delta]
    one = functools.partial(_datum, task, keep)

    @jax.jit
    def each(params: list[Any], leaves: Sequence[Any], counts: jax.Array) -> _Each:
        over = jax.vmap(one, in_axes=(None, 0, 0), out_axes=(0, 0, 0, None))
        given = jax.vmap(kind_of_all)(leaves)
        with divided(task.placed.divided, task.rows):
            losses, norms, apart, merged = over(params, leaves, counts == COUNTS)
        return _Each(Rows(losses, jnp.stack([norms[name] for name in names], 1), counts, given), apart, merged)

    return each


def _datum(task: Task, keep: Callable, params: list[Any], leaves: Sequence[Any], counts: jax.Array):
    """Return (loss, norms by point, states by point that are of this datum, states by point of the whole batch).

    A point in a branch has its states apart, to be merged afterwards: where each datum goes its own way, `jax.vmap`
    runs both branches, and only the datum itself knows which one counts. So have points whose states are small:
    those of many such points are merged at once.
    """
    staged = task.staged._replace(args=[*params, *leaves])
    walked = walk_staged(staged, Points(task.with_delta), keep(counts))
    loss = walked.value.astype(widened(walked.value.dtype))
    kept = {p.name: walked.kept[p.name] for p in task.with_delta}
    norms = {name: _over_steps(found["norm"]).astype(loss.dtype) for name, found in kept.items()}
    apart = {p.name for p in task.with_delta if p.conditional or "merged" not in kept[p.name]}
    pick = lambda kind, names: {name: kept[name][kind] for name in kept if name in names and kind in kept[name]}
    return loss, norms, pick("apart", apart), pick("merged", kept.keys() - apart)


def _keep_of(task: Task) -> Callable[[jax.Array], Keep | dict[str, Keep]]:
    """Return whether a datum counts -> what to keep, by point if the statistic differs among them."""
    at = task.kept_at or task.statistic
    if not isinstance(at, Mapping):
        return functools.partial(functools.partial, _keep_of_one(task, at))
    each = {id(one): _keep_of_one(task, one) for one in (None, *at.values())}

    def keep(counts: jax.Array) -> dict[str, Keep]:
        one = {key: functools.partial(kept, counts) for key, kept in each.items()}
        return {point.name: one[id(at.get(point.name))] for point in task.with_delta}

    return keep


def _keep_of_one(
    task: Task, statistic: Statistic | None
) -> Callable[[jax.Array, jax.Array, jax.Array], dict[str, Any]]:
    """Return (whether a datum counts, output, δ) -> its norm and its states.

    It is for several points. So it gives the states of all kinds of points there are: those that are not looked at are
    not computed.
    """
    if statistic is None:
        return lambda counts, output, delta: {"norm": _norm(delta)}
    conditional = {p.conditional for p in task.with_delta}
    apart, merged = of_datum(statistic), of_batch(statistic, task.placed.groups)

    def keep(counts: jax.Array, output: jax.Array, delta: jax.Array) -> dict[str, Any]:
        kept: dict[str, Any] = {"norm": _norm(delta)}
        is_small = _numbers(jax.eval_shape(statistic.of, output, delta)) <= SMALL
        if True in conditional or is_small:
            # In a branch that is not taken this does not run; what is kept is zeros, which say that no datum was seen.
            kept["apart"] = apart(output, delta, counts)
        if False in conditional and not is_small:
            kept["merged"] = merged(output, delta, counts)
        return kept

    return keep


def _numbers(state: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(state))


def _scaled_norm(delta: jax.Array) -> jax.Array:
    size = jnp.abs(real(delta))
    scale = scale_of(largest(size))
    return rescaled(jnp.sqrt(jnp.sum(scaled(size, scale) ** 2)), scale)


def _plain_norm(delta: jax.Array) -> tuple[jax.Array, jax.Array]:
    squares = plain_squares(real(delta))
    return jnp.sqrt(squares), is_safe(squares)


_norm = quick_or(_scaled_norm, _plain_norm)
"""ℓ2, of numbers whose squares are no float32 too."""


def _over_steps(norms: jax.Array) -> jax.Array:
    """Return the norm over all the steps of loops, from that at each."""
    return _norm(norms) if norms.ndim else norms
