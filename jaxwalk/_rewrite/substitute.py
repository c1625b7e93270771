"""What stands in for an equation: it computes the same, and leads another way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from .._jax.jaxpr import jaxprs
from .._jax.jaxpr.jaxprs import Closed
from .._points.point import Site

if TYPE_CHECKING:
    from jax.extend.core import Literal, Var


class Substitute(NamedTuple):
    """What stands in for an equation.

    Attributes:
        site: the equation: the calls around it, and which one it is; of no one result.
        reads: its operands, which may be others than those of the equation: what an activation that is written out in
            many equations, of which this is the last, starts from.
        run: (values of these, payload) -> (the results of the equation, what is recorded).
        recorded: shapes and dtypes of what is recorded, a pytree; None if nothing is.
    """

    site: Site
    reads: Sequence[Var | Literal]
    run: Callable[[Sequence[Any], Any], tuple[Sequence[Any], Any]]
    recorded: Any = None

    @property
    def name(self) -> str:
        """What its payload and its records are called: like no point."""
        within = "".join(f"{equation}.{jaxpr}/" for equation, jaxpr in self.site.calls)
        return f"jaxwalk: equation {within}{self.site.equation}"


Back = Callable[[Sequence[Any], Sequence[Any], Any, Sequence[Any]], Sequence[Any]]
"""(operands, results, payload, cotangents of the results) -> of each operand the cotangent, or None for zeros."""


def with_way_back(closed: Closed, back: Back) -> Callable[[Sequence[Any], Any], list[Any]]:
    """Return a function (operands, payload) -> results of a jaxpr, whose derivative backward is what `back` says.

    Nothing goes back to the payload. There is no forward mode through it.
    """

    @jax.custom_vjp
    def through(operands: Sequence[Any], payload: Any) -> list[Any]:
        return jaxprs.evaluate(closed, operands)

    def forward(operands: Sequence[Any], payload: Any) -> tuple[list[Any], Any]:
        results = through(operands, payload)
        return results, (operands, results, payload)

    def backward(saved: Any, cotangents: Sequence[Any]) -> tuple[Any, None]:
        operands, results, payload = saved
        found = back(operands, results, payload, cotangents)
        return [_of(operand, ct) for operand, ct in zip(operands, found, strict=True)], None

    through.defvjp(forward, backward)
    return lambda operands, payload: through(list(operands), payload)


def _of(operand: Any, ct: Any) -> Any:
    """Return a cotangent in the dtype of its operand: in float32 much is computed whose operand is of fewer bits."""
    return None if ct is None or not jnp.issubdtype(operand.dtype, jnp.inexact) else ct.astype(operand.dtype)
