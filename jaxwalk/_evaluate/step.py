"""One batch through the walk: the compiled step of an evaluation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from .._jax.leaves import opened_leaves
from .._jax.types import widened
from .._points.point import Point, Points
from .._source.files import Source
from .._walk.walk import walk
from ..stats import Statistic
from ..stats._batched import of_batch, of_datum, over_data
from ..stats._fold import Partial
from ..stats._quick import divided, quick_or
from ..stats._sums import is_safe, plain_squares, real
from .batches import COUNTS
from .group import Carry, Rows, Sent, begun, ended, grown, start

SMALL = 64  # numbers in a state: fewer are merged after the backward pass, more inside it


class Step(NamedTuple):
    """A batch through the walk, and a group of batches. The functions are compiled.

    Attributes:
        begin: the number of batches in a group -> a group without any.
        advance: (params, group, leaves, counts) -> (group, rows). The group is given away.
        end: the group -> (what is carried of it, the rows of all its batches).
        start: what is carried of no data.
        names: of the points that norms are of.
        alike: of the points of each of `Carry.states`, the names.
    """

    begin: Callable[[int], Sent]
    advance: Callable[..., tuple[Sent, Rows]]
    end: Callable[[Sent], tuple[Carry, Rows]]
    start: Callable[[], Carry]
    names: list[str]
    alike: list[list[str]]


def step_of(
    fun: Callable,
    chosen: Points,
    by: str | None,
    source: Source,
    arguments: Callable[[Sequence[Any]], tuple],
    statistic: Statistic | None,
    top: int,
    example: tuple[Any, Sequence[jax.ShapeDtypeStruct], int],
    groups: int,
    whole: NamedSharding | None = None,
) -> Step:
    """Compiles nothing yet.

    Arguments:
        fun, by, source: as of `walk`; `chosen`: its points.
        arguments: from the leaves of one datum to the arguments after `params`.
        statistic: what to keep, or None for nothing but norms.
        top: how many culprits.
        example: the params, one row per leaf, and the number of rows of a batch.
        groups: among how many devices a batch is divided.
        whole: how what is not divided among devices is placed on them, if there are several.
    """
    params, rows, size = example
    arrays, closed = opened_leaves(params)
    felt = [p for p in chosen.values() if p.has_delta and p.name not in chosen.same()]
    kinds = {p.conditional for p in felt} if statistic else set()
    one = functools.partial(_datum, fun, felt, by, source, arguments, _keeper(statistic, groups, kinds))

    along, of_group, of_rows = _shardings(whole)

    @jax.jit
    def each(arrays: list[Any], leaves: Sequence[Any], counts: jax.Array) -> _Each:
        over = jax.vmap(one, in_axes=(None, 0, 0), out_axes=(0, 0, 0, None))
        with divided(along, size):
            losses, norms, apart, merged = over(closed(arrays), leaves, counts == COUNTS)
        return _Each(Rows(losses, jnp.stack([norms[p.name] for p in felt], 1), counts), apart, merged)

    leaves = [jax.ShapeDtypeStruct((size, *row.shape), row.dtype) for row in rows]
    shapes = jax.eval_shape(each, arrays, leaves, jax.ShapeDtypeStruct((size,), jnp.int8))
    alike = _alike(shapes.apart), _alike(shapes.merged)

    def batch(*args: Any) -> tuple[Rows, list[Partial]]:
        rows, apart, merged = each(*args)
        if statistic is None:
            return rows, []
        after = [over_data(statistic, partial, groups) for partial in _stacked(apart, alike[0], 1)]
        return rows, [*after, *_stacked(merged, alike[1], 0)]

    def advance(arrays: list[Any], group: Sent, leaves: Sequence[Any], counts: jax.Array):
        rows, states = batch(arrays, leaves, counts)
        return grown(statistic, group, rows, states), rows

    def of_none() -> tuple[Rows, list[Partial]]:
        return jax.eval_shape(batch, arrays, leaves, jax.ShapeDtypeStruct((size,), jnp.int8))

    return Step(
        jax.jit(lambda batches: begun(*of_none(), batches), static_argnums=0, out_shardings=of_group),
        jax.jit(advance, donate_argnums=1, out_shardings=None if whole is None else (of_group, of_rows)),
        jax.jit(lambda group: ended(group, top), out_shardings=whole),
        jax.jit(lambda: start(*of_none(), top), out_shardings=whole),
        [p.name for p in felt],
        [*alike[0], *alike[1]],
    )


def _shardings(whole: NamedSharding | None) -> tuple[NamedSharding | None, Any, Any]:
    """Of a batch, along its axis; of a group; of rows, which stay where their data are, but of several processes each
    reads all."""
    if whole is None:
        return None, None, None
    mesh, axis = whole.mesh, whole.mesh.axis_names[0]
    along = NamedSharding(mesh, PartitionSpec(axis))
    room: Any = NamedSharding(mesh, PartitionSpec(None, axis))
    each: Any = whole
    return along, Sent(each, room, each), whole if jax.process_count() > 1 else along


class _Each(NamedTuple):
    """Of a batch: its rows; states by point, one per datum; states by point that are of the whole batch."""

    rows: Rows
    apart: dict[str, Partial]
    merged: dict[str, Partial]


def _stacked(states: dict[str, Partial], alike: list[list[str]], axis: int) -> list[Partial]:
    """The states of alike points as one, with an axis of points."""
    stack = lambda *leaves: jnp.stack(leaves, axis)
    return [jax.tree.map(stack, *(states[name] for name in names)) for names in alike]


def _alike(states: dict[str, Partial]) -> list[list[str]]:
    """The names of points whose states have one form: for each form there is, merging is compiled once."""
    forms: dict[Any, list[str]] = {}
    for name, partial in states.items():
        leaves, tree = jax.tree.flatten(partial)
        forms.setdefault((tree, *((leaf.shape, leaf.dtype) for leaf in leaves)), []).append(name)
    return list(forms.values())


# One datum -----------------------------------------------------------------------------------------------


def _datum(fun, felt: Sequence[Point], by, source, arguments, keeper: Callable, params, leaves, counts):
    """(loss, norms by point, states by point that are of this datum, states by point that are of the whole batch).

    A point in a branch has its states apart, to be merged afterwards: where each datum goes its own way, `jax.vmap`
    runs both branches, and only the datum itself knows which one counts. So have points whose states are small:
    those of many such points are merged at once.
    """
    names = [p.name for p in felt]
    walked = walk(fun, names, by=by, source=source, keep=keeper(counts))(params, *arguments(leaves))
    loss = walked.value.astype(widened(walked.value.dtype))
    kept = {name: walked.kept[name] for name in names}
    norms = {name: _over_steps(kept[name]["norm"]).astype(loss.dtype) for name in names}
    where = {p.name: "apart" if p.conditional or "merged" not in kept[p.name] else "merged" for p in felt}
    states = lambda kind: {name: kept[name][kind] for name in names if where[name] == kind and kind in kept[name]}
    return loss, norms, states("apart"), states("merged")


def _keeper(statistic: Statistic | None, groups: int, kinds: set[bool]) -> Callable:
    """From whether a datum counts to the `keep` of its walk; `kinds`: whether points are conditional.

    It does not know at which point it is. So it gives the states of all kinds of points there are: those that are not
    looked at are not computed.
    """
    if statistic is None:
        return lambda counts: lambda output, delta: {"norm": _norm(delta)}
    apart, merged = of_datum(statistic), of_batch(statistic, groups)

    def keep(counts: jax.Array, output: jax.Array, delta: jax.Array) -> dict[str, Any]:
        kept: dict[str, Any] = {"norm": _norm(delta)}
        is_small = _numbers(jax.eval_shape(statistic.of, output, delta)) <= SMALL
        if True in kinds or is_small:
            # In a branch not taken nothing runs, and what is kept is zeros: not seen.
            kept["apart"] = apart(output, delta, counts)
        if False in kinds and not is_small:
            kept["merged"] = merged(output, delta, counts)
        return kept

    return lambda counts: functools.partial(keep, counts)


def _numbers(state: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(state))


def _scaled_norm(delta: jax.Array) -> jax.Array:
    size = jnp.abs(real(delta))
    scale = jnp.max(size, initial=0)
    unit = jnp.where((scale > 0) & jnp.isfinite(scale), scale, 1)
    return unit * jnp.sqrt(jnp.sum((size / unit) ** 2))


def _plain_norm(delta: jax.Array) -> tuple[jax.Array, jax.Array]:
    squares = plain_squares(real(delta))
    return jnp.sqrt(squares), is_safe(squares)


_norm = quick_or(_scaled_norm, _plain_norm)
"""ℓ2, of numbers whose squares are no float32 too."""


def _over_steps(norms: jax.Array) -> jax.Array:
    """The norm over all the steps of loops, from that at each."""
    return _norm(norms) if norms.ndim else norms
