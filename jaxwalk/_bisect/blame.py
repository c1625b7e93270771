"""Which of the equations that make a NaN or an Inf is to blame: the first on which a result depends."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

from .._jax.jaxpr.jaxprs import Closed
from .._jax.jaxpr.types import is_float
from .._points.point import Points
from .backward import Backward
from .makers import Maker, Makers, any_guilty, made_entries, with_one_entry
from .places import Place, Sites
from .programs import Programs
from .values import Value, given


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is searched: a traced function at its arguments."""

    closed: Closed
    args: Sequence
    points: Points
    programs: Programs


@dataclasses.dataclass(frozen=True)
class Found:
    """What a run met.

    Attributes:
        results: what the function returned.
        grads: the cotangents of its inputs; None if there was no way back to take.
        makers: the equations that made a NaN or an Inf.
        barred: the primitives that JAX refused to differentiate, each with what it said.
    """

    results: Sequence[Value]
    grads: Sequence[Value | None] | None
    makers: Makers
    barred: Mapping[str, str]

    @property
    def looked_at(self) -> Sequence[Value | None]:
        """Return the results, or if these are finite the gradients."""
        return self.grads if self.grads is not None else self.results

    @property
    def is_to_explain(self) -> bool:
        """Tell whether an equation made what is NaN or Inf of them."""
        return any_guilty(self.looked_at)


def run(subject: Subject, backward: bool, keep: int | None = None, entries: int | None = None) -> Found:
    """Run a function op by op, and back if it is asked for and the result is finite.

    Arguments:
        keep: how many of the equations that make a NaN or an Inf keep it; in the place of what the others make are
            finite numbers. None: all keep it.
        entries: how many entries the last of these keeps.
    """
    machine = Backward(subject.programs, Sites(subject.points), Makers(keep, entries))
    closed = subject.closed
    results, values = machine.run(closed, [given(x) for x in subject.args], Place())
    grads = None
    if backward and not any(x.is_bad for x in results):
        one = Value(results[0].array * 0 + 1)
        grads = machine.back(closed, values, [one], [is_float(x) for x in subject.args], Place())
    return Found(results, grads, machine.makers, machine.barred)


def blamed(found: Found, again: Callable[[int, int | None], Found]) -> tuple[Maker, int]:
    """Return the first equation that the NaN or Inf in a result depends on, with its first such entry; and how many
    before it are harmless: what they make is selected away.

    It is the first for which the result is NaN or Inf if it and all before it keep what they make, and none after it.

    Arguments:
        found: what a run met in which all keep it, and a result is NaN or Inf.
        again: runs it with the first so many keeping it, and of the last so many entries.
    """

    @functools.cache
    def tried(keep: int, entries: int | None) -> tuple[bool, Maker | None]:
        again_found = again(keep, entries)
        return again_found.is_to_explain, again_found.makers.last

    first = lowest(found.makers.count, lambda keep: tried(keep, None)[0])
    maker = found.makers.last if found.makers.count == 1 else tried(first, None)[1]
    assert maker is not None
    entry = lowest(made_entries(maker), lambda entries: tried(first, entries)[0])
    return with_one_entry(maker, entry - 1), first - 1


def lowest(most: int, holds: Callable[[int], bool]) -> int:
    """Return the lowest number from 1 for which `holds`, which holds for `most`: by bisection, 1 first."""
    if most == 1 or holds(1):
        return 1
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
