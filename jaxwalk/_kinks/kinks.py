"""`kinks`: the decisions of a function that rounding, or an exact tie, makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._callables import called_with
from .._errors import ArgumentError, counted, shown
from .._jax.automatic_mesh import automatic_mesh, explicit_mesh
from .._jax.compiled import compiled
from .._points.find import check_by, find
from .._points.point import Points
from .._source.user_files import Source
from .decisions.decisions import Decision, Key
from .decisions.margins import Margin
from .flatten import flatten
from .interpreter import Analysis, Margins
from .kink import Kink, Kinks
from .rounding.inputs import exact_input, rounded_input

LONG = 150  # operations, as of a dozen layers: what more of them take to compile grows with the square of their number


def kinks(fun: Callable, *args: Any, inputs: str = "rounded", by: str | None = None, source: Source = None) -> Kinks:
    """Find where rounding decides a choice of `fun` at these arguments, and where one stands exactly on its threshold.

    Of every relu, `where`, `max`, `min`, `abs`, `clip`, pooling, `sort`, `argmax`, `cond` ... that a derivative of the
    result depends on: the entries whose distance from the threshold is 0 (a "tie") or no more than the rounding error
    that it may have ("near"). There the derivative jumps, and the one that JAX gives is one of two, by its own rule or
    by chance; or the value that is chosen jumps (`Kink.jumps`), and maybe the result with it. Among them are those that
    make integers of floats (`argsort`, `top_k`, `searchsorted`, `floor`, the sign bit ...) wherever an index, a mask or
    a branch is made of these. What may choose but is not looked into (a callback, a `shard_map`) is told in
    `Kinks.notes`.

    Each value carries a bound on its rounding error, by running error analysis (N. J. Higham, Accuracy and Stability of
    Numerical Algorithms, 2nd ed., §3.3): for sums, products and elementary functions a true bound, whatever the order
    in which a compiler sums; for `pow`, `erf_inv` and other functions of one entry to first order; for anything else (a
    `cholesky`) an estimate, of which `Kinks.notes` tells. It is a worst case: through many layers it grows faster than
    the error does, so a long list in low precision may say no more than that the network is deep. A function with a
    derivative rule of its own (`jax.nn.relu`, `jax.custom_vjp`) is judged by what its rule chooses. Behind a
    `stop_gradient` only jumps count, if the derivative is computed from the value: not softmax's own maximum. A `where`
    both of whose sides meet with one derivative is no kink, nor are a `max` and a `min` that cancel, as in
    `jax.nn.celu`; nor is a jump at a value that no small change of the inputs moves, as relu's result of -1.

    Arguments:
        fun: any JAX function; batched by `jax.vmap`, jitted or not. Its results may have any shape.
        args: its arguments. The whole analysis is compiled; a later call of what is traced to the same program, at
            arguments of the same shapes, compiles nothing, whatever the numbers are.
        inputs: "rounded": floats among the arguments stand for real numbers and are off by half an ulp, except
            integers; "exact": they are what they are.
        by, source: as of `walk`: at which points the choices are told.

    Returns:
        Kinks: a tuple of `Kink` in forward order, with a table as its repr. `Walk.with_kinks` puts them into the
            table of a walk.

    Raises:
        ArgumentError: `inputs` is neither; `fun` cannot be called; the arguments are being traced (under `jit`); `fun`
            writes to a mutable array, or needs a mesh with explicit axes.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> model = lambda x: jnp.sum(jw.tag(jnp.maximum(jw.tag(x - 0.1, "shift"), 0), "act"))
    >>> found = jw.kinks(model, jnp.array([1.0, 0.1, 0.0]))
    >>> [(k.point, k.operation, k.kind, k.entries.tolist(), float(k.used[0])) for k in found]
    [('act', 'max', 'tie', [[1]], 0.5)]
    >>> jw.kinks(lambda x: jnp.sum(jnp.tanh(x)), jnp.ones(3))
    No kinks: nothing here chooses.
    """
    if inputs not in ("rounded", "exact"):
        raise ArgumentError(f'`inputs` is {shown(inputs)}; it must be "rounded" or "exact".')
    check_by(by, source)
    analysis, values, points = analyse(fun, *args, by=by, source=source)
    if any(isinstance(value, (Tracer, jax.ShapeDtypeStruct)) for value in values):
        raise ArgumentError(
            "`kinks` needs numbers, and its arguments are being traced; call it outside `jit` and `vmap`."
        )
    margins, flags = _measured(analysis, values, inputs)
    # `jit` gives dicts back in the order of their keys, which is forward order.
    return _records(analysis, points, margins, jax.device_get(flags))


def analyse(
    fun: Callable, *args: Any, by: str | None = None, source: Source = None
) -> tuple[Analysis, list[Any], Points]:
    """Find the decisions of `fun`, the values of its inputs, and its points. Computes nothing."""
    with called_with(fun, args, {}):
        staged, points = find(fun, args, {}, by, source)
    return Analysis(flatten(staged.closed, points)), staged.args, points


def _measured(analysis: Analysis, values: Sequence[Any], inputs: str) -> tuple[Margins, dict[Key, Any]]:
    """Compute what `measure_margins` does, compiled."""
    structure, count = analysis.structure(), len(values)

    def measure(arrays: list[Any]) -> tuple[Margins, dict[Key, Any]]:
        return measure_margins(analysis.with_constants(arrays[count:]), arrays[:count], inputs)

    given = [*values, *analysis.constants.values()]
    try:
        with automatic_mesh(given) as arrays:
            is_long = analysis.operations > LONG
            return compiled(structure and (structure, inputs), measure, arrays, is_long=is_long)(arrays)
    except (TypeError, ValueError, AssertionError) as error:  # the last with JAX's own checks on
        if explicit_mesh(given) is None:
            raise
        raise ArgumentError(
            "`kinks` cannot run what `fun` does on a mesh with explicit axes, such as a `shard_map`; give it arguments"
            " that lie on one device, or on a mesh with automatic axes."
        ) from error


def measure_margins(analysis: Analysis, values: Sequence[Any], inputs: str) -> tuple[Margins, dict[Key, Any]]:
    """Compute every margin, and per margin whether one entry of it is a kink, and how many are NaN."""
    read = rounded_input if inputs == "rounded" else exact_input
    _, margins = analysis.run([read(value) for value in values])
    is_nan = lambda m: jnp.isnan(m.distance) | (jnp.isfinite(m.distance) & jnp.isnan(m.bound))
    return margins, {key: (jnp.any(_is_kink(m, jnp)), jnp.sum(is_nan(m))) for key, m in margins.items()}


def count_kinks(analysis: Analysis, values: Sequence[Any]) -> dict[Key, jax.Array]:
    """Count the entries of each margin that are kinks, the inputs rounded; for `jit` and `vmap`."""
    margins, _ = measure_margins(analysis, values, "rounded")
    return {key: jnp.sum(_is_kink(margin, jnp), dtype=jnp.int32) for key, margin in margins.items()}


def _is_kink(margin: Margin, numpy: Any) -> Any:
    return numpy.isfinite(margin.distance) & (numpy.abs(margin.distance) <= margin.bound)


def _records(analysis: Analysis, points: Points, margins: Margins, flags: dict[Key, Any]) -> Kinks:
    found, notes = [], []
    for key, margin in margins.items():
        decision, (any_kink, nans) = analysis.decisions[key.path], flags[key]
        if any_kink:
            found.extend(_kinks_of(decision, key.part, jax.tree.map(np.asarray, margin)))
        if nans:
            entries = counted(int(nans), "entry", "entries")
            where = f" at {decision.op.source}" if decision.op.source else ""
            notes.append(f"{entries} of the `{decision.name}`{where} NaN: nothing is decided there.")
    notes += [f"What {what} decides was not looked at." for what in analysis.unseen]
    notes += [f"The rounding error of {what} is estimated, not bounded." for what in analysis.estimated]
    return Kinks(found, len(analysis.decisions), notes, points)


def _kinks_of(decision: Decision, part: str, margin: Margin) -> Iterator[Kink]:
    mask = _is_kink(margin, np)
    for kind, among in (("tie", mask & (margin.distance == 0)), ("near", mask & (margin.distance != 0))):
        if among.any():
            yield Kink(
                where=decision.op.source,
                point=decision.point,
                operation=decision.name,
                kind=kind,
                entries=np.argwhere(among),
                margin=np.abs(margin.distance[among]),
                bound=np.broadcast_to(margin.bound, among.shape)[among],
                left=_entries(margin.left, among),
                right=_entries(margin.right, among),
                used=_entries(margin.used, among),
                axes=decision.axes,
                size=among.size,
                note=_note(decision, part),
                jumps=decision.jumps,
            )


def _entries(values: np.ndarray | None, among: np.ndarray) -> np.ndarray | None:
    """Return the values of some entries; what stands for every entry has only the axes of the loops around."""
    if values is None:
        return None
    return np.broadcast_to(values.reshape(values.shape + (1,) * (among.ndim - values.ndim)), among.shape)[among]


def _note(decision: Decision, part: str) -> str:
    notes = [part + " threshold"] * (part in ("lower", "upper"))
    notes += [decision.rule.note] * bool(decision.rule.note)
    notes += ["the value jumps"] * (decision.jumps is True)
    notes += [f"axis {i}: {axis.kind} of {axis.length}" for i, axis in enumerate(decision.axes)]
    return "; ".join(notes + ["conditional"] * decision.conditional)
