"""The path from a baseline to the input: its nodes and weights, and sums over it in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import ArgumentError, argument, check_count, shown
from ..._jax.jaxpr.types import widened
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


def baseline_of(baseline: Any, inputs: Any, name: str = "baseline") -> Any:
    """Return the baseline of the inputs: zeros for None; what a function makes of the inputs; or what was given.

    Raises:
        ArgumentError: its structure or a shape is not that of the inputs.
    """
    if baseline is None:
        return jax.tree.map(jnp.zeros_like, inputs)
    found = baseline(inputs) if callable(baseline) else baseline
    mine, its = jax.tree.structure(inputs), jax.tree.structure(found)
    if mine != its:
        raise ArgumentError(f"`{argument(name)}` has the structure {its}, and the argument {mine}; give that.")
    for x, b in zip(jax.tree.leaves(inputs), jax.tree.leaves(found), strict=True):
        if jnp.shape(x) != jnp.shape(b):
            raise ArgumentError(
                f"`{argument(name)}` has an array of shape {jnp.shape(b)}, and the argument there {jnp.shape(x)};"
                " give that shape (`jnp.broadcast_to` says so aloud)."
            )
        if not jnp.issubdtype(jnp.result_type(x), jnp.inexact) and jnp.issubdtype(jnp.result_type(b), jnp.inexact):
            raise ArgumentError(
                f"`{argument(name)}` has an array of {jnp.result_type(b)}, and the argument there one of"
                f" {jnp.result_type(x)}, to which it would be rounded; give that dtype."
            )
        if jnp.iscomplexobj(b) and not jnp.iscomplexobj(x):
            raise ArgumentError(
                f"`{argument(name)}` has an array of {jnp.result_type(b)}, and the argument there one of"
                f" {jnp.result_type(x)}; give real numbers."
            )
    return jax.tree.map(lambda x, b: jnp.asarray(b, jnp.result_type(x)), inputs, found)


def between(start: Any, end: Any) -> tuple[Callable[[Any], Any], Any]:
    """Return the straight path, α -> start + α·(end − start), and its direction."""
    direction = jax.tree.map(lambda a, b: b - a, start, end)

    def on_way(alpha: Any, a: Any, d: Any) -> Any:
        wide = widened(a.dtype)
        return (a.astype(wide) + alpha.astype(wide) * d.astype(wide)).astype(a.dtype)

    return lambda alpha: jax.tree.map(lambda a, d: on_way(alpha, a, d), start, direction), direction
