"""The two runs: what writers write in each, and the δ of each read in one backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._jax.jaxpr.jaxprs import Closed
from ..._rewrite.plan import Plan, plan_with_reads
from ..._rewrite.rewire import Visitor, run
from ..._rewrite.tap import Tap, delta_tap
from ..._walk.checks.mutable_arrays import differentiating
from ..._walk.checks.nested_shards import check_nested_shards
from ..._walk.checks.way_back import leading_back
from ..._walk.taps import slots_of
from .found import Found


class Run(NamedTuple):
    """What one run has found: the result, the outputs of points, and δ there and where scopes read."""

    value: Any
    outputs: Mapping[str, Any]
    deltas: Mapping[str, Any]


class Runs(NamedTuple):
    """Runs a traced function with taps at points, and where scopes read.

    Attributes:
        taps: by the names of all these.
        written: those of them whose values are looked at.
    """

    closed: Closed
    planned: Plan
    taps: Mapping[str, Tap]
    written: frozenset[str]

    @classmethod
    def of(cls, closed: Closed, found: Found) -> Runs:
        tapped: Sequence[Any] = [*found.points, *found.reads]
        planned = plan_with_reads(closed, found.points, found.reads)
        taps = {each.name: delta_tap(each) for each in tapped}
        return cls(closed, planned, taps, frozenset(way.writer.name for way in found.ways))

    def forward(self, args: Sequence[Any]) -> Run:
        """Run it forward alone; there are no δ."""
        (value,), outputs = run(self.planned, args, {}, self._visitor(lambda name, x, slots: x))
        return Run(value, outputs, {})

    def walk(self, args: Sequence[Any]) -> Run:
        """Run it forward and backward."""

        def forward(slots: Any) -> tuple[Any, Any]:
            (value,), outputs = run(self.planned, args, slots, tapping)
            return value, outputs

        tapping = self._visitor(lambda name, x, slots: self.taps[name].through(x, slots)[0])
        slots = slots_of(self.taps)
        with differentiating(self.closed), leading_back(self.closed):
            check_nested_shards(self.closed.jaxpr, forward, slots)
            value, pullback, outputs = jax.vjp(forward, slots, has_aux=True)
            (deltas,) = pullback(jnp.ones_like(value))
        return Run(value, outputs, deltas)

    def _visitor(self, through: Callable[[str, Any, Any], Any]) -> Visitor:
        """Return what sends values through something, and records them where they are looked at."""
        is_seen = lambda name: name in self.written
        return Visitor(
            lambda name, x, slots: (through(name, x, slots), None if is_seen(name) else ()),
            lambda name, value: value if is_seen(name) else (),
        )
