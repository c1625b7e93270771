"""What is written around the picture of a training: its title, and notes on what is not in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized

import numpy as np

from ..._errors import counted
from ..._learn.history import History
from ..._show.table import number
from .cells import SIDES
from .loss import RUNS


def title(history: History, chosen: Sized, of: str) -> str:
    """Return what was trained, for how long, and what is drawn of which points."""
    loss = np.asarray(history.loss, float).reshape(len(history.steps), -1)
    count = loss.shape[1]
    ends = [number(each) for each in (loss[0].mean(), loss[-1].mean())[: len(loss)]]
    points = counted(len(history.points), "point")
    some = points if len(chosen) == len(history.points) else f"{len(chosen)} of {points}"
    runs, mean = (f" of {counted(count, 'run')}", "mean ") if count > 1 else ("", "")
    told = f"{counted(history.total, 'step')}, {mean}loss {' to '.join(ends)}"
    return f"Training{runs}: {told}; {SIDES.get(of, of)} at {some}"


def notes(history: History) -> Iterator[str]:
    """Yield what is not in the history, and how several runs are drawn."""
    if history.stride > 1:
        yield f"Of every {history.stride} steps one is held, {len(history.steps)} of {history.total}."
    count = math.prod(np.shape(history.loss)[1:])
    if count > 1:
        drawn = f", of which the loss of {RUNS} is drawn" if count > RUNS else ""
        yield f"{count} runs beside one another{drawn}: sizes are the largest of them."
    yield from history.notes
