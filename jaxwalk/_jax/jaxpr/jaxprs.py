"""Jaxprs: traced from a function, run, cut into stretches, compared."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer, eval_jaxpr

from .types import struct

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var
    from typing_extensions import TypeIs


def is_literal(v: Var | Literal) -> TypeIs[Literal]:
    """Tell whether an operand is a constant written into the jaxpr. (The class of these is slow to import.)"""
    return hasattr(v, "val")


def variable_of(value: Any) -> Any:
    """Return the variable of a jaxpr that a value being traced stands for; of one that it cannot tell, anything else.

    A derivative's or a batch's tracer holds the one it is made of.
    """
    while isinstance(value, Tracer):
        value = getattr(value, "val", getattr(value, "primal", None))
    return value


class Closed(NamedTuple):
    """A jaxpr with the values of its constvars (the two are one object since jax 0.11)."""

    jaxpr: Jaxpr
    consts: Sequence[Any]


def close(jaxpr: Any) -> Closed:
    """Return as a `Closed` what a trace or an equation's parameters hold: a ClosedJaxpr or a Jaxpr."""
    return Closed(getattr(jaxpr, "jaxpr", jaxpr), getattr(jaxpr, "consts", ()))


def trace(fun: Callable, /, *args: Any, **kwargs: Any) -> tuple[Closed, Any]:
    """Return the jaxpr of `fun` at its arguments, and the pytree of its results' shapes. Computes nothing."""
    jaxpr, shapes = jax.make_jaxpr(fun, return_shape=True)(*args, **kwargs)
    return close(jaxpr), shapes


def argument_names(jaxpr: Jaxpr) -> list[str]:
    """Return what the function that was traced calls each input: "params['w']", "x"; "" of one that JAX cannot tell."""
    names = getattr(getattr(jaxpr, "debug_info", None), "arg_names", None) or ()
    names = [str(name or "") for name in names]
    return names if len(names) == len(jaxpr.invars) else [""] * len(jaxpr.invars)


def evaluate(closed: Closed, args: Sequence[Any]) -> list[Any]:
    """Compute the results of a jaxpr. JAX itself binds each equation, under its own source and name stack."""
    return [as_array(result) for result in eval_jaxpr(closed.jaxpr, closed.consts, *args)]


def as_array(value: Any) -> jax.Array:
    """Return a result as an array: op by op, a constant may come out of a jaxpr as the literal that it is.

    A mutable array stays one.
    """
    if isinstance(value, (jax.Array, Tracer)) or hasattr(jax.typeof(value), "inner_aval"):
        return value
    return jnp.asarray(value)


def is_staging() -> bool:
    """Tell whether what is computed now is being staged out, as under `jax.jit`, and not run op by op."""
    return isinstance(jnp.zeros(()), Tracer)


def signature(jaxpr: Jaxpr) -> tuple | None:
    """Return what two jaxprs have in common that are equal in every respect, down to source lines and name stacks.

    None if that cannot be told, or if there are side effects.
    """
    numbers: dict[Var, int] = {}

    def seen(v: Var | Literal) -> Any:  # by `repr`, 0.0 is not -0.0
        return repr(v.val) if is_literal(v) else numbers.setdefault(v, len(numbers)), v.aval

    parts: list[Any] = [tuple(map(seen, jaxpr.invars))]
    for eqn in jaxpr.eqns:
        if eqn.effects:
            return None
        params = tuple((key, type(value), value) for key, value in eqn.params.items())
        where = (eqn.ctx, eqn.source_info.name_stack, eqn.source_info.traceback)
        parts.append((eqn.primitive, tuple(map(seen, eqn.invars)), tuple(map(seen, eqn.outvars)), params, where))
    parts.append(tuple(map(seen, jaxpr.outvars)))
    try:
        hash(tuple(parts))
    except TypeError:
        return None
    return tuple(parts)


def stretch(jaxpr: Jaxpr, eqns: Sequence[JaxprEqn], invars: Sequence[Any], outvars: Sequence[Any]) -> Closed:
    """Return some consecutive equations of a jaxpr as a jaxpr of their own."""
    return Closed(jaxpr.replace(constvars=[], invars=list(invars), outvars=list(outvars), eqns=list(eqns)), ())


def jaxprs_of(eqn: JaxprEqn) -> list[Closed]:
    """Return every jaxpr in an equation's parameters (those of a cond are its branches), in order."""
    if not eqn.params:
        return []
    found: list[Closed] = []
    prim = eqn.params.get("_prim")
    for value in eqn.params.values() if prim is None else _values_of(eqn, prim):
        if type(value) not in _HOLDS_NONE:  # most are
            _collect(value, found)
    return found


_HOLDS_NONE = frozenset({NoneType, bool, int, float, str})


def _values_of(eqn: JaxprEqn, prim: Any) -> list[Any]:
    """Return the parameters of an equation of a high-level primitive, and what that consists of."""
    values = list(eqn.params.values())
    values += [vars(part) for part in (prim, *vars(prim).values()) if hasattr(part, "__dict__")]
    return [item for value in values for item in (value.values() if isinstance(value, dict) else [value])]


def _collect(value: Any, found: list[Closed]) -> None:
    if hasattr(value, "eqns"):
        found.append(close(value))
    elif isinstance(value, (tuple, list)):
        for item in value:
            _collect(item, found)


def any_equation(jaxpr: Jaxpr, holds: Callable[[JaxprEqn], bool]) -> bool:
    """Tell whether `holds` says so of an equation of a program, or of one that it calls.

    What is called many times is one jaxpr, and looked at once.
    """
    met: set[int] = set()

    def any_in(jaxpr: Jaxpr) -> bool:
        if id(jaxpr) in met:
            return False
        met.add(id(jaxpr))
        return any(holds(eqn) or any(any_in(closed.jaxpr) for closed in jaxprs_of(eqn)) for eqn in jaxpr.eqns)

    return any_in(jaxpr)


def expanded(eqn: JaxprEqn) -> Closed | None:
    """Return what a high-level primitive (since jax 0.11) is made of; None if it is none, or does not say."""
    prim: Any = eqn.params.get("_prim")
    if not hasattr(prim, "expand"):
        return None

    def flat(*operands: Any) -> Any:
        return jax.tree.leaves(prim.expand(*jax.tree.unflatten(prim.in_tree, operands)))

    operands: Any = [v.aval for v in eqn.invars]
    try:
        closed, _ = trace(flat, *(jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in operands))
    except Exception:  # whatever another library's primitive raises, or one that is not for shapes alone
        return None
    return closed if len(closed.jaxpr.outvars) == len(eqn.outvars) else None


def is_ref(aval: Any) -> bool:
    """Tell whether a variable of this type holds a mutable array (`jax.new_ref`)."""
    return hasattr(aval, "inner_aval")


def touches_ref(eqn: JaxprEqn) -> bool:
    """Tell whether a mutable array is an operand: the equation may then write what is read later."""
    return any(is_ref(v.aval) for v in eqn.invars)


def literal_array(literal: Literal) -> np.ndarray:
    """Return the number that is written into a jaxpr, in the dtype that it has there."""
    aval: Any = literal.aval
    return np.asarray(literal.val, aval.dtype)


def calls_a_jaxpr(eqn: JaxprEqn) -> bool:
    """Tell whether an equation only calls the one jaxpr that it holds. JAX leaves some where it differentiates."""
    return bool(getattr(eqn.primitive, "call_primitive", False)) or [*eqn.params] == ["call_jaxpr"]


def apply(eqn: JaxprEqn, values: Sequence[Any]) -> list[Any]:
    """Compute the results of an equation at other operands; a primitive without a jaxpr inside takes any dtype."""
    if jaxprs_of(eqn) or "_prim" in eqn.params:
        eqn = with_operands_apart(eqn)
        operands = {v: value for v, value in zip(eqn.invars, values, strict=True) if not is_literal(v)}
        return evaluate(stretch(_empty(), [eqn], list(operands), eqn.outvars), list(operands.values()))
    results = eqn.primitive.bind(*values, **eqn.params)
    return list(results) if eqn.primitive.multiple_results else [results]


def with_operands_apart(eqn: JaxprEqn) -> JaxprEqn:
    """Return an equation that has each operand as a variable of its own, where it has one twice: f(x, x)."""
    variables = [v for v in eqn.invars if not is_literal(v)]
    if len(set(variables)) == len(variables):
        return eqn
    own = iter(trace(lambda *operands: operands, *(struct(v.aval) for v in variables))[0].jaxpr.invars)
    return eqn.replace(invars=[v if is_literal(v) else next(own) for v in eqn.invars])


def function_of(eqn: Any, values: Sequence[Any], places: Sequence[int]) -> Callable[..., list[Any]]:
    """Return a function of the operands at `places`, the others fixed: the equation's real and complex results."""

    def results(*moved: Any) -> list[Any]:
        operands = list(values)
        for place, value in zip(places, moved, strict=True):
            operands[place] = value
        return [z for z in apply(eqn, operands) if jnp.issubdtype(jnp.result_type(z), jnp.inexact)]

    return results


def is_differentiable(eqn: JaxprEqn, place: int) -> bool:
    """Tell whether an equation's results can be differentiated by this operand: its rule may refuse."""

    def pulled_back(*values: Any) -> Any:
        results, pullback = jax.vjp(function_of(eqn, values, [place]), values[place])
        return pullback([jnp.zeros_like(result) for result in results])

    operands: Any = [v.aval for v in eqn.invars]
    try:
        trace(pulled_back, *(jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in operands))
    except Exception:  # whatever the rule of another library raises
        return False
    return True


@functools.cache
def _empty() -> Jaxpr:
    return trace(lambda: ())[0].jaxpr
