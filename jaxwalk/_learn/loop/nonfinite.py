"""The sentence about a step whose loss or gradient is not finite: where it is first met, and in which data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ..._health.finding import Finding
from ..._points.ordered_mapping import Named
from ..._points.point import Points
from ..._walk.nonfinite import first_nonfinite
from ..._walk.walk import walk
from ...stats import nonfinite
from ..step.asked import Asked
from ..step.mean_loss import mean_loss

SHOWN = 5  # data that are named

COUNTS = ("output_nan", "output_inf", "delta_nan", "delta_inf")


def sentence(asked: Asked, step: int, epoch: int, params: Any, batch: tuple, losses: np.ndarray, loss: float) -> str:
    """Return what is known of a step that was refused; `params` are those before it."""
    what = "a gradient is not finite, though the loss is" if np.isfinite(loss) else f"the loss is {loss}"
    bad = np.flatnonzero(~np.isfinite(losses))
    first = first_met(asked, params, batch, loss)
    where = f", first met as {first}{_data(bad)}" if first else f"{_data(bad)}{_nowhere(loss)}"
    return (
        f"In step {step} (epoch {epoch}) {what}{where}; the params in `learned` of this error are those"
        " before that step, and its data are in `batch`: `jw.bisect_nonfinite(fun, params, *datum)` names the equation,"
        ' and `on_nonfinite="skip"` leaves such steps out.'
    )


def finding(said: str, step: int, losses: np.ndarray) -> Finding:
    """Return as a finding what a sentence says of a step that was refused, of which the history holds nothing."""
    bad = tuple(map(int, np.flatnonzero(~np.isfinite(losses))))
    meaning = f"{said.partition('; the params')[0]}: it was refused."
    advice = "`jw.bisect_nonfinite` finds the operation that makes it; its data are in `batch` of the error."
    return Finding("nonfinite", None, float(max(1, len(bad))), 0.0, meaning, advice, steps=(step, step), data=bad)


def _nowhere(loss: float) -> str:
    """Return what is known where no point has a NaN or an Inf."""
    if np.isfinite(loss):
        return ", and no point has a NaN or an Inf when it is looked at again"
    return ", while the outputs of all points that are watched are finite"


def _data(bad: np.ndarray) -> str:
    if not len(bad):
        return ""
    more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    which = ", ".join(map(str, bad[:SHOWN])) + more
    return f", in the loss of {'datum' if len(bad) == 1 else 'data'} {which} of the batch"


def first_met(asked: Asked, params: Any, batch: tuple, loss: float) -> str:
    """Return where a NaN or an Inf is first met, forward or backward; "" if at no point."""
    which = {"at": asked.at, "by": asked.by, "source": asked.source}
    look = walk(mean_loss(asked.fun), **which, argnums=0, has_aux=True, keep=nonfinite)
    found = jax.device_get(jax.jit(look)(params, *batch))
    return first_in(found.kept, loss, found.grads, found.points)


def first_in(kept: Named, loss: float, grads: Any, points: Points) -> str:
    """Return where a NaN or an Inf is first met, told from the counts of what was kept."""
    counted = {name: results for name, results in kept.items() if isinstance(results, Mapping)}
    outputs, deltas = (_sample(counted, side) for side in ("output", "delta"))
    found = first_nonfinite(outputs, np.asarray(loss), deltas, grads, points, Named({}))
    return "" if found is None or found.array == "loss" else " ".join(repr(found).split())


def _sample(kept: Mapping[str, Any], side: str) -> Named:
    """Return for each point, and each step of the loops around it, a number of the kind of what was counted there."""
    arrays = {}
    for name, results in kept.items():
        nan, inf = (results.get(f"{side}_{kind}") for kind in ("nan", "inf"))
        if nan is not None and inf is not None:
            arrays[name] = np.where(np.asarray(nan) > 0, np.nan, np.where(np.asarray(inf) > 0, np.inf, 0.0))
    return Named(arrays)
