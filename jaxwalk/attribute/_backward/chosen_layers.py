"""Which layers a point chooses: those whose result it is, or comes of, and those in its scope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..._errors import PointError, argument, listed, near
from ..._jax import origin
from ..._jax.jaxpr import call_parameters, kinds
from ..._jax.jaxpr.jaxprs import is_literal
from ..._points.name_patterns import fitting
from ..._points.point import Point, Points, Site
from .analysis.dependence import Calls, Level, bodies_of
from .analysis.place import Place
from .analysis.places import Analysed
from .analysis.regions import makers_of
from .layer_rules import LayerRule

if TYPE_CHECKING:
    from jax.extend.core import Literal, Var

_GO_ON = ("layer", "function", "maximum", "linear", "other")  # with one active operand


def rules_by_layer(points: Points, found: Analysed, rules: Mapping[str, LayerRule]) -> dict[Site, LayerRule]:
    """Return by layer the rule that point patterns choose for it; of several the last.

    Raises:
        PointError: a pattern fits no point, or chooses no layer.
    """
    if not rules:
        return {}
    layers = ChosenLayers(found)
    by_point = {name: layers.of(point) for name, point in points.items() if point.opaque is None}
    chosen: dict[Site, LayerRule] = {}
    for pattern, rule in rules.items():
        fit = [pattern] if pattern in points else list(fitting(points, pattern))
        if not fit:
            raise PointError(f"`{argument('rules')}` has {pattern!r}, which fits no point. {near(pattern, points)}")
        mine = {site: rule for name in fit for site in by_point.get(name, ())}
        if not mine:
            names = [name for name, sites in by_point.items() if sites]
            there = f"those of layers are: {listed(names)}" if names else "no point is: name some by `jw.tag`"
            raise PointError(
                f"`{argument('rules')}` has {pattern!r}, which fits {listed(fit, 4)}, the result of no layer and not a"
                f" scope of one; {there}."
            )
        chosen |= mine
    return chosen


class ChosenLayers:
    """Follows values back to the layers that they come of."""

    def __init__(self, found: Analysed):
        self._levels, self._kind_of = found.levels, kinds.kinds()
        self._places: dict[tuple[Calls, int], Place] = {(p.site.calls, p.site.equation): p for p in found.places}
        self._layers = [place for place in found.places if place.kind == "layer"]
        self._makers = {calls: makers_of(level.jaxpr) for calls, level in self._levels.items()}

    def of(self, point: Point) -> list[Site]:
        """Return the layers that a point chooses."""
        scope = [p.site for p in self._layers if point.kind == "scope" and point.opening in {*self._openings(p.site)}]
        calls, index, result = point.site
        level = self._levels.get(calls)
        made = [] if level is None else self._behind(level, level.jaxpr.eqns[index].outvars[result or 0])
        return [*scope, *made]

    def _openings(self, site: Site) -> Iterator[int]:
        """Yield what is told of the scopes that an equation is in, those around its calls too."""
        for depth, (index, _) in enumerate([*site.calls, (site.equation, 0)]):
            eqn = self._levels[site.calls[:depth]].jaxpr.eqns[index]
            yield from (element.identity for element in origin.name_stack(eqn))

    def _behind(self, level: Level, v: Var | Literal) -> Iterator[Site]:
        """Yield the layers whose result a value is, or is made of by what has one active operand."""
        if is_literal(v) or not level.depends(v):
            return
        index = self._makers[level.calls].get(v)
        if index is None:
            yield from self._outside(level, v)
            return
        eqn, place = level.jaxpr.eqns[index], self._places.get((level.calls, index))
        if place is not None and place.kind == "layer":
            yield place.site
        elif place is not None and place.kind not in _GO_ON:
            return
        elif place is None and (bodies := bodies_of(eqn, self._kind_of(eqn))):
            result = eqn.outvars.index(v)
            for body, closed in enumerate(bodies):
                inner = self._levels[(*level.calls, (index, body))]
                yield from self._behind(inner, closed.jaxpr.outvars[result])
        else:
            yield from self._through(level, eqn.invars if place is None else place.reads)

    def _through(self, level: Level, reads: Sequence[Var | Literal]) -> Iterator[Site]:
        active = list(dict.fromkeys(v for v in reads if not is_literal(v) and level.active(v)))
        if len(active) == 1:
            yield from self._behind(level, active[0])

    def _outside(self, level: Level, v: Var) -> Iterator[Site]:
        """Yield those behind an input of a jaxpr; what a scan carries, which the step before made, is not followed."""
        if not level.calls:
            return
        outer = self._levels[level.calls[:-1]]
        eqn = outer.jaxpr.eqns[level.calls[-1][0]]
        place = next(i for i, invar in enumerate(level.jaxpr.invars) if invar is v)
        if self._kind_of(eqn) == "scan":
            parts = call_parameters.scan_parts(eqn)
            if parts.consts <= place < parts.consts + parts.carry:
                return
        yield from self._behind(outer, eqn.invars[place + (self._kind_of(eqn) == "cond")])
