"""A traced function as one flat list of operations: the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp

from .._jax.compat import is_literal
from .._jax.primitives import primitive
from .._source.statements import source_of

Ref: TypeAlias = Any  # a value: its number, or a Literal
Flags = Sequence[bool]


class Place(NamedTuple):
    """Where an operation comes from.

    Attributes:
        site: the equations down to the jaxpr it is in, as of a `Point`; None where no point can be.
        function: JAX's own function that it belongs to ("relu"), or None.
        source: the line that called that function.
        primal: in the body of a function with a derivative rule of its own: what is decided here, the derivative
            does not see; it sees the rule.
    """

    site: tuple[tuple[int, int], ...] | None = ()
    function: str | None = None
    source: str | None = None
    primal: bool = False


class Op(NamedTuple):
    """One operation.

    Attributes:
        kind: "op", an equation; "scan", "cond", "while", "name"; "cut", the identity through which nothing is
            differentiated; "root", after a derivative rule: what it gives counts if one of `watch` does.
        ins, outs: the values read and made.
        number: of its equation in the jaxpr that it comes from.
        bodies: the flat programs inside.
    """

    kind: str
    ins: tuple[Ref, ...]
    outs: tuple[int, ...]
    place: Place
    number: int = 0
    eqn: Any = None
    bodies: tuple[Flat, ...] = ()
    watch: tuple[Ref, ...] = ()

    @property
    def source(self) -> str:
        return source_of(self.eqn) if self.place.source is None else self.place.source


class Flat:
    """A flat program.

    Attributes:
        ops: in the order in which they run.
        ins, outs: the values that go in and come out.
        consts: the constants, by value number.
        ones: the tangents of derivative rules: values that stand for ones.
        avals: what each value is.
        data: the values that depend on a float input, in whatever way.
        active: of these, the ones through which a derivative flows.
        named: the names of the values that points are, innermost first.
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.ins: list[int] = []
        self.outs: list[Ref] = []
        self.consts: dict[int, Any] = {}
        self.ones: set[int] = set()
        self.avals: dict[int, Any] = {}
        self.data: set[int] = set()
        self.active: set[int] = set()
        self.named: dict[int, list[str]] = {}

    def flags(self, refs: Sequence[Ref], among: set[int]) -> list[bool]:
        return [is_number(ref) and ref in among for ref in refs]


def is_number(ref: Ref) -> bool:
    return not is_literal(ref)


def is_float(aval: Any) -> bool:
    """Whether a value is real or complex."""
    return hasattr(aval, "dtype") and jnp.issubdtype(aval.dtype, jnp.inexact)


def stops() -> set[Any]:
    """Primitives with float results and no derivative."""
    return {primitive(name) for name in ("stop_gradient", "sign", "floor", "ceil", "round")}
