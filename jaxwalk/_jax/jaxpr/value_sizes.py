"""How much the values of a program take, all together: what a backward pass may have to keep of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from . import jaxprs
from .call_parameters import scan_parts
from .kinds import kinds

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn


def bytes_of_values(jaxpr: Jaxpr) -> int:
    """Return the bytes of what all equations compute, in a scan at every step; a `while_loop` counts as one step."""
    return _bytes(jaxpr, {})


def _bytes(jaxpr: Jaxpr, known: dict[int, int]) -> int:
    if id(jaxpr) not in known:  # a function that is called twice is one object
        known[id(jaxpr)] = sum(_of_equation(eqn, known) for eqn in jaxpr.eqns)
    return known[id(jaxpr)]


def _of_equation(eqn: JaxprEqn, known: dict[int, int]) -> int:
    inside = sum(_bytes(inner.jaxpr, known) for inner in jaxprs.jaxprs_of(eqn))
    steps = scan_parts(eqn).length if kinds()(eqn) == "scan" else 1
    return steps * inside + sum(_size(v.aval) for v in eqn.outvars)


def _size(aval: Any) -> int:
    return math.prod(getattr(aval, "shape", ())) * getattr(getattr(aval, "dtype", None), "itemsize", 0)
