"""`Seen`: what a watched step has seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError, counted
from .._points.ordered_mapping import Named
from .._points.point import Points
from .._show.fit import tabular
from .._show.table import Table, is_readable, labelled, number

COLUMNS = {
    "output rms": "output_rms",
    "output max": "output_max",
    "δ rms": "delta_rms",
    "δ max": "delta_max",
    "dead": "dead_share",
    "saturated": "saturated_share",
}
"""What is shown of `jw.stats.health`: columns, and the results they are of."""


@tabular
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Seen:
    """What a watched training step has seen. A pytree: it goes through `jit`, `scan` and `vmap`.

    Of many steps, as `lax.scan` stacks them, the arrays have an axis of steps in front: `seen[-1]` is the last step,
    `seen[::100]` each hundredth. Under `jax.vmap` leave `out_axes` 0: another is refused where a shape tells of it, and
    not where there are as many members as points in a group of them, which then change places.

    Attributes:
        loss: of the batch, before the update.
        aux: the second result of the function, with `has_aux`; else None.
        kept: what `keep` made of output and δ at each point, by name in forward order; with `every=k` zeros in the
            steps between.
        weights: by the path of each array of the params ("layer/kernel"), `weight_l2`, `gradient_l2` and `update_l2`:
            the ℓ2 norms of it before the update, of its gradient, and of how far it moved: of the params after less the
            params before, as they are in their dtype. So an update that is lost to rounding, as in bfloat16, is 0. Of a
            gradient whose norm is below 1e-15 or above 1e19, so that its squares are no float32, it is the largest |x|.
        is_seen: a boolean: whether the step was looked at, as with `every=k` each k-th is; of the others what is kept,
            and the sizes of weights, are zeros. None with `keep=None`, where nothing is kept.
        points: the `Points` that are watched.
    """

    loss: Any
    aux: Any
    kept: Named
    weights: Named
    is_seen: Any
    points: Points

    def __getitem__(self, steps: Any) -> Seen:
        """Return what was seen in one step of many, or in some of them.

        Raises:
            ArgumentError: it is of one step; there is no such step.
        """
        if jnp.ndim(self.loss) == 0:
            raise ArgumentError("`Seen` is of one step, which has no number; it is that of many after `jax.lax.scan`.")
        if isinstance(steps, int) and not -len(self.loss) <= steps < len(self.loss):
            raise ArgumentError(f"`Seen` is of {counted(len(self.loss), 'step')}, and has none at {steps}.")
        return jax.tree.map(lambda leaf: leaf[steps], self)

    def _table(self) -> Table:
        is_health = all(isinstance(kept, Mapping) and "delta_rms" in kept for kept in self.kept.values())
        columns = tuple(COLUMNS) if is_health else ("kept",)
        cells = self._health_of if is_health else lambda name: (labelled(self.kept[name]),)
        rows = [(str(self.points[name].number), name, *cells(name)) for name in self.kept]
        more = "`seen.kept` has each result by name"
        right = ("X", *columns) if is_health else ("X",)
        return Table(self._title(), ("X", "point", *columns), rows, right, [*self._notes()], (), ("X", "point"),
                     ("point",), ("kept",), more, True)  # fmt: skip

    def _health_of(self, name: str) -> tuple[str, ...]:
        return tuple(self._range(self.kept[name].get(result)) for result in COLUMNS.values())

    def _range(self, values: Any) -> str:
        """Return a number, or of several the smallest and the largest, in steps that were looked at; "" for none."""
        if values is None or not is_readable(values):
            return ""
        values = np.asarray(values)[np.asarray(self.is_seen)]
        if values.size == 0:
            return ""
        least, most = number(values.min(), 3), number(values.max(), 3)
        return least if least == most else f"{least} to {most}"

    def _title(self) -> str:
        at = f"at {counted(len(self.points), 'point')}" if self.points else "at no point: nothing was kept"
        if not is_readable(self.loss):
            return f"Seen {at}"
        if jnp.ndim(self.loss) == 0:
            return f"Seen {at}, loss {number(self.loss)}"
        losses = np.asarray(self.loss)
        told = f", loss {number(losses.ravel()[0])} to {number(losses.ravel()[-1])}" if losses.size else ""
        return f"{counted(losses.size, 'step')} seen {at}{told}"

    def _notes(self) -> Iterator[str]:
        if self.is_seen is not None and is_readable(self.is_seen):
            seen = np.asarray(self.is_seen)
            if not seen.all():
                passed = "This step was not" if seen.ndim == 0 else f"{np.sum(~seen)} of these steps were not"
                yield f"{passed} looked at (`every`): what is kept, and the sizes of weights, are zeros."
        if self.weights:
            yield f"`seen.weights` has the sizes of {counted(len(self.weights), 'array')} of the params."


def stacked(seen: Seen | Sequence[Seen]) -> Seen:
    """Return what several steps have seen as one, with an axis of steps in front, as `lax.scan` would stack it.

    Raises:
        ArgumentError: they are of different points, or keep other arrays.
    """
    if isinstance(seen, Seen):
        return seen
    try:
        return jax.tree.map(lambda *steps: np.stack([np.asarray(step) for step in steps]), *seen)
    except ValueError:
        fix = "give those of one `jw.watch`, on batches of one length"
        raise ArgumentError(
            f"What these {len(seen)} steps have seen is not alike, so that it makes no history; {fix}."
        ) from None


_LEAVES = ("loss", "aux", "kept", "weights", "is_seen")
jax.tree_util.register_pytree_with_keys(
    Seen,
    lambda seen: ([(jax.tree_util.GetAttrKey(name), getattr(seen, name)) for name in _LEAVES], seen.points),
    lambda points, children: Seen(**dict(zip(_LEAVES, children, strict=True)), points=points),
)
