"""Entries that are not machine numbers (fractions, symbols), and what is done with arrays of them.

A value whose dtype is `object` holds entries; any other is an ordinary array, of integers or truth values, say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import FormulaError
from ..._jax.origin import source_of

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

Entries: TypeAlias = np.ndarray  # of dtype object
Value: TypeAlias = np.ndarray  # entries, or an array of machine numbers


class Unsupported(Exception):
    """Why an operation cannot be done on these entries, as the end of a sentence."""


class Refused(NamedTuple):
    """An entry that could not be computed: an error once a result depends on it. A branch not taken may hold it."""

    reason: str


class Arithmetic(NamedTuple):
    """What can be done with entries.

    Attributes:
        constant: from a Python number and the dtype it was rounded to, to an entry.
        operations: by our name of the primitive, a function of entries.
        is_known: whether an entry is a number or a truth value, and not a symbol.
        select: from a truth value or a number that is an entry, and as many cases, to an entry.
        refusal: a sentence from what was met (primitive and line), and why it is refused.
        defers: whether what cannot be computed becomes a `Refused` entry, and is no error yet.
        inspect: called with each entry that is made; it may refuse.
        limit: how many operations on entries may be done, or None.
        too_many: the sentence if they are more.
    """

    constant: Callable[[Any, np.dtype], Any]
    operations: Mapping[str, Callable]
    is_known: Callable[[Any], bool]
    select: Callable[[Any, Sequence[Any]], Any]
    refusal: Callable[[str, str], str]
    defers: bool = False
    inspect: Callable[[Any], None] | None = None
    limit: int | None = None
    too_many: str = ""


def holds_entries(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def entrywise(function: Callable, *arrays: np.ndarray) -> Entries:
    """Return the results of a function of entries, at each entry of arrays of one shape."""
    result = np.empty(arrays[0].shape, object)
    for index in np.ndindex(result.shape):
        result[index] = function(*(a[index] for a in arrays))
    return result


class EntryOperations:
    """The operations of an arithmetic on arrays of entries. They are counted, up to the number that it allows."""

    def __init__(self, arithmetic: Arithmetic):
        self.arithmetic = arithmetic
        self.done = 0
        self.eqn: JaxprEqn | None = None  # the equation that is computed

    def count(self, operations: int) -> None:
        self.done += operations
        if self.arithmetic.limit is not None and self.done > self.arithmetic.limit:
            raise FormulaError(self.arithmetic.too_many)

    def operation(self, name: str) -> Callable:
        if name not in self.arithmetic.operations:
            raise Unsupported("no rule is known for it")
        return self.arithmetic.operations[name]

    def integer(self, number: int) -> Any:
        return self.arithmetic.constant(number, np.dtype(int))

    def outside(self, number: Any = None) -> Any:
        """Return the entry that is read outside an array: by default a NaN."""
        number = np.asarray(float("nan") if number is None else number)
        return self.arithmetic.constant(number.item(), number.dtype)

    def entries(self, value: Value) -> Entries:
        """Return an array of machine numbers as entries."""
        if holds_entries(value):
            return value
        array = np.asarray(value)
        return entrywise(lambda number: self.arithmetic.constant(number.item(), array.dtype), array)

    def value(self, value: Value) -> Value:
        """Return a value as it is kept: floats as entries, all else as it is."""
        if holds_entries(value) or jnp.issubdtype(value.dtype, jax.dtypes.extended):
            return value
        return self.entries(value) if jnp.issubdtype(value.dtype, jnp.inexact) else np.asarray(value)

    def apply(self, function: Callable, entries: Sequence[Any]) -> Any:
        """Compute one entry of a result."""
        for entry in entries:
            if isinstance(entry, Refused):
                return entry
        try:
            result = function(*entries)
            if self.arithmetic.inspect is not None:
                self.arithmetic.inspect(result)
            return result
        except (Unsupported, ZeroDivisionError) as error:
            if self.arithmetic.defers and self.eqn is not None:
                return Refused(self.refusal(self.eqn, error))
            raise Unsupported(str(error)) from None

    def map(self, function: Callable, *operands: Value) -> Entries:
        arrays = np.broadcast_arrays(*map(self.entries, operands))
        self.count(arrays[0].size)
        return entrywise(lambda *entries: self.apply(function, entries), *arrays)

    def select(self, which: Value, *choices: Value) -> Entries:
        """Choose entries. What is not chosen may be refused."""

        def chosen(w: Any, *entries: Any) -> Any:
            if isinstance(w, Refused):
                return w
            result = self.arithmetic.select(w, entries)
            if self.arithmetic.inspect is not None:
                self.arithmetic.inspect(result)
            return result

        arrays = np.broadcast_arrays(*map(self.entries, (which, *choices)))
        self.count(arrays[0].size)
        return entrywise(chosen, *arrays)

    def fold(self, name: str, rows: Sequence[Any] | np.ndarray, shape: Sequence[int]) -> Entries:
        """Compute for each row of entries one: their sum, product, maximum... Returns an array of `shape`."""
        function, result = self.operation(name), np.empty(len(rows), object)
        self.count(sum(map(len, rows)))
        for i, row in enumerate(rows):
            result[i] = self.apply(function, row)
        return result.reshape(shape)

    def settled(self, value: Value, type: jax.ShapeDtypeStruct) -> Value:
        """Return integers and truth values that turn out to be known as an ordinary array."""
        if not hasattr(value, "dtype"):  # NumPy gives one entry of an array as the entry itself
            value = np.array([value, None], object)[:1].reshape(())
        if not holds_entries(value):
            return self.value(value)
        value = value if value.shape == type.shape else np.broadcast_to(value, type.shape)
        if jnp.issubdtype(type.dtype, jnp.inexact) or not all(map(self.arithmetic.is_known, value.flat)):
            return value
        kind = bool if type.dtype == jnp.bool_ else int
        for entry in value.flat:
            if kind is int and not jnp.iinfo(type.dtype).min <= int(entry) <= jnp.iinfo(type.dtype).max:
                raise Unsupported(f"{entry} is not among the numbers of {type.dtype}")
        return np.array([kind(entry) for entry in value.flat], type.dtype).reshape(value.shape)

    def refusal(self, eqn: JaxprEqn, error: Exception) -> str:
        line = source_of(eqn)
        met = f"`{eqn.primitive}`" + (f" ({line})" if line else "")
        why = "it divides by zero" if isinstance(error, ZeroDivisionError) else str(error)
        return self.arithmetic.refusal(met, why)
