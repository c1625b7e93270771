"""A scan on sums: what its carry is a sum of in each of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..._jax.jaxpr.call_parameters import ScanParts
from .sums import Source, Sum, Term, Terms, add, in_each_step


class Loop(NamedTuple):
    """What a scan reads: what is the same in each step, what it carries in, what it takes step by step."""

    consts: list[Sum]
    carry: list[Sum]
    stacked: list[Sum]
    order: list[int]  # its steps, as they run

    @classmethod
    def of(cls, read: Sequence[Sum], parts: ScanParts) -> Loop:
        first = parts.consts + parts.carry
        consts = [in_each_step(value, parts.length) for value in read[: parts.consts]]
        order = list(range(parts.length))
        return cls(
            consts,
            list(read[parts.consts : first]),
            list(read[first:]),
            order[::-1] if parts.options["reverse"] else order,
        )


def unrolled(loop: Loop, symbols: Sequence[Source], made: Sequence[Terms]) -> tuple[list[Terms], list[Terms]]:
    """Return what each carry is a sum of as it comes into the steps, an axis of them last; and as the last leaves it.

    Arguments:
        symbols: what stands for each carry as it comes into a step; None for what is none.
        made: what each is a sum of as it leaves a step, in these symbols too.
    """
    place = {symbol: p for p, symbol in enumerate(symbols) if symbol is not None}
    state: list[Terms] = [value.terms for value in loop.carry]
    coming: list[list[Terms]] = [state] * len(loop.order)
    for step in loop.order:
        coming[step] = state
        state = [_after(terms, state, place, step) for terms in made]
    return [_stacked([at[p] for at in coming]) for p in range(len(state))], state


def _after(made: Terms, state: Sequence[Terms], place: Mapping[Source, int], step: int) -> Terms:
    """Return what leaves a step, where `state` comes into it."""
    found: dict[Term, np.ndarray] = {}
    for (source, moves), factors in made.items():
        factor = factors[..., step]
        if source in place:
            came = state[place[source]]
            add(found, {Term(s, (*before, *moves)): f * factor for (s, before), f in came.items()})
        else:
            add(found, {Term(source, moves): factor})
    return found


def _stacked(steps: Sequence[Terms]) -> Terms:
    found: dict[Term, np.ndarray] = {}
    for term, like in {term: f for at in steps for term, f in at.items()}.items():
        found[term] = np.stack([at.get(term, np.zeros_like(like)) for at in steps], -1)
    return found
