"""The parts of a program, each compiled once: what it calls as a whole, and the way back through an equation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from .._jax.jaxpr import jaxprs, kinds
from .._jax.jaxpr.jaxprs import Closed, is_literal
from .._jax.jaxpr.types import is_float, struct

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn

Run = Callable[[Sequence[Any]], Sequence[Any]]


class WayBack(NamedTuple):
    """The way back through a function.

    Attributes:
        run: from its operands, and the cotangents of some results, to those of some operands.
        reaches: of each of these, whether a cotangent comes to it at all: none comes through `floor`.
    """

    run: Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]
    reaches: Sequence[bool]


class Programs:
    """What was compiled, of one function, for all of its runs."""

    def __init__(self) -> None:
        self._kind = kinds.kinds()
        self._found: dict[Any, Any] = {}
        self._alive: list[Any] = []  # what is known by its id must not be freed

    def equation(self, eqn: JaxprEqn) -> Run:
        """Return a function from an equation's operands to its results."""
        run = functools.partial(jaxprs.apply, eqn)
        return self._once(("equation", self._key(eqn)), lambda: jax.jit(run)) if jaxprs.jaxprs_of(eqn) else run

    def whole(self, closed: Closed) -> Run:
        """Return a function from the inputs of a jaxpr to its results."""
        return self._once(("whole", self._known(closed)), lambda: jax.jit(functools.partial(jaxprs.evaluate, closed)))

    def back_through(self, of: JaxprEqn | Closed, places: Sequence[int], results: Sequence[int]) -> WayBack:
        """Return the way back through an equation or a jaxpr.

        Arguments:
            places: the operands whose cotangents are asked for.
            results: the results that have one.

        Raises:
            Exception: whatever JAX or another library raises where it cannot differentiate it.
        """
        key = ("back", self._known(of) if isinstance(of, Closed) else self._key(of), tuple(places), tuple(results))
        return self._once(key, lambda: _way_back(of, places, results))

    def holds_while(self, jaxpr: Jaxpr) -> bool:
        """Tell whether a `while_loop` is in a jaxpr: with other numbers than its own it may not end."""
        self._alive.append(jaxpr)
        is_while = lambda eqn: self._kind(eqn) == "while"
        return self._once(("while", id(jaxpr)), lambda: jaxprs.any_equation(jaxpr, is_while))

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._found:
            self._found[key] = make()
        return self._found[key]

    def _known(self, closed: Closed) -> Any:
        self._alive.append(closed)
        return id(closed.jaxpr), tuple(map(id, closed.consts))

    def _key(self, eqn: JaxprEqn) -> Any:
        literals = tuple((i, repr(v.val)) for i, v in enumerate(eqn.invars) if is_literal(v))
        key = (eqn.primitive, tuple(sorted(eqn.params.items())), tuple(v.aval for v in eqn.invars), literals)
        try:
            hash(key)
        except TypeError:
            self._alive.append(eqn)
            return id(eqn)
        return key


def _way_back(of: JaxprEqn | Closed, places: Sequence[int], results: Sequence[int]) -> WayBack:
    invars = of.jaxpr.invars if isinstance(of, Closed) else of.invars
    outvars = of.jaxpr.outvars if isinstance(of, Closed) else of.outvars
    apply = functools.partial(jaxprs.evaluate if isinstance(of, Closed) else jaxprs.apply, of)

    def run(operands: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        def moved(*values: Any) -> list[Any]:
            changed = dict(zip(places, values, strict=True))
            found = apply([changed.get(i, x) for i, x in enumerate(operands)])
            return [found[i] for i in results]

        return list(jax.vjp(moved, *(operands[i] for i in places))[1](list(cotangents)))

    compiled = jax.jit(run)
    types = [struct(v.aval) if hasattr(v.aval, "shape") else v.aval for v in invars]
    traced = compiled.trace(types, [struct(outvars[i].aval) for i in results])
    return WayBack(compiled, _depends(jaxprs.close(traced.jaxpr).jaxpr, len(invars)))


def _depends(jaxpr: Jaxpr, first: int) -> list[bool]:
    """Tell of each result of a jaxpr whether it depends on an input from `first` on."""
    met = set(jaxpr.invars[first:])
    for eqn in jaxpr.eqns:
        if any(v in met for v in eqn.invars if not is_literal(v)):
            met.update(eqn.outvars)
    return [not is_literal(v) and v in met for v in jaxpr.outvars]


def has_derivative(typed: Any) -> bool:
    """Tell whether a value of this type has a cotangent."""
    return is_float(typed)
