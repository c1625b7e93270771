"""`Attribution`: how much each entry of each value has to do with a result."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import PointError, check_count, counted
from .._jax.jaxpr.types import widened
from .._points.ordered_mapping import Named
from .._points.point import Points
from .._show.fit import tabular
from .._show.table import Table, is_readable, number
from .._walk.culprits import Culprits, most_of


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
    """

    method: str
    value: Any
    scores: Named
    inputs: Any
    totals: Named
    gap: Any
    points: Points

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
        check_count("k", k, (int, np.integer))
        if not self.scores:
            raise PointError(f"There are no scores at points. {self.scores.why_empty()}")
        return Culprits([dataclasses.replace(c, delta=None) for c in most_of(self.scores, self.scores, int(k))])

    def _table(self) -> Table:
        rows = [(str(p.number), p.name, *self._row(p.name), p.note()) for p in self.points.values()]
        columns = ("X", "point", "shape", "total", "|score| mean", "|score| max", "note")
        right, lead = ("X", "total", "|score| mean", "|score| max"), ("X", "point")
        more = "`scores` and `totals` by name have each"
        return Table(self._title(), columns, rows, right, (), (), lead, ("point",), ("note",), more, True)

    def _row(self, name: str) -> tuple[str, ...]:
        if name not in self.scores:
            return "", "", "", ""
        scores = self.scores[name]
        if not is_readable(scores) or scores.size == 0:
            return str(scores.shape), "", "", ""
        sizes, totals = np.abs(np.asarray(scores)), np.asarray(self.totals[name])
        total = number(totals.mean()) if totals.ndim else number(totals)
        return str(scores.shape), total, number(sizes.mean()), number(sizes.max())

    def _title(self) -> str:
        said = f"{self.method} at {counted(len(self.scores), 'point')}"
        if is_readable(self.value) and jnp.ndim(self.value) == 0:
            said += f" of the result {number(self.value)}"
        if self.gap is not None and is_readable(self.gap) and jnp.ndim(self.gap) == 0:
            said += f"; the inputs' scores miss what they should add up to by {number(self.gap)}"
        return said


_LEAVES = ("value", "scores", "inputs", "totals", "gap")
jax.tree_util.register_pytree_with_keys(
    Attribution,
    lambda a: ([(jax.tree_util.GetAttrKey(name), getattr(a, name)) for name in _LEAVES], (a.method, a.points)),
    lambda aux, children: Attribution(method=aux[0], points=aux[1], **dict(zip(_LEAVES, children, strict=True))),
)


def total(scores: Any) -> jax.Array:
    """Return the sum of scores, of real numbers in float32 at least."""
    return jnp.sum(jnp.real(scores), dtype=widened(jnp.real(scores).dtype))


def total_of_all(scores: Any) -> Any:
    """Return the sum of the scores in all arrays of a pytree."""
    return sum(map(total, jax.tree.leaves(scores)))


__test__ = {"Attribution": Attribution}
