"""Watching a function while it is traced: in which call of a frame, and which pass of a line, an equation is made.

A traceback says from where an equation was made, and not when: the second turn of a loop looks like the first. So the
run is watched through `sys.settrace`, and what is seen is joined to the equations afterwards, by their tracebacks.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType, FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any

from .._jax import origin
from .._jax.jaxpr import jaxprs
from .._jax.jaxpr.jaxprs import Closed
from .._jax.origin import Frames
from .code_positions import UNNAMED, UserCode
from .leaves import join_leaves, remember
from .passes import Pass
from .seen import Seen, SeenByFrames

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn


class _Call:
    """A call of one of the user's functions: its number, and in which pass of a line it is."""

    def __init__(self, frame: FrameType, number: int):
        self.held = frame  # so that no other frame gets its id
        self.turn = Pass(number, 0, 0)
        self.at: tuple[int, int] = (-1, 0)  # the offset of the line it is on, and the line's number
        self.has_made_any = False  # equations, on this line


_UNWATCHED = Pass(0, 0, 0)
_LIMIT = 50_000  # tracebacks remembered: traces are cached, and what is traced once is walked again
_numbers = itertools.count(1)  # what is remembered of two runs may come together in one program

_watching: contextvars.ContextVar[Observer | None] = contextvars.ContextVar("watching", default=None)
_known: dict[int, tuple[Any, Sequence[Pass]]] = {}  # held by the traceback's id, and the traceback with it


class Observer:
    """Collects what is seen of one run, in frames of the user's code alone."""

    def __init__(self, user_code: UserCode):
        self._user_code = user_code
        self._handlers: dict[int, Callable | None] = {}  # by the id of the code, None for what is not told
        self._held: list[CodeType] = []  # so that no other code gets its id
        self._calls: dict[int, _Call] = {}
        self._seen = SeenByFrames(user_code.is_users)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what runs in here, unless a debugger watches, or another observer, which then sees it."""
        if sys.gettrace() is not None:
            yield
            return
        self._bottom = sys._getframe()
        token = _watching.set(self)
        sys.settrace(self._on_call())
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
        for eqn in _in_order(closed.jaxpr, set()):
            traceback = eqn.source_info.traceback
            if traceback is not None:
                join_leaves(eqn)
            if traceback is not None and id(traceback) not in _known:
                codes, offsets = traceback.raw_frames()
                seen = observer._seen.first(codes[1:], offsets[1:])  # the first takes it, wherever it is in that
                if seen is not None:
                    _known[id(traceback)] = (traceback, seen.passes)

    def _on_call(self) -> Callable:
        """Return what Python runs at every call, those of JAX's own functions too: it must be quick."""
        handler_of, new = self._handlers.get, self._on_new_code

        def on_call(frame: FrameType, event: str, arg: Any) -> Callable | None:
            handler = handler_of(id(frame.f_code), new)
            return None if handler is None else handler(frame, event, arg)

        return on_call

    def _on_new_code(self, frame: FrameType, event: str, arg: Any) -> Callable | None:
        """Decide what the calls of a function are told to, and tell it this one."""
        code, handler = frame.f_code, None
        if code is origin.takes_tracebacks():
            handler = self._take
        elif self._user_code.is_users(code):
            handler = self._on_line
        self._held.append(code)
        self._handlers[id(code)] = handler
        return None if handler is None else handler(frame, event, arg)

    def _on_line(self, frame: FrameType, event: str, arg: Any) -> Callable:
        if event == "line":
            if id(frame) not in self._calls:
                self._calls[id(frame)] = _Call(frame, next(_numbers))
            self._leave(self._calls[id(frame)], frame)
            self._come_to(self._calls[id(frame)], frame.f_code, frame.f_lasti, frame.f_lineno)
        elif event == "return" and id(frame) in self._calls:
            self._leave(self._calls[id(frame)], frame, {"return": arg})
        return self._on_line

    def _leave(self, call: _Call, frame: FrameType, returned: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Remember what the line on which a call is has assigned, or returned."""
        if call.has_made_any and frame.f_code.co_name not in UNNAMED:
            statement = self._user_code.statement(frame.f_code, call.at[0])
            remember(statement, call.turn, returned if statement.label == "return" else frame.f_locals)
        call.has_made_any = False

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
            begins = not (loop is not None and known.is_one_line(code, loop))
        else:
            begins = known.statement(code, before) != known.statement(code, offset)
        if begins:
            call.turn = call.turn._replace(turn=call.turn.turn + 1)

    def _take(self, frame: FrameType, event: str, arg: Any) -> None:
        frames, bottom, caller = [], self._bottom, frame.f_back
        while caller is not None and caller is not bottom:
            frames.append(caller)
            caller = caller.f_back
        calls = list(map(self._calls.get, map(id, frames)))
        for call in filter(None, calls):
            call.has_made_any = True
        passes = [_UNWATCHED if call is None else call.turn for call in calls]
        self._seen.add(Seen([each.f_code for each in frames], [each.f_lasti for each in frames], passes))


def seen_at(eqn: JaxprEqn, frames: Frames) -> Sequence[Pass] | None:
    """Return the passes in which an equation was made, one for each of its frames; None if it was not seen."""
    found = _known.get(id(eqn.source_info.traceback))
    if found is None or found[0] is not eqn.source_info.traceback:
        return None
    return [*reversed(found[1][: len(frames) - 1]), _UNWATCHED]


def _in_order(jaxpr: Jaxpr, met: set[int]) -> Iterator[JaxprEqn]:
    """Yield the equations in the order in which they were made: what one runs was traced before it. Each jaxpr once."""
    if id(jaxpr) in met:
        return
    met.add(id(jaxpr))
    for eqn in jaxpr.eqns:
        for closed in jaxprs.jaxprs_of(eqn):
            yield from _in_order(closed.jaxpr, met)
        yield eqn
