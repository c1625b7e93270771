"""How far a job over many data is: a bar in the terminal or the notebook."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SECONDS = 0.1  # between two drawings
NUMBERS = 66  # columns, for what is beside the bar


class Progress:
    """Counts data; `draw(count)` is called now and then, not at every datum."""

    def __init__(self, draw: Callable[[int], None], done: int = 0):
        self.count = done
        self._draw = draw
        self._next = 0.0

    def advance(self, data: int) -> None:
        """`data` more are done."""
        self.count += data
        if (now := time.monotonic()) >= self._next:
            self._draw(self.count)
            self._next = now + SECONDS


@contextmanager
def progress(total: int | None, enabled: bool = True, done: int = 0, what: str = "walk") -> Iterator[Progress]:
    """A bar on standard error: count, data per second, time left; when all is done, the time it took.

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
    with _bar(console, total, done, what) as draw:
        bar = Progress(draw, done)
        try:
            yield bar
        finally:
            draw(bar.count)


def _console() -> Any:
    """Where to draw, or None."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    console = Console(stderr=True)
    return console if console.is_jupyter or (console.is_terminal and not console.is_dumb_terminal) else None


@contextmanager
def _bar(console: Any, total: int | None, done: int, what: str) -> Iterator[Callable[[int], None]]:
    from rich import progress as rich

    columns: list[rich.ProgressColumn] = [rich.TextColumn(f" {what}"), rich.TextColumn("{task.fields[state]}")]
    if total is not None and console.width >= NUMBERS + 8:
        width = min(40, console.width - NUMBERS)
        columns.insert(1, rich.BarColumn(width, complete_style="cyan", finished_style="cyan"))
    # Drawn when told to, by no thread. What is printed meanwhile goes above the bar, but never out of a pipe.
    bar = rich.Progress(*columns, console=console, auto_refresh=False, redirect_stdout=sys.stdout.isatty())
    bar.add_task("", total=total, completed=done, state="")
    (task,) = bar.tasks
    bar.update(task.id, state=_state(task))
    redraw, stop = _in_notebook(bar) if console.is_jupyter else _in_terminal(bar)

    def draw(count: int) -> None:
        bar.update(task.id, completed=count)
        bar.update(task.id, state=_state(task))
        redraw()

    try:
        yield draw
    finally:
        stop()


def _state(task: Any) -> str:
    """ "18,816 of 60,000 data   30,491 data/s   0:00:02 left"."""
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


def _in_terminal(bar: Any) -> tuple[Callable[[], None], Callable[[], None]]:
    bar.start()
    return bar.refresh, bar.stop


def _in_notebook(bar: Any) -> tuple[Callable[[], None], Callable[[], None]]:
    """By IPython's own display: rich's would need ipywidgets."""
    from IPython.display import display

    shown: Any = display(bar, display_id=True)
    return lambda: shown.update(bar), lambda: None
