"""Shows how far a job over many data is: a bar in the terminal or the notebook."""

from __future__ import annotations

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
    """Counts data; `draw(count)` is called now and then, not at every datum.

    Attributes:
        told: more to show beside the bar, in a few words.
    """

    def __init__(self, draw: Callable[[int], None], done: int = 0, say: Callable[[str], None] | None = None):
        self.count = done
        self.told = ""
        self._draw, self._say = draw, say
        self._next = 0.0

    def say(self, line: str) -> None:
        """Show a line above the bar, where there is a bar."""
        if self._say is not None:
            self._say(line)

    def advance(self, data: int) -> None:
        """Count `data` more as done."""
        self.count += data
        if (now := time.monotonic()) >= self._next:
            self._draw(self.count)
            self._next = now + SECONDS


@contextmanager
def progress(
    total: int | None, enabled: bool = True, done: int = 0, what: str = "walk", room: int = 0
) -> Iterator[Progress]:
    """Show a bar on standard error: count, data per second, time left; when all is done, the time it took.

    Shows nothing where nobody would see it: `enabled` is False, standard error is no terminal and this no notebook, or
    rich is not installed.

    Arguments:
        total: how many data there are, or None where that is not known.
        enabled: whether to show it.
        done: how many of them were done before, in a run that is resumed; the rate leaves them out.
        what: is done with them, in a word.
        room: columns for what `Progress.told` says.

    >>> with progress(3, enabled=False) as bar:
    ...     bar.advance(2)
    """
    console = _console() if enabled else None
    if console is None:
        yield Progress(lambda count: None, done)
        return
    # No thread draws it. What is printed meanwhile is shown above the bar, but is left in a pipe if it goes into one.
    bar = rich("progress").Progress(
        *_columns(console, total, what, NUMBERS + room),
        console=console,
        auto_refresh=False,
        redirect_stdout=sys.stdout.isatty(),
    )
    task = bar.add_task("", total=total, completed=done, speed="", time="left")
    redraw = _redraw(console, bar)

    def draw(count: int) -> None:
        bar.update(task, completed=count)
        speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
        speeds = [f"{speed:,.0f} data/s"] if speed else []
        said = " ".join([*speeds, *filter(None, [counter.told])])
        bar.update(task, speed=said, time="" if bar.finished else "left")
        redraw()

    counter = Progress(draw, done, lambda line: bar.console.print(line, markup=False, highlight=False))
    try:
        yield counter
    finally:
        draw(counter.count)
        bar.stop()


def _console() -> Any:
    """Return where to draw, or None."""
    try:
        console = rich("console").Console(stderr=True)
    except JaxwalkError:  # rich is not installed
        return None
    return console if console.is_jupyter or (console.is_terminal and not console.is_dumb_terminal) else None


def _columns(console: Any, total: int | None, what: str, numbers: int) -> list[Any]:
    """Return what is shown: "walk ━━━━ 18,816 of 60,000 data 30,491 data/s 0:00:02 left"."""
    columns = rich("progress")
    text, speed = columns.TextColumn, columns.TextColumn("{task.fields[speed]}")
    if total is None:
        return [text(f" {what} {{task.completed:,}} data"), speed, columns.TimeElapsedColumn()]
    bar = columns.BarColumn(min(40, console.width - numbers), complete_style="cyan", finished_style="cyan")
    count = text(f"{{task.completed:>{len(f'{total:,}')},}} of {total:,} data")
    time_left = columns.TimeRemainingColumn(elapsed_when_finished=True), text("{task.fields[time]}")
    return [text(f" {what}"), *[bar] * (console.width >= numbers + 8), count, speed, *time_left]


def _redraw(console: Any, bar: Any) -> Callable[[], None]:
    """Show the bar, and return what draws it again."""
    if not console.is_jupyter:
        bar.start()
        return bar.refresh
    from IPython.display import display  # there, wherever a notebook is; rich's own display would need ipywidgets

    shown: Any = display(bar, display_id=True)
    return lambda: shown.update(bar)
