"""What a function's code finds by name: globals, and attributes of the modules among them."""

from __future__ import annotations

import builtins
import dis
import functools
import sys
import weakref
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, TypeVar

Found = TypeVar("Found")

LOOKS_UP = frozenset({"globals", "locals", "vars", "eval", "exec", "__import__", "import_module", "__globals__"})
"""Names by which a function may find what its code does not name."""


def _once_of_each(read: Callable[[CodeType], Found]) -> Callable[[CodeType], Found]:
    """Have code, which never changes, read once, and forget it with the code."""
    known: weakref.WeakKeyDictionary[CodeType, Found] = weakref.WeakKeyDictionary()

    @functools.wraps(read)
    def once(code: CodeType) -> Found:
        if (found := known.get(code)) is None:
            found = known[code] = read(code)
        return found

    return once


@_once_of_each
def names_in(code: CodeType) -> frozenset[str]:
    """Return all names in a function's code, and texts that may be some, as of `getattr`."""
    within = (names_in(const) for const in code.co_consts if isinstance(const, CodeType))
    return _texts(code).union(code.co_names, *within)


@_once_of_each
def _texts(code: CodeType) -> frozenset[str]:
    texts = frozenset(const for const in code.co_consts if isinstance(const, str) and const.isidentifier())
    return texts.union(*(_texts(const) for const in code.co_consts if isinstance(const, CodeType)))


def global_reads(function: FunctionType) -> Iterator[Any]:
    """Yield the globals that a function reads, and the attributes that it reads of modules among them."""
    names = names_in(function.__code__)
    around = vars(builtins) | function.__globals__
    for name in sorted(_texts(function.__code__) & function.__globals__.keys()):
        yield function.__globals__[name]
    for chain in _chains(function.__code__):
        yield from _followed(around.get(chain[0]), chain[1:], names)
    for cell in function.__closure__ or ():
        if isinstance(module := content(cell), ModuleType):
            yield from _followed(module, (), names)
    for name in sorted(names - around.keys()):
        if name in sys.modules:  # an import inside the function
            yield from _followed(sys.modules[name], (), names)


def content(cell: CellType) -> Any:
    """Return what is in a cell; None if nothing is in it yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


@_once_of_each
def _chains(code: CodeType) -> list[tuple[str, ...]]:
    """Return the names of globals in some code, in alphabetical order, each with those of the attributes that are read
    of it at once."""
    return sorted({*_each_chain(code)})


def _each_chain(code: CodeType) -> Iterator[tuple[str, ...]]:
    """Yield the names of globals in some code, each with those of the attributes that are read of it at once."""
    chain: list[str] = []
    for instruction in dis.get_instructions(code):
        if chain and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            chain.append(str(instruction.argval))
        elif instruction.opname != "PUSH_NULL":
            if chain:
                yield tuple(chain)
            chain = [str(instruction.argval)] if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") else []
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _each_chain(const)


def _followed(value: Any, attributes: tuple[str, ...], names: frozenset[str]) -> Iterator[Any]:
    """Yield a value and the attributes read of it, as far as they are of modules.

    Of a module that is passed on as it is, any attribute may be read that is named somewhere.
    """
    yield value
    for attribute in attributes:
        if not isinstance(value, ModuleType) or attribute not in vars(value):
            return
        value = vars(value)[attribute]
        yield value
    if isinstance(value, ModuleType):
        yield from (vars(value)[name] for name in sorted(names & vars(value).keys()))
