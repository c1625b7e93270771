"""Dividing what `keep` computes: what comes of the output alone, and what needs δ."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .._jax.jaxpr.jaxprs import Closed
from .._jax.reach import Reach


class Sides(NamedTuple):
    """`keep` as two jaxprs of all its arguments.

    Attributes:
        early: of the results that do not depend on δ.
        late: of the others.
        is_early: of each result, whether it is of the first.
        needs_output: whether the second looks at the output.
    """

    early: Closed
    late: Closed
    is_early: list[bool]
    needs_output: bool

    def joined(self, early: Iterable[Any], late: Iterable[Any]) -> list[Any]:
        """Return the results of both in their order."""
        found = {True: iter(early), False: iter(late)}
        return [next(found[is_early]) for is_early in self.is_early]


def sides_of(closed: Closed) -> Sides:
    """Divide a jaxpr of (output, δ, others...). What has an effect, as printing has, is done once, where the output and
    δ are both there."""
    jaxpr, reach = closed.jaxpr, Reach()
    count = len(jaxpr.outvars)
    needs_delta = [reach.into(jaxpr, [i == j for j in range(count)])[0][1] for i in range(count)]
    is_late = [bool(jaxpr.effects or needed) for needed in needs_delta]
    is_early = [not late for late in is_late]
    needs_output = bool(jaxpr.effects or reach.into(jaxpr, is_late)[0][0])
    return Sides(_part(closed, reach, is_early), _part(closed, reach, is_late), is_early, needs_output)


def _part(closed: Closed, reach: Reach, which: Sequence[bool]) -> Closed:
    """Return the same function with some of its results, and without the equations that are for others."""
    if all(which):
        return closed
    jaxpr = closed.jaxpr
    _, masks = reach.into(jaxpr, which)
    eqns = [eqn for eqn, mask in zip(jaxpr.eqns, masks, strict=True) if any(mask)]
    return closed._replace(jaxpr=jaxpr.replace(eqns=eqns, outvars=list(itertools.compress(jaxpr.outvars, which))))
