"""What pictures are drawn of, looked at before anything is: a walk, an evaluation or a history, that has numbers."""

from __future__ import annotations

from typing import Any

from jax.core import Tracer

from .._errors import ArgumentError, shown
from .._evaluate.result.evaluation import Evaluation
from .._learn.history import History
from .._walk.result import Walk


def check_result(result: Any) -> None:
    """Raise an ArgumentError if it is neither a walk nor an evaluation, or is being traced."""
    _check_result(result)


def check_sized(result: Any) -> None:
    """Raise an ArgumentError if it is no walk, evaluation or history, is being traced, or is a history of no step."""
    if isinstance(result, History):
        check_history(result)
    else:
        _check_result(result, ", or the `History` of `jw.learn`")


def _check_result(result: Any, more: str = "") -> None:
    if not isinstance(result, (Walk, Evaluation)):
        raise ArgumentError(
            f"`result` is {shown(result)}; give the `Walk` or the `Evaluation` that `jw.walk` or `jw.evaluate` made"
            f"{more}."
        )
    if isinstance(result, Walk):
        check_untraced(result)


def check_walk(walk: Any) -> None:
    """Raise an ArgumentError if it is no walk, or is being traced."""
    if not isinstance(walk, Walk):
        raise ArgumentError(f"`walk` is {shown(walk)}, which is no `Walk`; give what `jw.walk` returned.")
    check_untraced(walk)


def check_untraced(walk: Walk) -> None:
    """Raise an ArgumentError if a walk is being traced."""
    if isinstance(walk.value, Tracer):
        raise ArgumentError("The walk is being traced, and has no numbers to draw; draw what `jit` returns.")


def check_history(history: History) -> None:
    """Raise an ArgumentError if a history holds no step."""
    if not len(history.steps):
        raise ArgumentError("`history` holds no step; train for one at least.")
