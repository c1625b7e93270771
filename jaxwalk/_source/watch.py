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
from typing import TYPE_CHECKING, Any, NamedTuple

from .._jax import jaxprs, origin
from .._jax.jaxprs import Closed
from .._jax.origin import Frames
from .code_positions import UserCode
from .passes import Pass

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn


class Seen(NamedTuple):
    """What was seen when a traceback was taken, the innermost frame first: where each frame was, and in which pass."""

    places: Frames
    passes: Sequence[Pass]


class _Call:
    """A call of one of the user's functions: its number, and in which pass of a line it is."""

    def __init__(self, frame: FrameType, number: int):
        self.held = frame  # so that no other frame gets its id
        self.number, self.turn = number, 0
        self.at: tuple[int, int] = (-1, 0)  # the offset of the line it is on, and the line's number


_UNWATCHED = Pass(0, 0, 0)
_LIMIT = 50_000  # tracebacks remembered: traces are cached, and what is traced once is walked again
_numbers = itertools.count(1)  # what is remembered of two runs may come together in one program

_watching: contextvars.ContextVar[Observer | None] = contextvars.ContextVar("watching", default=None)
_known: dict[int, tuple[Any, Sequence[Pass]]] = {}  # held by the traceback's id, and the traceback with it


class Observer:
    """Collects what is seen of one run, in frames of the user's code alone."""

    def __init__(self, user_code: UserCode):
        self._user_code = user_code
        self._takes = origin.takes_tracebacks()
        self._calls: dict[int, _Call] = {}
        self._seen: dict[Any, collections.deque[Seen]] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what runs in here, unless a debugger watches, or another observer, which then sees it."""
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
            self._calls.clear()

    def join(self, closed: Closed) -> None:
        """Find what was seen of the equations of a jaxpr, which was traced while this watched."""
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
        return self._on_line if self._user_code.is_users(frame.f_code.co_filename) else None

    def _on_line(self, frame: FrameType, event: str, arg: Any) -> Callable:
        if event == "line":
            if id(frame) not in self._calls:
                self._calls[id(frame)] = _Call(frame, next(_numbers))
            self._come_to(self._calls[id(frame)], frame.f_code, frame.f_lasti, frame.f_lineno)
        return self._on_line

    def _come_to(self, call: _Call, code: CodeType, offset: int, number: int) -> None:
        """Count a pass: a new line begins one, and so does a jump back, but for the turns of a comprehension.

        If Python reports the line that it reported last, it has jumped back on it.
        """
        (before, last), call.at = call.at, (offset, number)
        if before < 0:
            return
        known = self._user_code
        if number == last or offset <= before:
            loop = next((loop for loop in known.flow(code).loops if loop.holds(offset)), None)
            call.turn += not (loop is not None and known.is_one_line(code, loop))
        elif known.statement(code, before) != known.statement(code, offset):
            call.turn += 1

    def _take(self, frame: FrameType) -> None:
        places, passes = [], []
        caller: FrameType | None = frame.f_back
        while caller is not None and caller is not self._bottom:
            places.append((caller.f_code, caller.f_lasti))
            call = self._calls.get(id(caller))
            passes.append(Pass(call.number, call.turn, 0) if call is not None else _UNWATCHED)
            caller = caller.f_back
        self._seen.setdefault(_key(places), collections.deque()).append(Seen(places, passes))


def seen_at(eqn: JaxprEqn, frames: Frames) -> Sequence[Pass] | None:
    """Return the passes in which an equation was made, one for each of its frames; None if it was not seen."""
    found = _known.get(id(eqn.source_info.traceback))
    if found is None or found[0] is not eqn.source_info.traceback:
        return None
    return [*reversed(found[1][: len(frames) - 1]), _UNWATCHED]


def _in_order(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """Yield the equations in the order in which they were made: what one runs was traced before it."""
    for eqn in jaxpr.eqns:
        for closed in jaxprs.jaxprs_of(eqn):
            yield from _in_order(closed.jaxpr)
        yield eqn


def _key(places: Frames) -> Any:
    return tuple((id(code), offset) for code, offset in places[:3])


def _agree(places: Frames, seen: Frames) -> bool:
    """Tell whether a traceback is of a moment seen. JAX cuts one off where a trace begins: beyond it is JAX itself."""
    length = min(len(places), len(seen))
    same = all(a[0] is b[0] and a[1] == b[1] for a, b in zip(places[:length], seen[:length], strict=True))
    return same and (length == len(seen) or seen[length][0].co_filename.startswith(origin.LIBRARIES))
