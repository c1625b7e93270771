"""What is kept for a function, such as its compiled programs, as long as it lives."""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np


class KeptForFunctions:
    """A list for each function, which is gone with its code, or with the object that it is a method of."""

    def __init__(self) -> None:
        self._by_owner: dict[int, tuple[weakref.ref, list[Any]]] = {}

    def __len__(self) -> int:
        return len(self._by_owner)

    def of(self, fun: Any) -> list[Any] | None:
        """Return the list of a function; None if nobody can be told when it is gone."""
        owner = _owner_of(fun)
        forget = functools.partial(self._by_owner.pop, id(owner), None)
        try:
            return self._by_owner.setdefault(id(owner), (weakref.ref(owner, lambda _: forget()), []))[1]
        except TypeError:  # it cannot be referred to weakly
            return None


def _owner_of(fun: Any) -> Any:
    """Return the object as long as which a function lives: its code, or the object that it is a method of."""
    while isinstance(fun, functools.partial):
        fun = fun.func
    if isinstance(fun, types.MethodType):
        return fun.__self__
    return fun.__code__ if isinstance(fun, types.FunctionType) else fun


def kept_weakly(constant: Any, arrays: set[int]) -> Callable[[], Any]:
    """Return what gives a constant: one that the function holds, whose id is in `arrays`, is kept alive by it alone."""
    if id(constant) in arrays:
        return weakref.ref(constant)
    mine = np.array(constant) if isinstance(constant, np.ndarray) else constant  # the user may write to it
    return lambda: mine
