"""`keep` at a point: what it makes of the output, in the forward pass; what it makes of δ, in the backward pass."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._errors import ArgumentError, shown
from .._jax.jaxpr import jaxprs, types
from .._jax.jaxpr.jaxprs import Closed
from .._jax.leaves import flatten, is_value
from .._jax.shards import Shards, around, trace_inside
from .._points.point import Point
from .._points.units import Keep
from .integer_cotangents import as_floats, as_integers
from .sides import Sides, sides_of
from .tap import Tap

_SCALAR = jax.ShapeDtypeStruct((), jnp.float32)


class Noted(NamedTuple):
    """What a keeping tap notes in the forward pass."""

    witness: Any  # a scalar 0 that must be a result of what is differentiated, with a cotangent of its own
    early: list[Any]  # what `keep` makes of the output alone


def keep_taps(points: Iterable[Point], keep: Keep | Mapping[str, Keep]) -> dict[str, Tap]:
    """Return by name taps that note, and whose slots' cotangents are, what `keep(output, δ)` returns, or that by point.

    Results that do not depend on δ are computed in the forward pass, where the output is at hand. So no output is
    saved for them, nor computed again under `jax.checkpoint`. The others are computed by the rule of the tap in the
    backward pass, for which the output is saved only if they look at it. A cotangent is of floating dtype, so an
    integer is carried as its two halves, each of which a float holds exactly. What `keep` closes over is made an
    argument of the tap, as JAX asks of custom rules.

    Where no δ arrives (the loss does not depend on the value, or only through a comparison), JAX would not run the
    rule of the tap. The witness, to which a cotangent always arrives, makes it run; δ is then zeros. One slot is
    there for its own sake: with none, and nothing before the point differentiated, JAX would not run the rule until
    somebody differentiates the walk.
    """
    made: dict[Any, Callable[[Point], Tap]] = {}  # values of one type have one trace of `keep`
    taps = {}
    for point in points:
        its_own = keep[point.name] if isinstance(keep, Mapping) else keep
        kind = point.type, id(its_own), tuple(loop for loop in point.loops if isinstance(loop, Shards))
        if kind not in made:
            made[kind] = _tap_of(point, its_own)
        taps[point.name] = made[kind](point)
    return taps


def _tap_of(first: Point, keep: Callable[[Any, Any], Any]) -> Callable[[Point], Tap]:
    """Return what makes the taps of points of the type of the first."""

    def arrays(x: Any, ct: Any) -> Any:
        leaves, tree = flatten(keep(x, ct), "What `keep` returned")
        return jax.tree.unflatten(tree, [_as_kept(leaf, first) for leaf in leaves])

    trace = functools.partial(trace_inside, first.loops)
    closed, shapes = trace(arrays, *[first.type] * 2)
    leaves, tree = jax.tree.flatten(shapes)
    if not leaves:
        raise ArgumentError(f"`keep` returned no array at `{first.name}`; return what to keep of (output, delta).")
    sides = sides_of(closed)

    def slot_cotangents(*both: Any) -> list[jax.Array]:
        found = [types.zeros(_SCALAR), *map(as_floats, jaxprs.evaluate(sides.late, both))]
        return [types.as_varying(value, types.varying(first.type)) for value in found]

    carried, _ = trace(slot_cotangents, *[first.type] * 2)
    through = _keeping(sides._replace(late=carried))
    consts = list(sides.early.consts), list(carried.consts)
    shape = lambda closed: [types.struct(v.aval) for v in closed.jaxpr.outvars]
    slots, noted = shape(carried), Noted(_SCALAR, shape(sides.early))

    late = [leaf.dtype for leaf, is_early in zip(leaves, sides.is_early, strict=True) if not is_early]
    uncarried = _jitted_if_staged(lambda cotangents: list(map(as_integers, cotangents, late)))

    def collect(cotangents: Any, noted: Noted) -> Any:
        return jax.tree.unflatten(tree, sides.joined(noted.early, uncarried(cotangents[1:])))

    def tap(point: Point) -> Tap:
        zeros = [types.zeros(around(slot, point.type, point.loops)) for slot in slots]
        return Tap(zeros, lambda x, slots: through(x, slots, consts), noted, collect)

    return tap


def _as_kept(leaf: Any, point: Point) -> jax.Array:
    if not is_value(leaf):
        raise ArgumentError(f"`keep` returned {shown(leaf)} at `{point.name}`, which is not an array; return arrays.")
    return jnp.asarray(leaf)


def _keeping(sides: Sides) -> Callable[[Any, Any, Any], Any]:
    """Return the tap itself: (x, slots, consts of both parts) -> (x, `Noted`).

    Its rule ignores the cotangents of what is noted: they are derivatives of the loss, which does not depend on it.
    Whoever differentiates a walk differentiates what the rule computes, and gets the right derivatives from there.
    """

    early, late = (_jitted_if_staged(functools.partial(_evaluate, part)) for part in (sides.early, sides.late))

    def plain(x, slots, consts):
        return x, Noted(types.zeros(_SCALAR), early(consts[0], x, jnp.zeros_like(x)))

    def forward(x, slots, consts):
        # This does not call `through`, whose rule a second derivative would then go by.
        return plain(x, slots, consts), (x if sides.needs_output else None, consts)

    def backward(residual, cts):
        x, consts = residual
        ct, _ = cts
        found = late(consts[1], jnp.zeros_like(ct) if x is None else x, ct)
        return ct, found, jax.tree.map(lambda _: None, consts)

    through = jax.custom_vjp(plain)
    through.defvjp(forward, backward)
    return through


def _evaluate(closed: Closed, consts: Sequence[Any], *both: Any) -> list[Any]:
    return jaxprs.evaluate(closed._replace(consts=consts), both)


def _jitted_if_staged(function: Callable) -> Callable:
    """Return the same; where it is staged out, JAX then transforms it once, and not at every point."""
    return jax.jit(function, inline=True) if jaxprs.is_staging() else function
