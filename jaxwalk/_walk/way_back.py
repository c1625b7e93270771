"""The way back from the loss to the arguments: where a `while_loop` bars it, a sentence says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .._errors import ArgumentError, JaxwalkError
from .._jax.jaxpr import jaxprs, kinds
from .._jax.jaxpr.jaxprs import Closed

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr


@contextlib.contextmanager
def leading_back(closed: Closed) -> Iterator[None]:
    """Say why JAX cannot differentiate a function by its arguments, where a `while_loop` is in it.

    Raises:
        ArgumentError: JAX refuses to differentiate it, and it has one.
    """
    try:
        yield
    except ValueError as error:
        if isinstance(error, JaxwalkError) or "while_loop" not in str(error) or not _has_while(closed.jaxpr, set()):
            raise
        raise ArgumentError(
            "`fun` cannot be differentiated by its arguments: the way back from the result leads through a"
            " `while_loop`, through which JAX has no derivative backward; use `lax.scan`, or `fori_loop` with static"
            " bounds, or, for the δ behind the loop alone, `jw.walk` without `argnums`."
        ) from error


def _has_while(jaxpr: Jaxpr, met: set[int]) -> bool:
    if id(jaxpr) in met:
        return False
    met.add(id(jaxpr))
    kind_of = kinds.kinds()
    within = lambda eqn: any(_has_while(closed.jaxpr, met) for closed in jaxprs.jaxprs_of(eqn))
    return any(kind_of(eqn) == "while" or within(eqn) for eqn in jaxpr.eqns)
