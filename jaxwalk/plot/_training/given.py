"""What a picture of a training is drawn of: a history, that of `jw.learn`, or what steps of one's own have seen."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ..._errors import ArgumentError, counted, shown
from ..._learn.history import History
from ..._learn.learn import Learned
from ..._learn.seen import Seen
from .._checks import check_history


def history_of(given: Any) -> History:
    """Return the history.

    Raises:
        ArgumentError: there is none; it holds no step; or it is being traced.
    """
    if isinstance(given, Learned):
        given = given.history
    if isinstance(given, Seen):
        given = _of_seen(given)
    elif not isinstance(given, History):
        raise ArgumentError(
            f"`history` is {shown(given)}, which is no `History`; give that of `jw.learn`, or a `Seen` of stacked"
            " steps."
        )
    check_history(given)
    return given


def _of_seen(seen: Seen) -> History:
    """Return the history of what `lax.scan` has stacked, or of a single step, less the steps not looked at.

    Further axes, behind that of the steps, are those of runs beside one another.
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(seen)):
        raise ArgumentError("`history` is being traced, and has no numbers to draw; draw what `jit` returns.")
    is_one = np.ndim(seen.loss) == 0
    arrays = jax.tree.map(lambda leaf: np.asarray(leaf)[None] if is_one else np.asarray(leaf), seen)
    count = len(arrays.loss)
    looked = np.flatnonzero(np.asarray(arrays.is_seen).reshape(count, -1).any(1))
    loss, kept, weights = jax.tree.map(lambda leaf: leaf[looked], (arrays.loss, arrays.kept, arrays.weights))
    left_out = count - len(looked)
    note = f"In {counted(left_out, 'step')} of {count} nothing was looked at: they are left out, with their loss."
    return History(looked, loss, kept, weights, seen.points, total=count, notes=(note,) * bool(left_out))
