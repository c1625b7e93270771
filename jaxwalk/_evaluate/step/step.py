"""One batch through the walk: the compiled step of an evaluation."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from ..._jax.jaxpr.types import widened
from ..._jax.packing import Packing
from ..._points.point import Points
from ..._walk.nonfinite import kind_of_all, not_finite
from ..._walk.walk import walk_staged
from ...stats import Statistic
from ...stats._batched import of_batch, of_datum, over_data, quickly
from ...stats._fold import Partial
from ...stats._numerics.norm import norm, norm_of_norms, quick_norm, quick_norm_of_norms
from ...stats._numerics.quick import divided
from ..batches import COUNTS, FAILED
from ..placement import Placement
from ..result.ranking import Rows
from .alike import Form, Kept, alone, divide, forms_of, in_a_loop
from .attributed import each_attributed
from .task import Task
from .totals import Found, Totals, are_merged_there, merged_with, no_totals

KeepOfDatum: TypeAlias = Callable[[Any, Any, Any], Kept]  # (whether a datum counts, output, δ) -> what is kept
EachDatum: TypeAlias = Callable[..., tuple[Rows, list[Kept]]]
SMALL = 64  # numbers in a state: fewer are merged after the backward pass, more inside it


class CompiledStep(NamedTuple):
    """A batch through the walk.

    Attributes:
        init: () -> the states of no data, of those that are merged on the device.
        update: (params, leaves, counts, states) -> (what is found of a batch, those states with its own merged). It is
            compiled; the states are donated. Numbers are looked at the quick way.
        again: the same, right for all numbers, for a batch in which something may be wrong; compiled when there is one.
            None where `update` is that.
        no_totals: () -> the totals of no data, or shapes of them.
        packing: how the states of a batch lie in `Found.states`; None if they are merged on the device.
        names: as `Task.columns`.
        places: where the numbers of each are in `Rows.norms`.
        forms: of `Totals.states`, each.
    """

    init: Callable[[], list[Partial]]
    update: Callable[..., tuple[Found, list[Partial]]]
    again: Callable[..., tuple[Found, list[Partial]]] | None
    no_totals: Callable[[], Totals]
    packing: Packing | None
    names: list[str]
    places: list[int]
    forms: list[Form]


def step_of(task: Task) -> CompiledStep:
    """Return the step. Nothing is compiled before it is called."""
    leaves = [jax.ShapeDtypeStruct((task.rows, *row.shape), row.dtype) for row in task.datum]
    # What a function does beside, as printing, is done once for a batch.
    is_quick = task.attributed is None and not task.staged.closed.jaxpr.effects
    (each, pieces), counts = _each_datum(task, is_quick), jax.ShapeDtypeStruct((task.rows,), jnp.int8)
    forms = forms_of(pieces, jax.eval_shape(each, task.params, leaves, counts)[1])
    batch = functools.partial(_batch, task, forms)
    rows, states = jax.eval_shape(functools.partial(batch, each), task.params, leaves, counts)
    stay = are_merged_there(task.statistic, states, task.rows)
    packing = None if stay else Packing.of(states)
    program = functools.partial(_program, task, batch, packing)
    there = [name for piece in pieces for name in piece]
    return CompiledStep(
        functools.partial(_zeros, states if stay else [], task.placed),
        program(is_quick, lambda: each),
        program(False, lambda: _each_datum(task, False)[0]) if is_quick else None,
        lambda: no_totals(rows, states),
        packing,
        task.columns,
        [there.index(name) for name in task.columns],
        forms,
    )


def _batch(
    task: Task, forms: Sequence[Form], each: EachDatum, params: list[Any], leaves: Sequence[Any], counts: jax.Array
) -> tuple[Rows, list[Partial]]:
    """Return the rows of a batch, and the states of it."""
    if task.placed.processes > 1:  # what one fails in is taken again, by all, when the evaluation is resumed
        counts = jnp.where(jnp.any(counts == FAILED), jnp.int8(FAILED), counts)
    rows, kept = each(params, leaves, counts)
    joined = [form.joined(kept) for form in forms]
    after = lambda state: over_data(task.statistic, state, task.placed.groups) if task.statistic else state
    return rows, [after(one) if form.kind == "apart" else one for form, one in zip(forms, joined, strict=True)]


def _program(
    task: Task, batch: Callable, packing: Packing | None, is_quick: bool, make: Callable[[], EachDatum]
) -> Callable:
    """Return the compiled step; `make` gives what it does with each datum, when it is traced."""

    def update(params: list[Any], leaves: Sequence[Any], counts: jax.Array, before: list[Partial]):
        rows, states = batch(make(), params, leaves, counts)
        if packing is not None or task.statistic is None:
            return Found(rows, packing.pack(states) if packing else {}), before
        return Found(rows, {}), merged_with(task.statistic, before, states, rows, is_quick)

    whole: Any = task.placed.whole
    return jax.jit(update, donate_argnums=3, out_shardings=(Found(_of_rows(task.placed), whole), whole))


def _zeros(shapes: list[Partial], placed: Placement) -> list[Partial]:
    leaves, tree = jax.tree.flatten(shapes)
    return jax.tree.unflatten(tree, placed.params([np.zeros(leaf.shape, leaf.dtype) for leaf in leaves]))


def _of_rows(placed: Placement) -> Any:
    """Return where a batch's rows are, which stay where their data are; each of several processes reads all."""
    return placed.whole if jax.process_count() > 1 else placed.divided


# One datum -----------------------------------------------------------------------------------------------


def _each_datum(task: Task, is_quick: bool) -> tuple[EachDatum, list[list[str]]]:
    """Return (params, leaves, counts) -> the rows of a batch, and what is kept in pieces; and of which points each is.

    First those that are looked at in a loop, then the others, one by one.
    """
    if task.attributed is not None and task.statistic is not None:
        return each_attributed(task.staged, task.attributed, task.statistic)
    points, keep = task.with_delta, _keep_of(task, is_quick)
    loops = divide(task.staged.closed, points, keep, task.rows // task.placed.groups)
    together = {p.name for many in loops for p in many}
    others = [p.name for p in points if p.name not in together]
    bodies = functools.cache(in_a_loop)
    kept = {name: keep[name] if name in others else None for name in keep}
    one = functools.partial(_datum, task, kept, quick_norm_of_norms if is_quick else norm_of_norms)

    @jax.jit
    def each(params: list[Any], leaves: Sequence[Any], counts: jax.Array) -> tuple[Rows, list[Kept]]:
        over = jax.vmap(one, in_axes=(None, 0, 0), out_axes=(0, 0, None))
        counted = counts == COUNTS
        with divided(task.placed.divided, task.rows):
            losses, found, merged = over(params, leaves, counted)
            pieces = [
                bodies(keep[many[0].name], many[0].type)(
                    [found[p.name]["output"] for p in many], [found[p.name]["delta"] for p in many], counted
                )
                for many in loops
            ]
        pieces += [alone(found[name] | merged[name]) for name in others]
        norms = [_marked(piece.pop("norm").astype(losses.dtype), piece.pop("wrong")) for piece in pieces]
        rows = Rows(losses, jnp.concatenate(norms, 1), counts, jnp.zeros(counts.shape, jnp.int8))
        return _with_inputs(rows, leaves, is_quick), pieces

    return each, [*([p.name for p in many] for many in loops), *([name] for name in others)]


def _marked(norms: jax.Array, wrong: list[jax.Array]) -> jax.Array:
    """Return the norms, NaN where something is wrong."""
    return jnp.where(functools.reduce(operator.or_, wrong), jnp.nan, norms) if wrong else norms


def _with_inputs(rows: Rows, leaves: Sequence[Any], is_quick: bool) -> Rows:
    """Return the rows, with whether a datum's own numbers are finite; the quick way with NaN for norms where not."""
    if is_quick:
        return rows._replace(norms=_marked(rows.norms, [jax.vmap(not_finite)(leaves)[:, None]]))
    return rows._replace(inputs=jax.vmap(kind_of_all)(leaves))


def _datum(
    task: Task,
    keep: Mapping[str, KeepOfDatum | None],
    over_steps: Callable[[jax.Array], jax.Array],
    params: list[Any],
    leaves: Sequence[Any],
    counts: jax.Array,
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
            kept["norm"] = over_steps(kept["norm"])
            kept["wrong"] = list(map(jnp.any, kept["wrong"]))  # at any step of the loops around it
    return walked.value.astype(widened(walked.value.dtype)), found, merged


def _keep_of(task: Task, is_quick: bool) -> dict[str, KeepOfDatum]:
    """Return by point what to keep there: (whether a datum counts, output, δ) -> its norm and its state."""
    at = task.kept_at or task.statistic
    of_kind: dict[tuple[int, bool], KeepOfDatum] = {}
    keep = {}
    for point in task.with_delta:
        statistic = at.get(point.name) if isinstance(at, Mapping) else at
        kind = id(statistic), point.conditional
        if kind not in of_kind:
            of_kind[kind] = _keep_of_one(task.placed.groups, statistic, point.conditional, is_quick)
        keep[point.name] = of_kind[kind]
    return keep


def _keep_of_one(groups: int, statistic: Statistic | None, conditional: bool, is_quick: bool) -> KeepOfDatum:
    """Return what to keep at points in a branch, or at others.

    A point in a branch has its states apart, to be merged afterwards: where each datum goes its own way, `jax.vmap`
    runs both branches, and only the datum itself knows which one counts. In one that is not taken this does not run;
    what is kept is zeros, which say that no datum was seen, and that nothing is wrong. Points whose states are small
    have them apart too: those of many such points are merged at once.
    """

    def norm_of(delta: jax.Array, counts: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        if not is_quick:
            return norm(delta), []
        size, is_right = quick_norm(delta)
        return size, [is_right | ~counts]

    def keep_norm(counts: jax.Array, output: jax.Array, delta: jax.Array) -> Kept:
        size, right = norm_of(delta, counts)
        return {"norm": size, "wrong": [~one for one in right]}

    if statistic is None:
        return keep_norm
    apart, merged = of_datum(statistic, is_quick), of_batch(statistic, groups, is_quick)
    state_of = functools.partial(quickly, statistic)  # of the same form as the careful one, and less to trace

    def keep(counts: jax.Array, output: jax.Array, delta: jax.Array) -> Kept:
        state, _ = jax.eval_shape(state_of, output, delta)
        kind, of = ("apart", apart) if conditional or _numbers(state) <= SMALL else ("merged", merged)
        found, right = of(output, delta, counts)
        kept = keep_norm(counts, output, delta)
        return kept | {kind: found, "wrong": [*kept["wrong"], *(~one for one in right)]}

    return keep


def _numbers(state: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(state))
