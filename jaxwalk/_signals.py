"""Signals that wait: they are handled between two batches, where nothing is lost, and a second one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

NUMBERS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C; what a cluster sends before it takes the machine away
GRACE = 3.0  # seconds that a program takes, at most, to come to where it can stop, if it has nothing to save

Handler = Callable[[int, Any], object]


class Stopped(KeyboardInterrupt):
    """A signal that a program was sent, as an exception.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int, frame: object = None):
        super().__init__(number)
        self.number = number


class _Waiting:
    """What waits to be handled.

    Attributes:
        number: of the signal; None if there is none.
        may_come: whether a signal is handled at once.
        is_saving: whether work would be lost if the process ended now.
    """

    def __init__(self, handler: Handler):
        self.handler = handler
        self.number: int | None = None
        self.may_come = self.is_saving = False

    def receive(self, number: int, frame: object) -> None:
        if self.may_come or self.number is not None:
            self.handler(number, frame)
        else:
            self.number = number


_waiting: _Waiting | None = None


def _here() -> _Waiting | None:
    """Return what waits, in the main thread, which alone handles signals."""
    return _waiting if threading.current_thread() is threading.main_thread() else None


def check() -> None:
    """Handle a signal that waits, if there is one: Python's own handler of Ctrl-C raises KeyboardInterrupt."""
    if (waiting := _here()) is not None and waiting.number is not None:
        number, waiting.number = waiting.number, None
        waiting.handler(number, sys._getframe())


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Handle signals at once in the `with` block, which is the user's code, and what waited before it."""
    check()
    waiting = _here()
    before = waiting is not None and waiting.may_come
    if waiting is not None:
        waiting.may_come = waiting.handler is not _stop
    try:
        yield
    finally:
        if waiting is not None:
            waiting.may_come = before


def saving() -> None:
    """Declare that there is work that would be lost, until the `held_back` around it ends."""
    if (waiting := _here()) is not None:
        waiting.is_saving = True


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Have Ctrl-C wait for `check`, or for the end of the `with` block; a second one is handled at once.

    Only in the main thread, and only if a function handles it there: this function is given it in the end, and is
    restored. While a compilation runs, Python hears of no signal.
    """
    global _waiting
    before = signal.getsignal(signal.SIGINT)
    if (outer := _here()) is not None:
        try:
            yield
        finally:
            outer.is_saving = False
        return
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting = _waiting = _Waiting(before)
    signal.signal(signal.SIGINT, waiting.receive)
    try:
        yield
        check()
    finally:
        _waiting = None
        signal.signal(signal.SIGINT, before)


# A whole program ------------------------------------------------------------------------------------------


def _stop(number: int, frame: object) -> None:
    raise Stopped(number)


@contextlib.contextmanager
def stopping(last_words: Callable[[], str]) -> Iterator[None]:
    """Have SIGINT and SIGTERM wait for `check`, which raises `Stopped`. Only in the main thread.

    Python handles no signal while it compiles or imports. So a thread watches: where there is nothing to save and
    `check` does not come soon, and with the second signal, it says `last_words` and ends the process.
    """
    global _waiting
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting = _waiting = _Waiting(_stop)
    heard, told = socket.socketpair()
    told.setblocking(False)
    ours = [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda *_: None) for number in ours}
    wakeup = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(heard, waiting, last_words), daemon=True)
    watcher.start()
    try:
        yield
        check()
    finally:
        _waiting = None
        signal.set_wakeup_fd(wakeup)
        told.close()
        watcher.join()
        heard.close()
        for number, handler in before.items():
            if handler is not None:  # it was not set from Python
                signal.signal(number, handler)


def _watch(heard: socket.socket, waiting: _Waiting, last_words: Callable[[], str]) -> None:
    """Tell `waiting` of the first signal, and end the process where that is of no use."""
    first = None
    has_said = False
    while True:
        heard.settimeout(None if first is None else GRACE)
        try:
            number = heard.recv(1)
        except TimeoutError:
            if not waiting.is_saving:
                _end(first or 0, last_words)
            if not has_said:
                _say("finishing the batch that is under way, so that it is kept; a second signal stops at once.")
            has_said = True
            continue
        if not number:
            return
        if number[0] in NUMBERS and first is not None:
            _end(first, last_words)
        if number[0] in NUMBERS:
            first = waiting.number = number[0]


def _end(number: int, last_words: Callable[[], str]) -> None:
    try:
        _say(last_words())
    finally:
        os._exit(128 + number)


def _say(sentence: str) -> None:
    """Write to standard error past Python's buffers, which the main thread may be holding."""
    bar = "\x1b[?25h\n" if os.isatty(2) else ""  # a bar hides the cursor, and leaves it in its line
    os.write(2, f"{bar}jaxwalk: {sentence}\n".encode(errors="replace"))
