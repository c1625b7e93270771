"""Paths by lines of the user's source: read from the traceback that each equation carries."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from types import CodeType
from typing import Any

from .._jax import origin
from .._jax.jaxprs import Closed
from .._source.bytecode import Flow, Loop
from .._source.files import Source, is_users
from .._source.passes import Frames, Pass, Passes
from .._source.statements import Line, Positions
from .._source.tracing import Observer, seen_at
from .paths import Entries, Entry, Path

_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")  # frames until Python 3.12
_LAMBDA = "<lambda>"


class LinePaths:
    """Per equation the lines of the user's source that called it, from the outermost function inward.

    A line is a statement. It is named by its function and what it assigns, "net/b"; a function called on it, by its own
    lines, "net/b/block/h". What a comprehension or a lambda does belongs to the line that it stands on.

    Arguments:
        source: as of `walk`: more files that count as the user's.
    """

    def __init__(self, source: Source):
        self._is_users, self._asked_for = is_users(source)
        self.met_source = False
        self._positions: dict[int, Positions] = {}
        self._flows: dict[int, Flow] = {}
        self._held: list[CodeType] = []  # so that no id is used again
        self._observer = Observer(self._is_users, self._line, self._flow, self._is_one_line)

    def __call__(self, jaxpr: Any, around: Path, outer: Entries) -> tuple[Sequence[Path], Entries]:
        stacks = origin.stacks_of(jaxpr)
        passes = self._seen(jaxpr, stacks) or Passes(stacks, self._flow, self._is_one_line).rows
        entries: dict[Any, Entry] = {}
        return [self._path(f, row, around, entries) for f, row in zip(stacks, passes, strict=True)], entries

    def watching(self) -> contextlib.AbstractContextManager[None]:
        """Watches a function while it is traced in here: which equation is made in which pass is then known."""
        return self._observer.watching()

    def join(self, closed: Closed) -> None:
        """Joins what was seen to what was traced."""
        self._observer.join(closed)

    def _seen(self, jaxpr: Any, stacks: Sequence[Frames]) -> list[Sequence[Pass]] | None:
        """The passes of all equations, if all of them were seen when they were made."""
        rows: list[Sequence[Pass]] = []
        for eqn, frames in zip(jaxpr.eqns, stacks, strict=True):
            row = seen_at(eqn, frames) if self._has_users(frames) else [Pass(0, 0, 0)] * len(frames)
            if row is None:
                return None
            rows.append(row)
        return rows

    def _has_users(self, frames: Frames) -> bool:
        return any(self._is_users(code.co_filename) for code, _ in frames)

    def is_in_any(self, eqn: Any) -> bool:
        """Whether an equation comes from a line of the user's in the function that its jaxpr was traced from."""
        return self._has_users(origin.frames_of(eqn))

    def goes_on_in(self, eqn: Any, entry: Entry) -> bool:
        return False

    def _path(self, frames: Frames, row: Sequence[Pass], around: Path, entries: dict[Any, Entry]) -> Path:
        users = [(f, p) for f, p in zip(frames, row, strict=True) if self._is_users(f[0].co_filename)]
        self.met_source = self.met_source or any(self._asked_for(f[0].co_filename) for f, _ in users)
        named = [(f, p) for f, p in users if f[0].co_name not in (*_COMPREHENSIONS, _LAMBDA)]
        if not named and not around:  # in a lambda that is called by none of the user's functions
            named = [(f, p) for f, p in users if f[0].co_name == _LAMBDA][-1:]
        path = around
        for (code, offset), state in named:
            path = (*path, self._entry(code, offset, state, path[-1] if path else None, entries))
        return path

    def _entry(
        self, code: CodeType, offset: int, state: Pass, parent: Entry | None, entries: dict[Any, Entry]
    ) -> Entry:
        line = self._line(code, offset)
        key = (parent, state.call, state.turn, line)
        if key not in entries:
            entries[key] = Entry(_label(code, line), parent, place=(code.co_filename, line.line), alike=state.alike)
        return entries[key]

    def _line(self, code: CodeType, offset: int) -> Line:
        if id(code) not in self._positions:
            self._positions[id(code)] = Positions(code)
            self._held.append(code)
        return self._positions[id(code)].line(offset)

    def _flow(self, code: CodeType) -> Flow:
        if id(code) not in self._flows:
            self._flows[id(code)] = Flow(code)
            self._held.append(code)
        return self._flows[id(code)]

    def _is_one_line(self, code: CodeType, loop: Loop) -> bool:
        if not self._is_users(code.co_filename):
            return False
        return len({self._line(code, offset) for offset in self._flow(code).offsets(loop)}) == 1


def _label(code: CodeType, line: Line) -> str:
    """ "net/b" for a line of `net` that assigns b, "net:42" for one that assigns nothing."""
    function = re.sub(r".*<locals>\.", "", code.co_qualname)
    label = "return" if function == _LAMBDA else line.label
    return f"{function}:{line.line}" if label is None else f"{function}/{label}"
