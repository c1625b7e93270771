"""One batch through the walk: the compiled step of an evaluation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from ..._jax.jaxpr.types import widened
from ..._points.point import Points
from ..._walk.nonfinite import kind_of_all
from ..._walk.walk import walk_staged
from ...stats import Statistic
from ...stats._batched import of_batch, of_datum, over_data
from ...stats._fold import Partial
from ...stats._numerics.norm import norm
from ...stats._numerics.quick import divided
from ..batches import COUNTS, FAILED
from ..placement import Placement
from ..result.ranking import Rows
from . import device_totals
from .alike import Form, Kept, alone, divide, forms_of, in_a_loop
from .attributed import each_attributed
from .device_totals import GroupState, Totals
from .task import Task

KeepOfDatum: TypeAlias = Callable[[Any, Any, Any], Kept]  # (whether a datum counts, output, δ) -> what is kept
SMALL = 64  # numbers in a state: fewer are merged after the backward pass, more inside it


class CompiledStep(NamedTuple):
    """A batch through the walk, and a group of batches on the device.

    Attributes:
        init: the number of batches in a group -> a group without data.
        update: (params, group, leaves, counts) -> (group, rows). It is compiled; the group is donated.
        no_totals: () -> the totals of no data, or shapes of them.
        names: as `Task.columns`.
        places: where the numbers of each are in `Rows.norms`.
        forms: of `Totals.states`, each.
    """

    init: Callable[[int], GroupState]
    update: Callable[..., tuple[GroupState, Rows]]
    no_totals: Callable[[], Totals]
    names: list[str]
    places: list[int]
    forms: list[Form]


def step_of(task: Task) -> CompiledStep:
    """Return the step. Nothing is compiled before it is called."""
    statistic, (of_group, of_rows) = task.statistic, _shardings(task.placed)
    leaves = [jax.ShapeDtypeStruct((task.rows, *row.shape), row.dtype) for row in task.datum]
    example = task.params, leaves, jax.ShapeDtypeStruct((task.rows,), jnp.int8)
    names, (each, pieces) = task.columns, _each_datum(task)
    forms = forms_of(pieces, jax.eval_shape(each, *example)[1])

    def batch(params: list[Any], leaves: Sequence[Any], counts: jax.Array) -> tuple[Rows, list[Partial]]:
        if task.placed.processes > 1:  # what one fails in is taken again, by all, when the evaluation is resumed
            counts = jnp.where(jnp.any(counts == FAILED), jnp.int8(FAILED), counts)
        rows, kept = each(params, leaves, counts)
        joined = [form.joined(kept) for form in forms]
        after = lambda state: over_data(statistic, state, task.placed.groups) if statistic else state
        return rows, [after(one) if form.kind == "apart" else one for form, one in zip(forms, joined, strict=True)]

    def update(params: list[Any], state: GroupState, leaves: Sequence[Any], counts: jax.Array):
        rows, states = batch(params, leaves, counts)
        return device_totals.update(statistic, state, rows, states), rows

    @functools.cache
    def shapes() -> tuple[Rows, list[Partial]]:
        return jax.eval_shape(batch, *example)

    there = [name for piece in pieces for name in piece]
    return CompiledStep(
        _init(task.placed, of_group, lambda batches: device_totals.init(*shapes(), batches)),
        jax.jit(update, donate_argnums=1, out_shardings=(of_group, of_rows)),
        lambda: device_totals.no_totals(*shapes()),
        names,
        [there.index(name) for name in names],
        forms,
    )


def _init(placed: Placement, of_group: Any, init: Callable[[int], GroupState]) -> Callable[[int], GroupState]:
    """Return `init`. Without a mesh it is not compiled: a group without data is zeros, which the host has too."""
    if placed.mesh is not None:
        return jax.jit(init, static_argnums=0, out_shardings=of_group)
    # Traced once, and not at each group.
    shapes = functools.cache(lambda batches: jax.eval_shape(lambda: init(batches)))
    zeros = lambda shape: np.zeros(shape.shape, shape.dtype)
    return lambda batches: jax.device_put(jax.tree.map(zeros, shapes(batches)))


def _shardings(placed: Placement) -> tuple[Any, Any]:
    """Return those of a group and of a batch's rows, which stay where their data are; each of several processes reads
    all rows."""
    if placed.mesh is None or placed.whole is None:
        return None, None
    each: Any = placed.whole
    if jax.process_count() > 1:
        return each, each
    room: Any = NamedSharding(placed.mesh, PartitionSpec(None, placed.mesh.axis_names[0]))
    return GroupState(each, room, each), placed.divided


# One datum -----------------------------------------------------------------------------------------------


def _each_datum(task: Task) -> tuple[Callable[..., tuple[Rows, list[Kept]]], list[list[str]]]:
    """Return (params, leaves, counts) -> the rows of a batch, and what is kept in pieces; and of which points each is.

    First those that are looked at in a loop, then the others, one by one.
    """
    if task.attributed is not None and task.statistic is not None:
        return each_attributed(task.staged, task.attributed, task.statistic)
    points, keep = task.with_delta, _keep_of(task)
    loops = divide(task.staged.closed, points, keep, task.rows // task.placed.groups)
    together = {p.name for many in loops for p in many}
    others = [p.name for p in points if p.name not in together]
    bodies = functools.cache(in_a_loop)
    one = functools.partial(_datum, task, {name: keep[name] if name in others else None for name in keep})

    @jax.jit
    def each(params: list[Any], leaves: Sequence[Any], counts: jax.Array) -> tuple[Rows, list[Kept]]:
        over = jax.vmap(one, in_axes=(None, 0, 0), out_axes=(0, 0, None))
        given, counted = jax.vmap(kind_of_all)(leaves), counts == COUNTS
        with divided(task.placed.divided, task.rows):
            losses, found, merged = over(params, leaves, counted)
            pieces = [
                bodies(keep[many[0].name], many[0].type)(
                    [found[p.name]["output"] for p in many], [found[p.name]["delta"] for p in many], counted
                )
                for many in loops
            ]
        pieces += [alone(found[name] | merged[name]) for name in others]
        norms = jnp.concatenate([piece.pop("norm").astype(losses.dtype) for piece in pieces], 1)
        return Rows(losses, norms, counts, given), pieces

    return each, [*([p.name for p in many] for many in loops), *([name] for name in others)]


def _datum(
    task: Task, keep: Mapping[str, KeepOfDatum | None], params: list[Any], leaves: Sequence[Any], counts: jax.Array
) -> tuple[jax.Array, dict[str, Kept], dict[str, Kept]]:
    """Return the loss; by point what is kept of this datum; and by point what is kept of the whole batch.

    Of the points that are looked at in a loop afterwards, that is the output and δ.
    """
    staged = task.staged._replace(args=[*params, *leaves])
    counted = functools.cache(lambda one: one and functools.partial(one, counts))  # those that are alike stay so
    walked = walk_staged(staged, Points(task.with_delta), {name: counted(one) for name, one in keep.items()})
    found: dict[str, Kept] = {name: dict(walked.kept[name]) for name in keep}
    merged = {name: {key: kept.pop(key) for key in ("merged",) if key in kept} for name, kept in found.items()}
    for kept in found.values():
        if "norm" in kept:
            kept["norm"] = _over_steps(kept["norm"])
    return walked.value.astype(widened(walked.value.dtype)), found, merged


def _keep_of(task: Task) -> dict[str, KeepOfDatum]:
    """Return by point what to keep there: (whether a datum counts, output, δ) -> its norm and its state."""
    at = task.kept_at or task.statistic
    of_kind: dict[tuple[int, bool], KeepOfDatum] = {}
    keep = {}
    for point in task.with_delta:
        statistic = at.get(point.name) if isinstance(at, Mapping) else at
        kind = id(statistic), point.conditional
        if kind not in of_kind:
            of_kind[kind] = _keep_of_one(task.placed.groups, statistic, point.conditional)
        keep[point.name] = of_kind[kind]
    return keep


def _keep_of_one(groups: int, statistic: Statistic | None, conditional: bool) -> KeepOfDatum:
    """Return what to keep at points in a branch, or at others.

    A point in a branch has its states apart, to be merged afterwards: where each datum goes its own way, `jax.vmap`
    runs both branches, and only the datum itself knows which one counts. In one that is not taken this does not run;
    what is kept is zeros, which say that no datum was seen. Points whose states are small have them apart too: those of
    many such points are merged at once.
    """
    if statistic is None:
        return lambda counts, output, delta: {"norm": norm(delta)}
    apart, merged = of_datum(statistic), of_batch(statistic, groups)

    def keep(counts: jax.Array, output: jax.Array, delta: jax.Array) -> Kept:
        is_apart = conditional or _numbers(jax.eval_shape(statistic.of, output, delta)) <= SMALL
        state = {"apart": apart} if is_apart else {"merged": merged}
        return {"norm": norm(delta)} | {kind: of(output, delta, counts) for kind, of in state.items()}

    return keep


def _numbers(state: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(state))


def _over_steps(norms: jax.Array) -> jax.Array:
    """Return the norm over all the steps of loops, from that at each."""
    return norm(norms) if norms.ndim else norms
