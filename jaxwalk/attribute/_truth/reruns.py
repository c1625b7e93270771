"""A function that is run again and again, with entries of the values at its points replaced."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._errors import PointError, argument, listed, near
from ..._jax.tracing import Staged, stage
from ..._points.find import find
from ..._points.point import Points
from ..._rewrite.plan import Plan, plan
from ..._rewrite.rewire import RECORDING, Visitor, run
from ..._walk.checks.loss import loss_only
from .._explaining import Explaining

AT_ONCE = 16  # runs that are vmapped; these batches go one after the other


class Reruns(NamedTuple):
    """A traced function at its arguments, and points at which values are replaced.

    Attributes:
        staged: the function.
        planned: how it is run with something done at the points.
        points: by name.
    """

    staged: Staged
    planned: Plan
    points: Points

    @classmethod
    def traced(cls, of: Explaining, args: tuple, names: Sequence[str]) -> Reruns:
        """Trace a function once."""
        check = functools.partial(loss_only, has_aux=False)
        staged, found = find(of.fun, args, {}, of.by, of.source, used=check)
        if missing := [name for name in names if name not in found]:
            raise PointError(
                f"`{argument('attribution')}` has scores at {listed(missing, 4)}, and `{argument('fun')}` has no such"
                f" point; give the function that it is of, and the same `{argument('by')}`. {near(missing[0], found)}"
            )
        planned = plan(staged.closed, [found[name] for name in names])
        return cls(staged, planned, found.where(lambda point: point.name in names))

    def outputs(self) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Return the result, and the values at the points."""
        (value,), found = run(self.planned, self.staged.args, {}, RECORDING)
        return value, found

    def replacing(self, edits: Mapping[str, tuple[Any, Any]]) -> jax.Array:
        """Return the result with values replaced where a mask says so; what comes after them is computed anew.

        Arguments:
            edits: of every point, (mask, new value), each with the axes of the point; those of the mask after those of
                loops may be of length 1.
        """
        return run(self.planned, self.staged.args, dict(edits), _REPLACING)[0][0]

    def moving(self, moves: Mapping[str, Any]) -> jax.Array:
        """Return the result with these, one for every point, taken from the values as they are met."""
        return run(self.planned, self.staged.args, dict(moves), _MOVING)[0][0]


_REPLACING = Visitor(lambda name, value, edit: (jnp.where(edit[0], edit[1], value), None), recorded=None)
_MOVING = Visitor(lambda name, value, move: (value - move, None), recorded=None)


def check_result(of: Explaining, args: tuple) -> None:
    """Refuse a function whose result is no real scalar."""
    loss_only(stage(of.fun, args, {}), False)
