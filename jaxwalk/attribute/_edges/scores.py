"""The scores of edges: products of what moves at writers and δ where it is read, all pairs of one shape at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._jax.jaxpr.types import widened
from ..._points.point import Point
from .found import Found, Way
from .sums import Move


class Ends(NamedTuple):
    """Writers, or readers: each step of a point is one. In forward order.

    Attributes:
        names: "embed", or "attn[3]" of a point in a scan.
        places: by point, the places of its steps among these, in the order of its axes.
        leads: by point, how many axes its steps have.
    """

    names: tuple[str, ...]
    places: Mapping[str, np.ndarray]
    leads: Mapping[str, int]

    @classmethod
    def of(cls, points: Iterable[Point]) -> Ends:
        every = {point.name: point for point in points}
        steps = [
            (p, each) for p in every.values() for each in itertools.product(*(range(axis.length) for axis in p.axes))
        ]
        ordered = sorted(steps, key=lambda at: (at[0].time(at[1]), at[0].number))
        number = {(point.name, step): place for place, (point, step) in enumerate(ordered)}
        places = {p.name: np.array([number[p.name, s] for q, s in steps if q is p], int) for p in every.values()}
        return cls(tuple(_named(*at) for at in ordered), places, {name: len(p.axes) for name, p in every.items()})


def _named(point: Point, steps: tuple[int, ...]) -> str:
    return f"{point.name}[{', '.join(map(str, steps))}]" if steps else point.name


def pairs(found: Found, writers: Ends, readers: Ends) -> tuple[tuple[int, int], ...]:
    """Return the edges that there are, by places of writers and of readers, in the forward order of writers."""
    there = np.zeros((len(writers.names), len(readers.names)), bool)
    for way in found.ways:
        write, read = writers.places[way.writer.name], readers.places[way.reader.name]
        there[np.ix_(write, read)] |= way.factor.reshape(len(write), len(read)) != 0
    return tuple((int(i), int(j)) for i, j in np.argwhere(there))


class Scoring(NamedTuple):
    """What the scores are of.

    Attributes:
        moves: by point, what a writer writes more in the other run.
        deltas: δ by the name of a read, or of a point.
    """

    writers: Ends
    readers: Ends
    moves: Mapping[str, Any]
    deltas: Mapping[str, Any]

    @property
    def dtype(self) -> Any:
        """Return the real dtype in which products of all these are summed."""
        arrays = [*self.moves.values(), *self.deltas.values()]
        return jnp.finfo(jnp.result_type(*(widened(array.dtype) for array in arrays))).dtype

    def totals(self) -> jax.Array:
        """Return for each writer Σ move·δ there, whoever reads it."""
        found = jnp.zeros(len(self.writers.names), self.dtype)
        for name, places in self.writers.places.items():
            lead = self.writers.leads[name]
            product = jnp.real(_rows(self.moves[name], lead) * _rows(self.deltas[name], lead))
            found = found.at[places].set(product.sum(1).astype(found.dtype))
        return found

    def scores(self, ways: Sequence[Way]) -> jax.Array:
        """Return the scores, writers × readers; 0 where there is no edge."""
        total = jnp.zeros((len(self.writers.names), len(self.readers.names)), self.dtype)
        groups: dict[tuple[int, ...], list[Way]] = {}
        for way in ways:
            shape = self.deltas[way.read].shape[len(way.reader.axes) :]
            groups.setdefault(shape, []).append(way)
        for shape, alike in groups.items():
            total = self._added(total, shape, alike)
        return total

    def _added(self, total: jax.Array, shape: tuple[int, ...], ways: Sequence[Way]) -> jax.Array:
        """Add to the scores what is read in one shape."""
        rows = {(way.writer.name, way.moves): self.writers.places[way.writer.name] for way in ways}
        columns = {way.read: self.readers.places[way.reader.name] for way in ways}
        row_of, column_of = _blocks(rows), _blocks(columns)
        factors = np.zeros((sum(map(len, rows.values())), sum(map(len, columns.values()))))
        for way in ways:
            block = np.ix_(row_of[way.writer.name, way.moves], column_of[way.read])
            factors[block] += way.factor.reshape(factors[block].shape)
        write = [_moved(self.moves[name], self.writers.leads[name], moves, shape) for name, moves in rows]
        read = [_rows(self.deltas[name], self.deltas[name].ndim - len(shape)) for name in columns]
        products = jnp.einsum("wf,rf->wr", *map(jnp.concatenate, (write, read)), precision=lax.Precision.HIGHEST)
        products = jnp.real(products).astype(total.dtype)
        products = jnp.where(factors != 0, products * jnp.asarray(factors, total.dtype), 0)
        return total.at[np.ix_(np.concatenate([*rows.values()]), np.concatenate([*columns.values()]))].add(products)


def _blocks(ends: Mapping[Any, np.ndarray]) -> dict[Any, np.ndarray]:
    """Return where each of some blocks is, one after the other."""
    starts = itertools.accumulate(map(len, ends.values()), initial=0)
    return {key: np.arange(start, start + len(places)) for (key, places), start in zip(ends.items(), starts)}


def _rows(values: Any, lead: int) -> jax.Array:
    """Return values, of which the first axes are steps, as rows, one for each step, wide enough to sum."""
    rows, columns = math.prod(values.shape[:lead]), math.prod(values.shape[lead:])
    return jnp.reshape(values, (rows, columns)).astype(widened(values.dtype))


def _moved(values: Any, lead: int, moves: Sequence[Move], shape: tuple[int, ...]) -> jax.Array:
    """Return values as rows, as they are after some moves: of the shape of δ where they are read."""
    each = jnp.reshape(values, (math.prod(values.shape[:lead]), *values.shape[lead:])).astype(widened(values.dtype))
    for move in moves:
        each = jax.vmap(move.apply)(each)
    assert each.shape[1:] == shape
    return _rows(each, 1)
