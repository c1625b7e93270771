"""Multipliers: how a result differs from what it is at a baseline, over how what it is computed from differs."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._jax.jaxpr import jaxprs
from ..._jax.jaxpr.types import widened
from .analysis.place import Place

MOST = 4  # values, at most, whose turns are taken in every order


def by_turns(place: Place, operands: Sequence[Any], others: Sequence[Any], cotangent: Any) -> list[Any]:
    """Return what goes back through a function, entry by entry, of one value or a few.

    The difference of the result is divided between them as by Shapley: to each goes the mean, over all orders in which
    they turn from what they are at the baseline to what they are, of what its own turn adds. Over its own difference
    that is its multiplier; where that is no more than rounding, the derivative half way is.
    """
    game = _Game(place, operands, others)
    found: list[Any] = [None] * len(operands)
    for player, other in zip(game.players, others, strict=True):
        gain = sum(
            weight * (game.value(turned | {player}) - game.value(turned)) for turned, weight in game.turns(player)
        )
        slope = sum(weight * game.slope(turned, player) for turned, weight in game.turns(player))
        multiplier = _over(gain, operands[player], other, slope)
        found[player] = _summed_to(_wide(cotangent) * multiplier, jnp.shape(other))
    return found


class _Game:
    """A function of a few values, each as it is where it has turned, else as at the baseline."""

    def __init__(self, place: Place, operands: Sequence[Any], others: Sequence[Any]):
        self.players = active_places(place)
        self._place, self._operands = place, operands
        self._others = dict(zip(self.players, others, strict=True))
        self.value = functools.cache(self._value)

    def turns(self, player: int) -> Iterator[tuple[frozenset[int], float]]:
        """Yield which others have turned before a player, and in what part of all orders."""
        rest, count = [p for p in self.players if p != player], len(self.players)
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            yield from ((frozenset(turned), weight) for turned in itertools.combinations(rest, size))

    def slope(self, turned: frozenset[int], player: int) -> Any:
        """Return the derivative by a player half way."""
        values = self._values(turned)
        values[player] = _half_way(self._operands[player], self._others[player])
        of = lambda value: jaxprs.evaluate(self._place.closed, [*values[:player], value, *values[player + 1 :]])[0]
        ones = jnp.ones_like(values[player])
        if (result := jax.eval_shape(of, ones)).shape != ones.shape:
            return _wide(jax.jvp(of, (values[player],), (ones,))[1])  # of one entry that many results are made of
        return _wide(jax.vjp(of, values[player])[1](jnp.ones_like(ones, dtype=result.dtype))[0])

    def _value(self, turned: frozenset[int]) -> Any:
        return _wide(jaxprs.evaluate(self._place.closed, self._values(turned))[0])

    def _values(self, turned: frozenset[int]) -> list[Any]:
        return [self._others[i] if i in self._others and i not in turned else x for i, x in enumerate(self._operands)]


def by_middle(place: Place, operands: Sequence[Any], others: Sequence[Any], cotangent: Any) -> list[Any]:
    """Return what goes back through a product: of each factor the derivative where the other is half way."""
    places = active_places(place)
    middle = [_half_way(operands[i], other) for i, other in zip(places, others, strict=True)]
    found = jax.vjp(_of_active(place, operands), *middle)[1](cotangent)
    return _at(places, found, len(operands))


def by_softmax(place: Place, operands: Sequence[Any], others: Sequence[Any], cotangent: Any) -> list[Any]:
    """Return what goes back through a softmax, y = exp(z), z = x − log Σ exp(x).

    With L = Δy/Δz, y at the baseline to y, of exp: ΣL·Δz = ΣΔy = 0, so that Δ log Σ exp(x) = ΣL·Δx / ΣL, and
    Δy = L·(Δx − ΣL·Δx / ΣL). What is added to all logits alike has no part in it.
    """
    (at,), (other,), axes, cotangent = active_places(place), others, place.axes, _wide(cotangent)
    now, before = (jax.nn.log_softmax(_wide(x), axes) for x in (operands[at], other))
    apart = jnp.abs(now - before)
    has_moved = apart > 0  # it has not from -inf to -inf, which differ by nan
    share = jnp.where(has_moved, -jnp.expm1(-apart) / jnp.where(has_moved, apart, 1), 1)
    between = jnp.exp(jnp.maximum(now, before)) * share  # Δy/Δz without the rounding of Δy
    shared = jnp.sum(cotangent * between, axes, keepdims=True) / jnp.sum(between, axes, keepdims=True)
    return _at([at], [between * (cotangent - shared)], len(operands))


def by_winners(place: Place, operands: Sequence[Any], others: Sequence[Any], cotangent: Any) -> list[Any]:
    """Return what goes back through a maximum y of entries x, at the baseline y' of x': what the one that is the
    largest adds, max(y, y') − y', and what the one that was adds, y − max(y, y'), each to that one.

    So do Lundberg and Lee's `shap` and captum. Of a minimum it is the least.
    """
    (at,), (other,), x = active_places(place), others, operands[active_places(place)[0]]
    of = _of_active(place, operands)
    (y, back_now), (y_before, back_before) = jax.vjp(of, x), jax.vjp(of, other)
    passed = (jnp.minimum if "min" in place.name else jnp.maximum)(y, y_before)
    (to_now,), (to_before,) = back_now(cotangent * (passed - y_before)), back_before(cotangent * (y - passed))
    even = (_wide(back_now(cotangent)[0]) + _wide(back_before(cotangent)[0])) / 2
    difference = _wide(x) - _wide(other)
    has_moved = jnp.abs(difference) > 0  # it has not from -inf to -inf, which differ by nan
    moved = (_wide(to_now) + _wide(to_before)) / jnp.where(has_moved, difference, 1)
    return _at([at], [jnp.where(has_moved, moved, even)], len(operands))


def active_places(place: Place) -> list[int]:
    return [i for i, is_active in enumerate(place.active) if is_active]


def _of_active(place: Place, operands: Sequence[Any]) -> Any:
    """Return the first result as a function of the active operands alone."""
    places = active_places(place)

    def of(*values: Any) -> Any:
        given = dict(zip(places, values, strict=True))
        return jaxprs.evaluate(place.closed, [given.get(i, x) for i, x in enumerate(operands)])[0]

    return of


def _at(places: Sequence[int], found: Sequence[Any], count: int) -> list[Any]:
    by_place = dict(zip(places, found, strict=True))
    return [by_place.get(i) for i in range(count)]


def _over(gain: Any, now: Any, before: Any, slope: Any) -> Any:
    """Return gain / (now − before); where that is no more than rounding, the slope."""
    difference = _wide(now) - _wide(before)
    size = jnp.maximum(jnp.abs(_wide(now)), jnp.abs(_wide(before)))
    is_apart = jnp.abs(difference) > float(jnp.finfo(jnp.result_type(now)).eps) ** 0.5 * size
    return jnp.where(is_apart, gain / jnp.where(is_apart, difference, 1), slope)


def _half_way(a: Any, b: Any) -> Any:
    return a / 2 + b / 2  # their sum may be too large: logits are masked by the least number there is


def _wide(x: Any) -> Any:
    return x.astype(widened(x.dtype))


def _summed_to(value: Any, shape: tuple[int, ...]) -> Any:
    """Return a value summed over the axes along which one of a shape was repeated to make it."""
    if not shape:
        return jnp.sum(value)  # a number, which needs no axes to meet an array
    repeated = tuple(i for i, (many, one) in enumerate(zip(value.shape, shape, strict=True)) if many != one)
    return jnp.sum(value, repeated, keepdims=True)
