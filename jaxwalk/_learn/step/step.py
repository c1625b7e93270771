"""A step of `learn`: the mean loss of a batch, watched, and an update that nothing non-finite goes into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._depth import deep_calls
from ..._errors import ArgumentError, counted
from ..._evaluate.placement import Placement
from ..._jax.packing import Packing
from ..._points.point import Points
from ..watch import watch
from .asked import Asked
from .guard import guarded
from .mean_loss import mean_loss
from .programs import Kept, Program, built


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


class Step:
    """The programs: one that looks at the points, and, with `every` above 1, one that does not.

    Each is compiled for batches of one length, when the first one of it comes, unless an earlier run has left it.

    Attributes:
        every, way: as asked: `every` and `on_nonfinite`.
        points: what is watched; known once the step is prepared.
        packing: how what is kept lies in `Outcome.packed`; known then, too.
        kept: the programs that there are, which a later run may find.
    """

    def __init__(self, asked: Asked, placed: Placement):
        self.every, self.way = asked.every, asked.on_nonfinite
        self.points = Points()
        self.packing: Packing | None = None
        self.optimizer = guarded(asked.optimizer, asked.on_nonfinite)
        self.kept = Kept()
        self._asked, self._placed = asked, placed
        self._constants: dict[tuple[int, bool], list[Any]] = {}  # where they are to be, put there once

    def prepare(self, params: Any, state: Any, batch: tuple) -> None:
        """Trace the step for arguments of these shapes, which tells what is watched."""
        self._program((len(jax.tree.leaves(batch)[0]), True), params, state, batch)

    def looks(self, number: int) -> bool:
        """Tell whether step `number` looks at the points."""
        return number % self.every == 0

    @deep_calls()
    def __call__(self, number: int, params: Any, state: Any, batch: tuple) -> tuple[Any, Any, Outcome]:
        """Take a step; `params` and `state` are given away. Does not wait for the device."""
        key = len(jax.tree.leaves(batch)[0]), self.looks(number)
        program = self._program(key, params, state, batch)
        if key not in self._constants:
            self._constants[key] = self._placed.params([constant() for constant in program.constants])
        return program.run(self._constants[key], params, state, batch)

    @deep_calls()
    def _program(self, key: tuple[int, bool], params: Any, state: Any, batch: tuple) -> Program:
        """Return the program for so many rows, which looks at the points or does not."""
        (rows, looks), program = key, self.kept.programs.get(key)
        if program is None:
            seen: list[tuple[Points, Packing]] = []
            traced = built(self._step(looks, seen), params, state, batch, self.kept, self._asked.mesh is not None)
            program = traced._replace(seen=seen[0] if looks else None)
            self.kept.programs[key] = program
        if program.seen is not None:
            self._note(*program.seen, rows)
        return program

    def _step(self, looks: bool, seen: list[tuple[Points, Packing]]) -> Callable:
        """Return the function that is compiled; what it keeps is noted while it is traced."""
        asked = self._asked
        which = {"at": asked.at, "by": asked.by, "source": asked.source, "keep": asked.keep if looks else None}
        watched = watch(mean_loss(asked.fun), self.optimizer, has_aux=True, **which)

        def step(params: Any, state: Any, *batch: Any) -> tuple[Any, Any, Outcome]:
            params, state, found = watched(params, state, *batch)
            flags = jnp.stack([state.is_bad, state.is_halted])
            packed = {}
            if looks:
                packing = Packing.of((found.kept, found.weights))
                packed = packing.pack((found.kept, found.weights))
                seen.append((found.points, packing))
            return params, state, Outcome(found.loss, found.aux, flags, packed)

        return step

    def _note(self, points: Points, packing: Packing, rows: int) -> None:
        """Note what a step keeps; what it keeps of batches of another length must be like it."""
        if self.packing is not None and packing != self.packing:
            raise ArgumentError(
                f"`keep` returns other arrays for a batch of {counted(rows, 'datum', 'data')} than for the first, which"
                " makes no history; return arrays whose shapes do not depend on the length of the batch."
            )
        self.points, self.packing = points, packing
