"""What is seen of a function while it is traced: in which call of a frame, which pass of a line, an equation is made.

A traceback says from where an equation was made, and not when: the second turn of a loop looks like the first. So the
run is watched, and what is seen is joined to the equations afterwards, by their tracebacks.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from ..._jax.jaxpr import jaxprs
from ..._jax.jaxpr.jaxprs import Closed
from ..code_positions import UNNAMED, Code, UserCode
from ..leaves import join_leaves, remember
from ..passes import UNWATCHED, Pass
from . import by_monitoring
from .by_monitoring import ByMonitoring
from .by_settrace import BySettrace
from .seen import NOTHING, Around, Seen, SeenByFrames
from .told import Teller

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn

T = TypeVar("T")

_LIMIT = 50_000  # tracebacks remembered: traces are cached, and what is traced once is walked again
_numbers = itertools.count(1)  # what is remembered of two runs may come together in one program

_observers: dict[int, Observer] = {}  # by the thread that each observes
_known: dict[int, tuple[Any, Seen]] = {}  # by the traceback's id, and the traceback with it


class _Call:
    """A call of one of the user's functions that has made an equation: its number, and in which pass it is."""

    __slots__ = ("around", "at", "code", "frame", "has_made_any", "turn")

    def __init__(self, frame: FrameType, code: Code):
        self.frame = frame  # held, so that no other frame gets its id
        self.code = code
        self.turn = Pass(next(_numbers), 0, 0)
        self.at = code.line_start(frame.f_lasti), frame.f_lineno  # of the line it is on, the offset and the number
        self.has_made_any = False  # equations, on this line
        self.around: Around | None = None  # found once: it stands still as long as the call runs


def can_watch() -> bool:
    """Tell whether what runs in this thread can be watched: before Python 3.12 a debugger may be in the way."""
    return by_monitoring.is_free() or sys.gettrace() is None


class Observer:
    """Collects what is seen of one run, in frames of the user's code alone."""

    def __init__(self, user_code: UserCode):
        self._user_code = user_code
        self.is_users = user_code.is_users
        self._calls: dict[int, _Call] = {}  # by the id of the frame
        self._seen = SeenByFrames(user_code)
        self._bottom: FrameType | None = None  # of what is watched; while it is
        self._below: Around | None = None
        self._teller: Teller | None = None

    def watch(self, run: Callable[[], T]) -> T:
        """Return what `run` returns, watched meanwhile, if that can be had; where a run around it is watched, by the
        observer of that one."""
        thread = threading.get_ident()
        if thread in _observers:
            return run()
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
            self._bottom = self._below = None

    def join(self, closed: Closed) -> None:
        """Find what was seen of the equations of a jaxpr, which was traced while this watched."""
        observer = _observers.get(threading.get_ident(), self)
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
                    _known[id(traceback)] = traceback, seen

    # What is told of the run ------------------------------------------------------------------------------

    def takes(self, frame: FrameType) -> None:
        ids, offsets, call = self._up_to_call(frame)
        if call is None:  # none of the user's code has made it
            return
        call.has_made_any = True
        ids.append(call.code.id)
        offsets.append(call.frame.f_lasti)
        around = call.around or self._around(call)
        self._seen.add(Seen(tuple(ids), tuple(offsets), call.code, call.turn, around))

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

    def _up_to_call(self, frame: FrameType) -> tuple[list[int], list[int], _Call | None]:
        """Return the frames between one and the innermost call of the user's around it, the ids of their codes and
        their offsets; and that call, if there is one."""
        ids: list[int] = []
        offsets: list[int] = []
        bottom, known, outer = self._bottom, self._user_code.known, frame.f_back
        while outer is not None and outer is not bottom:
            code = outer.f_code
            key = id(code)
            is_users = known.get(key)
            if is_users is None:
                is_users = self.is_users(code)
            if is_users:
                return ids, offsets, self._calls.get(id(outer)) or self._new_call(outer)
            ids.append(key)
            offsets.append(outer.f_lasti)
            outer = outer.f_back
        return ids, offsets, None

    def _new_call(self, frame: FrameType) -> _Call:
        """Look at a call from now on: what it did before made no equation."""
        call = self._calls[id(frame)] = _Call(frame, self._user_code.of(frame.f_code))
        if self._teller is not None:
            self._teller.tell_lines(frame.f_code)
        return call

    def _around(self, call: _Call) -> Around:
        """Find the frames around a call. Those of the user's stay on their lines until it ends: there it was called."""
        found = []
        inner: _Call | None = call
        while inner is not None and inner.around is None:
            ids, offsets, outer = self._up_to_call(inner.frame)
            found.append((inner, _unwatched(ids, offsets), outer))
            inner = outer
        for each, between, outer in reversed(found):
            each.around = between.then(self._from_bottom() if outer is None else self._from_call(outer))
        return call.around or NOTHING

    def _from_call(self, call: _Call) -> Around:
        call.has_made_any = True
        here = Around((call.code.id,), (call.frame.f_lasti,), (call.turn,))
        return here.then(call.around or NOTHING)

    def _from_bottom(self) -> Around:
        """Return the frames from which the run was called: before jax 0.9 tracebacks reach down to them."""
        if self._below is None:
            ids, offsets, frame = [], [], self._bottom
            while frame is not None:
                self.is_users(frame.f_code)  # holds it
                ids.append(id(frame.f_code))
                offsets.append(frame.f_lasti)
                frame = frame.f_back
            self._below = _unwatched(ids, offsets)
        return self._below

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


def _unwatched(ids: list[int], offsets: list[int]) -> Around:
    return Around(tuple(ids), tuple(offsets), (UNWATCHED,) * len(ids))


def seen_of(eqn: JaxprEqn) -> Seen | None:
    """Return what was seen when an equation was made; None if it was not seen."""
    held, seen = _known.get(id(eqn.source_info.traceback), (None, None))
    return seen if held is eqn.source_info.traceback else None


def _in_order(jaxpr: Jaxpr, met: set[int]) -> Iterator[JaxprEqn]:
    """Yield the equations in the order in which they were made: what one runs was traced before it. Each jaxpr once."""
    if id(jaxpr) in met:
        return
    met.add(id(jaxpr))
    for eqn in jaxpr.eqns:
        for closed in jaxprs.jaxprs_of(eqn):
            yield from _in_order(closed.jaxpr, met)
        yield eqn
