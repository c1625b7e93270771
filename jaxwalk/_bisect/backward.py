"""Runs a traced function backward, equation by equation, as far as it has to: each takes the cotangents of its results
back to its operands by its own derivative rule, at the numbers of the run forward."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from .._errors import first_line
from .._jax.jaxpr import call_parameters, jaxprs, kinds
from .._jax.jaxpr.jaxprs import Closed, is_literal
from .._jax.jaxpr.types import is_float, type_of
from .._kinks.program import STEPS
from .forward import Environment, Forward, called, operands_of, row, stack, taken
from .makers import Maker, Makers
from .places import Place, Sites
from .programs import Programs
from .values import Judged, Value, any_bad, bad_entries, inherits_all, judged

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Var

Cotangents = Sequence[Value | None]  # None where none arrives


class Backward(Forward):
    """A run forward, and back.

    Attributes:
        barred: the primitives that JAX refused to differentiate, each with what it said: δ before them is not met.
    """

    def __init__(self, programs: Programs, sites: Sites, makers: Makers) -> None:
        super().__init__(programs, sites, makers)
        self.barred: dict[str, str] = {}

    def back(
        self, closed: Closed, values: Environment, cotangents: Cotangents, moving: Sequence[bool], place: Place
    ) -> list[Value | None]:
        """Return the cotangents of the inputs of a jaxpr, from those of its results.

        Arguments:
            values: every value in it.
            moving: of which inputs they are asked for.
        """
        jaxpr = closed.jaxpr
        moves = self._moving(jaxpr, moving)
        found: dict[Var, Value] = {}

        def add(eqn: JaxprEqn | None, v: Any, cotangent: Value | None, here: Place) -> None:
            if cotangent is not None and not is_literal(v) and v in moves:
                found[v] = self._sum_of_both(eqn, found.get(v), cotangent, values[v], here) or cotangent

        for v, cotangent in zip(jaxpr.outvars, cotangents, strict=True):
            add(None, v, cotangent, place)
        for index, eqn in reversed([*enumerate(jaxpr.eqns)]):
            arrived = [found.pop(v, None) for v in eqn.outvars]
            places = [i for i, v in enumerate(eqn.invars) if not is_literal(v) and v in moves]
            if places and any(cotangent is not None for cotangent in arrived):
                here, operands = place.of(eqn), operands_of(eqn, values)
                for i, cotangent in zip(
                    places, self._through(eqn, index, operands, arrived, places, here), strict=True
                ):
                    add(eqn, eqn.invars[i], cotangent, here)
        return [found.get(v) for v in jaxpr.invars]

    def _moving(self, jaxpr: Jaxpr, inputs: Sequence[bool]) -> set[Var]:
        """Return which variables a derivative by some of the inputs is not zero of, as far as can be told."""
        moves = {v for v, moved in zip(jaxpr.invars, inputs, strict=True) if moved and is_float(v.aval)}
        for eqn in jaxpr.eqns:
            is_flat = self.name(eqn) in STEPS or kinds.barrier_of(eqn) == "stop_gradient"
            if not is_flat and any(v in moves for v in eqn.invars if not is_literal(v)):
                moves.update(v for v in eqn.outvars if is_float(v.aval))
        return moves

    def _sum_of_both(
        self, eqn: JaxprEqn | None, known: Value | None, new: Value | None, operand: Value, place: Place
    ) -> Value | None:
        """Return the sum of two cotangents of one value; `eqn` is the equation that the second comes through."""
        if known is None or new is None:
            return known or new
        arrays = [known.array + new.array]
        if eqn is None or not any_bad(arrays):
            return Value(arrays[0])
        found = judged(lambda xs: [operator.add(*xs)], [known, new], arrays)
        (value,) = self.makers.met(found, Maker(eqn, place, [operand], (), (), [known, new], [0], is_sum=True))
        return value

    def _through(
        self, eqn: JaxprEqn, index: int, operands: list[Value], arrived: Cotangents, places: Sequence[int], here: Place
    ) -> Cotangents:
        """Return the cotangents of the operands at `places` of an equation."""
        kind = self.kind(eqn)
        if kind == "scan":
            return self._guarded(eqn, operands, arrived, places, here, lambda: self._back_steps(
                eqn, operands, arrived, places, here.into(eqn, index)
            ))  # fmt: skip
        if kind == "cond":
            branch, closed = taken(eqn, operands)
            inner = [i - 1 for i in places]
            return self.call_back(eqn, closed, operands[1:], arrived, inner, here.into(eqn, index, branch))
        closed = None if kind in ("custom_jvp", "custom_vjp") else called(eqn, kind)
        if closed is not None and "_prim" not in eqn.params:
            return self.call_back(eqn, closed, operands, arrived, places, here.into(eqn, index))
        return self._guarded(eqn, operands, arrived, places, here, None)

    def call_back(
        self,
        eqn: JaxprEqn,
        closed: Closed,
        operands: Sequence[Value],
        arrived: Cotangents,
        places: Sequence[int],
        place: Place,
    ) -> Cotangents:
        """Return the cotangents of the inputs at `places` of a jaxpr that an equation calls."""

        def enter() -> Cotangents:
            _, values = self.run(closed, operands, place)
            moving = [i in places for i in range(len(operands))]
            found = self.back(closed, values, arrived, moving, place)
            return [found[i] for i in places]

        return self._guarded(eqn, operands, arrived, places, place, enter, closed)

    def _guarded(
        self,
        eqn: JaxprEqn,
        operands: Sequence[Value],
        arrived: Cotangents,
        places: Sequence[int],
        place: Place,
        enter: Callable[[], Cotangents] | None,
        closed: Closed | None = None,
    ) -> Cotangents:
        """Return what an equation, or what it calls, takes back; it is entered only if that has a NaN or an Inf."""
        results = [i for i, cotangent in enumerate(arrived) if cotangent is not None]
        if self.is_op_by_op and enter is not None:
            return enter()
        try:
            way = self.programs.back_through(eqn if closed is None else closed, places, results)
        except Exception as error:  # whatever the rule of JAX or of another library raises
            return self._refused(eqn, places, error, enter)
        both, count = [*operands, *(x for x in arrived if x is not None)], len(operands)
        only = lambda found: [x for x, reached in zip(found, way.reaches, strict=True) if reached]
        fun = lambda xs: only(way.run(list(xs[:count]), list(xs[count:])))
        maker = Maker(eqn, place, operands, cotangents=arrived, places=only(places))
        values = iter(self._judged_back(fun, both, maker, enter, way.reaches))
        return [next(values) if reached else None for reached in way.reaches]

    def _judged_back(
        self,
        fun: Callable[[Sequence[Any]], list[Any]],
        both: Sequence[Value],
        maker: Maker,
        enter: Callable[[], Cotangents] | None,
        reaches: Sequence[bool],
    ) -> Sequence[Value]:
        arrays = fun([x.array for x in both])
        if not any_bad(arrays):
            return list(map(Value, arrays))
        if enter is None:
            is_elementary = self.name(maker.eqn) is not None or self.kind(maker.eqn) == "name"
            return self.makers.met(judged(fun, both, arrays, is_elementary), maker)
        if any(x.is_bad for x in both) and inherits_all(fun, both):
            return judged(fun, both, arrays).values
        found, is_told = self._entered(enter)
        if is_told:
            return [x or Value(a) for x, a in zip(_only(found, reaches), arrays, strict=True)]
        masks = [bad_entries(array) for array in arrays]
        made = Judged([Value(array, None, mask) for array, mask in zip(arrays, masks, strict=True)], masks)
        return self.makers.met(made, maker._replace(is_whole=True))

    def _refused(
        self, eqn: JaxprEqn, places: Sequence[int], error: Exception, enter: Callable[[], Cotangents] | None
    ) -> Cotangents:
        """Return what comes back through an equation that JAX does not differentiate as a whole."""
        if enter is not None:
            return enter()
        self.barred.setdefault(str(eqn.primitive), f"{type(error).__name__}, {first_line(error)}")
        return [None] * len(places)

    def _back_steps(
        self, eqn: JaxprEqn, operands: list[Value], arrived: Cotangents, places: Sequence[int], place: Place
    ) -> Cotangents:
        parts, (body,) = call_parameters.scan_parts(eqn), jaxprs.jaxprs_of(eqn)
        first = parts.consts + parts.carry
        moving = self._moving_in_loop(body, [i in places for i in range(len(operands))], parts)
        inner = [i for i, moves in enumerate(moving) if moves]
        filled = functools.partial(_filled, moving=moving[parts.consts : first], like=operands[parts.consts : first])
        back = filled(arrived[: parts.carry])
        consts: list[Value | None] = [None] * parts.consts
        rows: list[Cotangents] = [[]] * parts.length
        for step, inputs, _ in reversed([*self.each_step(eqn, operands, place)]):
            here = place.at("scan", step, parts.length)
            outs = [*back, *(None if x is None else row([x], step)[0] for x in arrived[parts.carry :])]
            comes = dict(zip(inner, self.call_back(eqn, body, inputs, outs, inner, here), strict=True))
            found = [comes.get(i) for i in range(len(operands))]
            both = zip(consts, found[: parts.consts], inputs, strict=False)
            consts = [self._sum_of_both(eqn, known, new, operand, here) for known, new, operand in both]
            back, rows[step] = filled(found[parts.consts : first]), found[first:]
        whole = [*consts, *back, *(_stacked(each) for each in zip(*rows, strict=True))]
        return [whole[i] for i in places]

    def _moving_in_loop(self, body: Closed, inputs: list[bool], parts: call_parameters.ScanParts) -> list[bool]:
        """Return which inputs of a step a derivative is taken by: what moves a carry at one step, moves it at all."""
        first = parts.consts + parts.carry
        while True:
            moves = self._moving(body.jaxpr, inputs)
            carried = [not is_literal(v) and v in moves for v in body.jaxpr.outvars[: parts.carry]]
            grown = [
                *inputs[: parts.consts],
                *map(operator.or_, inputs[parts.consts : first], carried),
                *inputs[first:],
            ]
            if grown == inputs:
                return [moved and is_float(type_of(v)) for moved, v in zip(inputs, body.jaxpr.invars, strict=True)]
            inputs = grown


def _only(found: Cotangents, reaches: Sequence[bool]) -> Cotangents:
    return [x for x, reached in zip(found, reaches, strict=True) if reached]


def _filled(cotangents: Cotangents, moving: Sequence[bool], like: Sequence[Value]) -> list[Value | None]:
    """Return the cotangents of a carry: as JAX has it, zeros where none arrives."""
    return [
        (x or Value(jnp.zeros_like(v.array))) if moves else None
        for x, moves, v in zip(cotangents, moving, like, strict=True)
    ]


def _stacked(cotangents: Sequence[Value | None]) -> Value | None:
    known = next((x for x in cotangents if x is not None), None)
    return known and stack([x or Value(jnp.zeros_like(known.array)) for x in cotangents])
