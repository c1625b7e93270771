"""What a function captures, taken down so that a later call can tell whether any of it has changed."""

from __future__ import annotations

import builtins
import functools
import hashlib
import os
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Container, Iterator
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .global_reads import LOOKS_UP, content, global_reads, names_in
from .user_files import is_users

_users = is_users(None).has

LIMIT = 200_000  # objects: with more, comparing would take longer than it is worth

_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented), range, slice)
_BY_VALUE = (types.CodeType, np.dtype, jax.Device, jax.sharding.Mesh, jax.sharding.Sharding, jax.sharding.PartitionSpec)
_IN_C = (
    types.BuiltinFunctionType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    np.ufunc,
)
_OUTSIDE = ("_io", "datetime", "io", "os", "pathlib", "posix", "random", "secrets", "subprocess", "time", "uuid")
"""Modules whose functions read files, clocks, the environment or chance: what they give now may be something else."""

_READERS = ("fromfile", "genfromtxt", "load", "loadtxt", "memmap")  # of NumPy


class CannotTell(Exception):
    """There is something whose state cannot be seen, so that nobody can tell whether it has changed."""


class Captures:
    """What some objects lead to: two are equal if nothing that can be reached has changed from one to the other.

    From a function: its code, its defaults, what it closes over, and the globals and attributes of modules that its
    code names, and so on from there. Of NumPy's arrays the numbers are compared, of JAX's, which never change, the
    identity. What functions of installed packages read themselves counts as constant. Nothing but numbers, texts and
    code is kept alive.

    Arguments:
        *objects: where to begin.
        by_type: leaves, by id, of which only the type, shape and dtype count.

    Attributes:
        arrays: the ids of JAX's arrays that are compared by identity.

    Raises:
        CannotTell: something's state cannot be seen, as a generator's or a lock's; or what is read lies outside of the
            program: files, clocks, the environment, chance.
    """

    def __init__(self, *objects: Any, by_type: Container[int] = ()):
        self._parts: list[Any] = []
        self.arrays: set[int] = set()
        seen: dict[int, int] = {}
        held: list[Any] = []  # so that no other object gets an id that was seen
        ahead: deque[Any] = deque(objects)
        while ahead:
            value = ahead.popleft()
            if isinstance(value, _ATOMS):
                self._parts.append((type(value), repr(value)))  # by `repr`, 0.0 is not -0.0, and nan is nan
            elif id(value) in by_type:
                self._parts.append(_type(value))
            elif id(value) in seen:
                self._parts.append(seen[id(value)])
            elif len(held) == LIMIT:
                raise CannotTell
            else:
                seen[id(value)] = len(held)
                held.append(value)
                part, more = _look(value)
                if isinstance(value, jax.Array):
                    self.arrays.add(id(value))
                self._parts.append((part, len(more)))
                ahead.extend(more)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Captures) and self._parts == other._parts

    __hash__ = None  # type: ignore[assignment]


def _look(value: Any) -> tuple[Any, list[Any]]:
    """Return what is compared of an object itself, and what to look at from there."""
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        return _numbers(value), []
    if isinstance(value, _BY_VALUE):
        return (type(value), value), []
    if isinstance(value, types.ModuleType):
        return _Same(value), []
    if isinstance(value, (memoryview, os.PathLike)) or _is_outside(value):
        raise CannotTell
    if isinstance(value, types.FunctionType):
        return types.FunctionType, list(_of_function(value))
    if isinstance(value, type):
        return _Same(value), list(_of_class(value))
    if isinstance(value, _IN_C):
        owner = getattr(value, "__self__", None)
        return _Same(value), [] if isinstance(owner, (types.ModuleType, type)) else [owner]
    return _of_object(value)


def _of_object(value: Any) -> tuple[Any, list[Any]]:
    kind = type(value)
    held = _held(value)
    slots = [getattr(value, name, None) for name in _slots(kind)]
    state = getattr(value, "__dict__", None)
    if held is None and state is None and not slots:
        # A sentinel, or a function or method written in C.
        if kind is object or callable(value) or hasattr(kind, "__get__"):
            return _Same(value), []
        if kind.__eq__ is object.__eq__ or kind.__hash__ is None:
            raise CannotTell
        return (kind, value), []  # what compares and hashes by value does not change
    is_wrapper = state is not None and "__wrapped__" in state
    if held is None and not is_wrapper and kind.__basicsize__ > object.__basicsize__ + 8 * (len(slots) + 2):
        raise CannotTell  # it has more than its attributes, as a generator of random numbers has
    return _Same(value) if is_wrapper else None, [kind, state, *slots, *(held or ())]


def _held(value: Any) -> list[Any] | None:
    """Return what an object of Python's own types holds."""
    if isinstance(value, (dict, types.MappingProxyType)):
        return [item for pair in value.items() for item in pair]
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return list(value)
    if isinstance(value, types.MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, property):
        return [value.fget]
    if isinstance(value, (classmethod, staticmethod)):
        return [value.__func__]
    return [value()] if isinstance(value, weakref.ref) else None


class _Same:
    """Equal to another of the same object, as long as that lives."""

    def __init__(self, value: Any):
        try:
            self._ref: Callable[[], Any] = weakref.ref(value)
        except TypeError:
            self._ref = lambda: value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and (mine := self._ref()) is not None and mine is other._ref()

    __hash__ = None  # type: ignore[assignment]


# Arrays --------------------------------------------------------------------------------------------------


def _numbers(array: Any) -> Any:
    if isinstance(array, Tracer) or (not isinstance(array, jax.Array) and array.dtype.hasobject):
        raise CannotTell
    if isinstance(array, jax.Array):
        return _Same(array)
    return array.dtype, array.shape, hashlib.sha256(np.ascontiguousarray(array).data).digest()


def _type(array: Any) -> Any:
    return type(array), array.dtype, array.shape, getattr(array, "weak_type", False)


def _is_outside(value: Any) -> bool:
    """Tell whether a function or class, or what a method belongs to, is of a module that reads what is outside."""
    is_code = isinstance(value, (types.FunctionType, types.BuiltinFunctionType, type))
    module = str(getattr(value, "__module__", "")).split(".")[0]
    return is_code and (module in _OUTSIDE or (module == "numpy" and value.__name__ in _READERS))


# Functions and classes -----------------------------------------------------------------------------------


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    yield function.__code__
    yield function.__defaults__
    yield function.__kwdefaults__
    for cell in function.__closure__ or ():
        yield content(cell)
    yield vars(function)
    if _users(function.__code__.co_filename):
        if names_in(function.__code__) & LOOKS_UP:
            raise CannotTell
        yield from global_reads(function)


def _of_class(kind: type) -> Iterator[Any]:
    """Yield what a class of the user's is made of; an installed one is constant."""
    module = sys.modules.get(kind.__module__)
    # A class that was made where no module is named says "builtins".
    names_its_module = kind.__module__ != "builtins" or getattr(builtins, kind.__name__, None) is kind
    if module is not None and names_its_module and _is_installed(module):
        return
    yield from kind.__bases__
    for name, value in vars(kind).items():
        is_code = isinstance(value, (types.FunctionType, property, classmethod, staticmethod))
        if is_code or not (name.startswith("__") or name == "_abc_impl"):
            yield name
            yield value


_SLOTS: weakref.WeakKeyDictionary[type, list[str]] = weakref.WeakKeyDictionary()


def _slots(kind: type) -> list[str]:
    """Return the names of the slots of a class and of its bases, which never change."""
    if kind not in _SLOTS:
        _SLOTS[kind] = [name for base in kind.__mro__ for name in _own_slots(base)]
    return _SLOTS[kind]


def _own_slots(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    private = lambda name: name.startswith("__") and not name.endswith("__")
    mangled = [f"_{kind.__name__.lstrip('_')}{name}" if private(name) else name for name in names]
    return [name for name in mangled if name not in ("__dict__", "__weakref__")]


def _is_installed(module: types.ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return module.__name__ in sys.builtin_module_names or (isinstance(file, str) and not _users(file))
