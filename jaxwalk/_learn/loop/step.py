"""The compiled step of `learn`: the mean loss of a batch, watched, and an update that nothing non-finite goes into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ..._depth import deep_calls
from ..._errors import ArgumentError
from ..._points.point import Points
from ..watch import watch
from .guard import guarded
from .packing import Packing


class Asked(NamedTuple):
    """What is asked of a step: arguments of `learn`."""

    fun: Callable
    optimizer: optax.GradientTransformation
    at: Any
    by: str | None
    source: Any
    keep: Any
    every: int
    on_nonfinite: str


class Outcome(NamedTuple):
    """What a step has found, on the device.

    Attributes:
        loss: the mean over the batch.
        losses: of each datum.
        flags: whether the loss or a gradient is not finite; whether the step was refused since one before it was.
        packed: what was kept at the points, and the sizes of params; empty where this step did not look.
    """

    loss: jax.Array
    losses: jax.Array
    flags: jax.Array
    packed: dict[str, jax.Array]


def mean_loss(fun: Callable) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Return (params, *batch) -> the mean loss of a batch, and the loss of each datum; `fun` is that of one datum."""

    def loss_of_batch(params: Any, *batch: Any) -> tuple[jax.Array, jax.Array]:
        losses = jax.vmap(fun, in_axes=(None, *(0 for _ in batch)))(params, *batch)
        _check_losses(losses)
        return jnp.mean(losses), losses

    return loss_of_batch


def _check_losses(losses: Any) -> None:
    fix = "`learn` gives `fun` one datum at a time, without the axis of the batch: return one float for it"
    if not hasattr(losses, "dtype"):
        raise ArgumentError(
            f"The loss of one datum must be a real scalar, but `fun` returns a {type(losses).__name__}; {fix}."
        )
    if losses.ndim != 1:
        raise ArgumentError(f"The loss of one datum must be a real scalar, but it has shape {losses.shape[1:]}; {fix}.")
    if not jnp.issubdtype(losses.dtype, jnp.floating):
        raise ArgumentError(f"The loss of one datum must be a real scalar, but its dtype is {losses.dtype}; {fix}.")


class Step:
    """The programs: one that looks at the points, and, with `every` above 1, one that does not.

    Each is compiled for batches of one length, when the first one of it comes.

    Attributes:
        every, way: as asked: `every` and `on_nonfinite`.
        points: what is watched; known once the step is traced.
        packing: how what is kept lies in `Outcome.packed`; known then, too.
    """

    def __init__(self, asked: Asked):
        self.every, self.way = asked.every, asked.on_nonfinite
        self.points = Points()
        self.packing: Packing | None = None
        self.optimizer = guarded(asked.optimizer, asked.on_nonfinite)
        self._looking = self._compiled(asked, asked.keep, True)
        self._blind = self._looking if asked.every == 1 else self._compiled(asked, None, False)

    @deep_calls()
    def prepare(self, params: Any, state: Any, batch: tuple) -> None:
        """Trace the step for arguments of these shapes, which tells what is watched."""
        jax.eval_shape(self._looking, params, state, *batch)

    def looks(self, number: int) -> bool:
        """Tell whether step `number` looks at the points."""
        return number % self.every == 0

    @deep_calls()
    def __call__(self, number: int, params: Any, state: Any, batch: tuple) -> tuple[Any, Any, Outcome]:
        """Take a step; `params` and `state` are given away. Does not wait for the device."""
        return (self._looking if self.looks(number) else self._blind)(params, state, *batch)

    def _compiled(self, asked: Asked, keep: Any, looks: bool) -> Callable:
        which = {"at": asked.at, "by": asked.by, "source": asked.source}
        watched = watch(mean_loss(asked.fun), self.optimizer, keep=keep, has_aux=True, **which)

        def step(params: Any, state: Any, *batch: Any) -> tuple[Any, Any, Outcome]:
            params, state, seen = watched(params, state, *batch)
            flags = jnp.stack([state.is_bad, state.is_halted])
            packed = self._packed(seen) if looks else {}
            return params, state, Outcome(seen.loss, seen.aux, flags, packed)

        return jax.jit(step, donate_argnums=(0, 1))

    def _packed(self, seen: Any) -> dict[str, jax.Array]:
        """Note, while it is traced, what a step keeps; what it keeps of batches of another length must be like it."""
        found = seen.kept, seen.weights
        packing = Packing.of(found)
        if self.packing is not None and packing != self.packing:
            raise ArgumentError(
                f"`keep` returns other arrays for a batch of {len(seen.aux)} data than for the first, which makes no"
                " history; return arrays whose shapes do not depend on the length of the batch."
            )
        self.points, self.packing = seen.points, packing
        return packing.pack(found)
