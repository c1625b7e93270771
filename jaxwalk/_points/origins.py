"""Where a value that leaves a scope or a line is computed: all who read it can be met there, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .._jax.jaxpr import call_parameters, jaxprs
from .._jax.jaxpr.jaxprs import is_literal
from .._jax.reach import Mask, Reach, Return
from .point import Site

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var


class Level(NamedTuple):
    """A jaxpr of the function; per equation how its results are used, and whether δ comes back to them."""

    jaxpr: Jaxpr
    used: Sequence[Mask]
    back: Sequence[Mask]
    calls: tuple[tuple[int, int], ...]  # (equation, jaxpr within it) for each call around it


class Origin(NamedTuple):
    """A result of an equation of a level."""

    level: Level
    equation: int
    result: int
    read_in: str | None = None  # what else reads it in there, of which no δ comes back to it here: "scan", "cond" ...

    @property
    def variable(self) -> Var:
        return self.level.jaxpr.eqns[self.equation].outvars[self.result]

    @property
    def used(self) -> int:
        return self.level.used[self.equation][self.result]

    @property
    def back(self) -> int:
        return self.level.back[self.equation][self.result]


class _Body(NamedTuple):
    """What an equation runs; and of its results, which are used, and to which δ comes back."""

    jaxpr: Jaxpr
    used: Mask
    back: Mask


class _Uses(NamedTuple):
    """By variable of a jaxpr: who makes it, (equation, result), and who reads it, (equation, operand). The number of
    all equations stands for the jaxpr's results."""

    made: dict[Var, tuple[int, int]]
    read: dict[Var, list[tuple[int, int]]]


class Origins:
    """Follows values into the calls that they come out of.

    What comes out of a jit or a checkpoint and is read in there too is the value inside. What comes out of a loop or a
    branch is a value of its own: inside there are several, or maybe none, and what reads one of these is not met here.
    """

    def __init__(self, reach: Reach, back: Return):
        self._reach, self._back = reach, back
        self._uses: dict[int, _Uses] = {}

    def of(self, level: Level, equation: int, result: int) -> Origin:
        """Return the origin of a result: in the innermost jit or checkpoint in which something else reads it."""
        here = found = Origin(level, equation, result)
        while True:
            eqn = here.level.jaxpr.eqns[here.equation]
            kind = self._reach.kind(eqn) or ("call" if jaxprs.calls_a_jaxpr(eqn) else None)
            if kind in (None, "name", "custom_jvp", "custom_vjp"):  # the derivative of these is not by what is inside
                return found
            bodies = self._bodies(eqn, kind, here)
            made = self._made(bodies[0], here.result) if kind in ("jit", "checkpoint") else None
            if made is None:
                is_read = any(self._is_read_on(body, here.result, self._back, body.back, eqn) for body in bodies)
                return found._replace(read_in=kind) if is_read else found
            (body,), calls = bodies, (*here.level.calls, (here.equation, 0))
            used, back = self._reach.into(body.jaxpr, body.used)[1], self._back.into(body.jaxpr, body.back)[1]
            is_read = self._is_read_on(body, here.result, self._reach, body.used, eqn)
            here = Origin(Level(body.jaxpr, used, back, calls), *made)
            found = here if is_read else found

    def named_before(self, level: Level, equation: int, result: int | None) -> Iterator[Site]:
        """Yield the sites at which the value of a result, or of what an equation names (None), is met before it is.

        An equation that names a value gives the value that it takes; what comes out of a jit or a checkpoint is in it.
        """
        jaxpr, calls = level.jaxpr, level.calls
        while (kind := self._reach.kind(eqn := jaxpr.eqns[equation])) in ("name", "jit", "checkpoint"):
            if kind == "name" and result is not None:
                result = None
                yield Site(calls, equation)
            if kind == "name":
                v: Var | Literal = eqn.invars[0]
            else:
                jaxpr, calls = jaxprs.jaxprs_of(eqn)[0].jaxpr, (*calls, (equation, 0))
                v = jaxpr.outvars[result or 0]
            if is_literal(v) or v not in self._uses_in(jaxpr).made:
                return
            equation, result = self._uses_in(jaxpr).made[v]
            yield Site(calls, equation, result)

    def _bodies(self, eqn: JaxprEqn, kind: str, at: Origin) -> list[_Body]:
        if kind == "while":
            used, back = ((reach.whole,) * len(eqn.outvars) for reach in (self._reach, self._back))
            return [_Body(call_parameters.while_parts(eqn).body.jaxpr, used, back)]
        used = self._reach.inner(eqn, at.level.used[at.equation])
        back = self._back.inner(eqn, at.level.back[at.equation])
        return [_Body(closed.jaxpr, u, b) for (closed, u), (_, b) in zip(used, back, strict=True)]

    def _uses_in(self, jaxpr: Jaxpr) -> _Uses:
        if id(jaxpr) not in self._uses:
            uses = self._uses[id(jaxpr)] = _Uses({}, {})
            for index, operands in enumerate([*(eqn.invars for eqn in jaxpr.eqns), jaxpr.outvars]):
                for place, v in enumerate(operands):
                    if not is_literal(v):
                        uses.read.setdefault(v, []).append((index, place))
            uses.made.update((v, (i, r)) for i, eqn in enumerate(jaxpr.eqns) for r, v in enumerate(eqn.outvars))
        return self._uses[id(jaxpr)]

    def _made(self, body: _Body, result: int) -> tuple[int, int] | None:
        v = body.jaxpr.outvars[result]
        return None if is_literal(v) else self._uses_in(body.jaxpr).made.get(v)

    def _is_read_on(self, body: _Body, result: int, reach: Reach, results: Mask, eqn: JaxprEqn) -> bool:
        """Tell whether a result of a body is read by anything else in it, by what is reached from its results."""
        masks = reach.into(body.jaxpr, results)[1]
        return any(
            self._reached(body.jaxpr, index, operand, reach, masks, results)
            for v, place in _carried(eqn, body.jaxpr, result, reach.kind(eqn))
            for index, operand in self._uses_in(body.jaxpr).read[v]
            if (index, operand) != (len(body.jaxpr.eqns), place)
        )

    def _reached(
        self, jaxpr: Jaxpr, index: int, operand: int, reach: Reach, masks: Sequence[Mask], results: Mask
    ) -> bool:
        if index == len(masks):
            return results[operand] >= reach.whole
        eqn, mask = jaxpr.eqns[index], masks[index]
        return (any(mask) or reach.is_needed(eqn)) and reach.operands(eqn, mask)[operand] >= reach.whole


def _carried(eqn: JaxprEqn, body: Jaxpr, result: int, kind: str | None) -> Iterator[tuple[Var, int]]:
    """Yield the variable that is a result of a body, with its number; and if it is a carry of a loop that comes in,
    the one that it was when the step before it ended ..."""
    first = 0
    if kind == "scan":
        first = call_parameters.scan_parts(eqn).consts
    elif kind == "while":
        first = call_parameters.while_parts(eqn).body_consts
    seen: set[Var | Literal] = set()
    v = body.outvars[result]
    while not is_literal(v) and v not in seen:
        yield v, result
        seen.add(v)
        if kind not in ("scan", "while") or v not in body.invars[first:]:
            return
        result = body.invars.index(v) - first
        if result >= len(body.outvars) or (kind == "scan" and result >= call_parameters.scan_parts(eqn).carry):
            return
        v = body.outvars[result]
