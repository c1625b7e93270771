"""Mutable arrays (`jax.new_ref`) in a function that is differentiated: JAX's derivative of some is wrong, or fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..._errors import ArgumentError, JaxwalkError, first_line
from ..._jax.jaxpr import jaxprs, kinds
from ..._jax.jaxpr.jaxprs import Closed

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr

_FIX = "carry its value through the loop, or return it, instead"


@contextlib.contextmanager
def differentiating(closed: Closed) -> Iterator[None]:
    """Refuse a function whose derivative JAX gets wrong, before it is taken in here; say why, if JAX fails at it.

    What is written into a mutable array that is made inside a scan is lost where JAX differentiates the scan, from jax
    0.8.2 to 0.12, and in a checkpoint it fails. One that is made outside is right.

    Raises:
        ArgumentError: the function makes a mutable array inside a loop or a checkpoint, or JAX fails and there is one.
    """
    if (where := _made_in(closed.jaxpr, None, set())) is not None:
        raise ArgumentError(
            f"`fun` makes a mutable array (`jax.new_ref`) inside a `{where}`, and JAX loses what is written into it"
            f" when it differentiates that; make it outside, or {_FIX}."
        )
    try:
        yield
    except (AttributeError, KeyError, NotImplementedError, ValueError) as error:
        if not jaxprs.any_equation(closed.jaxpr, jaxprs.touches_ref) or isinstance(error, JaxwalkError):
            raise
        raise ArgumentError(
            f"JAX cannot differentiate `fun`, which has a mutable array (`jax.new_ref`): {type(error).__name__},"
            f" {first_line(error)}; {_FIX}."
        ) from error


def _made_in(jaxpr: Jaxpr, around: str | None, met: set[tuple[int, str | None]]) -> str | None:
    """Return the loop or checkpoint inside which a mutable array is made, if any is.

    What is called many times is one jaxpr, and looked at once: `met` holds what has been.
    """
    if (id(jaxpr), around) in met:
        return None
    met.add((id(jaxpr), around))
    kind_of = kinds.kinds()
    for eqn in jaxpr.eqns:
        if around is not None and any(jaxprs.is_ref(v.aval) for v in eqn.outvars):
            return around
        kind = kind_of(eqn)
        inner = kind if kind in ("scan", "while", "checkpoint") else around
        for closed in jaxprs.jaxprs_of(eqn):
            if (found := _made_in(closed.jaxpr, inner, met)) is not None:
                return found
    return None
