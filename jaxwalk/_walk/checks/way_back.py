"""The way back from the loss to the arguments: where a `while_loop` bars it, a sentence says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..._errors import ArgumentError, JaxwalkError
from ..._jax.jaxpr import jaxprs, kinds
from ..._jax.jaxpr.jaxprs import Closed


@contextlib.contextmanager
def leading_back(closed: Closed) -> Iterator[None]:
    """Say why JAX cannot differentiate a function by its arguments, where a `while_loop` is in it.

    Raises:
        ArgumentError: JAX refuses to differentiate it, and it has one.
    """
    try:
        yield
    except ValueError as error:
        kind_of = kinds.kinds()
        is_while = lambda eqn: kind_of(eqn) == "while"
        is_of_it = "while_loop" in str(error) and jaxprs.any_equation(closed.jaxpr, is_while)
        if isinstance(error, JaxwalkError) or not is_of_it:
            raise
        raise ArgumentError(
            "`fun` cannot be differentiated by its arguments: the way back from the result leads through a"
            " `while_loop`, through which JAX has no derivative backward; use `lax.scan`, or `fori_loop` with static"
            " bounds, or, for the δ behind the loop alone, `jw.walk` without `argnums`."
        ) from error
