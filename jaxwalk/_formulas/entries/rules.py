"""How each primitive is done on entries that is not simply done entry by entry.

A rule takes the operations on entries, the equation and its operands, and returns the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from ..._jax.jaxpr import jaxprs
from ..._jax.jaxpr.types import type_of
from ..conversions import is_shortening, wraps
from .arithmetic import Entries, EntryOperations, Unsupported, Value, holds_entries
from .index_maps import MOVES, convolved, moved, multiplied, places_in_windows, scatter_added

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

Rule: TypeAlias = Callable[..., list[Value]]
LOGICAL = ("bitwise_not", "bitwise_and", "bitwise_or", "bitwise_xor")
OF_INTEGERS = {*"add add_any sub mul neg abs sign max min square eq ne lt le gt ge".split(), *LOGICAL}  # noqa: SIM905


def results_of(ops: EntryOperations, name: str | None, eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Compute an equation that calls no jaxpr; `name` is what its primitive is called here.

    What does not depend on entries and is no float, an index say, is computed by JAX itself.
    """
    if not any(map(holds_entries, operands)) and name != "convert":
        return _by_jax(eqn, operands)
    if any(jnp.issubdtype(type_of(v).dtype, jnp.complexfloating) for v in (*eqn.invars, *eqn.outvars)):
        raise Unsupported("it is of complex numbers")
    if name is None:
        raise Unsupported("no rule is known for it")
    if name in MOVES:
        return moved(ops, name, eqn, operands)
    if name in RULES:
        return _wrapped(ops, name, eqn, RULES[name](ops, eqn, *operands))
    dtype, operation = type_of(eqn.invars[-1]).dtype, ops.operation(name)
    if jnp.issubdtype(dtype, jnp.integer) and name not in OF_INTEGERS:
        raise Unsupported("of integers that are symbols it has no rule; make them floats")
    if name in LOGICAL and dtype != jnp.bool_:
        raise Unsupported("it works on bits")
    return _wrapped(ops, name, eqn, [ops.map(operation, *operands)])


def _wrapped(ops: EntryOperations, name: str | None, eqn: JaxprEqn, results: list[Value]) -> list[Value]:
    """Return integers modulo how many there are of their dtype, where that is part of the function."""
    dtype = type_of(eqn.outvars[0]).dtype
    if "wrapped" not in ops.arithmetic.operations or not wraps(name, dtype):
        return results
    wrap = ops.operation("wrapped")
    return [ops.map(lambda e: wrap(e, dtype), x) if holds_entries(x) else x for x in results]


def _by_jax(eqn: JaxprEqn, operands: Sequence[Value]) -> list[Value]:
    with jax.ensure_compile_time_eval():
        return jaxprs.apply(eqn, [x if hasattr(x, "aval") else jnp.asarray(x) for x in operands])


def _identity(ops: EntryOperations, eqn: JaxprEqn, *operands: Value) -> list[Value]:
    return list(operands)


def _convert(ops: EntryOperations, eqn: JaxprEqn, x: Value) -> list[Value]:
    before, after = type_of(eqn.invars[0]).dtype, eqn.params["new_dtype"]
    if jnp.issubdtype(before, jnp.complexfloating) or jnp.issubdtype(after, jnp.complexfloating):
        raise Unsupported("it is of complex numbers")
    if not holds_entries(x) and not jnp.issubdtype(after, jnp.inexact):
        return _by_jax(eqn, [x])
    x, zero = ops.entries(x), ops.integer(0)
    if after == jnp.bool_:
        return [x if before == jnp.bool_ else ops.map(lambda e: ops.operation("ne")(e, zero), x)]
    if before == jnp.bool_:
        return [ops.select(x, np.array(0), np.array(1))]
    if jnp.issubdtype(before, jnp.inexact) and jnp.issubdtype(after, jnp.integer):
        return [ops.map(ops.operation("truncate"), x)]
    if jnp.issubdtype(after, jnp.inexact) and "rounded" in ops.arithmetic.operations:
        return [ops.map(lambda e: ops.operation("rounded")(e, before, after), x)]
    return [x]


def _reduce_precision(ops: EntryOperations, eqn: JaxprEqn, x: Value) -> list[Value]:
    bits = int(eqn.params["exponent_bits"]), int(eqn.params["mantissa_bits"])
    if not is_shortening(type_of(eqn.invars[0]).dtype, *bits):
        return [x]
    if "rounded" not in ops.arithmetic.operations:
        raise Unsupported(f"it rounds to {bits[1]} bits of mantissa")
    return [ops.map(lambda e: ops.operation("rounded")(e, None, bits), x)]


def _select_n(ops: EntryOperations, eqn: JaxprEqn, which: Value, *cases: Value) -> list[Value]:
    if not holds_entries(which):
        which = np.broadcast_to(which, cases[0].shape).astype(int)
        return [np.take_along_axis(np.stack(list(map(ops.entries, cases))), which[None], 0)[0, ...]]
    if type_of(eqn.invars[0]).dtype != jnp.bool_:
        raise Unsupported("which of its cases is taken depends on a symbol that is an integer; use conditions")
    return [ops.select(which, *cases)]


def _clamp(ops: EntryOperations, eqn: JaxprEqn, low: Value, x: Value, high: Value) -> list[Value]:
    least, largest = ops.operation("min"), ops.operation("max")
    return [ops.map(lambda a, e, b: least(largest(e, a), b), low, x, high)]


def _integer_pow(ops: EntryOperations, eqn: JaxprEqn, x: Entries) -> list[Value]:
    return [ops.map(lambda e: ops.operation("integer_pow")(e, eqn.params["y"]), x)]


def _round(ops: EntryOperations, eqn: JaxprEqn, x: Entries) -> list[Value]:
    to_even = int(eqn.params["rounding_method"]) == 1
    return [ops.map(lambda e: ops.operation("round")(e, to_even), x)]


def _reduction(name: str) -> Rule:
    def rule(ops: EntryOperations, eqn: JaxprEqn, x: Entries) -> list[Value]:
        axes = eqn.params["axes"]
        kept = [i for i in range(x.ndim) if i not in axes]
        shape = [x.shape[i] for i in kept]
        rows = x.transpose(*kept, *axes).reshape(math.prod(shape), math.prod(x.shape[i] for i in axes))
        if name in ("max", "min") and len(rows) and not rows.size:
            raise Unsupported("it is of no entries")
        return [ops.fold(name, rows, shape)]

    return rule


def _cumulative(name: str) -> Rule:
    def rule(ops: EntryOperations, eqn: JaxprEqn, x: Entries) -> list[Value]:
        along = np.moveaxis(x, eqn.params["axis"], -1)
        along = along[..., ::-1] if eqn.params["reverse"] else along
        parts = [along[i][: j + 1] for i in np.ndindex(along.shape[:-1]) for j in range(along.shape[-1])]
        result = ops.fold(name, parts, along.shape)
        return [np.moveaxis(result[..., ::-1] if eqn.params["reverse"] else result, -1, eqn.params["axis"])]

    return rule


def _dot_general(ops: EntryOperations, eqn: JaxprEqn, a: Value, b: Value) -> list[Value]:
    ((over, _), _) = eqn.params["dimension_numbers"]
    return _sums_of_products(ops, eqn, multiplied, math.prod(a.shape[i] for i in over), a, b)


def _conv(ops: EntryOperations, eqn: JaxprEqn, image: Value, kernel: Value) -> list[Value]:
    return _sums_of_products(ops, eqn, convolved, kernel.size, image, kernel)


def _sums_of_products(
    ops: EntryOperations, eqn: JaxprEqn, pairs_of: Callable, length: int, a: Value, b: Value
) -> list[Value]:
    """Compute sums of at most `length` products, whose factors `pairs_of` tells for each result."""
    shape, times = type_of(eqn.outvars[0]).shape, ops.operation("mul")
    ops.count(math.prod(shape) * length)  # before they are made
    pairs = pairs_of(eqn, ops.entries(a), ops.entries(b))
    ops.count(sum(map(len, pairs)))
    return [ops.fold("sum", [[ops.apply(times, pair) for pair in row] for row in pairs], shape)]


def _scatter_add(ops: EntryOperations, eqn: JaxprEqn, operand: Value, places: Value, updates: Value) -> list[Value]:
    if holds_entries(places):
        raise Unsupported("where it writes depends on a symbol; give indices as constants, by a lambda")
    return [ops.fold("sum", scatter_added(eqn, ops.entries(operand), places, ops.entries(updates)), operand.shape)]


def _window(name: str) -> Rule:
    def rule(ops: EntryOperations, eqn: JaxprEqn, x: Entries) -> list[Value]:
        places, flat = places_in_windows(eqn, x.shape), x.ravel()
        rows = [flat[row[row >= 0]] for row in places.reshape(-1, places.shape[-1])]
        if name != "sum" and not all(map(len, rows)):
            raise Unsupported("a window of it holds padding alone")
        return [ops.fold(name, rows, places.shape[:-1])]

    return rule


def _select_and_scatter_add(ops: EntryOperations, eqn: JaxprEqn, source: Value, x: Value) -> list[Value]:
    """Compute what flows back through a pooling: to the first entry of each window than which none is larger."""
    flat, zero, both = ops.entries(x).ravel(), ops.integer(0), ops.operation("and")
    later, earlier = ("ge", "gt") if str(eqn.params["select_prim"]) == "ge" else ("le", "lt")
    terms = [[zero] for _ in flat]
    places = places_in_windows(eqn, x.shape)
    for row, value in zip(places.reshape(-1, places.shape[-1]), ops.entries(source).ravel(), strict=True):
        row = row[row >= 0]
        ops.count(len(row) ** 2)
        for n in row:
            others = [(ops.operation(earlier if m < n else later), m) for m in row if m != n]
            won = ops.apply(both, [ops.apply(beats, [flat[n], flat[m]]) for beats, m in others])
            terms[n].append(ops.apply(lambda w, *cases: ops.arithmetic.select(w, cases), [won, zero, value]))
    return [ops.fold("sum", terms, x.shape)]


def _index_of(best: Callable) -> Rule:
    def rule(ops: EntryOperations, eqn: JaxprEqn, x: Entries) -> list[Value]:
        _check_known(ops, x)
        (axis,) = eqn.params["axes"]
        return [np.asarray(best(x, axis), eqn.params["index_dtype"])]

    return rule


def _sort(ops: EntryOperations, eqn: JaxprEqn, *operands: Value) -> list[Value]:
    axis, keys = eqn.params["dimension"], operands[: eqn.params["num_keys"]]
    order = np.indices(operands[0].shape)[axis]
    for key in reversed(keys):
        _check_known(ops, key)
        ranks = np.argsort(np.take_along_axis(key, order, axis), axis, kind="stable")
        order = np.take_along_axis(order, ranks, axis)
    return [np.take_along_axis(x, order, axis) for x in operands]


def _check_known(ops: EntryOperations, x: Value) -> None:
    if holds_entries(x) and not all(map(ops.arithmetic.is_known, x.flat)):
        raise Unsupported("the order of symbols is not known")


RULES: dict[str, Rule] = {
    **dict.fromkeys(("copy", "stop_gradient", "optimization_barrier", "device_put"), _identity),
    "reduce_precision": _reduce_precision,
    "convert": _convert,
    "select_n": _select_n,
    "clamp": _clamp,
    "integer_pow": _integer_pow,
    "round": _round,
    **{f"reduce_{name}": _reduction(name) for name in ("sum", "prod", "max", "min", "and", "or")},
    **{f"cum{name}": _cumulative(name) for name in ("sum", "prod", "max", "min", "logsumexp")},
    "dot_general": _dot_general,
    "conv": _conv,
    "scatter_add": _scatter_add,
    **{f"reduce_window_{name}": _window(name) for name in ("sum", "max", "min")},
    "select_and_scatter_add": _select_and_scatter_add,
    "argmax": _index_of(np.argmax),
    "argmin": _index_of(np.argmin),
    "sort": _sort,
}
