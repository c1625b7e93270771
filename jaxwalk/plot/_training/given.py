"""What a picture of a training is drawn of: a history, that of `jw.learn`, or what steps of one's own have seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import jax
import numpy as np
from jax.core import Tracer

from ..._errors import ArgumentError, counted, shown
from ..._learn.history import History
from ..._learn.learn import Learned
from ..._learn.seen import Seen, stacked
from .._checks import check_history


def history_of(given: Any) -> History:
    """Return the history.

    Raises:
        ArgumentError: there is none; it holds no step; or it is being traced.
    """
    if isinstance(given, Learned):
        given = given.history
    if is_seen(given):
        given = history_of_seen(given, "history")
    elif not isinstance(given, History):
        raise ArgumentError(
            f"`history` is {shown(given)}, which is no `History`; give that of `jw.learn`, or a `Seen` of stacked"
            " steps."
        )
    check_history(given)
    return given


def is_seen(given: Any) -> TypeGuard[Seen | Sequence[Seen]]:
    """Tell whether this is what steps have seen: a `Seen`, or a list of some."""
    if isinstance(given, (list, tuple)):
        return bool(given) and all(isinstance(one, Seen) for one in given)
    return isinstance(given, Seen)


def history_of_seen(seen: Seen | Sequence[Seen], name: str) -> History:
    """Return the history of what steps have seen, less those not looked at: stacked by `lax.scan`, in a list, or one.

    Further axes, behind that of the steps, are those of runs beside one another.

    Arguments:
        name: of the argument that it is.

    Raises:
        ArgumentError: it is being traced, or the steps of a list are not alike.
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(seen)):
        raise ArgumentError(f"`{name}` is being traced, and has no numbers to draw; draw what `jit` returns.")
    arrays = stacked([seen]) if isinstance(seen, Seen) and np.ndim(seen.loss) == 0 else stacked(seen)
    count = len(arrays.loss)
    is_seen = np.ones(count, bool) if arrays.is_seen is None else np.asarray(arrays.is_seen)
    looked = np.flatnonzero(is_seen.reshape(count, -1).any(1))
    loss, kept, weights = jax.tree.map(
        lambda leaf: np.asarray(leaf)[looked], (arrays.loss, arrays.kept, arrays.weights)
    )
    left_out = count - len(looked)
    note = f"In {counted(left_out, 'step')} of {count} nothing was looked at: they are left out, with their loss."
    return History(looked, loss, kept, weights, arrays.points, total=count, notes=(note,) * bool(left_out))
