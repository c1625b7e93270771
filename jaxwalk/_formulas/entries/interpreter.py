"""Running a jaxpr on arrays of entries.

What does not depend on them and is no float, an index say, is computed by JAX itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import FormulaError
from ..._jax import jaxprs, kinds, primitives
from ..._jax.jaxprs import Closed, is_literal
from ..._jax.origin import source_of
from .arithmetic import Arithmetic, Refused, Unsupported, as_entries, holds_entries
from .rearrange import MOVES, PLACES, Entries, moved
from .rules import CALLS, LOGICAL, OF_INTEGERS, RULES, by_jax, call


def run_on_entries(closed: Closed, args: Sequence[Any], arithmetic: Arithmetic) -> list[Any]:
    """The results of a jaxpr.

    Arguments:
        closed: the jaxpr.
        args: a value per input: entries, or an array of integers, truth values or random keys.
        arithmetic: what can be done with entries.

    Returns:
        list: a value per result.

    Raises:
        FormulaError: an equation that a result needs cannot be run; it names the primitive and the source line.
    """
    return _Run(arithmetic).jaxpr(closed, args, [True] * len(closed.jaxpr.outvars))


class _Run:
    """One run: its arithmetic, how JAX's primitives are called, and how much was done."""

    def __init__(self, arithmetic: Arithmetic):
        self.arithmetic = arithmetic
        self.kind_of, self.name_of = kinds.kinds(), primitives.names()
        self.done = 0
        self.at: Any = None  # the equation that is run

    def count(self, operations: int) -> None:
        self.done += operations
        if self.arithmetic.steps is not None and self.done > self.arithmetic.steps:
            raise FormulaError(self.arithmetic.too_many)

    def jaxpr(self, closed: Closed, args: Sequence[Any], needed: Sequence[bool]) -> list[Any]:
        jaxpr = closed.jaxpr
        env: dict[Any, Any] = {}
        for var, value in [*zip(jaxpr.constvars, closed.consts), *zip(jaxpr.invars, args, strict=True)]:
            env[var] = self.value(value)
        read = lambda v: self.literal(v) if is_literal(v) else env[v]
        for eqn, used in _live(jaxpr, needed):
            env.update(zip(eqn.outvars, self.equation(eqn, [read(v) for v in eqn.invars], used), strict=True))
        return [read(v) if n else None for v, n in zip(jaxpr.outvars, needed, strict=True)]

    def literal(self, literal: Any) -> Any:
        return self.value(jaxprs.literal_array(literal))

    def value(self, value: Any) -> Any:
        """A value as it is kept: floats as entries, all else as it is."""
        if holds_entries(value) or jnp.issubdtype(value.dtype, jax.dtypes.extended):
            return value
        return as_entries(value, self.arithmetic) if jnp.issubdtype(value.dtype, jnp.inexact) else np.asarray(value)

    def equation(self, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
        try:
            kind = self.kind_of(eqn)
            if jaxprs.calls_a_jaxpr(eqn):
                return call(self, eqn, operands, used)
            if kind == "custom_jvp" and primitives.is_bell(eqn):
                self.at = eqn
                return [self.map(self.arithmetic.operations["bell"], *operands)]
            if kind in CALLS:
                return CALLS[kind](self, eqn, operands, used)
            self.at = eqn
            results = self.results(eqn, operands)
        except Unsupported as error:
            raise FormulaError(self.refusal(eqn, error)) from None
        return [self.settled(r, v.aval) for r, v in zip(results, eqn.outvars, strict=True)]

    def refusal(self, eqn: Any, error: Exception) -> str:
        line = source_of(eqn)
        met = f"`{eqn.primitive}`" + (f" ({line})" if line else "")
        why = "it divides by zero" if isinstance(error, ZeroDivisionError) else str(error)
        return self.arithmetic.refusal(met, why)

    def apply(self, function: Callable, entries: Sequence[Any]) -> Any:
        """One entry of a result."""
        for entry in entries:
            if isinstance(entry, Refused):
                return entry
        try:
            result = function(*entries)
            if self.arithmetic.inspect is not None:
                self.arithmetic.inspect(result)
            return result
        except (Unsupported, ZeroDivisionError) as error:
            if self.arithmetic.defers:
                return Refused(self.refusal(self.at, error))
            raise Unsupported(str(error)) from None

    def results(self, eqn: Any, operands: list[Any]) -> list[Any]:
        name = self.name_of(eqn)
        if not any(map(holds_entries, operands)) and name != "convert":
            return by_jax(eqn, operands)
        if any(jnp.issubdtype(v.aval.dtype, jnp.complexfloating) for v in (*eqn.invars, *eqn.outvars)):
            raise Unsupported("it is of complex numbers")
        if name is None:
            raise Unsupported("no rule is known for it")
        if name in MOVES:
            return self.moved(name, eqn, operands)
        if name in RULES:
            return RULES[name](self, eqn, *operands)
        return [self.each(name, eqn, operands)]

    def moved(self, name: str, eqn: Any, operands: list[Any]) -> list[Any]:
        places = range(len(operands))[PLACES.get(name, slice(0, 0))]
        if any(holds_entries(operands[i]) for i in places):
            raise Unsupported("where it reads depends on a symbol; give indices as constants, by a lambda")
        data = [x if i in places else as_entries(x, self.arithmetic) for i, x in enumerate(operands)]
        return moved(name, eqn, data, self.outside)

    def outside(self, number: Any) -> Any:
        """What is read outside an array: by default a NaN."""
        number = np.asarray(float("nan") if number is None else number)
        return self.arithmetic.constant(number.item(), number.dtype)

    def each(self, name: str, eqn: Any, operands: list[Any]) -> Entries:
        """An operation entry by entry."""
        dtype = eqn.invars[-1].aval.dtype
        if name not in self.arithmetic.operations:
            raise Unsupported("no rule is known for it")
        if jnp.issubdtype(dtype, jnp.integer) and name not in OF_INTEGERS:
            raise Unsupported("of integers that are symbols it has no rule; make them floats")
        if name in LOGICAL and dtype != jnp.bool_:
            raise Unsupported("it works on bits")
        return self.map(self.arithmetic.operations[name], *operands)

    def map(self, function: Callable, *operands: Any) -> Entries:
        arrays = np.broadcast_arrays(*(as_entries(x, self.arithmetic) for x in operands))
        result = np.empty(arrays[0].shape, object)
        self.count(result.size)
        for index in np.ndindex(result.shape):
            result[index] = self.apply(function, [a[index] for a in arrays])
        return result

    def fold(self, name: str, rows: Sequence[Sequence[Any]], shape: Sequence[int]) -> Entries:
        """For each row of entries one: their sum, product, maximum... An array of `shape`."""
        function, result = self.arithmetic.operations[name], np.empty(len(rows), object)
        self.count(sum(map(len, rows)))
        for i, row in enumerate(rows):
            result[i] = self.apply(function, row)
        return result.reshape(shape)

    def dot(self, pairs: Sequence[Sequence[tuple[Any, Any]]], shape: Sequence[int]) -> Entries:
        self.count(sum(map(len, pairs)))
        mul = self.arithmetic.operations["mul"]
        return self.fold("sum", [[self.apply(mul, pair) for pair in row] for row in pairs], shape)

    def settled(self, value: Any, aval: Any) -> Any:
        """Integers and truth values that turn out to be known, as an ordinary array."""
        if not hasattr(value, "dtype"):  # NumPy gives one entry of an array as the entry itself
            value = np.array([value, None], object)[:1].reshape(())
        if not holds_entries(value):
            return self.value(value)
        value = value if value.shape == aval.shape else np.broadcast_to(value, aval.shape)
        if jnp.issubdtype(aval.dtype, jnp.inexact) or not all(map(self.arithmetic.is_known, value.flat)):
            return value
        kind = bool if aval.dtype == jnp.bool_ else int
        return np.array([kind(entry) for entry in value.flat], aval.dtype).reshape(value.shape)


def _live(jaxpr: Any, needed: Sequence[bool]) -> list[tuple[Any, list[bool]]]:
    """The equations that a needed result depends on, in order, and which of their results are used."""
    wanted = {v for v, n in zip(jaxpr.outvars, needed, strict=True) if n and not is_literal(v)}
    live = []
    for eqn in reversed(jaxpr.eqns):
        used = [v in wanted for v in eqn.outvars]
        if any(used):
            wanted.update(v for v in eqn.invars if not is_literal(v))
            live.append((eqn, used))
    return live[::-1]
