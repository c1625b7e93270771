"""How each primitive is done on entries: what calls a jaxpr, and those that are not simply entry by entry.

A rule takes the run (`_entry_run`), the equation and its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._jax import jaxprs, kinds
from .arithmetic import Unsupported, as_entries, holds_entries
from .rearrange import Entries, convolved, multiplied, scatter_added, windows


def by_jax(eqn: Any, operands: Sequence[Any]) -> list[Any]:
    with jax.ensure_compile_time_eval():
        return jaxprs.apply(eqn, [x if hasattr(x, "aval") else jnp.asarray(x) for x in operands])


# What calls a jaxpr ---------------------------------------------------------------------------------------


def call(run: Any, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
    bodies = jaxprs.jaxprs_of(eqn)
    if len(bodies) != 1 or len(bodies[0].jaxpr.invars) != len(operands):
        raise Unsupported("what it calls could not be told")
    return run.jaxpr(bodies[0], operands, used)


def _scan(run: Any, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
    (body,), parts = jaxprs.jaxprs_of(eqn), kinds.scan_parts(eqn)
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


def _stacked(rows: Sequence[Any], aval: Any, run: Any) -> Any:
    if not rows:
        return run.value(np.zeros(aval.shape, aval.dtype))
    if any(map(holds_entries, rows)):
        return np.stack([as_entries(row, run.arithmetic) for row in rows])
    return jnp.stack(rows) if hasattr(rows[0], "aval") else np.stack(rows)


def _cond(run: Any, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
    index, *args = operands
    branches = jaxprs.jaxprs_of(eqn)
    if not holds_entries(index):
        return run.jaxpr(branches[min(max(int(index), 0), len(branches) - 1)], args, used)
    if len(branches) > 2:
        raise Unsupported("which of its branches is taken depends on a symbol; use `jnp.where` or a `cond` of two")
    index = run.map(lambda e: run.arithmetic.operations["gt"](e, run.arithmetic.constant(0, np.dtype(int))), index)
    results = [run.jaxpr(branch, args, used) for branch in branches]
    select = lambda *cases: run.arithmetic.select(index[()], cases)
    joined = [run.map(select, *cases) if u else None for u, *cases in zip(used, *results, strict=True)]
    return [r if r is None else run.settled(r, v.aval) for r, v in zip(joined, eqn.outvars, strict=True)]


def _while(run: Any, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
    test, body = jaxprs.close(eqn.params["cond_jaxpr"]), jaxprs.close(eqn.params["body_jaxpr"])
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


def _same(run: Any, eqn: Any, operands: list[Any], used: list[bool]) -> list[Any]:
    return operands


CALLS: dict[str | None, Callable[[Any, Any, list[Any], list[bool]], list[Any]]] = {
    "jit": call,
    "checkpoint": call,
    "custom_jvp": call,
    "custom_vjp": call,
    "scan": _scan,
    "cond": _cond,
    "while": _while,
    "name": _same,
}


# Primitives that have a rule of their own -----------------------------------------------------------------

LOGICAL = ("bitwise_not", "bitwise_and", "bitwise_or", "bitwise_xor")
OF_INTEGERS = {*"add add_any sub mul neg abs sign max min square eq ne lt le gt ge".split(), *LOGICAL}  # noqa: SIM905


def _identity(run: Any, eqn: Any, *operands: Any) -> list[Any]:
    return list(operands)


def _convert(run: Any, eqn: Any, x: Any) -> list[Any]:
    before, after = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    if jnp.issubdtype(before, jnp.complexfloating) or jnp.issubdtype(after, jnp.complexfloating):
        raise Unsupported("it is of complex numbers")
    if not holds_entries(x):
        if not jnp.issubdtype(after, jnp.inexact):
            return by_jax(eqn, [x])
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


def _select_n(run: Any, eqn: Any, which: Any, *cases: Any) -> list[Any]:
    if holds_entries(which) and eqn.invars[0].aval.dtype != jnp.bool_:
        raise Unsupported("which of its cases is taken depends on a symbol that is an integer; use conditions")
    if holds_entries(which):
        return [run.map(lambda w, *c: run.arithmetic.select(w, c), which, *cases)]
    entries = [as_entries(c, run.arithmetic) for c in cases]
    result, which = np.empty(entries[0].shape, object), np.broadcast_to(which, entries[0].shape).astype(int)
    for i, case in enumerate(entries):
        result[which == i] = case[which == i]
    return [result]


def _clamp(run: Any, eqn: Any, low: Any, x: Any, high: Any) -> list[Any]:
    op = run.arithmetic.operations
    return [run.map(lambda a, e, b: op["min"](op["max"](e, a), b), low, x, high)]


def _integer_pow(run: Any, eqn: Any, x: Entries) -> list[Any]:
    return [run.map(lambda e: run.arithmetic.operations["integer_pow"](e, eqn.params["y"]), x)]


def _round(run: Any, eqn: Any, x: Entries) -> list[Any]:
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
    def rule(run: Any, eqn: Any, x: Entries) -> list[Any]:
        rows, shape = _rows(x, eqn.params["axes"])
        if not all(rows) and name in ("max", "min"):
            raise Unsupported("it is of no entries")
        return [run.fold(name, rows, shape)]

    return rule


def _cumulative(name: str) -> Callable:
    def rule(run: Any, eqn: Any, x: Entries) -> list[Any]:
        along = np.moveaxis(x, eqn.params["axis"], -1)
        along = along[..., ::-1] if eqn.params["reverse"] else along
        rows = along.reshape(-1, along.shape[-1]) if x.size else along
        parts = [list(row[: i + 1]) for row in rows for i in range(len(row))]
        result = run.fold(name, parts, along.shape)
        return [np.moveaxis(result[..., ::-1] if eqn.params["reverse"] else result, -1, eqn.params["axis"])]

    return rule


def _dot_general(run: Any, eqn: Any, a: Any, b: Any) -> list[Any]:
    a, b = as_entries(a, run.arithmetic), as_entries(b, run.arithmetic)
    shape = eqn.outvars[0].aval.shape
    ((over, _), _) = eqn.params["dimension_numbers"]
    length = int(np.prod([a.shape[i] for i in over]))
    run.count(0 if run.arithmetic.steps is None else int(np.prod(shape)) * length)  # before they are made
    return [run.dot(multiplied(eqn, a, b), shape)]


def _conv(run: Any, eqn: Any, image: Any, kernel: Any) -> list[Any]:
    image, kernel = as_entries(image, run.arithmetic), as_entries(kernel, run.arithmetic)
    shape = eqn.outvars[0].aval.shape
    run.count(0 if run.arithmetic.steps is None else int(np.prod(shape)) * kernel.size)
    return [run.dot(convolved(eqn, image, kernel), shape)]


def _scatter_add(run: Any, eqn: Any, operand: Any, places: Any, updates: Any) -> list[Any]:
    if holds_entries(places):
        raise Unsupported("where it writes depends on a symbol; give indices as constants, by a lambda")
    operand, updates = as_entries(operand, run.arithmetic), as_entries(updates, run.arithmetic)
    terms = scatter_added(eqn, operand, places, updates)
    return [run.fold("sum", [[entry, *more] for entry, more in terms], operand.shape)]


def _window(name: str) -> Callable:
    def rule(run: Any, eqn: Any, x: Entries) -> list[Any]:
        found, flat = windows(eqn, x.shape), x.ravel()
        rows = [[flat[n] for n in row if n >= 0] for row in found.reshape(-1, found.shape[-1])]
        if not all(rows) and name != "sum":
            raise Unsupported("a window of it holds padding alone")
        return [run.fold(name, rows, found.shape[:-1])]

    return rule


def _select_and_scatter_add(run: Any, eqn: Any, source: Any, x: Entries) -> list[Any]:
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
    def rule(run: Any, eqn: Any, x: Entries) -> list[Any]:
        _all_known(run, x)
        rows, shape = _rows(x, eqn.params["axes"])
        best = [max(range(len(row)), key=lambda i: (row[i], -i)) for row in rows]
        if better == "lt":
            best = [min(range(len(row)), key=lambda i: (row[i], i)) for row in rows]
        return [np.array(best, eqn.params["index_dtype"]).reshape(shape)]

    return rule


def _sort(run: Any, eqn: Any, *operands: Any) -> list[Any]:
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


def _all_known(run: Any, x: Any) -> None:
    if holds_entries(x) and not all(map(run.arithmetic.is_known, x.flat)):
        raise Unsupported("the order of symbols is not known")


RULES: dict[str, Callable[..., list[Any]]] = {
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
