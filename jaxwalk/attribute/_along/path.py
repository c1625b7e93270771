"""The path from a baseline to the input: its nodes and weights, and sums over it in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._callables import check_takes
from ..._errors import ArgumentError, argument, check_count, shown
from ..._jax.jaxpr.types import widened
from ..._jax.leaves import becomes_array
from .batches import weighted_sum

RULES = ("gauss-legendre", "trapezoid", "left", "right", "midpoint")


class Quadrature(NamedTuple):
    """Where on [0, 1] an integral is taken, with what weights, and at how many nodes at a time."""

    rule: str
    nodes: np.ndarray
    weights: np.ndarray
    batch_size: int

    @classmethod
    def checked(cls, steps: int, rule: str, batch_size: int) -> Quadrature:
        check_count("steps", steps)
        check_count("batch_size", batch_size)
        if rule not in RULES:
            raise ArgumentError(f"`rule` is {shown(rule)}; it is one of {', '.join(map(repr, RULES))}.")
        if rule == "trapezoid" and steps == 1:
            raise ArgumentError("`steps` is 1, and the trapezoid rule takes both ends; give at least 2.")
        if rule == "gauss-legendre":
            nodes, weights = np.polynomial.legendre.leggauss(steps)
            return cls(rule, (nodes + 1) / 2, weights / 2, batch_size)
        if rule == "trapezoid":
            ends = np.full(steps, 1.0)
            ends[[0, -1]] = 0.5
            return cls(rule, np.linspace(0, 1, steps), ends / (steps - 1), batch_size)
        first = {"left": 0, "right": 1, "midpoint": 0.5}[rule]
        return cls(rule, (np.arange(steps) + first) / steps, np.full(steps, 1 / steps), batch_size)

    def mean(self, integrand: Callable[[Any], Any]) -> Any:
        """Return ∫ integrand(α) dα over [0, 1]; sums are in float32 at least."""
        nodes, weights = (jnp.asarray(a, jnp.result_type(float)) for a in (self.nodes, self.weights))
        return weighted_sum(integrand, nodes, weights, self.batch_size)


def baseline_of(baseline: Any, inputs: Any, name: str = "baseline", point: str = "") -> Any:
    """Return the baseline of the inputs: zeros for None; what a function makes of the inputs; or what was given.

    Arguments:
        name: the argument that `baseline` is.
        point: that whose value the inputs are; "" of an argument.

    Raises:
        ArgumentError: its structure or a shape is not that of the inputs.
    """
    if baseline is None:
        return jax.tree.map(jnp.zeros_like, inputs)
    if callable(baseline):
        check_takes(baseline, f"`{argument(name)}`", "value" if point else "inputs")
    found = baseline(inputs) if callable(baseline) else baseline
    mine, its = jax.tree.structure(inputs), jax.tree.structure(found)
    named, of = f"`{argument(name)}`", f"the value at `{point}`" if point else "the argument"
    if mine != its:
        raise ArgumentError(f"{named} has the structure {its}, and {of} {mine}; give that.")
    for x, b in zip(jax.tree.leaves(inputs), jax.tree.leaves(found), strict=True):
        _check_like(x, b, named, of if point else f"{of} there")
    return jax.tree.map(lambda x, b: jnp.asarray(b, jnp.result_type(x)), inputs, found)


def _check_like(x: Any, b: Any, named: str, of: str) -> None:
    """Refuse an array of a baseline that is none like that of the inputs."""
    if not becomes_array(b):
        raise ArgumentError(f"{named} has {shown(b)}, which is no array, where {of} is one; give one of its shape.")
    if jnp.shape(x) != jnp.shape(b):
        raise ArgumentError(
            f"{named} has an array of shape {jnp.shape(b)}, and {of} {jnp.shape(x)}; give that shape"
            " (`jnp.broadcast_to` says so aloud)."
        )
    types = f"{named} has an array of {jnp.result_type(b)}, and {of} one of {jnp.result_type(x)}"
    if not jnp.issubdtype(jnp.result_type(x), jnp.inexact) and jnp.issubdtype(jnp.result_type(b), jnp.inexact):
        raise ArgumentError(f"{types}, to which it would be rounded; give that dtype.")
    if jnp.iscomplexobj(b) and not jnp.iscomplexobj(x):
        raise ArgumentError(f"{types}; give real numbers.")


def between(start: Any, end: Any) -> tuple[Callable[[Any], Any], Any]:
    """Return the straight path, α -> start + α·(end − start), and its direction."""
    direction = jax.tree.map(lambda a, b: b - a, start, end)

    def on_way(alpha: Any, a: Any, d: Any) -> Any:
        wide = widened(a.dtype)
        return (a.astype(wide) + alpha.astype(wide) * d.astype(wide)).astype(a.dtype)

    return lambda alpha: jax.tree.map(lambda a, d: on_way(alpha, a, d), start, direction), direction
