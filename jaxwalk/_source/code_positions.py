"""The user's code objects: which they are, where in the source their instructions stand, and where they loop."""

from __future__ import annotations

import bisect
import functools
from collections.abc import Iterable
from types import CodeType

from .control_flow import ControlFlow, Loop
from .statements import Statement, statement_at
from .user_files import Source, is_users

LAMBDA = "<lambda>"
COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")  # frames until Python 3.12
UNNAMED = (LAMBDA, *COMPREHENSIONS)  # whose lines are of the statement that they stand in


class Code:
    """One code object, looked at once. It is held, so that no other gets its id."""

    def __init__(self, code: CodeType):
        self.code, self.id = code, id(code)
        self._statements: dict[int, Statement] = {}
        self._one_line: dict[Loop, bool] = {}

    @functools.cached_property
    def flow(self) -> ControlFlow:
        return ControlFlow(self.code)

    @functools.cached_property
    def _positions(self) -> list[tuple[int | None, ...]]:
        return list(self.code.co_positions())

    def line(self, offset: int) -> int | None:
        return self._positions[offset // 2][0]

    @functools.cached_property
    def _line_starts(self) -> list[int]:
        """Return the offsets at which the run comes to a line, if it does not jump into the middle of one."""
        lines = [line for line, *_ in self._positions]
        return [2 * i for i, line in enumerate(lines) if i == 0 or line != lines[i - 1]]

    def line_start(self, offset: int) -> int:
        return self._line_starts[bisect.bisect_right(self._line_starts, offset) - 1]

    def statement(self, offset: int) -> Statement:
        if offset not in self._statements:
            line, _, column, _ = self._positions[offset // 2]
            found = statement_at(self.code.co_filename, line or self.code.co_firstlineno, column or 0)
            self._statements[offset] = found
        return self._statements[offset]

    def is_one_line(self, loop: Loop) -> bool:
        if loop not in self._one_line:
            self._one_line[loop] = len({self.statement(offset) for offset in self.flow.offsets(loop)}) == 1
        return self._one_line[loop]


class UserCode:
    """Looks up what is known of code objects.

    Arguments:
        source: as of `walk`: more files that count as the user's.
    """

    def __init__(self, source: Source):
        self._has_file, self.asked_for = is_users(source)
        self._known: dict[int, Code] = {}
        self.known: dict[int, bool] = {}  # whether code is the user's, by its id, if it was asked before
        self._held: dict[int, CodeType] = {}

    def is_users(self, code: CodeType) -> bool:
        """Tell whether code is in a file of the user's, and written there."""
        known = self.known.get(id(code))
        if known is None:
            self._held[id(code)] = code
            known = self.known[id(code)] = self._has_file(code.co_filename) and not _is_generated(code)
        return known

    def held(self, id: int) -> CodeType:
        """Return the code that has this id, of which `is_users` was asked."""
        return self._held[id]

    def first_of(self, codes: Iterable[CodeType]) -> int | None:
        """Return the place of the first that is the user's."""
        known = self.known
        for place, code in enumerate(codes):
            is_users = known.get(id(code))
            if is_users or (is_users is None and self.is_users(code)):
                return place
        return None

    def statement(self, code: CodeType, offset: int) -> Statement:
        """Return the statement to which the instruction at an offset in bytes belongs."""
        return self.of(code).statement(offset)

    def flow(self, code: CodeType) -> ControlFlow:
        return self.of(code).flow

    def is_one_line(self, code: CodeType, loop: Loop) -> bool:
        """Tell whether a loop of the user's lies within one line: its turns are then no turns of that line."""
        return self.is_users(code) and self.of(code).is_one_line(loop)

    def of(self, code: CodeType) -> Code:
        if id(code) not in self._known:
            self._known[id(code)] = Code(code)
        return self._known[id(code)]


def _is_generated(code: CodeType) -> bool:
    """Tell whether `dataclass` or `namedtuple` has made a method, from a string: no line of the user's is in it."""
    is_of_string = code.co_filename == "<string>"
    return is_of_string and (code.co_qualname.startswith("__create_fn__.") or code.co_varnames[:1] == ("_cls",))
