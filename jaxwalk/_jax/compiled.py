"""Compiled programs, kept for the next call that needs the same."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Hashable
from typing import Any

import jax

from .jaxpr import structure

KEPT = 32  # programs; of more, those used longest ago go

_programs: collections.OrderedDict[Hashable, Any] = collections.OrderedDict()
_lock = threading.Lock()


def compiled(key: Hashable | None, fun: Callable, *args: list[Any], is_long: bool = False) -> Callable:
    """Return `fun`, compiled for lists of arrays such as `args`; what was compiled for an equal key is not again.

    `key` has to tell all that `fun` computes, but for the numbers in `args`, and should hold no user's object: a
    compiled program outlives what it was made of. None: that cannot be told, and it is compiled anew.

    One that `is_long`, of hundreds of operations that read one another, is compiled for a CPU operation by operation:
    to put them together takes XLA a time that grows with the square of their number, or worse.
    """
    plain = {"xla_disable_hlo_passes": "fusion"} if is_long and jax.default_backend() == "cpu" else None
    if key is None or getattr(jax.config, "jax_disable_jit", False):
        return jax.jit(fun, compiler_options=plain)
    key = (key, is_long, tuple(map(structure.of_arguments, args)), structure.of_config())
    with _lock:
        program = _programs.pop(key, None)
    if program is None:
        program = jax.jit(fun, compiler_options=plain).lower(*args).compile()
    with _lock:
        _programs[key] = program
        while len(_programs) > KEPT:
            _programs.popitem(last=False)
    return program
