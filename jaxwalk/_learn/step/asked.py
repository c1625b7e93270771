"""What is asked of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import optax


class Asked(NamedTuple):
    """What is asked of a step: arguments of `learn`."""

    fun: Callable
    optimizer: optax.GradientTransformation
    at: Any
    by: str | None
    source: Any
    keep: Any
    every: int
    on_nonfinite: str
    mesh: Any = None
