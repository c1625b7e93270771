"""Functions that nest calls deeply: more frames while one is traced, and a sentence where they end."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

from ._errors import ArgumentError, argument

TIMES = 4  # as many frames: to walk a function nests transformations of JAX around it, each with frames of its own
_is_raised = False


@contextlib.contextmanager
def deep_calls() -> Iterator[None]:
    """Have more frames in the block, or in the function that this decorates; turn a RecursionError into a sentence."""
    try:
        with _more_frames():
            yield
    except RecursionError as error:
        raise ArgumentError(
            f"`{argument('fun')}` nests calls, as of `jax.jit` or `jax.lax.cond`, deeper than Python's limit of frames"
            " lets JAX trace them; raise it by `sys.setrecursionlimit`, nest fewer, or mend a function that calls"
            " itself without end."
        ) from error


@contextlib.contextmanager
def _more_frames() -> Iterator[None]:
    """Raise Python's limit, once. In threads but the main one it stays: the stack of their frames in C may be small."""
    global _is_raised
    if _is_raised or threading.current_thread() is not threading.main_thread():
        yield
        return
    before, _is_raised = sys.getrecursionlimit(), True
    sys.setrecursionlimit(before * TIMES)
    try:
        yield
    finally:
        _is_raised = False
        with contextlib.suppress(RecursionError):  # where this was called near the limit, Python refuses that one
            sys.setrecursionlimit(before)
