"""`Edges`: how much each writer has to do with a result by way of each reader."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import ArgumentError, check_count, counted, near
from ..._points.ordered_mapping import MissingName, Named
from ..._show.fit import tabular
from ..._show.table import Table, is_readable, number
from ..._walk.culprits import concrete
from .instead import sentence_of

SHOWN = 20  # edges, in the table


class Edge(NamedTuple):
    """One edge: who writes, who reads, and its score."""

    writer: str
    reader: str
    score: Any


@tabular
class RankedEdges(list[Edge]):
    """A list of `Edge`, largest |score| first, that shows itself as a table."""

    def _table(self) -> Table:
        rows = [(edge.writer, edge.reader, number(edge.score)) for edge in self]
        columns, paths = ("writer", "reader", "score"), ("writer", "reader")
        return Table(counted(len(self), "edge"), columns, rows, ("score",), lead=paths, paths=paths, more="it has each")


@tabular
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Edges:
    """How much what each writer writes has to do with the result of a function by way of each reader. A pytree: it goes
    through `jit`, `vmap` and `scan`.

    A point in a scan is a writer, and a reader, in each of its steps: "block/attn[3]".

    Attributes:
        value: what the function returned.
        writers: their names, in forward order; those of which no reader reads anything are left out.
        readers: the same, of which no writer is read.
        left_out: by (writer, reader), their points, what is on a way between them that is no sum: what goes that way is
            in no score. (What goes by way of another reader is an edge of that one, and not said here.)
        instead: by reader that reads no sum with any writer, as an attention that reads what a norm gives, the point
            that does read one and is to be named in its place, or "" where none is known.
    """

    value: Any
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    left_out: Mapping[tuple[str, str], str]
    instead: Mapping[str, str]
    _pairs: tuple[tuple[int, int], ...]
    _scores: Any
    _totals: Any

    @property
    def scores(self) -> EdgeScores:
        """Return a mapping from (writer, reader) to the score, of the edges that there are."""
        return EdgeScores(self)

    @property
    def totals(self) -> Named:
        """Return for each writer what `patching` says of it: the sum of its edges to all who read it, where these are
        readers, and none is in another."""
        return Named({name: self._totals[..., i] for i, name in enumerate(self.writers)})

    def matrix(self) -> jax.Array:
        """Return the scores, `writers` × `readers`; NaN where there is no edge."""
        there = np.zeros((len(self.writers), len(self.readers)), bool)
        there[tuple(np.array(self._pairs).T)] = True
        return jnp.where(there, self._scores, jnp.nan)

    def ranked(self, k: int = 5) -> RankedEdges:
        """Return the `k` edges of largest |score|, largest first; NaN counts as largest.

        Raises:
            ArgumentError: `k` is not a positive integer; the edges are being traced (under `jit`), or are of a batch.
        """
        check_count("k", k)
        found = concrete(self._scores, "ranked")
        if found.ndim > 2:
            raise ArgumentError(
                f"The edges are of a batch of shape {found.shape[:-2]}; rank those of one datum:"
                " `jax.tree.map(lambda a: a[0], edges).ranked()`."
            )
        sizes = np.array([abs(found[pair]) for pair in self._pairs])
        order = np.argsort(-np.where(np.isnan(sizes), np.inf, sizes), kind="stable")[: int(k)]
        return RankedEdges(Edge(*self._names(self._pairs[i]), found[self._pairs[i]]) for i in order)

    def _names(self, pair: tuple[int, int]) -> tuple[str, str]:
        return self.writers[pair[0]], self.readers[pair[1]]

    def _table(self) -> Table:
        title = f"{counted(len(self._pairs), 'edge')} from {counted(len(self.writers), 'writer')} to"
        title = f"{title} {counted(len(self.readers), 'reader')}"
        if is_readable(self.value) and jnp.ndim(self.value) == 0:
            title += f", of the result {number(self.value)}"
        notes = [sentence_of(self.instead)] if self.instead else []
        notes += [*self._note_of_left_out(), *self._note_of_others()]
        if not is_readable(self._scores) or jnp.ndim(self._scores) > 2:
            notes.insert(0, f"Scores of shape {jnp.shape(self._scores)}: `matrix()` gives them.")
            return Table(title, (), (), notes=notes)
        table = self.ranked(SHOWN)._table()
        if len(self._pairs) > SHOWN:
            notes.insert(0, f"The {SHOWN} of largest |score|; `ranked(k)`, `scores` and `matrix()` have the others.")
        return table._replace(title=title, notes=notes, more="`scores` has each")

    def _note_of_left_out(self) -> Iterator[str]:
        for (writer, reader), why in list(self.left_out.items())[:1]:
            ways = counted(len(self.left_out), "pair")
            yield (
                f"Ways that are no sum are left out, between {ways} of points: from `{writer}` to `{reader}`, {why};"
                " `left_out` has each."
            )

    def _note_of_others(self) -> Iterator[str]:
        """Say where the edges of a writer do not add up to what `patching` says of it, though none was left out."""
        if not is_readable(self._scores) or jnp.ndim(self._scores) > 2:
            return
        sums, totals = np.nansum(np.asarray(self.matrix()), 1), np.asarray(self._totals)
        rounding = float(jnp.finfo(self._totals.dtype).eps) ** 0.5 * max(np.abs(totals).max(initial=0), 1e-30)
        partly = {writer.rpartition("[")[0] or writer for writer, _ in self.left_out}
        for name, of_edges, total in zip(self.writers, sums, totals, strict=True):
            if abs(of_edges - total) > rounding and not partly & {name, name.rpartition("[")[0]}:
                yield (
                    f"The edges of `{name}` add up to {number(of_edges)}, and `patching` says {number(total)}: it is"
                    " read elsewhere too, or one reader is in another; `totals` has that of each writer."
                )
                return


class EdgeScores(Mapping[tuple[str, str], Any]):
    """A read-only mapping from (writer, reader) to the score of an edge, in forward order."""

    def __init__(self, edges: Edges):
        self._edges = edges
        self._places = {edges._names(pair): pair for pair in edges._pairs}

    def __getitem__(self, pair: tuple[str, str]) -> Any:
        if pair in self._places:
            return self._edges._scores[(..., *self._places[pair])]
        raise MissingName(self._why_not(pair))

    def _why_not(self, pair: Any) -> str:
        if not isinstance(pair, tuple) or len(pair) != 2:
            return f"There is no edge {pair!r}; name one as `scores[writer, reader]`."
        names = {"writer": (pair[0], self._edges.writers), "reader": (pair[1], self._edges.readers)}
        for role, (name, there) in names.items():
            if name not in there:
                return f"There is no {role} `{name}` here. {near(str(name), there)}"
        points = ((name, name.rpartition("[")[0]) for name in pair)  # a name may end in brackets itself
        whys = map(self._edges.left_out.get, itertools.product(*points))
        said = next((f"between them is {why}" for why in whys if why), "the reader reads no sum with what it writes")
        return f"There is no edge from `{pair[0]}` to `{pair[1]}`: {said}."

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return repr(self._edges)


def _unflatten(static: Any, leaves: Any) -> Edges:
    (writers, readers, left_out, instead, pairs), (value, scores, totals) = static, leaves
    return Edges(value, writers, readers, dict(left_out), dict(instead), pairs, scores, totals)


_LEAVES = ("value", "_scores", "_totals")
jax.tree_util.register_pytree_with_keys(
    Edges,
    lambda e: (
        [(jax.tree_util.GetAttrKey(name), getattr(e, name)) for name in _LEAVES],
        (e.writers, e.readers, tuple(e.left_out.items()), tuple(e.instead.items()), e._pairs),
    ),
    _unflatten,
)

__test__ = {"Edges": Edges}
