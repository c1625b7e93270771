"""A flat program: the operations of a traced function in the order in which they run, every call inlined."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from .._jax.jaxpr import call_parameters, structure
from .._jax.jaxpr.types import is_float
from .._jax.origin import source_of

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal

STEPS = {"sign", "floor", "ceil", "round"}  # operations whose float results move in steps

S = TypeVar("S")
R = TypeVar("R")


class Flow(enum.IntFlag):
    """What flows from the float inputs into a value.

    Their data, in whatever way; so that it moves with them, and not in steps alone; and a derivative by them.
    """

    NONE = 0
    DATA = 1
    CONTINUOUS = 2
    DERIVATIVE = 4


class Name(NamedTuple):
    """The name of a value, which is a point."""

    name: str
    opening: int | None  # of the scope that it leaves; None: of a tag or a line
    is_line: bool = False


class Origin(NamedTuple):
    """Where an operation comes from."""

    site: tuple[tuple[int, int], ...] | None = ()  # the calls around it, as of a `Point`; None where no point can be
    scopes: tuple[int, ...] = ()  # the openings of the scopes around it, the outermost first
    function: str | None = None  # JAX's own function that it belongs to ("relu")
    source: str | None = None  # the line that called that function
    primal: bool = False  # in the body of a function with a derivative rule: the derivative sees the rule, not this
    in_rule: bool = False  # in such a rule: what it calls is run as it is, and differentiated no further


class Operation(NamedTuple):
    """One operation.

    Its kind is "op", an equation; "scan", "cond", "while", "name"; "cut", the identity through which nothing is
    differentiated; or "rule", which stands after a derivative rule and reads its results.
    """

    kind: str
    name: str | None  # of the primitive of an "op", as it is called in `_jax/jaxpr/primitives.py`
    ins: tuple[int, ...]
    outs: tuple[int, ...]
    origin: Origin
    eqn: JaxprEqn  # of a cut and a rule, the call of the function that has the rule
    bodies: tuple[Program, ...] = ()  # the programs inside; of a while, its test and its body
    ruled: tuple[int, ...] = ()  # of a rule, the results of the function: if one counts, what the rule reads does

    @property
    def source(self) -> str:
        return source_of(self.eqn) if self.origin.source is None else self.origin.source


class Program:
    """A flat program. Every value has a number, which no other value of this program or one inside it has."""

    def __init__(self) -> None:
        self.ops: list[Operation] = []  # in the order in which they run
        self.ins: list[int] = []
        self.outs: list[int] = []
        self.consts: dict[int, Any] = {}
        self.literals: dict[int, Literal] = {}  # constants that are written into the jaxpr
        self.ones: set[int] = set()  # the tangents of derivative rules: values that stand for ones
        self.avals: dict[int, Any] = {}
        self.flows: dict[int, Flow] = {}
        self.names: dict[int, list[Name]] = {}  # of the values that points are, innermost first

    def flows_of(self, numbers: Sequence[int]) -> list[Flow]:
        return [self.flows[number] for number in numbers]

    def has_derivative(self, number: int) -> bool:
        """Return whether a derivative flows through a value."""
        return bool(self.flows[number] & Flow.DERIVATIVE)

    def is_continuous(self, number: int) -> bool:
        """Return whether a value moves with the float inputs, and not in steps alone."""
        return bool(self.flows[number] & Flow.CONTINUOUS)

    def readers(self, values: set[int]) -> Iterator[Operation]:
        """Yield the operations that read one of `values`, in order; the caller may add to `values` meanwhile."""
        return (op for op in self.ops if not values.isdisjoint(op.ins))


def constants(program: Program) -> dict[int, Any]:
    """Return the constants of a program and of those inside it, less those that `structure_of` tells."""
    found = {number: const for number, const in program.consts.items() if not _is_told(const)}
    for op in program.ops:
        for body in op.bodies:
            found |= constants(body)
    return found


def _is_told(const: Any) -> bool:
    """Return whether a constant is a number: how exact it is, is told from it (see `rounding.inputs.constant`)."""
    return not hasattr(const, "dtype") or (is_float(const) and np.ndim(const) == 0)


def structure_of(program: Program) -> tuple:
    """Return all that a flat program computes, but for its `constants`, as plain data.

    Raises:
        structure.Unknown: that cannot be told, for an operation runs a function that is no program.
    """
    numbers = sorted(program.avals)
    return (
        tuple(program.ins),
        tuple(program.outs),
        tuple((n, structure.of_value(const)) for n, const in program.consts.items() if _is_told(const)),
        tuple((n, structure.of_value(literal.val)) for n, literal in program.literals.items()),
        tuple(sorted(program.ones)),
        tuple((n, structure.of_type(program.avals[n]), program.flows[n]) for n in numbers),
        tuple(map(_of_operation, program.ops)),
    )


def _of_operation(op: Operation) -> tuple:
    match op.kind:
        case "scan":
            parts = call_parameters.scan_parts(op.eqn)
            options = tuple(sorted(parts.options.items()))
            what: tuple = (parts.consts, parts.carry, parts.length, options)
        case "while":
            what = tuple(call_parameters.while_parts(op.eqn)[2:])
        case "op":
            what = structure.of_eqn(op.eqn)
        case _:
            what = ()
    bodies = tuple(map(structure_of, op.bodies))
    return op.kind, op.name, op.ins, op.outs, op.origin.primal, op.origin.in_rule, what, op.ruled, bodies


def until_stable(step: Callable[[S], tuple[R, S]], state: S) -> R:
    """Return the result of `step(state) -> (result, grown state)` at the state that no longer grows."""
    while True:
        result, grown = step(state)
        if grown == state:
            return result
        state = grown
