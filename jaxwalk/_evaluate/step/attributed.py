"""One batch through a method of attribution: the totals of each datum, and the sizes of its scores by point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._jax.jaxpr import jaxprs
from ..._jax.jaxpr.types import widened
from ..._jax.tracing import Staged
from ..._rewrite.tap import loops
from ..._walk.nonfinite import kind_of_all
from ...stats import Statistic
from ...stats._batched import of_datum
from ..batches import COUNTS
from ..result.ranking import Rows
from .alike import Kept

GAP = ""  # a name that no point has, for what is kept of the gap beside what is kept at points


def attribution(staged: Staged, params: Sequence[Any], leaves: Sequence[Any]) -> Any:
    """Return the attribution of one datum."""
    return staged.results(jaxprs.evaluate(staged.closed, [*params, *leaves]))


def columns_of(attributed: Any) -> list[str]:
    """Return of what the numbers of a datum are: the points with scores, and the gap, if a method promises one."""
    return [*attributed.totals.once(), *([] if attributed.gap is None else [GAP])]


def each_attributed(
    staged: Staged, attributed: Any, statistic: Statistic
) -> tuple[Callable[..., tuple[Rows, list[Kept]]], list[list[str]]]:
    """Return (params, leaves, counts) -> the rows of a batch, and what is kept in pieces; and of which points each is.

    A piece is of all the points that are in loops of the same lengths.
    """
    names = columns_of(attributed)
    lengths = lambda name: () if name == GAP else loops(attributed.points[name])
    pieces: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        pieces.setdefault(lengths(name), []).append(name)
    ordered = [name for many in pieces.values() for name in many]

    def datum(params: Sequence[Any], leaves: Sequence[Any], counts: jax.Array) -> tuple[Any, Any, list[Kept]]:
        found = attribution(staged, params, leaves)
        value = found.value.astype(widened(found.value.dtype))
        scores = lambda name: found.gap if name == GAP else found.scores[name]
        totals = [found.gap if name == GAP else found.totals[name] for name in ordered]
        numbers = jnp.stack([total.astype(value.dtype) for total in totals])
        kept = [_kept(statistic, list(map(scores, many)), loop, counts) for loop, many in pieces.items()]
        return value, numbers, kept

    @jax.jit
    def each(params: Sequence[Any], leaves: Sequence[Any], counts: jax.Array) -> tuple[Rows, list[Kept]]:
        values, numbers, kept = jax.vmap(datum, in_axes=(None, 0, 0))(params, leaves, counts == COUNTS)
        return Rows(values, numbers, counts, jax.vmap(kind_of_all)(leaves)), kept

    return each, list(pieces.values())


def _kept(statistic: Statistic, scores: list[Any], loop: tuple[int, ...], counts: jax.Array) -> Kept:
    """Return the states of some points, of their scores at each step of the loops around them."""
    sizes = [_sizes(one, len(loop)) for one in scores]
    state = lambda sizes, counts: of_datum(statistic)(sizes, sizes, counts)[0]
    for _ in range(1 + len(loop)):
        state = jax.vmap(state, in_axes=(0, None))
    return {"apart": state(jax.tree.map(lambda *each: jnp.stack(each), *sizes), counts)}


def _sizes(scores: Any, lead: int) -> dict[str, jax.Array]:
    """Return the total of scores, and their mean and largest size, over all axes but the leading ones."""
    dtype = jnp.result_type(widened(jnp.real(scores).dtype), jnp.float32)
    axes = tuple(range(lead, scores.ndim))
    sizes, total = jnp.abs(scores).astype(dtype), jnp.sum(jnp.real(scores), axes, dtype=dtype)
    most = jnp.max(sizes, axes, initial=-jnp.inf)
    return {"total_mean": total, "score_abs_mean": jnp.mean(sizes, axes), "score_abs_max": most}
