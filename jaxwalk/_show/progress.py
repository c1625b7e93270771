"""Shows how far a job over many data is: a bar in the terminal or the notebook."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .._errors import JaxwalkError
from .._optional import rich

SECONDS = 0.1  # between two drawings
NUMBERS = 66  # columns, for what is beside the bar


class Progress:
    """Counts data; `draw(count)` is called now and then, not at every datum."""

    def __init__(self, draw: Callable[[int], None], done: int = 0):
        self.count = done
        self._draw = draw
        self._next = 0.0

    def advance(self, data: int) -> None:
        """Counts `data` more as done."""
        self.count += data
        if (now := time.monotonic()) >= self._next:
            self._draw(self.count)
            self._next = now + SECONDS


@contextmanager
def progress(total: int | None, enabled: bool = True, done: int = 0, what: str = "walk") -> Iterator[Progress]:
    """Shows a bar on standard error: count, data per second, time left; when all is done, the time it took.

    It is silent where nobody would see it: `enabled` is False, standard error is no terminal and this no notebook, or
    rich is not installed.

    Arguments:
        total: how many data there are, or None where that is not known.
        enabled: whether to show it.
        done: how many of them were done before, in a run that is resumed; the rate leaves them out.
        what: is done with them, in a word.

    >>> with progress(3, enabled=False) as bar:
    ...     bar.advance(2)
    """
    console = _console() if enabled else None
    if console is None:
        yield Progress(lambda count: None, done)
        return
    # No thread draws it. What is printed meanwhile is shown above the bar, but is left in a pipe if it goes into one.
    bar = rich("progress").Progress(
        *_columns(console, total, what), console=console, auto_refresh=False, redirect_stdout=sys.stdout.isatty()
    )
    task = bar.add_task("", total=total, completed=done)
    redraw = _in_notebook(bar) if console.is_jupyter else _in_terminal(bar)

    def draw(count: int) -> None:
        bar.update(task, completed=count)
        redraw()

    counter = Progress(draw, done)
    try:
        yield counter
    finally:
        draw(counter.count)
        bar.stop()


def _console() -> Any:
    """Returns where to draw, or None."""
    try:
        console = rich("console").Console(stderr=True)
    except JaxwalkError:
        return None
    return console if console.is_jupyter or (console.is_terminal and not console.is_dumb_terminal) else None


def _columns(console: Any, total: int | None, what: str) -> list[Any]:
    widgets = rich("progress")

    class State(widgets.ProgressColumn):
        def render(self, task: Any) -> Any:
            return rich("text").Text(_state(task))

    bar = []
    if total is not None and console.width >= NUMBERS + 8:
        bar = [widgets.BarColumn(min(40, console.width - NUMBERS), complete_style="cyan", finished_style="cyan")]
    return [widgets.TextColumn(f" {what}"), *bar, State()]


def _state(task: Any) -> str:
    """Returns "18,816 of 60,000 data   30,491 data/s   0:00:02 left"."""
    count = f"{int(task.completed):,}"
    speed = task.finished_speed or task.speed
    left = None if task.finished or task.total is None else task.time_remaining
    parts = [
        f"{count} data" if task.total is None else f"{count:>{len(f'{task.total:,}')}} of {task.total:,} data",
        f"{speed:,.0f} data/s" if speed else "",
        f"{_clock(left)} left" if left is not None else _clock(task.finished_time or task.elapsed or 0),
    ]
    return "  ".join(filter(None, parts))


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


def _in_terminal(bar: Any) -> Callable[[], None]:
    bar.start()
    return bar.refresh


def _in_notebook(bar: Any) -> Callable[[], None]:
    from IPython.display import display  # there, wherever a notebook is; rich's own display would need ipywidgets

    shown: Any = display(bar, display_id=True)
    return lambda: shown.update(bar)
