"""A flat program: the operations of a traced function in the order in which they run, every call inlined."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .._jax.origin import source_of

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal

STOPS = {"stop_gradient", "sign", "floor", "ceil", "round"}  # operations with float results and no derivative

S = TypeVar("S")
R = TypeVar("R")


class Flow(enum.IntFlag):
    """What flows from the float inputs into a value: their data, in whatever way, and a derivative by them."""

    NONE = 0
    DATA = 1
    DERIVATIVE = 2


class Origin(NamedTuple):
    """Where an operation comes from."""

    site: tuple[tuple[int, int], ...] | None = ()  # the calls around it, as of a `Point`; None where no point can be
    function: str | None = None  # JAX's own function that it belongs to ("relu")
    source: str | None = None  # the line that called that function
    primal: bool = False  # in the body of a function with a derivative rule: the derivative sees the rule, not this


class Operation(NamedTuple):
    """One operation.

    Its kind is "op", an equation; "scan", "cond", "while", "name"; "cut", the identity through which nothing is
    differentiated; or "rule", which stands after a derivative rule and reads its results.
    """

    kind: str
    name: str | None  # of the primitive of an "op", as it is called in `_jax/primitives.py`
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
        self.names: dict[int, list[str]] = {}  # of the values that points are, innermost first

    def flows_of(self, numbers: Sequence[int]) -> list[Flow]:
        return [self.flows[number] for number in numbers]

    def has_derivative(self, number: int) -> bool:
        """Return whether a derivative flows through a value."""
        return bool(self.flows[number] & Flow.DERIVATIVE)

    def readers(self, values: set[int]) -> Iterator[Operation]:
        """Yield the operations that read one of `values`, in order; the caller may add to `values` meanwhile."""
        return (op for op in self.ops if not values.isdisjoint(op.ins))


def until_stable(step: Callable[[S], tuple[R, S]], state: S) -> R:
    """Return the result of `step(state) -> (result, grown state)` at the state that no longer grows."""
    while True:
        result, grown = step(state)
        if grown == state:
            return result
        state = grown
