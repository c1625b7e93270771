"""The scores of edges: products of what moves at writers and δ where it is read, all pairs of one shape at once."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._jax.jaxpr import call_parameters, jaxprs
from ..._jax.jaxpr.jaxprs import is_literal
from ..._jax.jaxpr.types import widened
from ..._points.point import Point
from .found import Found, Way
from .sums import Move


class Ends(NamedTuple):
    """Writers, or readers: each step of a point is one. In forward order.

    Attributes:
        names: "embed", or "attn[3]" of a point in a scan.
        places: by point, the places of its steps among these, in the order of its axes.
    """

    names: tuple[str, ...]
    places: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, points: Iterable[Point]) -> Ends:
        every = {point.name: point for point in points}.values()
        steps = [(p, each) for p in every for each in itertools.product(*(range(axis.length) for axis in p.axes))]
        ordered = sorted(steps, key=lambda at: (at[0].time(at[1]), at[0].number))
        number = {(point.name, step): place for place, (point, step) in enumerate(ordered)}
        places = {p.name: np.array([number[p.name, s] for q, s in steps if q is p], int) for p in every}
        return cls(tuple(_named(*at) for at in ordered), places)


def _named(point: Point, steps: tuple[int, ...]) -> str:
    return f"{point.name}[{', '.join(map(str, steps))}]" if steps else point.name


def pairs(found: Found, writers: Ends, readers: Ends) -> tuple[tuple[int, int], ...]:
    """Return the edges that there are, by places of writers and of readers, in the forward order of writers."""
    there = np.zeros((len(writers.names), len(readers.names)), bool)
    for way in found.ways:
        write, read = writers.places[way.writer.name], readers.places[way.reader.name]
        there[np.ix_(write, read)] |= way.factor.reshape(len(write), len(read)) != 0
    return tuple((int(i), int(j)) for i, j in np.argwhere(there))


def totals(writers: Ends, moves: Mapping[str, Any], deltas: Mapping[str, Any]) -> jax.Array:
    """Return for each writer Σ move·δ there, whoever reads it."""
    found = jnp.zeros(len(writers.names), _wide([*moves.values(), *deltas.values()]))
    for name, places in writers.places.items():
        product = jnp.real(_rows(moves[name], len(places)) * _rows(deltas[name], len(places)))
        found = found.at[places].set(product.sum(1).astype(found.dtype))
    return found


def scores(
    found: Found, writers: Ends, readers: Ends, moves: Mapping[str, Any], deltas: Mapping[str, Any]
) -> jax.Array:
    """Return the scores, writers × readers; 0 where there is no edge."""
    total = jnp.zeros((len(writers.names), len(readers.names)), _wide([*moves.values(), *deltas.values()]))
    groups: dict[tuple, list[Way]] = {}
    for way in found.ways:
        groups.setdefault(_shape(way, deltas), []).append(way)
    for ways in groups.values():
        total = _added(total, ways, writers, readers, moves, deltas)
    return total


def _shape(way: Way, deltas: Mapping[str, Any]) -> tuple[int, ...]:
    return deltas[way.read].shape[len(way.reader.axes) :]


def _added(
    total: jax.Array, ways: Sequence[Way], writers: Ends, readers: Ends, moves: Mapping, deltas: Mapping
) -> jax.Array:
    """Add to the scores what is read in one shape."""
    rows = {(way.writer.name, way.moves): writers.places[way.writer.name] for way in ways}
    lead = {way.writer.name: len(way.writer.axes) for way in ways}
    columns = {way.read: readers.places[way.reader.name] for way in ways}
    row_of, column_of = _blocks(rows), _blocks(columns)
    factors = np.zeros((sum(map(len, rows.values())), sum(map(len, columns.values()))))
    for way in ways:
        block = np.ix_(row_of[way.writer.name, way.moves], column_of[way.read])
        factors[block] += way.factor.reshape(factors[block].shape)
    write = jnp.concatenate([_moved(moves[name], m, lead[name], len(places)) for (name, m), places in rows.items()])
    read = jnp.concatenate([_rows(deltas[name], len(places)) for name, places in columns.items()])
    products = jnp.real(jnp.einsum("wf,rf->wr", write, read, precision=lax.Precision.HIGHEST)).astype(total.dtype)
    products = jnp.where(factors != 0, products * jnp.asarray(factors, total.dtype), 0)
    return total.at[np.ix_(np.concatenate([*rows.values()]), np.concatenate([*columns.values()]))].add(products)


def _blocks(ends: Mapping[Any, np.ndarray]) -> dict[Any, np.ndarray]:
    """Return where each of some blocks is, one after the other."""
    starts = itertools.accumulate(map(len, ends.values()), initial=0)
    return {key: np.arange(start, start + len(places)) for (key, places), start in zip(ends.items(), starts)}


def _rows(values: Any, steps: int) -> jax.Array:
    """Return the values at a point as rows, one for each step, wide enough to sum."""
    return jnp.reshape(values, (steps, math.prod(values.shape) // max(steps, 1))).astype(widened(values.dtype))


def _moved(values: Any, moves: Sequence[Move], lead: int, steps: int) -> jax.Array:
    """Return the values at a point as rows, each as it is after some moves; `lead` axes of them are steps."""
    each = jnp.reshape(values, (steps, *values.shape[lead:])).astype(widened(values.dtype))
    for move in moves:
        each = jax.vmap(functools.partial(_applied, call_parameters.without_places(move.eqn)))(each)
    return _rows(each, steps)


def _applied(eqn: Any, x: jax.Array) -> jax.Array:
    others = [jaxprs.literal_array(v) for v in eqn.invars[1:] if is_literal(v)]
    return jaxprs.apply(eqn, [x, *others])[0]


def _wide(arrays: Iterable[Any]) -> Any:
    """Return the real dtype in which products of all these are summed."""
    return jnp.finfo(jnp.result_type(*(widened(array.dtype) for array in arrays))).dtype
