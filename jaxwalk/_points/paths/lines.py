"""Paths by lines of the user's source: read from the traceback that each equation carries."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._jax import origin
from ..._jax.origin import Frames
from ..._jax.tracing import Staged
from ..._source.code_positions import COMPREHENSIONS, LAMBDA, UserCode
from ..._source.leaves import Leaf, leaves_called
from ..._source.passes import Pass, Passes
from ..._source.statements import Statement
from ..._source.user_files import Source
from ..._source.watch.observer import Observer, Seen, join, seen_of
from .paths import Entries, Entry, Path

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn


class LinePaths:
    """Finds the lines of the user's source that equations were called from, the outermost function first.

    A line is a statement. It is named by its function and what it assigns, "net/b"; a function called on it, by its own
    lines, "net/b/block/h". What a comprehension or a lambda does belongs to the line that it stands on.

    Arguments:
        source: as of `walk`: more files that count as the user's.
    """

    def __init__(self, source: Source):
        self._code = UserCode(source)
        self.met_source = False
        self._passes: dict[Entry, Pass] = {}
        self._stacks: dict[int, _Stack] = {}  # by the ids of their tracebacks
        self._untold: set[int] = set()  # the ids of codes, which are held, that paths do not name

    def __call__(self, jaxpr: Jaxpr, around: Path, outer: Entries) -> tuple[Sequence[Path], Entries]:
        entries: dict[Any, Entry] = {}
        seen = [self._seen(eqn) for eqn in jaxpr.eqns]
        if any(made is None and self._stack(eqn).users for made, eqn in zip(seen, jaxpr.eqns, strict=True)):
            return self._as_positions_say(jaxpr, around, entries), entries
        return self._as_seen(jaxpr, seen, around, entries), entries

    def _as_positions_say(self, jaxpr: Jaxpr, around: Path, entries: dict[Any, Entry]) -> list[Path]:
        """Return the paths of equations of which not all were seen when they were made."""
        stacks = [self._stack(eqn) for eqn in jaxpr.eqns]
        passes = Passes([stack.frames for stack in stacks], self._code).rows
        paths: list[Path] = []
        for index, (stack, row) in enumerate(zip(stacks, passes, strict=True)):
            is_as_before = index > 0 and stack is stacks[index - 1] and row == passes[index - 1]
            paths.append(paths[-1] if is_as_before else self._path(stack, row, around, entries))
        return paths

    def _as_seen(
        self, jaxpr: Jaxpr, seen: Sequence[Seen | None], around: Path, entries: dict[Any, Entry]
    ) -> list[Path]:
        """Return the paths of equations that were seen: one for all of a pass of a line. The others are in no line."""
        paths: list[Path] = []
        known: dict[Any, Path] = {}
        for eqn, made in zip(jaxpr.eqns, seen, strict=True):
            if made is None:
                paths.append(around)
                continue
            key = made.turn, id(made.around), id(made.statement)
            if key not in known:
                stack = self._stack(eqn)
                known[key] = self._path(stack, made.row(len(stack.frames)), around, entries)
            paths.append(known[key])
        return paths

    def watch(self, trace: Callable[[], Staged]) -> Staged:
        """Trace a function, watched meanwhile: which equation is made in which pass is then known."""
        staged = Observer(self._code).watch(trace)
        join(staged.closed)
        return staged

    def _stack(self, eqn: JaxprEqn) -> _Stack:
        """Return the frames of an equation; those that one call has staged out at once, as `jnp` does, share one."""
        traceback = eqn.source_info.traceback
        stack = self._stacks.get(id(traceback))
        if stack is None:
            frames, known = origin.frames_of(eqn), self._untold
            told = [p for p, (code, _) in enumerate(frames) if id(code) not in known and self._is_told(code)]
            users = [place for place in told if self._code.is_users(frames[place][0])]
            stack = self._stacks[id(traceback)] = _Stack(traceback, frames, told, users)
        return stack

    def _is_told(self, code: CodeType) -> bool:
        """Tell whether paths name a function: it is the user's, or it calls a module."""
        is_told = self._code.is_users(code) or origin.module_of(code) is not None
        if not is_told:
            self._untold.add(id(code))
        return is_told

    def _seen(self, eqn: JaxprEqn) -> Seen | None:
        """Return what was seen when an equation was made, on a line of the user's in the function of its jaxpr."""
        seen = seen_of(eqn)
        return seen if seen is not None and (origin.stops_at_trace() or self._stack(eqn).users) else None

    def is_in_any(self, eqn: JaxprEqn) -> bool:
        """Tell whether an equation comes from a line of the user's in the function its jaxpr was traced from."""
        return self._seen(eqn) is not None or bool(self._stack(eqn).users)

    def goes_on_in(self, eqn: JaxprEqn, entry: Entry) -> bool:
        return False

    def is_all_of_its_module(self, entry: Entry) -> bool:
        return False

    def leaves(self, entry: Entry, eqn: JaxprEqn, result: int) -> Sequence[Leaf]:
        """Return the leaves that a value leaving a line is of what the line assigns."""
        return leaves_called(eqn, result, self._passes[entry])

    def _path(self, stack: _Stack, row: Sequence[Pass], around: Path, entries: dict[Any, Entry]) -> Path:
        calls, in_lambdas, module = [], [], None
        for (code, offset), turn in ((stack.frames[place], row[place]) for place in stack.told):
            module = origin.module_of(code) or module
            if self._code.is_users(code):
                self.met_source = self.met_source or self._code.asked_for(code.co_filename)
                if code.co_name == LAMBDA:
                    in_lambdas = [_Call(code, offset, turn, module)]
                elif code.co_name not in COMPREHENSIONS:
                    calls.append(_Call(code, offset, turn, module))
                    module = None
        if not calls and not around:  # in a lambda that is called by none of the user's functions
            calls = in_lambdas
        path = around
        for call in calls:
            path = (*path, self._entry(call, path[-1] if path else None, entries))
        return path

    def _entry(self, call: _Call, parent: Entry | None, entries: dict[Any, Entry]) -> Entry:
        statement = self._code.statement(call.code, call.offset)
        key = (parent, call.turn.call, call.turn.turn, statement)
        if key not in entries:
            function = re.sub(r".*<locals>\.", "", call.code.co_qualname)
            place = (call.code.co_filename, statement.line)
            module, there = None, ""
            if call.module is not None:
                module = entries.setdefault((parent, call.turn.call), Entry(call.module, None))
                there = _label("__call__", statement).removeprefix("__call__/")
                there = there if call.code.co_name == "__call__" else _label(function, statement)
            label = _label(function, statement)
            entries[key] = Entry(label, parent, place=place, alike=call.turn.alike, module=module, label_there=there)
            self._passes[entries[key]] = call.turn
        return entries[key]


class _Stack(NamedTuple):
    traceback: Any  # held, so that no other gets its id
    frames: Frames
    told: list[int]  # which of them are the user's, or call a module
    users: list[int]  # which are the user's


class _Call(NamedTuple):
    """Where one of the user's functions was, in which pass; and the path of the module that was called by it."""

    code: CodeType
    offset: int
    turn: Pass
    module: str | None


def _label(function: str, statement: Statement) -> str:
    """Return "net/b" for a line of `net` that assigns b, "net:42" for one that assigns nothing."""
    label = "return" if function == LAMBDA else statement.label
    return f"{function}:{statement.line}" if label is None else f"{function}/{label}"
