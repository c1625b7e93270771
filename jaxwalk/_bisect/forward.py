"""Runs a traced function equation by equation, as far as it has to: what makes no NaN or Inf is run as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError
from .._jax.jaxpr import call_parameters, jaxprs, kinds, primitives
from .._jax.jaxpr.jaxprs import Closed, is_literal
from .makers import Maker, Makers
from .places import Place, Sites
from .programs import Programs
from .values import Function, Judged, Mask, Value, any_bad, bad_entries, given, inherits_all, judged

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var

Environment: TypeAlias = dict["Var", Value]

PASSES = 10_000  # of a `while_loop` whose numbers are not the function's own, and which therefore may have no end


class Forward:
    """A run forward.

    Attributes:
        is_op_by_op: whether every call is entered, whatever it computes as a whole.
    """

    def __init__(self, programs: Programs, sites: Sites, makers: Makers) -> None:
        self.programs, self.sites, self.makers = programs, sites, makers
        self.is_op_by_op = False
        self.kind, self.name = kinds.kinds(), primitives.names()

    def run(self, closed: Closed, operands: Sequence[Value], place: Place) -> tuple[list[Value], Environment]:
        """Return the results of a jaxpr, and every value in it."""
        jaxpr, consts = closed
        values: Environment = dict(zip(jaxpr.constvars, map(given, consts), strict=True))
        values.update(zip(jaxpr.invars, operands, strict=True))
        for index, eqn in enumerate(jaxpr.eqns):
            if eqn.outvars:  # else it prints or checks something, once more each time it is run
                outs = self._equation(eqn, index, operands_of(eqn, values), place)
                values.update(zip(eqn.outvars, outs, strict=True))
        return [read(v, values) for v in jaxpr.outvars], values

    def call(self, eqn: JaxprEqn, closed: Closed, operands: Sequence[Value], place: Place) -> list[Value]:
        """Return the results of a jaxpr that an equation calls."""
        enter = lambda: self.run(closed, operands, place)[0]
        holds_while = self.programs.holds_while(closed.jaxpr)
        return self._as_a_whole(self.programs.whole(closed), holds_while, enter, Maker(eqn, place, operands))

    def _equation(self, eqn: JaxprEqn, index: int, operands: list[Value], place: Place) -> list[Value]:
        if jaxprs.touches_ref(eqn) or any(jaxprs.is_ref(v.aval) for v in eqn.outvars):
            raise ArgumentError(
                "`bisect_nonfinite` cannot follow a mutable array (`jax.new_ref`), which `fun` reads or writes; make a"
                " new array instead, as `x.at[i].set(y)` does."
            )
        here = place.of(eqn)
        kind = self.kind(eqn)
        inside = here.into(eqn, index, 1 if kind == "while" else 0)
        match kind:
            case "scan":
                enter = lambda: self._steps(eqn, operands, inside)
                outs = self._loop(eqn, operands, enter, here)
            case "while":
                enter = lambda: self._passes(eqn, operands, here, index)
                outs = self._loop(eqn, operands, enter, here)
            case "cond":
                branch, closed = taken(eqn, operands)
                inside = here.into(eqn, index, branch)
                outs = self.call(eqn, closed, operands[1:], inside)
            case _ if (closed := called(eqn, kind)) is not None:
                has_rule = kind in ("custom_jvp", "custom_vjp")
                outs = self.call(eqn, closed, operands, here.into(eqn, None) if has_rule else inside)
            case _:
                outs = self._primitive(eqn, operands, here)
        last = max([self.sites.last_inside(inside), *(x.point for x in operands)], default=0)
        numbers = (max(last, self.sites.last_at(place, index, result)) for result in range(len(outs)))
        return [value.at_point(number) for value, number in zip(outs, numbers, strict=True)]

    def _primitive(self, eqn: JaxprEqn, operands: Sequence[Value], place: Place) -> list[Value]:
        fun = self.programs.equation(eqn)
        arrays = fun([x.array for x in operands])
        if not any_bad(arrays):
            return list(map(Value, arrays))
        is_elementary = self.name(eqn) is not None or self.kind(eqn) == "name"
        return self.makers.met(judged(fun, operands, arrays, is_elementary), Maker(eqn, place, operands))

    def _loop(
        self, eqn: JaxprEqn, operands: Sequence[Value], enter: Callable[[], list[Value]], place: Place
    ) -> list[Value]:
        holds_while = any(self.programs.holds_while(body.jaxpr) for body in jaxprs.jaxprs_of(eqn))
        holds_while |= self.kind(eqn) == "while"
        return self._as_a_whole(self.programs.equation(eqn), holds_while, enter, Maker(eqn, place, operands))

    def _as_a_whole(
        self, fun: Function, holds_while: bool, enter: Callable[[], list[Value]], maker: Maker
    ) -> list[Value]:
        """Return what a call computes; it is entered only if it makes a NaN or an Inf, or may."""
        if self.is_op_by_op or (holds_while and self.makers.any_replaced):
            return enter()
        arrays = fun([x.array for x in maker.operands])
        if not any_bad(arrays):
            return list(map(Value, arrays))
        if not holds_while and any(x.is_bad for x in maker.operands) and inherits_all(fun, maker.operands):
            return judged(fun, maker.operands, arrays).values
        values, is_told = self._entered(enter)
        if is_told:
            return values
        masks = [bad_entries(array) for array in arrays]
        made = Judged([Value(array, None, mask) for array, mask in zip(arrays, masks, strict=True)], masks)
        return self.makers.met(made, maker._replace(is_whole=True))

    def _entered(self, enter: Callable[[], Sequence[Value | None]]) -> tuple[Any, bool]:
        """Return what a call that makes a NaN or an Inf computes, when it is entered; and whether that tells of one.

        What it calls itself may have none where it is compiled apart, as XLA then leaves out another 0/0: if nothing is
        told, every equation of it is run by itself.
        """
        before, was = self.makers.meetings, self.is_op_by_op
        try:
            for self.is_op_by_op in (was, True):
                values = enter()
                if self.makers.meetings > before or any(value is not None and value.is_bad for value in values):
                    return values, True
        finally:
            self.is_op_by_op = was
        return values, False

    def _steps(self, eqn: JaxprEqn, operands: Sequence[Value], place: Place) -> list[Value]:
        parts = call_parameters.scan_parts(eqn)
        carry = list(operands[parts.consts : parts.consts + parts.carry])
        stacked: list[list[Value]] = [[]] * parts.length
        for step, _, outs in self.each_step(eqn, operands, place):
            carry, stacked[step] = outs[: parts.carry], outs[parts.carry :]
        return [*carry, *(stack(row) for row in zip(*stacked, strict=True))]

    def each_step(
        self, eqn: JaxprEqn, operands: Sequence[Value], place: Place
    ) -> Iterator[tuple[int, list[Value], list[Value]]]:
        """Yield each step of a scan, in the order in which they run: its number, what goes in, and what comes out."""
        parts, (body,) = call_parameters.scan_parts(eqn), jaxprs.jaxprs_of(eqn)
        first = parts.consts + parts.carry
        consts, carry = operands[: parts.consts], operands[parts.consts : first]
        order = range(parts.length)
        for step in reversed(order) if parts.options.get("reverse") else order:
            inputs = [*consts, *carry, *row(operands[first:], step)]
            outs = self.call(eqn, body, inputs, place.at("scan", step, parts.length))
            carry = outs[: parts.carry]
            yield step, inputs, outs

    def _passes(self, eqn: JaxprEqn, operands: Sequence[Value], place: Place, index: int) -> list[Value]:
        parts = call_parameters.while_parts(eqn)
        start = parts.test_consts + parts.body_consts
        test_consts, body_consts = operands[: parts.test_consts], operands[parts.test_consts : start]
        carry = list(operands[start:])
        number = 0
        while number < PASSES or not self.makers.any_replaced:
            here = place.at("while", number)
            (go,) = self.call(eqn, parts.test, [*test_consts, *carry], here.into(eqn, index, 0))
            if not np.any(np.asarray(go.array)):
                break
            outs = self.call(eqn, parts.body, [*body_consts, *carry], here.into(eqn, index, 1))
            carry = [selected(np.asarray(go.array), *both) for both in zip(outs, carry, strict=True)]
            number += 1
        return carry


def called(eqn: JaxprEqn, kind: str | None) -> Closed | None:
    """Return the jaxpr that an equation calls, and whose results are its own; None if it calls none, or a loop's."""
    if kind in ("jit", "checkpoint", "custom_jvp", "custom_vjp") or (kind is None and jaxprs.calls_a_jaxpr(eqn)):
        return jaxprs.jaxprs_of(eqn)[0]
    return jaxprs.expanded(eqn) if kind is None else None


def taken(eqn: JaxprEqn, operands: Sequence[Value]) -> tuple[int, Closed]:
    """Return which branch of a cond is taken, and its jaxpr."""
    branch = int(np.asarray(operands[0].array))
    return branch, jaxprs.jaxprs_of(eqn)[branch]


def operands_of(eqn: JaxprEqn, values: Environment) -> list[Value]:
    """Return the operands of an equation."""
    return [read(v, values) for v in eqn.invars]


def read(v: Var | Literal, values: Environment) -> Value:
    """Return the value of an operand."""
    return given(jnp.asarray(jaxprs.literal_array(v))) if is_literal(v) else values[v]


@jax.jit
def _row(arrays: Sequence[Any], step: Any) -> list[Any]:
    return [jax.lax.dynamic_index_in_dim(array, step, 0, keepdims=False) for array in arrays]


def row(values: Sequence[Value], step: int) -> list[Value]:
    """Return one step of values that are stacked."""
    arrays = _row([x.array for x in values], step)
    at = lambda mask: mask[step] if mask is not None and mask[step].any() else None
    return [Value(array, at(x.innocent), at(x.guilty), x.point) for array, x in zip(arrays, values, strict=True)]


def stack(values: Sequence[Value]) -> Value:
    """Return the values of all steps as one."""

    def stacked(masks: Sequence[Mask]) -> Mask:
        filled = [np.zeros(np.shape(x.array), bool) if mask is None else mask for mask, x in zip(masks, values)]
        return None if all(mask is None for mask in masks) else np.stack(filled)

    arrays = jnp.stack([x.array for x in values])
    innocent, guilty = stacked([x.innocent for x in values]), stacked([x.guilty for x in values])
    return Value(arrays, innocent, guilty, max(x.point for x in values))


def selected(go: np.ndarray, new: Value, old: Value) -> Value:
    """Return the carry of a loop after a pass: of a batch, those go on for whom it is not yet over."""
    if go.all():
        return new
    goes = np.reshape(go, go.shape + (1,) * (np.ndim(new.array) - go.ndim))

    def chosen(one: Mask, other: Mask) -> Mask:
        nothing = np.zeros(np.shape(new.array), bool)
        mask = np.where(goes, nothing if one is None else one, nothing if other is None else other)
        return mask if mask.any() else None

    innocent, guilty = chosen(new.innocent, old.innocent), chosen(new.guilty, old.guilty)
    return Value(jnp.where(goes, new.array, old.array), innocent, guilty, max(new.point, old.point))
