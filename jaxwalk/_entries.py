"""Running a jaxpr on arrays of entries that are not machine numbers: fractions, or symbols.

What does not depend on them and is no float, an index say, is computed by JAX itself; a value is then an ordinary
array. A value whose dtype is `object` holds entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from . import _compat, _primitives
from ._compat import Closed, Literal
from ._errors import FormulaError
from ._rearrange import MOVES, PLACES, Entries, convolved, moved, multiplied, scatter_added, windows


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
        steps: how many operations on entries may be done, or None.
        too_many: the sentence if they are more.
    """

    constant: Callable[[Any, Any], Any]
    operations: Mapping[str, Callable]
    is_known: Callable[[Any], bool]
    select: Callable[[Any, Sequence[Any]], Any]
    refusal: Callable[[str, str], str]
    defers: bool = False
    inspect: Callable[[Any], None] | None = None
    steps: int | None = None
    too_many: str = ""


def holds_entries(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def as_entries(value: Any, arithmetic: Arithmetic) -> Entries:
    """An array of machine numbers as entries."""
    if holds_entries(value):
        return value
    array = np.asarray(value)
    result = np.empty(array.shape, object)
    for index in np.ndindex(array.shape):
        result[index] = arithmetic.constant(array[index].item(), array.dtype)
    return result


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
        self.kind_of, self.name_of = _compat.kinds(), _primitives.names()
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
        read = lambda v: self.literal(v) if isinstance(v, Literal) else env[v]
        for eqn, used in _live(jaxpr, needed):
            env.update(zip(eqn.outvars, self.equation(eqn, [read(v) for v in eqn.invars], used), strict=True))
        return [read(v) if n else None for v, n in zip(jaxpr.outvars, needed, strict=True)]

    def literal(self, literal: Any) -> Any:
        return self.value(_compat.literal_array(literal))

    def value(self, value: Any) -> Any:
        """A value as it is kept: floats as entries, all else as it is."""
        if holds_entries(value) or jnp.issubdtype(value.dtype, jax.dtypes.extended):
            return value
        return as_entries(value, self.arithmetic) if jnp.issubdtype(value.dtype, jnp.inexact) else np.asarray(value)

    def equation(self, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
        try:
            kind = self.kind_of(eqn)
            if _compat.calls_a_jaxpr(eqn):
                return _call(self, eqn, operands, used)
            if kind == "custom_jvp" and _primitives.is_bell(eqn):
                self.at = eqn
                return [self.map(self.arithmetic.operations["bell"], *operands)]
            if kind in _CALLS:
                return _CALLS[kind](self, eqn, operands, used)
            self.at = eqn
            results = self.results(eqn, operands)
        except Unsupported as error:
            raise FormulaError(self.refusal(eqn, error)) from None
        return [self.settled(r, v.aval) for r, v in zip(results, eqn.outvars, strict=True)]

    def refusal(self, eqn: Any, error: Exception) -> str:
        line = _compat.source_of(eqn)
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
            return _by_jax(eqn, operands)
        if any(jnp.issubdtype(v.aval.dtype, jnp.complexfloating) for v in (*eqn.invars, *eqn.outvars)):
            raise Unsupported("it is of complex numbers")
        if name is None:
            raise Unsupported("no rule is known for it")
        if name in MOVES:
            return self.moved(name, eqn, operands)
        if name in _RULES:
            return _RULES[name](self, eqn, *operands)
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
        if jnp.issubdtype(dtype, jnp.integer) and name not in _OF_INTEGERS:
            raise Unsupported("of integers that are symbols it has no rule; make them floats")
        if name in _LOGICAL and dtype != jnp.bool_:
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
        if not holds_entries(value):
            return self.value(value)
        value = value if value.shape == aval.shape else np.broadcast_to(value, aval.shape)
        if jnp.issubdtype(aval.dtype, jnp.inexact) or not all(map(self.arithmetic.is_known, value.flat)):
            return value
        kind = bool if aval.dtype == jnp.bool_ else int
        return np.array([kind(entry) for entry in value.flat], aval.dtype).reshape(value.shape)


def _live(jaxpr: Any, needed: Sequence[bool]) -> list[tuple[Any, list[bool]]]:
    """The equations that a needed result depends on, in order, and which of their results are used."""
    wanted = {v for v, n in zip(jaxpr.outvars, needed, strict=True) if n and not isinstance(v, Literal)}
    live = []
    for eqn in reversed(jaxpr.eqns):
        used = [v in wanted for v in eqn.outvars]
        if any(used):
            wanted.update(v for v in eqn.invars if not isinstance(v, Literal))
            live.append((eqn, used))
    return live[::-1]


def _by_jax(eqn: Any, operands: Sequence[Any]) -> list[Any]:
    with jax.ensure_compile_time_eval():
        results = eqn.primitive.bind(*(x if hasattr(x, "aval") else jnp.asarray(x) for x in operands), **eqn.params)
    return list(results) if eqn.primitive.multiple_results else [results]


# What calls a jaxpr ---------------------------------------------------------------------------------------


def _call(run: _Run, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
    bodies = _compat.jaxprs_of(eqn)
    if len(bodies) != 1 or len(bodies[0].jaxpr.invars) != len(operands):
        raise Unsupported("what it calls could not be told")
    return run.jaxpr(bodies[0], operands, used)


def _scan(run: _Run, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
    (body,), parts = _compat.jaxprs_of(eqn), _compat.scan_parts(eqn)
    consts, carry = operands[: parts.consts], operands[parts.consts : parts.consts + parts.carry]
    xs = operands[parts.consts + parts.carry :]
    rows: list[Any] = [None] * parts.length
    order = range(parts.length)
    every = [True] * parts.carry + used[parts.carry :]
    for i in reversed(order) if parts.options.get("reverse") else order:
        outs = run.jaxpr(body, [*consts, *carry, *(x[i] if not holds_entries(x) else _row(x, i) for x in xs)], every)
        carry, rows[i] = outs[: parts.carry], outs[parts.carry :]
    stacked = [
        _stacked([row[j] for row in rows], v.aval, run) if used[parts.carry + j] else None
        for j, v in enumerate(eqn.outvars[parts.carry :])
    ]
    return [*carry, *stacked]


def _row(array: Entries, index: int) -> Entries:
    row = np.empty(array.shape[1:], object)
    row[...] = array[index]
    return row


def _stacked(rows: Sequence[Any], aval: Any, run: _Run) -> Any:
    if not rows:
        return run.value(np.zeros(aval.shape, aval.dtype))
    if any(map(holds_entries, rows)):
        return np.stack([as_entries(row, run.arithmetic) for row in rows])
    return jnp.stack(rows) if hasattr(rows[0], "aval") else np.stack(rows)


def _cond(run: _Run, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
    index, *args = operands
    branches = _compat.jaxprs_of(eqn)
    if not holds_entries(index):
        return run.jaxpr(branches[min(max(int(index), 0), len(branches) - 1)], args, used)
    if len(branches) > 2:
        raise Unsupported("which of its branches is taken depends on a symbol; use `jnp.where` or a `cond` of two")
    index = run.map(lambda e: run.arithmetic.operations["gt"](e, run.arithmetic.constant(0, np.dtype(int))), index)
    results = [run.jaxpr(branch, args, used) for branch in branches]
    select = lambda *cases: run.arithmetic.select(index[()], cases)
    joined = [run.map(select, *cases) if u else None for u, *cases in zip(used, *results, strict=True)]
    return [r if r is None else run.settled(r, v.aval) for r, v in zip(joined, eqn.outvars, strict=True)]


def _while(run: _Run, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
    test, body = _compat.close(eqn.params["cond_jaxpr"]), _compat.close(eqn.params["body_jaxpr"])
    a, b = eqn.params["cond_nconsts"], eqn.params["cond_nconsts"] + eqn.params["body_nconsts"]
    carry = operands[b:]
    while True:
        (again,) = run.jaxpr(test, [*operands[:a], *carry], [True])
        if holds_entries(again):
            raise Unsupported("how often it runs depends on a symbol; use a `scan` of fixed length")
        if not again:
            return carry
        run.count(1)
        carry = run.jaxpr(body, [*operands[a:b], *carry], [True] * len(carry))


def _same(run: _Run, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
    return operands


_CALLS: dict[str | None, Callable[[_Run, Any, list[Any], list[bool]], list[Any]]] = {
    "jit": _call,
    "checkpoint": _call,
    "custom_jvp": _call,
    "custom_vjp": _call,
    "scan": _scan,
    "cond": _cond,
    "while": _while,
    "name": _same,
}


# Primitives that have a rule of their own -----------------------------------------------------------------

_LOGICAL = ("bitwise_not", "bitwise_and", "bitwise_or", "bitwise_xor")
_OF_INTEGERS = {*"add add_any sub mul neg abs sign max min square eq ne lt le gt ge".split(), *_LOGICAL}  # noqa: SIM905


def _identity(run: _Run, eqn: Any, *operands: Any) -> list[Any]:
    return list(operands)


def _convert(run: _Run, eqn: Any, x: Any) -> list[Any]:
    before, after = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    if jnp.issubdtype(before, jnp.complexfloating) or jnp.issubdtype(after, jnp.complexfloating):
        raise Unsupported("it is of complex numbers")
    if not holds_entries(x):
        if not jnp.issubdtype(after, jnp.inexact):
            return _by_jax(eqn, [x])
        x = as_entries(x, run.arithmetic)
    constant, op = run.arithmetic.constant, run.arithmetic.operations
    zero, one = constant(0, np.dtype(int)), constant(1, np.dtype(int))
    if after == jnp.bool_:
        return [run.map(lambda e: op["ne"](e, zero), x)] if before != jnp.bool_ else [x]
    if before == jnp.bool_:
        return [run.map(lambda e: run.arithmetic.select(e, (zero, one)), x)]
    if jnp.issubdtype(before, jnp.inexact) and jnp.issubdtype(after, jnp.integer):
        return [run.map(op["truncate"], x)]
    return [x]


def _select_n(run: _Run, eqn: Any, which: Any, *cases: Any) -> list[Any]:
    if holds_entries(which) and eqn.invars[0].aval.dtype != jnp.bool_:
        raise Unsupported("which of its cases is taken depends on a symbol that is an integer; use conditions")
    if holds_entries(which):
        return [run.map(lambda w, *c: run.arithmetic.select(w, c), which, *cases)]
    entries = [as_entries(c, run.arithmetic) for c in cases]
    result, which = np.empty(entries[0].shape, object), np.broadcast_to(which, entries[0].shape).astype(int)
    for i, case in enumerate(entries):
        result[which == i] = case[which == i]
    return [result]


def _clamp(run: _Run, eqn: Any, low: Any, x: Any, high: Any) -> list[Any]:
    op = run.arithmetic.operations
    return [run.map(lambda a, e, b: op["min"](op["max"](e, a), b), low, x, high)]


def _integer_pow(run: _Run, eqn: Any, x: Entries) -> list[Any]:
    return [run.map(lambda e: run.arithmetic.operations["integer_pow"](e, eqn.params["y"]), x)]


def _round(run: _Run, eqn: Any, x: Entries) -> list[Any]:
    to_even = int(eqn.params["rounding_method"]) == 1
    return [run.map(lambda e: run.arithmetic.operations["round"](e, to_even), x)]


def _rows(x: Entries, axes: Sequence[int]) -> tuple[list[list[Any]], tuple[int, ...]]:
    """The entries along some axes, for each place along the others; and the shape of these."""
    axes = tuple(int(a) for a in axes)
    rest = [i for i in range(x.ndim) if i not in axes]
    shape = tuple(x.shape[i] for i in rest)
    flat = x.transpose(*rest, *axes).reshape(int(np.prod(shape)), -1) if x.size else np.empty((int(np.prod(shape)), 0))
    return [list(row) for row in flat], shape


def _reduction(name: str) -> Callable:
    def rule(run: _Run, eqn: Any, x: Entries) -> list[Any]:
        rows, shape = _rows(x, eqn.params["axes"])
        if not all(rows) and name in ("max", "min"):
            raise Unsupported("it is of no entries")
        return [run.fold(name, rows, shape)]

    return rule


def _cumulative(name: str) -> Callable:
    def rule(run: _Run, eqn: Any, x: Entries) -> list[Any]:
        along = np.moveaxis(x, eqn.params["axis"], -1)
        along = along[..., ::-1] if eqn.params["reverse"] else along
        rows = along.reshape(-1, along.shape[-1]) if x.size else along
        parts = [list(row[: i + 1]) for row in rows for i in range(len(row))]
        result = run.fold(name, parts, along.shape)
        return [np.moveaxis(result[..., ::-1] if eqn.params["reverse"] else result, -1, eqn.params["axis"])]

    return rule


def _dot_general(run: _Run, eqn: Any, a: Any, b: Any) -> list[Any]:
    a, b = as_entries(a, run.arithmetic), as_entries(b, run.arithmetic)
    shape = eqn.outvars[0].aval.shape
    ((over, _), _) = eqn.params["dimension_numbers"]
    length = int(np.prod([a.shape[i] for i in over]))
    run.count(0 if run.arithmetic.steps is None else int(np.prod(shape)) * length)  # before they are made
    return [run.dot(multiplied(eqn, a, b), shape)]


def _conv(run: _Run, eqn: Any, image: Any, kernel: Any) -> list[Any]:
    image, kernel = as_entries(image, run.arithmetic), as_entries(kernel, run.arithmetic)
    shape = eqn.outvars[0].aval.shape
    run.count(0 if run.arithmetic.steps is None else int(np.prod(shape)) * kernel.size)
    return [run.dot(convolved(eqn, image, kernel), shape)]


def _scatter_add(run: _Run, eqn: Any, operand: Any, places: Any, updates: Any) -> list[Any]:
    if holds_entries(places):
        raise Unsupported("where it writes depends on a symbol; give indices as constants, by a lambda")
    operand, updates = as_entries(operand, run.arithmetic), as_entries(updates, run.arithmetic)
    terms = scatter_added(eqn, operand, places, updates)
    return [run.fold("sum", [[entry, *more] for entry, more in terms], operand.shape)]


def _window(name: str) -> Callable:
    def rule(run: _Run, eqn: Any, x: Entries) -> list[Any]:
        found, flat = windows(eqn, x.shape), x.ravel()
        rows = [[flat[n] for n in row if n >= 0] for row in found.reshape(-1, found.shape[-1])]
        if not all(rows) and name != "sum":
            raise Unsupported("a window of it holds padding alone")
        return [run.fold(name, rows, found.shape[:-1])]

    return rule


def _select_and_scatter_add(run: _Run, eqn: Any, source: Any, x: Entries) -> list[Any]:
    """What flows back through a pooling: to the first entry of each window than which none is larger."""
    op, constant, flat = run.arithmetic.operations, run.arithmetic.constant, as_entries(x, run.arithmetic).ravel()
    picks = eqn.params["select_prim"]
    later, earlier = ("ge", "gt") if str(picks) == "ge" else ("le", "lt")
    found = windows(eqn, x.shape)
    terms: list[list[Any]] = [[constant(0, np.dtype(int))] for _ in flat]
    for row, value in zip(found.reshape(-1, found.shape[-1]), as_entries(source, run.arithmetic).ravel(), strict=True):
        places = [n for n in row if n >= 0]
        run.count(len(places) ** 2)
        for i, n in enumerate(places):
            wins = [
                run.apply(op[earlier if j < i else later], [flat[n], flat[m]]) for j, m in enumerate(places) if j != i
            ]
            won = run.apply(op["and"], wins)
            terms[n].append(
                run.apply(lambda w, *c: run.arithmetic.select(w, c), [won, constant(0, np.dtype(int)), value])
            )
    return [run.fold("sum", terms, x.shape)]


def _compared(better: str) -> Callable:
    def rule(run: _Run, eqn: Any, x: Entries) -> list[Any]:
        _all_known(run, x)
        rows, shape = _rows(x, eqn.params["axes"])
        best = [max(range(len(row)), key=lambda i: (row[i], -i)) for row in rows]
        if better == "lt":
            best = [min(range(len(row)), key=lambda i: (row[i], i)) for row in rows]
        return [np.array(best, eqn.params["index_dtype"]).reshape(shape)]

    return rule


def _sort(run: _Run, eqn: Any, *operands: Any) -> list[Any]:
    keys, axis = eqn.params["num_keys"], eqn.params["dimension"]
    for key in operands[:keys]:
        _all_known(run, key)
    rows = [np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]) for x in operands]
    orders = [
        sorted(range(operands[0].shape[axis]), key=lambda i: tuple(k[r][i] for k in rows[:keys]))
        for r in range(len(rows[0]))
    ]
    moved = [np.stack([row[order] for row, order in zip(x, orders, strict=True)]) for x in rows]
    shape = np.moveaxis(np.empty(operands[0].shape), axis, -1).shape
    return [np.moveaxis(x.reshape(shape), -1, axis) for x in moved]


def _all_known(run: _Run, x: Any) -> None:
    if holds_entries(x) and not all(map(run.arithmetic.is_known, x.flat)):
        raise Unsupported("the order of symbols is not known")


_RULES: dict[str, Callable[..., list[Any]]] = {
    "stop_gradient": _identity,
    "optimization_barrier": _identity,
    "copy": _identity,
    "device_put": _identity,
    "reduce_precision": lambda run, eqn, x: [x],
    "convert": _convert,
    "select_n": _select_n,
    "clamp": _clamp,
    "integer_pow": _integer_pow,
    "round": _round,
    "reduce_sum": _reduction("sum"),
    "reduce_prod": _reduction("prod"),
    "reduce_max": _reduction("max"),
    "reduce_min": _reduction("min"),
    "reduce_and": _reduction("and"),
    "reduce_or": _reduction("or"),
    "cumsum": _cumulative("sum"),
    "cumprod": _cumulative("prod"),
    "cummax": _cumulative("max"),
    "cummin": _cumulative("min"),
    "cumlogsumexp": _cumulative("logsumexp"),
    "dot_general": _dot_general,
    "conv": _conv,
    "scatter_add": _scatter_add,
    "reduce_window_sum": _window("sum"),
    "reduce_window_max": _window("max"),
    "reduce_window_min": _window("min"),
    "select_and_scatter_add": _select_and_scatter_add,
    "argmax": _compared("gt"),
    "argmin": _compared("lt"),
    "sort": _sort,
}
