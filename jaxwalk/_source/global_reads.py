"""What a function's code finds by name: globals, and attributes of the modules among them."""

from __future__ import annotations

import builtins
import dis
import sys
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

LOOKS_UP = frozenset({"globals", "locals", "vars", "eval", "exec", "__import__", "import_module", "__globals__"})
"""Names by which a function may find what its code does not name."""


def names_in(code: CodeType) -> set[str]:
    """Return all names in a function's code, and texts that may be some, as of `getattr`."""
    within = (names_in(const) for const in code.co_consts if isinstance(const, CodeType))
    return {*code.co_names, *_texts(code)}.union(*within)


def _texts(code: CodeType) -> set[str]:
    texts = {const for const in code.co_consts if isinstance(const, str) and const.isidentifier()}
    return texts.union(*(_texts(const) for const in code.co_consts if isinstance(const, CodeType)))


def global_reads(function: FunctionType) -> Iterator[Any]:
    """Yield the globals that a function reads, and the attributes that it reads of modules among them."""
    names = names_in(function.__code__)
    around = vars(builtins) | function.__globals__
    for name in sorted(_texts(function.__code__) & function.__globals__.keys()):
        yield function.__globals__[name]
    for chain in sorted({*_chains(function.__code__)}):
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


def _chains(code: CodeType) -> Iterator[tuple[str, ...]]:
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
            yield from _chains(const)


def _followed(value: Any, attributes: tuple[str, ...], names: set[str]) -> Iterator[Any]:
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
