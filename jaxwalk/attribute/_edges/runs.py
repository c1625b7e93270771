"""The two runs: what writers write in each, and the δ of each read in one backward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._jax.jaxpr.jaxprs import Closed
from ..._rewrite.rewire import Plan, Visitor, plan_with_reads, run
from ..._rewrite.tap import Tap, delta_tap
from ..._walk.checks.mutable_arrays import differentiating
from ..._walk.checks.nested_shards import check_nested_shards
from ..._walk.checks.way_back import leading_back
from ..._walk.taps import slots_of, tapping
from .found import Found


class Run(NamedTuple):
    """What one run has found: the result, the outputs of points, and δ there and where scopes read."""

    value: Any
    outputs: Mapping[str, Any]
    deltas: Mapping[str, Any]


class Runs(NamedTuple):
    """Runs a traced function with taps at points, and where scopes read."""

    closed: Closed
    planned: Plan
    taps: Mapping[str, Tap]

    @classmethod
    def of(cls, closed: Closed, found: Found) -> Runs:
        tapped: Sequence[Any] = [*found.points, *found.reads]
        return cls(
            closed, plan_with_reads(closed, found.points, found.reads), {each.name: delta_tap(each) for each in tapped}
        )

    def forward(self, args: Sequence[Any]) -> Run:
        """Run it forward alone; there are no δ."""
        seen = Visitor(lambda name, x, _: (x, None), lambda name, value: value)
        (value,), outputs = run(self.planned, args, {}, seen)
        return Run(value, outputs, {})

    def walk(self, args: Sequence[Any]) -> Run:
        """Run it forward and backward."""

        def forward(slots: Any) -> tuple[Any, Any]:
            (value,), outputs = run(self.planned, args, slots, tapping(self.taps))
            return value, outputs

        slots = slots_of(self.taps)
        with differentiating(self.closed), leading_back(self.closed):
            check_nested_shards(self.closed.jaxpr, forward, slots)
            value, pullback, outputs = jax.vjp(forward, slots, has_aux=True)
            (deltas,) = pullback(jnp.ones_like(value))
        return Run(value, outputs, deltas)
