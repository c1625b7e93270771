"""The equations of each jaxpr, and which of them are places: one by one, or several that are one idea."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...._jax import origin
from ...._jax.affine import Affine
from ...._jax.jaxpr import jaxprs, kinds, types
from ...._jax.jaxpr.jaxprs import Closed, is_literal
from ...._points.entrywise import CALLS, Entrywise
from ...._points.paths.exits import readers_of
from ...._points.point import Site
from .dependence import Calls, Level, bodies_of, is_maximum
from .inlined import Frame, Inlined
from .layers import PRODUCTS, is_layer, with_bias
from .normalisations import Normalisations
from .place import Place
from .regions import Region, Regions, Visited
from .relus import relu_of

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var


class Analysis:
    """Looks at the equations of every jaxpr, each with its own calls around it."""

    def __init__(self, levels: Mapping[Calls, Level], visited: Visited, softmax_alone: bool):
        self.levels, self.visited, self.softmax_alone = levels, visited, softmax_alone
        self.is_entrywise, self.is_affine = Entrywise(), Affine()
        self.kind_of, self.name_of = self.is_entrywise.kind_of, self.is_entrywise.name_of
        self.inlined = Inlined(levels, self.kind_of, visited)
        self.normalisations = Normalisations(self.inlined, self.is_entrywise)

    def within(self, calls: Calls) -> list[Place]:
        """Return the places of the jaxpr that some calls lead to, and of those that it runs."""
        here = _Equations(self.levels[calls], self)
        found = [here.places(index) for index in range(len(here.eqns))]
        return [place for index in here.needed(found) for place in found[index]]


class _Equations:
    """The equations of one jaxpr."""

    def __init__(self, level: Level, analysis: Analysis):
        self.level, self.eqns, self._all = level, level.jaxpr.eqns, analysis
        self._names = [analysis.name_of(eqn) or analysis.kind_of(eqn) for eqn in self.eqns]
        self._visited = [analysis.visited.at(level.calls, index) for index in range(len(self.eqns))]
        self._regions, self._frame = Regions(level, analysis.visited, analysis.is_entrywise), Frame(level)
        self._layers = self._find_layers()  # by equation that is of a layer, all equations of it

    def needed(self, found: Sequence[Sequence[Place]]) -> list[int]:
        """Return the equations on which the results depend, where a place computes from what it reads, in order."""
        needed = {*filter(self.level.depends, self.level.jaxpr.outvars)}
        kept = []
        for index in range(len(self.eqns) - 1, -1, -1):
            eqn = self.eqns[index]
            if self._visited[index] or any(v in needed for v in eqn.outvars):
                kept.append(index)
                own = [place.reads for place in found[index] if place.site == Site(self.level.calls, index)]
                needed.update(filter(self.level.depends, own[0] if own else eqn.invars))
        return kept[::-1]

    def places(self, index: int) -> list[Place]:
        """Return the places of an equation: of itself, or of what it runs."""
        eqn, kind = self.eqns[index], self._all.kind_of(self.eqns[index])
        if kind == "name" or not any(map(self.level.depends, eqn.invars)):
            return []
        if bodies := bodies_of(eqn, kind):
            return self._of_entries(index) if self._is_where(eqn, kind, index) else self._called(index, kind, bodies)
        if kinds.barrier_of(eqn) == "stop_gradient":
            return [self._alone("stop", index)] if self.level.active(eqn.outvars[0]) else []
        if index in self._layers:
            layer = self._layers[index]
            return [self._layer(layer)] if index == layer[-1] else []
        return self._bending(index) if any(types.is_float(v.aval) for v in eqn.outvars) else []

    # One equation, or several that are one idea -----------------------------------------------------------

    def _bending(self, index: int) -> list[Place]:
        eqn, name = self.eqns[index], self._names[index]
        active = [self.level.active(v) for v in eqn.invars]
        is_entrywise = self._all.kind_of(eqn) is None and self._all.is_entrywise(eqn)
        decides = is_entrywise and any(map(self.level.depends, self._others(eqn)))
        if not (any(active) or decides):
            return []
        if (relu := self._relu_by_size(index)) is not None:
            return [relu]
        if self._is_affine(eqn, active, decides):
            return []
        if (softmax := self._softmax(index)) is not None:
            return [softmax]
        if (relu := self._relu_with_ceiling(index)) is not None:
            return [relu]
        if is_entrywise:
            return self._of_entries(index)
        if name in PRODUCTS and sum(active) == len(active) == 2:
            return [self._alone("product", index)]
        return [self._alone("maximum" if is_maximum(name) else "other", index)]

    def _relu_with_ceiling(self, index: int) -> Place | None:
        """Return the place of a relu and of the `min` that cuts it off, as one; None if it is no such `min`."""
        dependent = self._regions.dependent(self.eqns[index])
        if self._names[index] != "min" or len(dependent) != 1:
            return None
        return self._relu_from(index, self._regions.above(dependent[0]))

    def _relu_by_size(self, index: int) -> Place | None:
        """Return the place of x + |x|, of which the sum alone is linear; None if it is another sum."""
        operands = [v for v in self.eqns[index].invars if not is_literal(v)]
        if self._names[index] not in ("add", "add_any") or len(operands) != 2:
            return None
        for v, size in (operands, operands[::-1]):
            maker = self._regions.makers.get(size)
            if maker is not None and self._names[maker] == "abs" and self.eqns[maker].invars[0] is v:
                return self._relu_from(index, v)
        return None

    def _relu_from(self, index: int, start: Var | None) -> Place | None:
        """Return the place of a function from a value to an equation, if that is a relu."""
        region = None if start is None or not self.level.active(start) else self._regions.ending_at(index, [start])
        place = None if region is None else self._place("function", index, region)
        return place if place is not None and relu_of(place) is not None else None

    def _is_where(self, eqn: JaxprEqn, kind: str | None, index: int) -> bool:
        """Tell whether a call works entry by entry, gives no integers, and is given some that depend on what is
        explained, or booleans: as `jnp.where` is, and no jaxpr has in it what these are made of."""
        decides = (
            kind in CALLS and any(map(self.level.depends, self._others(eqn))) and self.level.active(eqn.outvars[0])
        )
        inside = self._all.visited.inside(self.level.calls, index)
        return decides and not inside and self._regions.is_entrywise(eqn)

    def _is_affine(self, eqn: JaxprEqn, active: Sequence[bool], decides: bool) -> bool:
        opaque = self._all.kind_of(eqn) is not None or kinds.barrier_of(eqn) is not None or jaxprs.touches_ref(eqn)
        return not (decides or opaque) and self._all.is_affine(eqn, active, self.level.loops)

    def _others(self, eqn: JaxprEqn) -> list[Var | Literal]:
        """Return the operands of an equation that are integers and booleans."""
        return [v for v in eqn.invars if not types.is_float(v.aval)]

    def _of_entries(self, index: int) -> list[Place]:
        eqn, name = self.eqns[index], self._names[index]
        dependent = self._regions.dependent(eqn)
        nearest = self._regions.origin(dependent) if self._regions.is_entrywise(eqn) else None
        if nearest is not None:
            region = self._regions.ending_at(index, [nearest])
            return [self._place("other" if region is None else "function", index, region)]
        if name in ("mul", "div") and len(dependent) == 2 and all(map(self.level.active, dependent)):
            return [self._product(index, dependent)]
        origins = self._regions.origins(dependent)
        if origins is None:
            return [self._place("other", index, None)] if any(map(self.level.active, dependent)) else []
        region = self._regions.ending_at(index, origins) if origins else None
        return [self._place("other" if region is None else "binary", index, region)] if origins else []

    def _product(self, index: int, both: Sequence[Var]) -> Place:
        eqn, is_normalised = self.eqns[index], self._all.normalisations.is_normalised
        orders = [both] if self._names[index] == "div" else [both, both[::-1]]
        for value, factor in orders:
            if is_normalised(self._frame, value, factor):
                return self._place("normalisation", index, self._regions.of([eqn], [value, factor]))
        return self._place("product", index, self._regions.of([eqn], both))

    def _softmax(self, index: int) -> Place | None:
        if self._all.softmax_alone:
            is_softmax = self._all.normalisations.is_softmax(self._frame, self.eqns[index])
            return self._alone("softmax", index)._replace(name="softmax") if is_softmax else None
        found = self._all.normalisations.softmax(self._frame, self.eqns[index])
        if found is None or found.logits.shape != _shape(self.eqns[index]):
            return None
        logits = self._all.inlined.variable(self._frame, found.logits)
        region = None if logits is None else self._regions.ending_at(index, [logits])
        return (
            None if region is None else self._place("softmax", index, region)._replace(name="softmax", axes=found.axes)
        )

    def _find_layers(self) -> dict[int, list[int]]:
        readers, found = readers_of(self.level.jaxpr), {}
        for index, eqn in enumerate(self.eqns):
            if is_layer(self._names[index], eqn, self.level):
                layer = with_bias(index, self.level, readers, self._names, self._visited)
                found.update(dict.fromkeys(layer, layer))
        return found

    def _layer(self, layer: Sequence[int]) -> Place:
        eqns = [self.eqns[index] for index in layer]
        made = {v for eqn in eqns for v in eqn.outvars}
        reads = dict.fromkeys(v for eqn in eqns for v in eqn.invars if not is_literal(v) and v not in made)
        return self._place("layer", layer[-1], self._regions.of(eqns, [*reads]))._replace(name=self._names[layer[0]])

    # What an equation runs --------------------------------------------------------------------------------

    def _called(self, index: int, kind: str | None, bodies: Sequence[Closed]) -> list[Place]:
        eqn, calls = self.eqns[index], self.level.calls
        inside = [place for body in range(len(bodies)) for place in self._all.within((*calls, (index, body)))]
        inside = [place if place.where else place._replace(where=origin.source_of(eqn)) for place in inside]
        reaches = any(map(self.level.active, eqn.outvars))
        if kind == "cond" and reaches and self.level.depends(eqn.invars[0]):
            return [self._alone("other", index), *inside]
        if kind in CALLS and (
            self._is_one_function(index, inside, bodies[0]) or self._is_relu_of_several(index, inside)
        ):
            lifted = self._alone("function", index)
            return [lifted._replace(name=inside[0].name) if lifted.name in ("lambda", kind) else lifted]
        if kind in ("custom_jvp", "custom_vjp") and not inside and reaches:
            return [self._place("linear", index, Region(eqn.invars, bodies[0]))]
        return inside

    def _is_one_function(self, index: int, inside: Sequence[Place], body: Closed) -> bool:
        """Tell whether a call is nothing but a function of one of its operands, entry by entry."""
        calls = (*self.level.calls, (index, 0))
        if len(inside) != 1 or inside[0].kind != "function" or self._all.visited.inside(self.level.calls, index):
            return False
        (only,) = inside
        reads = [v for v, is_active in zip(only.reads, only.active, strict=True) if is_active]
        through = only.site.calls == calls and [*body.jaxpr.outvars] == [*only.eqn.outvars]
        return through and reads[0] in body.jaxpr.invars and sum(map(self.level.active, self.eqns[index].invars)) == 1

    def _is_relu_of_several(self, index: int, inside: Sequence[Place]) -> bool:
        """Tell whether a call is of several functions that are one relu, as `jnp.clip(x, 0, jnp.inf)` is."""
        is_visited = self._all.visited.inside(self.level.calls, index)
        if len(inside) < 2 or is_visited or not self._regions.is_entrywise(self.eqns[index]):
            return False
        return relu_of(self._alone("function", index)) is not None

    # Records ----------------------------------------------------------------------------------------------

    def _alone(self, kind: str, index: int) -> Place:
        """Return the place of one equation, with each of its operands."""
        eqn = jaxprs.with_operands_apart(self.eqns[index])
        reads = [v for v in self.eqns[index].invars if not is_literal(v)]
        own = [v for v in eqn.invars if not is_literal(v)]
        return self._place(kind, index, Region(reads, jaxprs.stretch(self.level.jaxpr, [eqn], own, eqn.outvars)))

    def _place(self, kind: str, index: int, region: Region | None) -> Place:
        if region is None:
            return self._alone(kind, index)
        eqn, site = self.eqns[index], Site(self.level.calls, index)
        called = origin.called_name(eqn).strip("_<>") if self._all.kind_of(eqn) in CALLS else ""
        name = called or self._names[index] or str(eqn.primitive)
        active = [self.level.active(v) for v in region.reads]
        return Place(kind, site, eqn, region.reads, region.closed, active, name, origin.source_of(eqn))


def _shape(eqn: JaxprEqn) -> tuple[int, ...]:
    return types.type_of(eqn.outvars[0]).shape
