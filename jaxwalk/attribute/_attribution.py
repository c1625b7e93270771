"""`Attribution`: how much each entry of each value has to do with a result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import PointError, check_count, counted
from .._jax.jaxpr.types import widened
from .._points.ordered_mapping import Named
from .._points.point import Point, Points
from .._show.fit import tabular
from .._show.in_treescope import Item, rendering
from .._show.table import Table, is_readable, number
from .._walk.culprits import Culprits, mean_of, most_of


@tabular
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Attribution:
    """How much each entry of each value has to do with the result of a function. A pytree: it goes through `jit`,
    `vmap` and `scan`.

    Attributes:
        method: the name of the method.
        value: what the function returned.
        scores: at each point, by name in forward order.
        inputs: of the arguments that `argnums` names, in their structure; None where they are of integers.
        totals: at each point the sum of all scores, a number.
        gap: how far `inputs` are from adding up to what the method promises, which its docstring says; None where it
            promises nothing.
        points: the `Points`.
        against: what the inputs were compared with where no baseline was given, in words; "" where that is not said.
        argnums: which arguments `inputs` is of, as they were given.
    """

    method: str
    value: Any
    scores: Named
    inputs: Any
    totals: Named
    gap: Any
    points: Points
    against: str = ""
    argnums: tuple[int, ...] = (0,)

    def ranked(self, k: int = 5) -> Culprits:
        """Return the `k` entries of largest |score| over all points, largest first; NaN counts as largest.

        Each is a `Culprit`, whose `value` is the score; it has no δ.

        Raises:
            ArgumentError: `k` is not a positive integer, or the attribution is being traced (under `jit`).
            PointError: there are no scores.

        >>> import jax.numpy as jnp, jaxwalk as jw
        >>> fun = lambda x: jnp.sum(jw.tag(x * x, "square"))
        >>> jw.attribute.gradient_times_output(fun)(jnp.array([1.0, 3.0])).ranked(1)[0].index
        (1,)
        """
        check_count("k", k)
        if not self.scores:
            raise PointError(f"There are no scores at points. {self.scores.why_empty()}")
        return Culprits([dataclasses.replace(c, delta=None) for c in most_of(self.scores, self.scores, int(k))])

    def _table(self) -> Table:
        lead = np.ndim(self.value)
        inputs = [("", "inputs", *_cells(jax.tree.leaves(self.inputs), lead), "")] * (self.inputs is not None)
        shown = self.points.values() if self.scores else ()
        rows = [(str(p.number), p.name, *self._row(p.name, lead), self._note(p, lead)) for p in shown]
        columns = ("X", "point", "shape", "total", "|score| mean", "|score| max", "note")
        right, names = ("X", "total", "|score| mean", "|score| max"), ("X", "point")
        more = "`scores` and `totals` by name have each"
        return Table(
            self._title(), columns, [*inputs, *rows], right, self._notes(), (), names, ("point",), ("note",), more, True
        )

    def __treescope_repr__(self, path: str | None, subtree_renderer: Callable[..., Any]) -> Any:
        whole = [Item(f"{name}=", getattr(self, name), f".{name}") for name in ("value", "gap", "inputs")]
        items = [Item("method: ", self.method), *(item for item in whole if item.value is not None)]
        at_points = [Item(f"{self.points[name].number} {name}: ", tuple(self._items(name))) for name in self.scores]
        return rendering(Attribution, [*items, *at_points], path, subtree_renderer)

    def _items(self, name: str) -> Iterator[Item]:
        """Yield what there is at a point."""
        yield Item("total=", self.totals[name], f".totals[{name!r}]")
        yield Item("scores=", self.scores[name], f".scores[{name!r}]")
        if note := self._note(self.points[name], np.ndim(self.value)):
            yield Item("note: ", note)

    def _row(self, name: str, lead: int) -> tuple[str, ...]:
        return _cells([self.scores[name]], lead) if name in self.scores else ("", "", "", "")

    def _note(self, point: Point, lead: int) -> str:
        return "; ".join(filter(None, [point.note(lead), self.points.also(point.name)]))

    def _title(self) -> str:
        at = f"at {counted(len(self.scores), 'point')}" if self.scores or self.inputs is None else "of the inputs"
        if not is_readable(self.value):
            return f"{self.method} {at}"
        if jnp.ndim(self.value) == 0:
            return f"{self.method} {at}{' of the' if self.scores else ','} result {number(self.value)}"
        mean = number(mean_of(np.asarray(self.value).astype(widened(self.value.dtype))))
        return f"{self.method} {at} of {counted(self.value.size, 'result')}, mean {mean}; totals are means"

    def _notes(self) -> list[str]:
        """Return what the table does not say: the gap, and why there are no scores at points."""
        notes = [] if self.scores or not (why := self.scores.why_empty()) else [why]
        if self.against:
            notes.append(f"Compared with {self.against}; `baseline` names another.")
        if self.gap is None or self.inputs is None or not is_readable(self.gap):
            return notes
        gap = np.asarray(self.gap).astype(widened(self.gap.dtype))
        if gap.ndim:
            largest = number(np.max(np.abs(gap), initial=0))
            return [*notes, f"The inputs' scores miss what they should add up to: their largest gap is {largest}."]
        total = number(np.asarray(total_of_all(self.inputs)) - gap)
        return [*notes, f"The inputs' scores should add up to {total}; their gap is {number(gap)}."]


def _cells(arrays: Sequence[Any], lead: int) -> tuple[str, ...]:
    """Return the shape of an array, or how many there are, the total of their scores, and |score| mean and max.

    Arguments:
        lead: how many axes of data they have in front, over which the mean of the totals is taken.
    """
    shape = str(arrays[0].shape) if len(arrays) == 1 else counted(len(arrays), "array")
    if not arrays or not all(map(is_readable, arrays)) or not sum(array.size for array in arrays):
        return shape, "", "", ""
    values = [np.asarray(array).astype(widened(array.dtype)) for array in arrays]
    data = max(math.prod(values[0].shape[:lead]), 1)
    with np.errstate(invalid="ignore", over="ignore"):
        total = sum(float(np.real(each).sum(dtype=np.float64)) for each in values) / data
        sizes = [np.abs(each) for each in values]
        mean = sum(each.sum(dtype=np.float64) for each in sizes) / sum(each.size for each in sizes)
        largest = np.max([each.max(initial=0) for each in sizes])
    digits = min(4, *(jnp.finfo(array.dtype).precision for array in arrays))
    return shape, number(total), number(mean, digits), number(largest, digits)


_LEAVES = ("value", "scores", "inputs", "totals", "gap")
jax.tree_util.register_pytree_with_keys(
    Attribution,
    lambda a: (
        [(jax.tree_util.GetAttrKey(name), getattr(a, name)) for name in _LEAVES],
        (a.method, a.points, a.against, a.argnums),
    ),
    lambda aux, children: Attribution(
        method=aux[0], points=aux[1], against=aux[2], argnums=aux[3], **dict(zip(_LEAVES, children, strict=True))
    ),
)


def total(scores: Any) -> jax.Array:
    """Return the sum of scores, of real numbers in float32 at least."""
    return jnp.sum(jnp.real(scores), dtype=widened(jnp.real(scores).dtype))


def change(start: Any, end: Any) -> jax.Array:
    """Return by how much a result changes, in float32 at least: results that are near lose most of their digits."""
    wide = widened(jnp.result_type(end))
    return jnp.asarray(end, wide) - jnp.asarray(start, wide)


def total_of_all(scores: Any) -> Any:
    """Return the sum of the scores in all arrays of a pytree."""
    return sum(map(total, jax.tree.leaves(scores)))


__test__ = {"Attribution": Attribution}
