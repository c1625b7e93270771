"""The statements and functions of a source file, and what each assigns."""

from __future__ import annotations

import ast
import linecache
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple


class Statement(NamedTuple):
    """A statement of the source that holds no other; of a `for`, an `if`, a `def`: what stands before its body."""

    line: int  # the number of its first line, from 1
    column: int  # where on that line it starts
    end: tuple[int, int]  # the (line, column) after its last, those of its body included
    label: str | None  # what it assigns ("b", "q,k,v"), or "return"
    targets: tuple[tuple[str, str], ...] = ()  # what it assigns, or returns, and the variable that then has it


def statement_at(file: str, line: int, column: int) -> Statement:
    """Return the innermost statement at a place in a file; one without a label, of that line, if it cannot be read."""
    found = _parsed(file).statements.get(line, ())
    around = [s for s in found if (s.line, s.column) <= (line, column) < s.end]
    return max(around, default=Statement(line, 0, (line, 0), None), key=lambda s: (s.line, s.column))


class Function(NamedTuple):
    """A function of the source: from its first line, decorators included, to its last."""

    name: str
    first: int
    last: int


class _Parsed(NamedTuple):
    statements: dict[int, list[Statement]]  # by each line that they cover
    functions: list[Function]


_files: dict[str, tuple[list[str], _Parsed]] = {}  # and the lines: `linecache` has one list until they change


def _parsed(file: str) -> _Parsed:
    lines = linecache.getlines(file)
    if not lines:
        return _Parsed({}, [])
    if file not in _files or _files[file][0] is not lines:
        _files[file] = lines, _parse("".join(lines))
    return _files[file][1]


def _parse(text: str) -> _Parsed:
    """Find the statements and functions of a source text; none if it cannot be read."""
    try:
        with ThreadPoolExecutor(1) as pool:  # at the bottom of a stack, where Python has compiled it: it may be deep
            tree = pool.submit(ast.parse, text).result()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _Parsed({}, [])
    return _collected(tree)


def _collected(tree: ast.AST) -> _Parsed:
    parsed = _Parsed({}, [])
    waiting = [(tree, "")]  # each with the classes around it; no recursion, which a long `elif` would exhaust
    while waiting:
        node, within = waiting.pop()
        if isinstance(node, ast.stmt):
            end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
            label = _label(node)
            statement = Statement(node.lineno, node.col_offset, end, label, _targets(node, label))
            for line in range(node.lineno, end[0] + 1):
                parsed.statements.setdefault(line, []).append(statement)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            parsed.functions.append(Function(within + node.name, first, node.end_lineno or node.lineno))
            within = ""  # a function is named by itself wherever it is defined
        elif isinstance(node, ast.ClassDef):
            within = f"{within}{node.name}."
        inside = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)]
        waiting += [(child, within) for child in reversed(inside)]
    return parsed


def function_at(file: str, line: int) -> Function | None:
    """Return the innermost function of a file that a line belongs to."""
    around = [f for f in _parsed(file).functions if f.first <= line <= f.last]
    return min(around, key=lambda f: f.last - f.first, default=None)


def lines_of(file: str, function: Function) -> list[str]:
    """Return the lines of a function, dedented."""
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


def _targets(node: ast.stmt, label: str | None) -> tuple[tuple[str, str], ...]:
    """Return the variables that a statement assigns; "return" stands for what it returns."""
    match node:
        case _ if label is None:
            return ()
        case ast.Return():
            return ((label, "return"),)
        case ast.Assign(targets=[ast.Tuple(elts=parts)]) | ast.Assign(targets=[ast.List(elts=parts)]):
            return tuple((part.id, part.id) for part in parts if isinstance(part, ast.Name))
        case ast.Assign(targets=[ast.Name(id=name), *_]):
            return ((label, name),)
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.AugAssign(target=ast.Name(id=name)):
            return ((label, name),)
    return ()


def _target(node: ast.expr) -> str | None:
    """Return what an assignment assigns, as it is written; None if that cannot be a part of a name."""
    if isinstance(node, (ast.Tuple, ast.List)):
        parts = [_target(part) for part in node.elts]
        return None if None in parts else ",".join(part or "" for part in parts)
    try:
        written = ast.unparse(node)
    except RecursionError:
        return None
    return None if any(mark in written for mark in "/#:\n") else written


def has_source(file: str) -> bool:
    """Tell whether any line of a file can be read."""
    return bool(linecache.getlines(file))


def text_of(file: str, line: int) -> str:
    """Return a line of a file, without the space around it; "" if it cannot be read."""
    return linecache.getline(file, line).strip()
