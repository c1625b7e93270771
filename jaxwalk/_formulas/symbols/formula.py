"""`formula`: what a function computes, as a formula."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from ..._errors import ArgumentError, shown
from ..._jax.leaves import is_array
from ..._optional import sympy
from ..conversions import digits
from ..entries.arithmetic import Entries
from ..entries.interpreter import run_at_leaves


def formula(fun: Callable, *args: Any, names: Sequence[str] | None = None) -> Any:
    """Return what `fun` computes as a SymPy formula; `jw.formula(jax.grad(fun), ...)` is that of its derivative.

    What JAX traces is run on symbols, which stand for finite real numbers. Floats that are short fractions become
    fractions. Derivatives are JAX's own, also where there is none: that of relu at 0 is 0, that of `jnp.maximum` at a
    tie ½.

    Where JAX gives a NaN or an infinity that the formula would not show, it has a case for it: `exp(log(x))` is x if
    x ≥ 0 and else NaN, and so is the derivative of `where(x > 0, sqrt(x), 0)` at x ≤ 0. `isnan` and the like become
    conditions. The symbol `undefined` stands where the function meets a NaN or an infinity, and what it makes of it is
    not told. Overflow is not looked for.

    A conversion that rounds what the arguments hold is a function, `bfloat16(x)`. Small integers, and unsigned ones
    below 0, wrap, which `Mod` says; other integers are taken not to overflow.

    Arguments:
        fun: any function of arrays.
        *args: its arguments. An array or a `jax.ShapeDtypeStruct` becomes symbols: a scalar `Y` the symbol `Y`, of a
            matrix `a` entry (1, 2), counted from 1, the symbol `a_1_2`; numbers stay numbers.
        names: of the arguments, one each; by default those of the function's parameters. A leaf of a pytree has its
            path behind the name: `params_dense_1_2`.

    Returns:
        What `fun` returns, each array a SymPy expression, or (of rank 1 and more) a nested SymPy `Array`.

    Raises:
        FormulaError: SymPy is not installed; there are more than 2,000 symbols, or the formula is too long; a step has
            no formula: it names the primitive and the source line.
        ArgumentError: `names` does not fit; two symbols would have one name.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> loss = lambda X4, Y: 0.5 * (X4 - Y) ** 2
    >>> jw.formula(jax.grad(loss), jnp.zeros(()), jnp.zeros(()))
    X4 - Y
    >>> jw.formula(lambda x: jnp.exp(jnp.log(x)), jnp.zeros(()))
    Piecewise((x, x >= 0), (nan, True))
    >>> jw.formula(lambda w, x: w @ x, jnp.zeros((2, 2)), jnp.zeros(2))
    [w_1_1*x_1 + w_1_2*x_2, w_2_1*x_1 + w_2_2*x_2]
    """
    if not callable(fun):
        raise ArgumentError(f"`fun` is {shown(fun)}, which cannot be called; give a function of arrays.")
    sympy()  # or an error that says how to install it
    from .simplify import as_formula  # these import SymPy, which is slow and may be missing
    from .sympy_arithmetic import check_count, symbolic, symbols

    leaves, tree = jax.tree_util.tree_flatten_with_path(args)
    argument_names = _argument_names(fun, args, names)
    traced = {i: path for i, (path, leaf) in enumerate(leaves) if _is_symbolic(leaf)}
    types = {i: jax.ShapeDtypeStruct(leaves[i][1].shape, leaves[i][1].dtype) for i in traced}
    check_count(sum(type.size for type in types.values()))
    entries = {i: (types[i], symbols(_leaf_name(argument_names, path), types[i].shape)) for i, path in traced.items()}
    _check_distinct(array for _, array in entries.values())
    structure, results = run_at_leaves(
        lambda leaves: fun(*jax.tree.unflatten(tree, leaves)),
        [leaf for _, leaf in leaves],
        entries,
        symbolic({s: digits(type.dtype) for type, array in entries.values() for s in array.flat}),
    )
    return jax.tree.unflatten(structure, list(map(as_formula, results)))


def _is_symbolic(leaf: Any) -> bool:
    return is_array(leaf) and not isinstance(leaf, np.generic)


def _argument_names(fun: Callable, args: tuple, names: Sequence[str] | None) -> list[str]:
    if names is None:
        return _parameters(fun, len(args))
    if isinstance(names, str) or len(names) != len(args) or not all(isinstance(n, str) and n for n in names):
        raise ArgumentError(f"`names` is {shown(names)}; it must hold a name for each of the {len(args)} arguments.")
    return list(names)


def _parameters(fun: Callable, count: int) -> list[str]:
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        return [f"x{i}" for i in range(1, count + 1)]
    found: list[str] = []
    for p in parameters:
        if p.kind is p.VAR_POSITIONAL:
            found += [f"{p.name}_{i}" for i in range(1, count - len(found) + 1)]
        elif p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            found.append(p.name)
    return found[:count]  # too few arguments, or too many, is for `fun` to say


def _leaf_name(names: Sequence[str], path: tuple) -> str:
    position = int(path[0].idx)
    name = names[position] if position < len(names) else f"x{position + 1}"
    return "_".join([name, *(jax.tree_util.keystr((entry,), simple=True) for entry in path[1:])])


def _check_distinct(arrays: Iterable[Entries]) -> None:
    seen: set[str] = set()
    for symbol in (s for array in arrays for s in array.flat):
        if symbol.name in seen:
            raise ArgumentError(f"Two different numbers would both be the symbol `{symbol.name}`; give other `names`.")
        seen.add(symbol.name)
