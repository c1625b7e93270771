"""The statements and functions of a source file, and what each assigns."""

from __future__ import annotations

import ast
import functools
import linecache
import textwrap
from types import CodeType
from typing import NamedTuple


class Line(NamedTuple):
    """A statement of the source that holds no other; of a `for`, an `if`, a `def`: what stands before its body.

    Attributes:
        line: the number of its first line, from 1.
        column: where on that line it starts.
        label: what it assigns ("b", "q,k,v"), "return", or None.
    """

    line: int
    column: int
    label: str | None


# Lines ----------------------------------------------------------------------------------------------------


class _Statement(NamedTuple):
    start: tuple[int, int]
    end: tuple[int, int]
    line: Line


class Positions:
    """From the instructions of a code object to the lines of source that they come from."""

    def __init__(self, code: CodeType):
        self._file = code.co_filename
        self._first = code.co_firstlineno
        self._positions = list(code.co_positions())
        self._lines: dict[int, Line] = {}

    def line(self, offset: int) -> Line:
        """The line to which the instruction at an offset in bytes belongs."""
        if offset not in self._lines:
            line, _, column, _ = self._positions[offset // 2]
            self._lines[offset] = _line_at(self._file, line or self._first, column or 0)
        return self._lines[offset]


def _line_at(file: str, line: int, column: int) -> Line:
    found = _parsed(file).statements.get(line, ())
    around = [s for s in found if (s.start <= (line, column) < s.end)]
    if not around:
        return Line(line, 0, None)
    return max(around, key=lambda s: s.start).line


class Function(NamedTuple):
    """A function of the source: from its first line, decorators included, to its last."""

    name: str
    first: int
    last: int


class _Parsed(NamedTuple):
    statements: dict[int, list[_Statement]]  # by each line that they cover
    functions: list[Function]


def _parsed(file: str) -> _Parsed:
    return _parse("".join(linecache.getlines(file)))


@functools.lru_cache(maxsize=256)
def _parse(text: str) -> _Parsed:
    """The statements and functions of a source text; none if it cannot be read."""
    parsed = _Parsed({}, [])
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return parsed
    _collect(tree, "", parsed)
    return parsed


def _collect(node: ast.AST, within: str, parsed: _Parsed) -> None:
    if isinstance(node, ast.stmt):
        statement = _statement(node)
        for line in range(statement.start[0], statement.end[0] + 1):
            parsed.statements.setdefault(line, []).append(statement)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        parsed.functions.append(Function(within + node.name, first, node.end_lineno or node.lineno))
        within = ""  # a function is named by itself wherever it is defined
    elif isinstance(node, ast.ClassDef):
        within = f"{within}{node.name}."
    for child in ast.iter_child_nodes(node):
        _collect(child, within, parsed)


def _statement(node: ast.stmt) -> _Statement:
    end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
    return _Statement((node.lineno, node.col_offset), end, Line(node.lineno, node.col_offset, _label(node)))


def function_at(file: str, line: int) -> Function | None:
    """The innermost function of a file that a line belongs to."""
    around = [f for f in _parsed(file).functions if f.first <= line <= f.last]
    return min(around, key=lambda f: f.last - f.first, default=None)


def lines_of(file: str, function: Function) -> list[str]:
    """The lines of a function, set to the left as far as they go together."""
    return textwrap.dedent("".join(linecache.getlines(file)[function.first - 1 : function.last])).splitlines()


def _label(node: ast.stmt) -> str | None:
    match node:
        case ast.Return():
            return "return"
        case ast.Assign(targets=targets):
            labels = [_target(target) for target in targets]
            return None if None in labels else "=".join(label or "" for label in labels)
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            return _target(target)
    return None


def _target(node: ast.expr) -> str | None:
    """What an assignment assigns, as it is written; None if that would not do as a part of a name."""
    if isinstance(node, (ast.Tuple, ast.List)):
        parts = [_target(part) for part in node.elts]
        return None if None in parts else ",".join(part or "" for part in parts)
    written = ast.unparse(node)
    return None if any(mark in written for mark in "/#:\n") else written


def has_source(file: str) -> bool:
    """Whether any line of a file can be read."""
    return bool(linecache.getlines(file))


def text_of(file: str, line: int) -> str:
    """A line of a file, without the space around it; "" if it cannot be read."""
    return linecache.getline(file, line).strip()
