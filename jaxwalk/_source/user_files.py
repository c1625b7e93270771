"""Which files are the user's."""

from __future__ import annotations

import fnmatch
import functools
import os
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

from .._errors import ArgumentError, argument, shown
from .._jax.origin import LIBRARIES

Source: TypeAlias = str | ModuleType | Sequence[Any] | None

_INSTALLED = tuple(
    os.path.realpath(path) + os.sep
    for name, path in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)


class Users(NamedTuple):
    """Two functions of a file: whether it is the user's, and whether `source` asks for it."""

    has: Callable[[str], bool]
    asked_for: Callable[[str], bool]


def is_users(source: Source) -> Users:
    """Return what tells the user's files: those that are no part of Python and not installed, or `source` asks for.

    Arguments:
        source: more files that count as the user's: a glob, a module, or a list of these.

    Raises:
        ArgumentError: `source` is none of these.
    """
    patterns = list(_patterns(source))

    @functools.cache
    def has(file: str) -> bool:
        return asked_for(file) or not _is_installed(file)

    @functools.cache
    def asked_for(file: str) -> bool:
        return any(fnmatch.fnmatchcase(file, pattern) for pattern in patterns)

    return Users(has, asked_for)


def _is_installed(file: str) -> bool:
    if file.startswith("<frozen") or file.startswith(LIBRARIES):
        return True
    path = os.path.realpath(file)
    return path.startswith((*_INSTALLED, *LIBRARIES)) or bool(
        {"site-packages", "dist-packages"} & {*path.split(os.sep)}
    )


def _patterns(source: Source) -> Iterable[str]:
    if source is None:
        return
    if isinstance(source, str) and source:
        yield source
    elif isinstance(source, ModuleType):
        yield from _files_of(source)
    elif isinstance(source, Iterable) and not isinstance(source, str):
        for item in source:
            yield from _patterns(item)
    else:
        raise ArgumentError(
            f"`{argument('source')}` is {shown(source)}; it must be a glob of files, a module, or a list of these."
        )


def _files_of(module: ModuleType) -> Iterable[str]:
    if paths := list(getattr(module, "__path__", ())):
        return [os.path.join(path, "*") for path in paths]
    if file := getattr(module, "__file__", None):
        return [file]
    raise ArgumentError(
        f"`{argument('source')}` is the module `{module.__name__}`, which has no file; give one that has, or a glob."
    )
