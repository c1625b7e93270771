"""A walk with another way back at some places, and a run that records what they read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._jax.jaxpr import jaxprs, types
from ..._jax.leaves import opened_leaves
from ..._jax.tracing import Staged
from ..._points.find import find
from ..._points.name_patterns import choose
from ..._points.point import Points
from ..._rewrite.plan import plan
from ..._rewrite.rewire import RECORDING, run
from ..._rewrite.substitute import Back, Substitute, with_way_back
from ..._walk.checks.memory import warn_if_large
from ..._walk.result import Walk
from ..._walk.taps import visited
from ..._walk.walk import walk_staged
from .._explaining import Explaining
from .analysis.place import Place
from .analysis.places import places


class Traced(NamedTuple):
    """A traced function: all its points, those that are asked for, and of its inputs which are explained.

    Where the explained arguments are of integers, none is: what is explained starts at the points.
    """

    staged: Staged
    found: Points
    points: Points
    explained: Sequence[bool]

    @classmethod
    def of(cls, explaining: Explaining, args: Sequence[Any]) -> Traced:
        is_real, check = explaining.has_real_inputs(args), explaining.result_only
        args = args if is_real else explaining.with_inputs(args, jax.tree.map(jnp.asarray, explaining.inputs(args)))
        argnums = explaining.argnums if is_real else None
        staged, found = find(explaining.fun, tuple(args), {}, explaining.by, explaining.source, argnums, check)
        chosen = choose(found, explaining.at, explaining.by)
        warn_if_large(chosen.nbytes)
        return cls(staged, found, chosen, [i in staged.chosen for i in range(len(staged.closed.jaxpr.invars))])


class Recorded(NamedTuple):
    """What a run had: its result, the values at points, and by the name of a substitute the active values it read."""

    value: Any
    outputs: Mapping[str, Any]
    reads: Mapping[str, Any]


class Examined(NamedTuple):
    """A traced function, the points that are asked for, and its places."""

    staged: Staged
    points: Points
    places: Sequence[Place]

    @classmethod
    def of(cls, explaining: Explaining, args: Sequence[Any], through_maxima: bool = False) -> Examined:
        """Trace a function at its arguments and find its places; `through_maxima` as of `analysed`."""
        staged, _, chosen, explained = Traced.of(explaining, args)
        return cls(staged, chosen, places(staged.closed, explained, chosen, through_maxima))

    def walk(self, substitutes: Iterable[Substitute], payload: Mapping[str, Any] = MappingProxyType({})) -> Walk:
        """Walk the function with what stands in for some places, each given what `payload` has by its name."""
        return walk_staged(self.staged, self.points, None, substitutes=list(substitutes), payload=payload)

    def record(self, explaining: Explaining, args: Sequence[Any], which: Sequence[Place]) -> Recorded:
        """Run the function forward at other arguments, and record what some places read."""
        if explaining.has_real_inputs(args):
            values = self.staged.with_chosen(jax.tree.leaves(explaining.inputs(args)))
        else:
            values, _ = opened_leaves(tuple(args))
        planned = plan(self.staged.closed, visited(self.points), map(_recording, which))
        outs, found = run(planned, values, {}, RECORDING)
        names = {_recording(place).name for place in which}
        reads = {name: found.pop(name) for name in names}
        return Recorded(self.staged.results(outs), found, reads)


def replaced_by(place: Place, back: Back) -> Substitute:
    """Return what stands in for a place: it computes the same, and `back` says what goes back to what it reads.

    Its payload, if there is one, is what `Examined.record` has of it.
    """
    through = with_way_back(place.closed, back)
    standing_in = lambda values, payload: (through(values, payload), None)
    return Substitute(place.site, place.reads, standing_in, given=_recorded_types(place))


def without_rule(place: Place) -> Substitute:
    """Return what stands in for a linear function with a derivative rule of its own: what is inside."""
    return Substitute(place.site, place.reads, lambda values, _: (jaxprs.evaluate(place.closed, values), None))


def _recording(place: Place) -> Substitute:
    def record(values: Sequence[Any], _: Any) -> tuple[Sequence[Any], Any]:
        reads = [value for value, is_active in zip(values, place.active, strict=True) if is_active]
        return jaxprs.evaluate(place.closed, values), reads

    return Substitute(place.site, place.reads, record, _recorded_types(place))


def _recorded_types(place: Place) -> list[jax.ShapeDtypeStruct]:
    return [types.struct(v.aval) for v, is_active in zip(place.reads, place.active, strict=True) if is_active]
