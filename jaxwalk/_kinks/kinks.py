"""`kinks`: the decisions of a function that rounding, or an exact tie, makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._errors import ArgumentError, counted, shown
from .._points.find import check_by, find
from .._points.point import Points
from .._source.files import Source
from .analysis import Analysis
from .choices import Choice
from .decided import Decided
from .kink import Kink, Kinks
from .program import flatten
from .rounding.bounds import Rounded, rounded_input


def kinks(fun: Callable, *args: Any, inputs: str = "rounded", by: str | None = None, source: Source = None) -> Kinks:
    """Where rounding decides a choice of `fun` at these arguments, and where a choice stands exactly on its threshold.

    Of every relu, `where`, `max`, `min`, `abs`, `clip`, pooling, `sort`, `argmax`, `cond` ... that a derivative of the
    result depends on: the entries whose distance from the threshold is 0 (a "tie") or no more than the rounding error
    that it may have ("near"). There the derivative jumps, and the one that JAX gives is one of two, by its own rule or
    by chance.

    Each value carries a bound on its rounding error, by running error analysis (N. J. Higham, Accuracy and Stability of
    Numerical Algorithms, 2nd ed., §3.3): for sums, products and elementary functions a true bound, whatever the order
    in which a compiler sums; for `pow`, `erf_inv` and other functions of one entry to first order; for anything else (a
    `cholesky`) an estimate, of which `Kinks.notes` tells. It is a worst case: through many layers it grows faster than
    the error does, so a long list in low precision may say no more than that the network is deep. A function with a
    derivative rule of its own (`jax.nn.relu`, `jax.custom_vjp`) is judged by what its rule chooses, softmax's own
    maximum, behind a `stop_gradient`, not at all. A `where` both of whose sides meet with one derivative is no kink.

    Arguments:
        fun: any JAX function; batched by `jax.vmap`, jitted or not. Its results may have any shape.
        args: its arguments. The whole analysis is compiled, once per call.
        inputs: "rounded": floats among the arguments stand for real numbers and are off by half an ulp, except
            integers; "exact": they are what they are.
        by, source: as of `walk`: after which points the choices are named.

    Returns:
        Kinks: a tuple of `Kink` in forward order, with a table as its repr. `Walk.with_kinks` puts them into the
            table of a walk.

    Raises:
        ArgumentError: `inputs` is neither; `fun` cannot be called; the arguments are being traced (under `jit`).

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
    analysis, values, points = analysis_of(fun, *args, by=by, source=source)
    if any(isinstance(value, (Tracer, jax.ShapeDtypeStruct)) for value in values):
        raise ArgumentError(
            "`kinks` needs numbers, and its arguments are being traced; call it outside `jit` and `vmap`."
        )
    choices, flags = jax.jit(lambda values: judged(analysis, values, inputs))(values)
    return _gathered(analysis, points, choices, jax.device_get(flags))


def kinks_by_key(analysis: Analysis, values: Sequence[Any]) -> dict[str, jax.Array]:
    """How many entries of each choice are kinks, the inputs rounded; for `jit` and `vmap`."""
    choices, _ = judged(analysis, values, "rounded")
    return {key: jnp.sum(_is_kink(choice, jnp), dtype=jnp.int32) for key, choice in choices.items()}


def points_of_keys(analysis: Analysis, keys: Iterable[str]) -> dict[str, str | None]:
    """The point that each choice feeds, or None."""
    points = {decided.key: decided.point for decided in analysis.decided}
    return {key: points[key.partition(":")[0]] for key in keys}


def analysis_of(
    fun: Callable, *args: Any, by: str | None = None, source: Source = None
) -> tuple[Analysis, list[Any], Points]:
    """What is decided in `fun`, the values of its inputs, and its points. Computes nothing."""
    staged, points = find(fun, args, {}, by, source)
    return Analysis(flatten(staged.closed, points)), staged.args, points


def judged(analysis: Analysis, values: Sequence[Any], inputs: str) -> tuple[dict[str, Choice], dict[str, Any]]:
    """Every choice with its margins, and per choice whether one entry of it is a kink, and how many are NaN."""
    read = rounded_input if inputs == "rounded" else Rounded
    _, choices = analysis.run([read(value) for value in values])
    return choices, {key: (jnp.any(_is_kink(c, jnp)), jnp.sum(_is_lost(c, jnp))) for key, c in choices.items()}


def _is_kink(choice: Choice, numpy: Any) -> Any:
    return numpy.isfinite(choice.distance) & (numpy.abs(choice.distance) <= choice.bound)


def _is_lost(choice: Choice, numpy: Any) -> Any:
    return numpy.isnan(choice.distance) | (numpy.isfinite(choice.distance) & numpy.isnan(choice.bound))


def _gathered(analysis: Analysis, points: Points, choices: dict[str, Choice], flags: dict[str, Any]) -> Kinks:
    found, notes = [], []
    for decided in analysis.decided:
        for key in (key for key in choices if key.partition(":")[0] == decided.key):
            any_kink, lost = flags[key]
            if any_kink:
                found.extend(_records(decided, key.partition(":")[2], jax.tree.map(np.asarray, choices[key])))
            if lost:
                where = f" at {decided.op.source}" if decided.op.source else ""
                entries = counted(int(lost), "entry", "entries")
                notes.append(f"{entries} of the `{decided.name}`{where} NaN: nothing is decided there.")
    notes += [f"The rounding error of {what} is estimated, not bounded." for what in analysis.estimated]
    return Kinks(found, len(analysis.decided), notes, points)


def _records(decided: Decided, part: str, choice: Choice) -> Iterator[Kink]:
    mask = _is_kink(choice, np)
    for kind, among in (("tie", mask & (choice.distance == 0)), ("near", mask & (choice.distance != 0))):
        if among.any():
            entries = np.argwhere(among)
            yield Kink(
                where=decided.op.source,
                point=decided.point,
                operation=decided.name,
                kind=kind,
                entries=entries,
                margin=np.abs(choice.distance[among]),
                bound=np.broadcast_to(choice.bound, among.shape)[among],
                left=_picked(choice.left, among),
                right=_picked(choice.right, among),
                used=_picked(choice.used, among),
                axes=decided.axes,
                size=among.size,
                note=_note(decided, part),
            )


def _picked(values: np.ndarray | None, among: np.ndarray) -> np.ndarray | None:
    """Those of the entries; what stands for every entry has only the axes of the loops around."""
    if values is None:
        return None
    return np.broadcast_to(values.reshape(values.shape + (1,) * (among.ndim - values.ndim)), among.shape)[among]


def _note(decided: Decided, part: str) -> str:
    notes = [part + " threshold"] * (part in ("lower", "upper"))
    notes += [decided.by.note] * bool(decided.by.note)
    notes += [f"axis {i}: {axis.kind} of {axis.length}" for i, axis in enumerate(decided.axes)]
    return "; ".join(notes + ["conditional"] * decided.conditional)
