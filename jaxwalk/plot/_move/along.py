"""The loss along a move: its values, its slopes, and where one of them jumps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._points.point import Points
from ..._source.user_files import Source
from ..._walk.intervene import intervene

HALVINGS = 20  # of a stretch between two places, until it is about as short as float32 can tell
JUMPS = 8  # that are looked for of the loss, and of its slope: where it changes least evenly
STANDS_OUT = 0.02  # of the largest slope, or of the range of the loss: less is not looked at
TOGETHER = 8  # places that are computed in one call
NOISE = 1e-4  # of the loss: less may be rounding


class Along(NamedTuple):
    """The loss at places along a move, and its slopes there; `at` computes both at others."""

    t: np.ndarray
    loss: np.ndarray
    slope: np.ndarray
    at: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Jump(NamedTuple):
    """A place at which the loss, or its slope, jumps: from what to what."""

    t: float
    before: float
    after: float
    of_loss: bool


def loss_along(
    fun: Callable, args: tuple, move: Mapping[str, Any], points: Points, t: np.ndarray, by: str | None, source: Source
) -> Along:
    """Compute the loss, and its slope, where t times a move is added to what `fun` computes at points."""

    def loss(t: jax.Array) -> jax.Array:
        edits = {key: _added(t, by_step) for key, by_step in _by_step(move, points)}
        found = intervene(fun, edits, by=by, source=source)(*args) if edits else fun(*args)
        return found[0] if isinstance(found, tuple) else found  # with `has_aux`

    # One place after another, so that it takes no more memory than one run; a few at a time, compiled once.
    run = jax.jit(lambda places: jax.lax.map(jax.value_and_grad(loss), places))

    def at(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        filled = np.resize(places, -(-len(places) // TOGETHER) * TOGETHER).reshape(-1, TOGETHER)
        found = [run(jnp.asarray(part, float)) for part in filled]
        loss, slope = (np.concatenate(part).astype(np.float64)[: len(places)] for part in zip(*found, strict=True))
        return loss, slope

    return Along(t, *at(t), at)


def _by_step(move: Mapping[str, Any], points: Points) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the keys of edits: a point, or each step of it in loops at which it moves; and by what."""
    for name, array in move.items():
        array, loops = np.asarray(array), len(points[name].axes)
        for step in itertools.product(*map(range, array.shape[:loops])):
            if np.any(array[step]):
                yield f"{name}[{', '.join(map(str, step))}]" if loops else name, array[step]


def _added(t: jax.Array, move: np.ndarray) -> Callable[[jax.Array], jax.Array]:
    def edit(value: jax.Array) -> jax.Array:
        wide = np.promote_types(value.dtype, t.dtype)
        return (value.astype(wide) + t.astype(wide) * jnp.asarray(move).astype(wide)).astype(value.dtype)

    return edit


def jumps_of(along: Along) -> list[Jump]:
    """Return where the loss jumps, and where its slope does, in the order of t.

    A stretch in which one changes by more than in those beside it is halved again and again: if the change stays, it is
    that of a jump; that of what is smooth shrinks with the stretch.
    """
    size = _largest(along.loss)
    of_loss = _jumps(along, 0, max(STANDS_OUT * np.ptp(_finite(along.loss)), NOISE * size))
    of_slope = _jumps(along, 1, STANDS_OUT * max(_largest(along.slope), NOISE * size))
    width = along.t[1] - along.t[0]
    apart = [jump for jump in of_slope if all(abs(jump.t - other.t) > width / 100 for other in of_loss)]
    return sorted([*of_loss, *apart], key=lambda jump: jump.t)


def _jumps(along: Along, which: int, least: float) -> list[Jump]:
    values = (along.loss, along.slope)[which]
    excess = np.where(np.isfinite(along.loss[1:] + along.loss[:-1]), _excess(values), 0)
    places = _peaks(excess, least)
    if not places.size:
        return []
    low, high = along.t[places], along.t[places + 1]
    before, after = values[places], values[places + 1]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        between = along.at(middle)[which]
        is_left = np.abs(between - before) >= np.abs(after - between)
        low, before = np.where(is_left, low, middle), np.where(is_left, before, between)
        high, after = np.where(is_left, middle, high), np.where(is_left, between, after)
    stays = np.abs(after - before) > 0.4 * excess[places]
    beside = (along.t[1] - along.t[0]) / 1000
    sides = along.at(low - beside)[which], along.at(high + beside)[which]
    jump = np.abs(sides[1] - sides[0])
    stays &= jump > 0.4 * excess[places]  # else it is a step of rounding within what is smooth
    if which == 0:  # what is steep changes as much, and has a slope that says so
        steep = np.fmax(*(np.abs(along.at(place)[1]) for place in (low, high)))
        stays &= ~(steep * 2 * beside > 0.4 * jump)
    places = ((low + high) / 2, *sides)
    rows = np.stack(places, -1)[stays].tolist()
    found = [Jump(t, before, after, which == 0) for t, before, after in rows]
    return [jump for i, jump in enumerate(found) if all(abs(jump.t - other.t) > beside for other in found[:i])]


def _excess(values: np.ndarray) -> np.ndarray:
    """Return for each stretch by how much its change differs from that of the stretches beside it."""
    with np.errstate(invalid="ignore", over="ignore"):
        changes = np.diff(values)
        beside = (np.r_[changes[1], changes[:-1]] + np.r_[changes[1:], changes[-2]]) / 2
        return np.nan_to_num(np.abs(changes - beside), nan=0, posinf=0)


def _peaks(excess: np.ndarray, least: float) -> np.ndarray:
    """Return the stretches that stand out from those beside them, the largest first."""
    is_peak = (excess >= np.r_[0, excess[:-1]]) & (excess >= np.r_[excess[1:], 0]) & (excess > least)
    places = np.flatnonzero(is_peak)
    return places[np.argsort(-excess[places], kind="stable")][:JUMPS]


def _finite(values: np.ndarray) -> np.ndarray:
    """Return those that are finite; a zero if none is."""
    return values[np.isfinite(values)] if np.any(np.isfinite(values)) else np.zeros(1)


def _largest(values: np.ndarray) -> float:
    return float(np.max(np.abs(_finite(values))))
