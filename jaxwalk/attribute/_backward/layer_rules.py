"""Rules of layer-wise relevance propagation for a layer z = Σ w·x + b: how contributions w·x share what z has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from ..._jax.jaxpr import jaxprs
from ..._jax.jaxpr.jaxprs import Closed
from ..._jax.jaxpr.types import widened
from ..._rewrite.substitute import Back

Shares: TypeAlias = tuple[Any, Any]


class Parts(NamedTuple):
    """A layer's result, and what it is made of: the sums of all positive contributions, and of all negative ones, the
    bias among them."""

    result: jax.Array
    positive: jax.Array
    negative: jax.Array


class LayerRule(NamedTuple):
    """A rule: (parts of the result, δ′ there) -> what goes back to x through each positive contribution w·x, as w times
    it, and through each negative one."""

    name: str
    shares: Callable[[Parts, jax.Array], Shares]
    by_sign: bool = True  # whether the two differ; if not, the parts are not computed, and are both the result


def epsilon_rule(epsilon: float) -> LayerRule:
    """Return the ε rule: R = w·x / (z + ε·sign z) · R_z. Where z is 0, no relevance arrives, and 0 goes on.

    With ε = 0 it is the plain gradient.
    """

    def shares(parts: Parts, delta: jax.Array) -> Shares:
        size = jnp.abs(parts.result)
        stabilised = delta * (size / (size + epsilon)) if epsilon else delta
        return stabilised, stabilised

    return LayerRule("epsilon", shares, by_sign=False)


def gamma_rule(gamma: float) -> LayerRule:
    """Return the γ rule: what is of the sign of z, contributions and bias, counts 1 + γ times. Where z is 0, 0 goes."""

    def shares(parts: Parts, delta: jax.Array) -> Shares:
        result, positive, negative = parts
        to_positive = jnp.where(result > 0, delta / (1 + gamma * _over(positive, jnp.maximum(result, 0))), 0)
        to_negative = jnp.where(result < 0, delta / (1 + gamma * _over(negative, jnp.minimum(result, 0))), 0)
        return (1 + gamma) * to_positive + to_negative, to_positive + (1 + gamma) * to_negative

    return LayerRule("gamma", shares)


def alpha_beta_rule(alpha: float, name: str = "alpha_beta") -> LayerRule:
    """Return the αβ rule: α of z·δ′ to the positive contributions, −β = 1 − α to the negative ones.

    Where there are none of one sign, nothing goes to them.
    """

    def shares(parts: Parts, delta: jax.Array) -> Shares:
        result, positive, negative = parts
        relevance = result * delta
        return alpha * _over(relevance, positive), (1 - alpha) * _over(relevance, negative)

    return LayerRule(name, shares)


def z_plus_rule() -> LayerRule:
    """Return the z⁺ rule: all of z·δ′ to the positive contributions; the αβ rule of α = 1."""
    return alpha_beta_rule(1, "z_plus")


def back_through_layer(closed: Closed, active: Sequence[bool], rule: LayerRule) -> Back:
    """Return the way back through a layer, a program that is affine in its one active operand, by a rule."""
    place = [*active].index(True)

    def back(operands: Sequence[Any], results: Sequence[Any], _: Any, cts: Sequence[Any]) -> list[Any]:
        layer = _Layer(closed, operands, place)
        parts = layer.parts(results[0], rule.by_sign)
        to_positive, to_negative = (s.astype(cts[0].dtype) for s in rule.shares(parts, _wide(cts[0])))
        found: list[Any] = [None] * len(operands)
        if not rule.by_sign:
            found[place] = layer.transposed(to_positive, 0)
            return found
        both = lambda by_plus, by_minus: layer.transposed(by_plus, 1) + layer.transposed(by_minus, -1)
        is_negative = operands[place] < 0
        found[place] = jnp.where(is_negative, both(to_negative, to_positive), both(to_positive, to_negative))
        return found

    return back


class _Layer(NamedTuple):
    """A layer at its operands; weights of one sign alone are those operands, clipped, that are not active."""

    closed: Closed
    operands: Sequence[Any]
    place: int

    def parts(self, result: Any, by_sign: bool) -> Parts:
        if not by_sign:
            return Parts(*[_wide(result)] * 3)
        x = self.operands[self.place]
        above, below = jnp.maximum(x, 0), jnp.minimum(x, 0)
        bias = _wide(self._of(0)(jnp.zeros_like(x)))
        positive = self._contributed(above, 1) + self._contributed(below, -1) + jnp.maximum(bias, 0)
        negative = self._contributed(above, -1) + self._contributed(below, 1) + jnp.minimum(bias, 0)
        return Parts(_wide(result), positive, negative)

    def transposed(self, ct: jax.Array, sign: int) -> jax.Array:
        """Return Σ w·ct over the results, with the weights of one sign, or with all (0)."""
        (found,) = jax.vjp(self._of(sign), self.operands[self.place])[1](ct)
        return found

    def _contributed(self, x: jax.Array, sign: int) -> jax.Array:
        """Return Σ w·x with the weights of one sign, without the bias."""
        return _wide(jax.jvp(self._of(sign), (x,), (x,))[1])

    def _of(self, sign: int) -> Callable[[Any], Any]:
        clip = {0: lambda w: w, 1: lambda w: jnp.maximum(w, 0), -1: lambda w: jnp.minimum(w, 0)}[sign]
        clipped = [o if i == self.place else clip(jnp.asarray(o)) for i, o in enumerate(self.operands)]
        return lambda x: jaxprs.evaluate(self.closed, [x if i == self.place else w for i, w in enumerate(clipped)])[0]


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(widened(x.dtype))


def _over(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return a / b, and 0 where b is 0."""
    return jnp.where(b == 0, 0, a / jnp.where(b == 0, 1, b))
