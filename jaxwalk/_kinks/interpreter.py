"""Runs a flat program with an error bound beside every value, and measures the margin of every decision."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .._jax.jaxpr import call_parameters, jaxprs
from .._jax.jaxpr.primitives import COMPARISONS
from .._jax.jaxpr.structure import Unknown
from .._jax.jaxpr.types import is_float
from .decisions.decisions import Decision, Key, Path, decisions, unseen
from .decisions.margins import Margin, where_it_moves
from .decisions.recombination import where_it_bends
from .liveness import uses
from .one_sided_derivatives import selection_margin
from .program import Operation, Program, constants, structure_of
from .rounding.bounds import Application, Rounded, bound
from .rounding.inputs import constant
from .rounding.movement import moved
from .rounding.propagate import has_bound, propagate

Margins = dict[Key, Margin]


class Analysis:
    """The decisions in a flat program and how to find their margins.

    Attributes:
        decisions: every decision that a derivative of the results depends on, by path, in forward order.
        unseen: the operations that may decide something, of which it is not known how.
        constants: the values of its constants, by their number: `with_constants` puts others in their place.
    """

    def __init__(self, program: Program) -> None:
        used = uses(program)
        self.program, self.decisions, self.constants = program, decisions(program, used), constants(program)
        self.unseen = list(dict.fromkeys(map(_described, unseen(program, used))))

    def with_constants(self, values: Sequence[Any]) -> Analysis:
        """Return the same analysis at other values of its constants, in their order."""
        changed = copy.copy(self)
        changed.constants = dict(zip(self.constants, values, strict=True))
        return changed

    def structure(self) -> tuple | None:
        """Return all that `run` computes, but for the values of the inputs and the constants, as plain data.

        None if that cannot be told.
        """
        try:
            return structure_of(self.program)
        except Unknown:
            return None

    @property
    def operations(self) -> int:
        """Return of how many operations the program consists, those in loops and branches counted once."""
        return _count(self.program)

    @property
    def estimated(self) -> dict[str, None]:
        """Return the operations whose rounding error is estimated and not bounded."""
        return dict.fromkeys(map(_described, _estimated(self.program)))

    def run(self, args: Sequence[Rounded]) -> tuple[list[Rounded], Margins]:
        """Return the results, and every `Margin`. Under `jit`, what is not asked for is not computed."""
        return self._run(self.program, args, ())

    def _run(self, program: Program, args: Sequence[Rounded], around: Path) -> tuple[list[Rounded], Margins]:
        values: dict[int, Rounded] = dict(zip(program.ins, args, strict=True))
        consts = {number: self.constants.get(number, value) for number, value in program.consts.items()}
        values |= {number: constant(value) for number, value in consts.items()}
        values |= {number: constant(jaxprs.literal_array(v)) for number, v in program.literals.items()}
        for number in program.ones:
            values[number] = Rounded(jnp.ones(program.avals[number].shape, program.avals[number].dtype))
        margins: Margins = {}
        for index, op in enumerate(program.ops):
            outs, inner = self._apply(op, [values[number] for number in op.ins], (*around, index))
            values.update(zip(op.outs, outs, strict=True))
            margins |= inner
        for index in range(len(program.ops)):  # at the end, when what a comparison selects is known
            if decision := self.decisions.get((*around, index)):
                margins |= _margins(program, decision, values)
        return [values[number] for number in program.outs], margins

    def _apply(self, op: Operation, xs: Sequence[Rounded], path: Path) -> tuple[Sequence[Rounded], Margins]:
        match op.kind:
            case "scan":
                return self._scan(op, xs, path)
            case "cond":
                return self._cond(op, xs, path)
            case "while":
                return self._while(op, xs, path)
            case "rule":
                return [], {}
            case "cut" | "name":
                return [xs[0]], {}
        values = [jaxprs.as_array(z) for z in jaxprs.apply(op.eqn, [x.value for x in xs])]
        application = Application(op.eqn, xs, values)
        errors, moves = propagate(op.name, application), moved(op.name, application)
        return [Rounded(*result) for result in zip(values, errors, moves, strict=True)], {}

    def _scan(self, op: Operation, xs: Sequence[Rounded], path: Path) -> tuple[Sequence[Rounded], Margins]:
        parts = call_parameters.scan_parts(op.eqn)
        start = parts.consts + parts.carry

        def step(carry: list[Rounded], rows: list[Rounded]) -> tuple[list[Rounded], tuple[list[Rounded], Margins]]:
            outs, margins = self._run(op.bodies[0], [*xs[: parts.consts], *carry, *rows], path)
            return _as_carry(outs[: parts.carry]), (_as_rows(outs[parts.carry :]), margins)

        options = {name: value for name, value in parts.options.items() if name in ("reverse", "unroll")}
        carry = _as_carry(xs[parts.consts : start])
        carry, (rows, margins) = lax.scan(step, carry, _as_rows(xs[start:]), length=parts.length, **options)
        return [*carry, *rows], margins

    def _cond(self, op: Operation, xs: Sequence[Rounded], path: Path) -> tuple[Sequence[Rounded], Margins]:
        index, *operands = xs

        def run(number: int, shapes: Mapping[Key, Margin]) -> tuple[list[Rounded], Margins]:
            outs, margins = self._run(op.bodies[number], operands, (*path, number))
            return _as_carry(outs), _undecided(shapes) | margins

        numbers = range(len(op.bodies))
        alone = [jax.eval_shape(functools.partial(run, number, {}))[1] for number in numbers]
        shapes = {key: margin for margins in alone for key, margin in margins.items()}
        return lax.switch(index.value.astype(jnp.int32), [functools.partial(run, n, shapes) for n in numbers])

    def _while(self, op: Operation, xs: Sequence[Rounded], path: Path) -> tuple[Sequence[Rounded], Margins]:
        """Keep the closest decision over all steps: how many there are is not known."""
        parts, (test, body) = call_parameters.while_parts(op.eqn), op.bodies
        start = parts.test_consts + parts.body_consts
        test_consts, body_consts = xs[: parts.test_consts], xs[parts.test_consts : start]

        def ask(carry: list[Rounded]) -> tuple[Any, Margins]:
            (go,), margins = self._run(test, [*test_consts, *carry], (*path, 0))
            return go.value, _by_entry(margins)  # inside `vmap`, one answer a datum

        def step(state: tuple[list[Rounded], Margins]) -> tuple[list[Rounded], Margins]:
            carry, closest = state
            go, margins = ask(carry)
            outs, inner = self._run(body, [*body_consts, *carry], (*path, 1))
            moved = lambda new, old: jnp.where(jnp.reshape(go, go.shape + (1,) * (new.ndim - go.ndim)), new, old)
            return jax.tree.map(moved, _as_carry(outs), carry), _closer(closest, margins | _by_entry(inner))

        carry = _as_carry(xs[start:])
        nothing = _undecided(jax.eval_shape(lambda carry: step((carry, {}))[1], carry))
        carry, closest = lax.while_loop(lambda state: jnp.any(ask(state[0])[0]), step, (carry, nothing))
        return carry, closest | _closer(closest, ask(carry)[1])


def _count(program: Program) -> int:
    return len(program.ops) + sum(_count(body) for op in program.ops for body in op.bodies)


def _described(op: Operation) -> str:
    """Return what an operation is called, with the line that it is at."""
    return f"the `{op.eqn.primitive}`" + (f" at {op.source}" if op.source else "")


def _estimated(program: Program) -> Iterator[Operation]:
    """Yield the operations without a bound."""
    for op in program.ops:
        floats = [any(is_float(program.avals[number]) for number in numbers) for numbers in (op.ins, op.outs)]
        if op.kind == "op" and all(floats) and not has_bound(op.name):
            yield op
        for body in op.bodies:
            yield from _estimated(body)


def _margins(program: Program, decision: Decision, values: Mapping[int, Rounded]) -> Margins:
    operands = [values[number] for number in decision.op.ins]
    parts = decision.rule.margins(program, decision.op, operands)
    if decision.selections:
        sided = functools.partial(selection_margin, program, decision.op, values.__getitem__, parts[""])
        parts = {str(i): sided(selection) for i, selection in enumerate(decision.selections)}
    elif decision.op.name in COMPARISONS:
        parts = {"": where_it_moves(parts[""], operands)}
    elif decision.recombination is not None:
        parts = {"": where_it_bends(decision.recombination, values.__getitem__, parts[""])}
    return {Key(decision.path, part): _in_one_dtype(margin) for part, margin in parts.items()}


def _in_one_dtype(margin: Margin) -> Margin:
    """Casts a margin so that branches and steps agree."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf).astype(margin.bound.dtype), margin)


def _as_carry(xs: Sequence[Rounded]) -> list[Rounded]:
    """Write out the bounds as arrays, so that branches and steps agree."""
    return [Rounded(jnp.asarray(x.value), bound(x) if is_float(x.value) else None) for x in xs]


def _as_rows(xs: Sequence[Rounded]) -> list[Rounded]:
    """Return what goes along with the steps of a scan: of what it is in one step, nothing is known in another."""
    return [x._replace(moves=None) for x in xs]


def _undecided(shapes: Mapping[Key, Margin]) -> Margins:
    """Make margins of these shapes in which nothing is decided."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), dict(shapes))
    return {key: margin._replace(distance=jnp.full_like(margin.distance, jnp.inf)) for key, margin in zeros.items()}


def _by_entry(margins: Margins) -> Margins:
    """Spread the derivatives to every entry."""
    spread = lambda margin: jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, margin.distance.shape), margin)
    return {key: spread(margin) for key, margin in margins.items()}


def _closer(one: Margins, other: Margins) -> Margins:
    """Pick, entry by entry, the margin that is closer to its threshold, in units of its bound."""

    def pick(a: Margin, b: Margin) -> Margin:
        nearer = jnp.abs(b.distance) - b.bound < jnp.abs(a.distance) - a.bound
        nearer = nearer | jnp.isinf(a.distance)
        return jax.tree.map(lambda x, y: jnp.where(nearer, y, x), a, b)

    return {key: pick(one[key], margin) if key in one else margin for key, margin in other.items()}
