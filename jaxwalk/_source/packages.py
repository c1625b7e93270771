"""Which installed package code belongs to."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from types import CodeType

from .._jax.origin import LIBRARIES
from .user_files import is_users

_USERS = is_users(None)
_FOLDERS = ("site-packages", "dist-packages")


@functools.cache
def package_of(file: str) -> str | None:
    """Return the package that a file is of, as one imports it; "" for the user's own; None for Python's and JAX's."""
    if _USERS.has(file):
        return ""
    parts = os.path.realpath(file).removesuffix(".py").split(os.sep)
    if file.startswith(LIBRARIES):
        of_jax = file.startswith(LIBRARIES[0]) and "_src" not in parts
        return ".".join(parts[len(LIBRARIES[0].rstrip(os.sep).split(os.sep)) - 1 :]) if of_jax else None
    last = max((i for i, part in enumerate(parts) if part in _FOLDERS), default=None)
    return None if last is None or len(parts) <= last + 1 else parts[last + 1]


def made_in(codes: Sequence[CodeType]) -> str | None:
    """Return what made an equation, as `package_of` has it, by the frames it was called from, the innermost first."""
    makers = (package_of(code.co_filename) for code in codes if code.co_filename != "<string>")
    return next((maker for maker in makers if maker is not None), None)
