"""Functions that nest calls deeply: more frames while one is traced, and a sentence where they end."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

from ._errors import ArgumentError, argument

TIMES = 4  # as many frames: to walk a function nests transformations of JAX around it, each with frames of its own
_within = threading.local()


@contextlib.contextmanager
def deep_calls() -> Iterator[None]:
    """Have more frames in the block, or in the function that this decorates; turn a RecursionError into a sentence.

    Threads but the main one keep Python's limit, as the stack that their frames in C take may be small.
    """
    if getattr(_within, "depth", False) or threading.current_thread() is not threading.main_thread():
        with _told():
            yield
        return
    before = sys.getrecursionlimit()
    _within.depth = True
    sys.setrecursionlimit(before * TIMES)
    try:
        with _told():
            yield
    finally:
        _within.depth = False
        with contextlib.suppress(RecursionError):  # where this was called near the limit, Python refuses that one
            sys.setrecursionlimit(before)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except RecursionError as error:
        raise ArgumentError(
            f"`{argument('fun')}` nests calls, as of `jax.jit` or `jax.lax.cond`, deeper than Python's limit of frames"
            " lets JAX trace them; raise it by `sys.setrecursionlimit`, nest fewer, or mend a function that calls"
            " itself without end."
        ) from error
