"""Watching a function while it is traced: in which call of a frame, and which pass of a line, an equation is made.

A traceback says from where an equation was made, and not when: the second turn of a loop looks like the first. So the
run is watched through `sys.settrace`, and what is seen is joined to the equations afterwards, by their tracebacks.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FrameType
from typing import Any, NamedTuple

from .._jax import jaxprs, origin
from .._jax.jaxprs import Closed
from .bytecode import Flow, Loop
from .passes import Frames, Pass
from .statements import Line


class Seen(NamedTuple):
    """What was seen when a traceback was taken, the innermost frame first: where each frame was, and in which pass."""

    places: Sequence[tuple[CodeType, int]]
    passes: Sequence[Pass]


class _Frame:
    """A call of one of the user's functions: its number, and in which pass of a line it is."""

    def __init__(self, frame: FrameType, call: int):
        self.held = frame  # so that no other frame gets its id
        self.call, self.turn = call, 0
        self.at: tuple[int, int] = (-1, 0)  # the offset of the line it is on, and the line's number


_UNWATCHED = Pass(0, 0, 0)
_LIMIT = 50_000  # tracebacks remembered: traces are cached, and what is traced once is walked again
_calls = itertools.count(1)  # what is remembered of two runs may come together in one program

_watching: contextvars.ContextVar[Observer | None] = contextvars.ContextVar("watching", default=None)
_known: dict[int, tuple[Any, Sequence[Pass]]] = {}  # held by the traceback's id, and the traceback with it


class Observer:
    """Collects what is seen of one run.

    Arguments:
        is_users: whether a file is the user's: others are not watched.
        line: the line of source that an instruction belongs to.
        flow: the ways through a code object.
        is_one_line: whether a loop lies within one line.
    """

    def __init__(
        self,
        is_users: Callable[[str], bool],
        line: Callable[[CodeType, int], Line],
        flow: Callable[[CodeType], Flow],
        is_one_line: Callable[[CodeType, Loop], bool],
    ):
        self._is_users, self._line, self._flow, self._is_one_line = is_users, line, flow, is_one_line
        self._takes = origin.takes_tracebacks()
        self._frames: dict[int, _Frame] = {}
        self._seen: dict[Any, collections.deque[Seen]] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watches what runs in here; not if a debugger does, nor if another observer does, which then sees it."""
        if sys.gettrace() is not None:
            yield
            return
        self._bottom = sys._getframe()
        token = _watching.set(self)
        sys.settrace(self._on_call)
        try:
            yield
        finally:
            sys.settrace(None)
            _watching.reset(token)
            self._frames.clear()

    def join(self, closed: Closed) -> None:
        """Finds for the equations of a jaxpr, which was traced while this watched, what was seen then."""
        observer = _watching.get() or self
        if observer is self and len(_known) > _LIMIT:
            _known.clear()
        for eqn in _in_order(closed.jaxpr):
            observer._join(eqn.source_info.traceback)

    def _join(self, traceback: Any) -> None:
        if traceback is None or id(traceback) in _known:
            return
        codes, offsets = traceback.raw_frames()
        places = list(zip(codes, offsets, strict=True))[1:]  # the first takes the traceback, wherever it is in that
        waiting = self._seen.get(_key(places), collections.deque())
        seen = next((s for s in waiting if _agree(places, s.places)), None)
        if seen is not None:
            waiting.remove(seen)
            _known[id(traceback)] = (traceback, seen.passes)

    def _on_call(self, frame: FrameType, event: str, arg: Any) -> Callable | None:
        if frame.f_code is self._takes:
            self._take(frame)
            return None
        return self._on_line if self._is_users(frame.f_code.co_filename) else None

    def _on_line(self, frame: FrameType, event: str, arg: Any) -> Callable:
        if event == "line":
            self._step(self._state(frame), frame.f_code, frame.f_lasti, frame.f_lineno)
        return self._on_line

    def _state(self, frame: FrameType) -> _Frame:
        if id(frame) not in self._frames:
            self._frames[id(frame)] = _Frame(frame, next(_calls))
        return self._frames[id(frame)]

    def _step(self, state: _Frame, code: CodeType, offset: int, number: int) -> None:
        """A new line begins a new pass; so does a jump back, but for the turns of a comprehension.

        That Python reports a line of the number that it reported last says that it jumped back on it.
        """
        (before, last), state.at = state.at, (offset, number)
        if before < 0:
            return
        if number == last or offset <= before:
            loop = next((loop for loop in self._flow(code).loops if loop.holds(offset)), None)
            state.turn += not (loop is not None and self._is_one_line(code, loop))
        elif self._line(code, before) != self._line(code, offset):
            state.turn += 1

    def _take(self, frame: FrameType) -> None:
        places, passes = [], []
        caller: FrameType | None = frame.f_back
        while caller is not None and caller is not self._bottom:
            places.append((caller.f_code, caller.f_lasti))
            state = self._frames.get(id(caller))
            passes.append(Pass(state.call, state.turn, 0) if state is not None else _UNWATCHED)
            caller = caller.f_back
        self._seen.setdefault(_key(places), collections.deque()).append(Seen(places, passes))


def seen_at(eqn: Any, frames: Frames) -> Sequence[Pass] | None:
    """The passes in which an equation was made, one for each of its frames, the outermost first; None if not seen."""
    found = _known.get(id(eqn.source_info.traceback))
    if found is None or found[0] is not eqn.source_info.traceback:
        return None
    return [*reversed(found[1][: len(frames) - 1]), _UNWATCHED]


def _in_order(jaxpr: Any) -> Iterator[Any]:
    """The equations in the order in which they were made: what one runs was traced before it."""
    for eqn in jaxpr.eqns:
        for closed in jaxprs.jaxprs_of(eqn):
            yield from _in_order(closed.jaxpr)
        yield eqn


def _key(places: Sequence[tuple[CodeType, int]]) -> Any:
    return tuple((id(code), offset) for code, offset in places[:3])


def _agree(places: Sequence[tuple[CodeType, int]], seen: Sequence[tuple[CodeType, int]]) -> bool:
    """Whether a traceback is of a moment seen. JAX cuts one off where a trace begins: what goes on is JAX itself."""
    length = min(len(places), len(seen))
    same = all(a[0] is b[0] and a[1] == b[1] for a, b in zip(places[:length], seen[:length], strict=True))
    return same and (length == len(seen) or seen[length][0].co_filename.startswith(origin.LIBRARIES))
