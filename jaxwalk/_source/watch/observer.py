"""What is seen of a function while it is traced: in which call of a frame, which pass of a line, an equation is made.

A traceback says from where an equation was made, and not when: the second turn of a loop looks like the first. So the
run is watched: when JAX takes a traceback, what is seen is remembered for the equations that carry it.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..._jax.jaxpr import jaxprs
from ..._jax.jaxpr.jaxprs import Closed
from ..code_positions import UNNAMED, Code, UserCode
from ..leaves import join_leaves, remember
from ..passes import UNWATCHED, Pass
from ..statements import Statement
from . import by_monitoring
from .by_monitoring import ByMonitoring
from .by_settrace import BySettrace
from .told import Teller

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn

T = TypeVar("T")

_LIMIT = 50_000  # tracebacks remembered: traces are cached, and what is traced once is walked again
_numbers = itertools.count(1)  # what is remembered of two runs may come together in one program

_observers: dict[int, Observer] = {}  # by the thread that each observes
_known: dict[int, Seen] = {}  # by the id of the traceback


class Seen(NamedTuple):
    """What was seen when a traceback was taken."""

    traceback: Any  # held, so that no other gets its id
    depth: int  # how many frames were inside of the innermost of the user's
    statement: Statement  # on which that was
    turn: Pass  # in which it was
    around: tuple[Pass, ...]  # those of the frames around it, the innermost first

    def row(self, length: int) -> list[Pass]:
        """Return the passes of as many frames of the traceback, the outermost first."""
        row = ((UNWATCHED,) * self.depth + (self.turn, *self.around))[:length]
        return [*[UNWATCHED] * (length - len(row)), *reversed(row)]


class _Call:
    """A call of one of the user's functions that has made an equation: its number, and in which pass it is."""

    __slots__ = ("around", "at", "code", "frame", "has_made_any", "turn")

    def __init__(self, frame: FrameType, code: Code):
        self.frame = frame  # held, so that no other frame gets its id
        self.code = code
        self.turn = Pass(next(_numbers), 0, 0)
        self.at = code.line_start(frame.f_lasti), frame.f_lineno  # of the line it is on, the offset and the number
        self.has_made_any = False  # equations, on this line
        self.around: tuple[Pass, ...] | None = None  # found once: it stands still as long as the call runs


def can_watch() -> bool:
    """Tell whether what runs in this thread can be watched: before Python 3.12 a debugger may be in the way."""
    return by_monitoring.is_free() or sys.gettrace() is None


class Observer:
    """Collects what is seen of one run, in frames of the user's code alone."""

    def __init__(self, user_code: UserCode):
        self._user_code = user_code
        self.is_users = user_code.is_users
        self._calls: dict[int, _Call] = {}  # by the id of the frame
        self._bottom: FrameType | None = None  # of what is watched, while it is
        self._teller: Teller | None = None

    def watch(self, run: Callable[[], T]) -> T:
        """Return what `run` returns, watched meanwhile, if that can be had; where a run around it is watched, by the
        observer of that one."""
        thread = threading.get_ident()
        if thread in _observers:
            return run()
        if len(_known) > _LIMIT:
            _known.clear()
        tellers = [ByMonitoring(self), BySettrace(self)]
        self._bottom = sys._getframe()
        try:
            _observers[thread] = self
            self._teller = next((teller for teller in tellers if teller.begin()), None)
            return run()
        finally:
            for teller in tellers:
                teller.end()
            _observers.pop(thread, None)
            self._calls.clear()
            self._bottom = None

    # What is told of the run ------------------------------------------------------------------------------

    def takes(self, frame: FrameType, traceback: Any) -> None:
        depth, call = self._of_traceback(frame, traceback)
        if call is None:  # JAX goes on with that of an equation that it makes again, or its own code alone has made it
            _, call = self._caller(frame)
        if call is None:
            return
        call.has_made_any = True
        around = self._around(call) if call.around is None else call.around
        if depth is not None:
            statement = call.code.statement(call.frame.f_lasti)
            _known[id(traceback)] = Seen(traceback, depth, statement, call.turn, around)

    def comes_to(self, frame: FrameType, offset: int, number: int) -> None:
        call = self._calls.get(id(frame))
        if call is not None:
            self._leave(call)
            self._come_to(call, offset, number)

    def jumps_back(self, frame: FrameType, offset: int, target: int) -> None:
        call = self._calls.get(id(frame))
        if call is not None and (line := call.code.line(target)) is not None and line == call.code.line(offset):
            self._leave(call)
            self._come_to(call, target, line)

    def gives(self, frame: FrameType, value: Any, goes_on: bool) -> None:
        call = self._calls.get(id(frame))
        if call is not None:
            self._leave(call, {"return": value})
            call.around = None
            if not goes_on:
                del self._calls[id(frame)]

    # ------------------------------------------------------------------------------------------------------

    def _of_traceback(self, frame: FrameType, traceback: Any) -> tuple[int | None, _Call | None]:
        """Return how many frames are inside of the innermost of the user's in a traceback that a frame has just taken,
        and the call that this is."""
        if traceback is None or id(traceback) in _known:
            return None, None
        codes, offsets = traceback.raw_frames()
        depth = self._user_code.first_of(codes)
        outer = None if depth is None else _frame_around(frame, depth)
        if outer is None or outer.f_code is not codes[depth] or outer.f_lasti != offsets[depth]:
            return None, None
        return depth, self._calls.get(id(outer)) or self._new_call(outer)

    def _new_call(self, frame: FrameType) -> _Call:
        """Look at a call from now on: what it did before made no equation."""
        call = self._calls[id(frame)] = _Call(frame, self._user_code.of(frame.f_code))
        if self._teller is not None:
            self._teller.tell_lines(frame.f_code)
        return call

    def _around(self, call: _Call) -> tuple[Pass, ...]:
        """Find the passes around a call. The user's frames there stay on their lines until it ends: they called it."""
        inner, found = call, []
        while inner.around is None:
            depth, outer = self._caller(inner.frame)
            found.append((inner, depth, outer))
            if outer is None:
                break
            outer.has_made_any = True
            inner = outer
        for each, depth, outer in reversed(found):
            beyond = () if outer is None else (outer.turn, *(outer.around or ()))
            each.around = (UNWATCHED,) * depth + beyond
        return call.around or ()

    def _caller(self, frame: FrameType) -> tuple[int, _Call | None]:
        """Return the innermost call of the user's around a frame, if there is one; and how many frames are between."""
        depth, outer = 0, frame.f_back
        while outer is not None and outer is not self._bottom:
            if self.is_users(outer.f_code):
                return depth, self._calls.get(id(outer)) or self._new_call(outer)
            depth, outer = depth + 1, outer.f_back
        return depth, None

    def _leave(self, call: _Call, returned: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Remember what the line on which a call is has assigned, or returned."""
        if call.has_made_any and call.code.code.co_name not in UNNAMED:
            statement = call.code.statement(call.at[0])
            remember(statement, call.turn, returned if statement.label == "return" else call.frame.f_locals)
        call.has_made_any = False

    def _come_to(self, call: _Call, offset: int, number: int) -> None:
        """Count a pass: a new line begins one, and so does a jump back, but for the turns of a comprehension.

        If Python reports the line that it reported last, it has jumped back on it.
        """
        (before, last), call.at = call.at, (offset, number)
        if number == last or offset <= before:
            loop = next((loop for loop in call.code.flow.loops if loop.holds(offset)), None)
            begins = not (loop is not None and call.code.is_one_line(loop))
        else:
            begins = call.code.statement(before) != call.code.statement(offset)
        if begins:
            call.turn = Pass(call.turn.call, call.turn.turn + 1, 0)


def _frame_around(frame: FrameType, depth: int) -> FrameType | None:
    outer: FrameType | None = frame
    for _ in range(depth):
        outer = outer and outer.f_back
    return outer


def seen_of(eqn: JaxprEqn) -> Seen | None:
    """Return what was seen when an equation was made; None if it was not seen."""
    seen = _known.get(id(eqn.source_info.traceback))
    return seen if seen is not None and seen.traceback is eqn.source_info.traceback else None


def join(closed: Closed) -> None:
    """Join what was seen of the leaves of what lines assign to the equations of a jaxpr."""
    for eqn in _in_order(closed.jaxpr, set()):
        if eqn.source_info.traceback is not None:
            join_leaves(eqn)


def _in_order(jaxpr: Jaxpr, met: set[int]) -> Iterator[JaxprEqn]:
    """Yield the equations in the order in which they were made: what one runs was traced before it. Each jaxpr once."""
    if id(jaxpr) in met:
        return
    met.add(id(jaxpr))
    for eqn in jaxpr.eqns:
        for closed in jaxprs.jaxprs_of(eqn):
            yield from _in_order(closed.jaxpr, met)
        yield eqn
