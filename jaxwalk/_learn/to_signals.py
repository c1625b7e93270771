"""Turns a walk, an evaluation, a history or what a step has seen into the one form that the rules look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._errors import ArgumentError, counted, shown
from .._evaluate.result.evaluation import Evaluation
from .._health.signals import Numbers, Signals
from .._walk.result import Walk
from .array_sizes import is_inexact, sizes_of_arrays
from .history import History
from .seen import Seen, stacked


def signals_of(result: Any) -> Signals:
    """Return the signals of what `jw.health` is given.

    Raises:
        ArgumentError: it is none of the four, or is being traced (under `jit`).
    """
    result = getattr(result, "history", result)  # of what `learn` returns
    if isinstance(result, list | tuple) and result and all(isinstance(one, Seen) for one in result):
        result = stacked(result)
    kind = next((kind for kind in _KINDS if isinstance(result, kind)), None)
    if kind is None:
        raise ArgumentError(
            f"`result` is {shown(result)}; give a `Walk`, an `Evaluation`, what `jw.learn` returns, a `Seen`, or a list"
            " of these."
        )
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((result, getattr(result, "kept", None)))):
        raise ArgumentError("The `result` is being traced; call `jw.health` outside of `jit`, on what it returns.")
    return _KINDS[kind](result)


def _of_walk(walk: Walk) -> Signals:
    lead = np.ndim(walk.value)
    loss = np.atleast_1d(np.float64(np.mean(_numbers(walk.value))))
    if walk.outputs:
        kept, notes = _of_arrays(walk, lead), ()
    else:
        kept, notes = _by_name(walk.kept.items(), lambda key, values: _over_walks(key, values, lead)[None])
    runs = int(np.prod(np.shape(walk.value), dtype=np.int64))
    bad = () if not lead else tuple(map(int, np.flatnonzero(~np.isfinite(_numbers(walk.value)))))
    weights = {} if walk.grads is None else _gradients(walk.grads, lead)
    knows = not walk.outputs and _knows_activations(kept)
    return Signals(walk.points, loss, kept, weights, None, notes, bad, runs, knows)


def _of_arrays(walk: Walk, lead: int) -> dict[str, Numbers]:
    found = {}
    for name in walk.outputs.once():
        output = np.asarray(walk.outputs[name]) if _is_array(walk.outputs[name]) else None
        if output is not None and is_inexact(output) and walk.points[name].has_delta:
            delta = np.asarray(walk.deltas[name]) if name in walk.deltas else None
            sizes = sizes_of_arrays(walk.points[name], output, delta, lead)
            found[name] = {key: np.asarray(value)[None] for key, value in sizes.items()}
    return found


def _is_array(value: Any) -> bool:
    return not jnp.issubdtype(value.dtype, jax.dtypes.extended)


def _over_walks(key: str, values: np.ndarray, lead: int) -> np.ndarray:
    """Return a result of many walks as one: counts are added, of the largest the largest, else the mean."""
    axes = tuple(range(lead))
    if not lead:
        return values
    if key.endswith(("_nan", "_inf", "_nonfinite_data")):
        return values.sum(axes)
    if key.endswith("_max"):
        return np.nanmax(values, axes)
    return np.nanmean(values.astype(np.float64), axes)


def _gradients(grads: Any, lead: int) -> dict[str, Numbers]:
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        if hasattr(leaf, "dtype") and _is_array(leaf) and is_inexact(np.asarray(leaf)):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            found[name] = {"gradient_l2": np.atleast_1d(np.linalg.norm(np.abs(_numbers(leaf)).ravel()))}
    return found


def _of_evaluation(evaluation: Evaluation) -> Signals:
    kept, notes = _by_name(evaluation.kept.items(), lambda _, values: values[None])
    bad = tuple(d.index for d in evaluation.culprits if not _is_finite(d))
    if evaluation.nonfinite > len(bad):
        named = counted(len(bad), "datum", "data")
        notes = (*notes, f"{evaluation.nonfinite} data have a NaN or an Inf; {named} of them are known by number.")
    loss = np.atleast_1d(np.float64(evaluation.loss))
    return Signals(
        evaluation.points, loss, kept, {}, None, notes, bad, max(evaluation.count, 1), _knows_activations(kept)
    )


def _is_finite(datum: Any) -> bool:
    norms = [float(norm) for norm in datum.norms.values()]
    return not datum.inputs and bool(np.all(np.isfinite([datum.loss, *norms])))


def _of_history(history: History) -> Signals:
    kept, notes = _by_name(history.kept.items(), lambda _, values: values)
    weights = {path: _arrays(sizes) for path, sizes in history.weights.items()}
    notes = (*history.notes, *notes)
    return Signals(
        history.points,
        _numbers(history.loss),
        kept,
        weights,
        np.asarray(history.steps),
        notes,
        knows_activations=_knows_activations(kept),
    )


def _of_seen(seen: Seen) -> Signals:
    """Of several, which `scan` has stacked, each is a step."""
    if np.ndim(seen.loss) > 1:
        raise ArgumentError(
            f"The loss of what was seen has the shape {np.shape(seen.loss)}; give one step, or steps stacked by `scan`."
        )
    rows = np.flatnonzero(np.atleast_1d(np.asarray(seen.is_seen)))
    loss = np.atleast_1d(_numbers(seen.loss))
    of_steps = lambda values: (values if np.ndim(seen.loss) else values[None])[rows]
    kept, notes = _by_name(seen.kept.items(), lambda _, values: of_steps(values))
    weights = {path: {k: of_steps(v) for k, v in _arrays(sizes).items()} for path, sizes in seen.weights.items()}
    if len(rows) < len(loss):
        notes = (*notes, f"Of {counted(len(loss), 'step')} {len(rows)} looked at the points; the others are left out.")
    return Signals(
        seen.points,
        loss[rows],
        kept,
        weights,
        rows if np.ndim(seen.loss) else None,
        notes,
        knows_activations=_knows_activations(kept),
    )


def _by_name(
    items: Iterable[tuple[str, Any]], change: Callable[[str, np.ndarray], np.ndarray]
) -> tuple[dict[str, Numbers], tuple[str, ...]]:
    """Return what was kept at points, where that is results by name; and a note, if it is not."""
    items = list(items)
    found: dict[str, Numbers] = {
        name: {key: change(key, value) for key, value in _arrays(kept).items()}
        for name, kept in items
        if isinstance(kept, Mapping)
    }
    others = len(items) - len(found)
    said = f"At {counted(others, 'point')} `keep` made no results by name, as `jw.stats.health` does: not looked at."
    return found, (said,) * bool(others)


def _knows_activations(kept: Mapping[str, Numbers]) -> bool:
    """Tell whether what was kept is that of `jw.stats.health`, which has a word on every activation."""
    has = lambda key: any(key in numbers for numbers in kept.values())
    return has("active_share") or has("saturated_share") or (has("delta_rms") and not has("delta_l1"))


def _arrays(results: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {key: np.asarray(value) for key, value in results.items() if hasattr(value, "dtype") or np.isscalar(value)}


def _numbers(values: Any) -> np.ndarray:
    values = np.asarray(values)
    return values if np.iscomplexobj(values) else values.astype(np.float64)


_KINDS: dict[type, Callable[[Any], Signals]] = {
    Walk: _of_walk,
    Evaluation: _of_evaluation,
    History: _of_history,
    Seen: _of_seen,
}
