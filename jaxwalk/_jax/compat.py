"""Everything that knows a JAX version: how primitives are recognised and what their parameters are called.

Primitives are recognised by tracing a one-liner, not by importing them or by comparing names: a renamed
primitive ("pjit" became "jit") is then still found, and one that is gone is an error here, not a silence.
"""

from __future__ import annotations

import collections
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.core import Tracer, eval_jaxpr
from jax.experimental import io_callback

# Flags (off by default, from jax 0.11) that stage out other primitives for the same source.
_STAGING_FLAGS = ("jax_remat3", "jax_custom_vjp3", "jax_custom_jvp3")


def is_literal(v: Any) -> bool:
    """Whether an operand is a constant written into the jaxpr. (Its class is slow to import.)"""
    return hasattr(v, "val")


class Closed(NamedTuple):
    """A jaxpr with the values of its constvars (the two are one object since jax 0.11)."""

    jaxpr: Any
    consts: Sequence[Any]


def close(jaxpr: Any) -> Closed:
    """`Closed` of what a trace or an equation's parameters hold: a ClosedJaxpr or a Jaxpr."""
    return Closed(jaxpr.jaxpr, jaxpr.consts) if hasattr(jaxpr, "consts") else Closed(jaxpr, ())


def trace(fun: Callable, /, *args: Any, **kwargs: Any) -> tuple[Closed, Any]:
    """The jaxpr of `fun` at its arguments, and the pytree of its results' shapes. Computes nothing."""
    jaxpr, shapes = jax.make_jaxpr(fun, return_shape=True)(*args, **kwargs)
    return close(jaxpr), shapes


def evaluate(closed: Closed, args: Sequence[Any]) -> list[Any]:
    """The results of a jaxpr, each equation bound by JAX itself, under its own source and name stack."""
    return [as_array(result) for result in eval_jaxpr(closed.jaxpr, closed.consts, *args)]


def as_array(value: Any) -> jax.Array:
    """A result as an array: op by op, a constant may come out of a jaxpr as the literal that it is.

    A mutable array stays one.
    """
    if isinstance(value, (jax.Array, Tracer)) or hasattr(jax.typeof(value), "inner_aval"):
        return value
    return jnp.asarray(value)


def is_staging() -> bool:
    """Whether what is computed now is being staged out, as under `jax.jit`, and not run op by op."""
    return isinstance(jnp.zeros(()), Tracer)


def signature(jaxpr: Any) -> Any:
    """Two jaxprs of equal signature say the same in every respect, down to source lines and name stacks.

    None if that cannot be told, or if there are side effects.
    """
    numbers: dict[Any, int] = {}

    def seen(v: Any) -> Any:  # by `repr`, 0.0 is not -0.0
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


def stretch(jaxpr: Any, eqns: Sequence[Any], invars: Sequence[Any], outvars: Sequence[Any]) -> Closed:
    """Some consecutive equations of a jaxpr, as a jaxpr of their own."""
    return Closed(jaxpr.replace(constvars=[], invars=list(invars), outvars=list(outvars), eqns=list(eqns)), ())


def _one_liners() -> dict[str, Callable]:
    twice = jax.custom_vjp(lambda x: 2 * x)
    twice.defvjp(lambda x: (2 * x, None), lambda _, ct: (2 * ct,))
    thrice = jax.custom_jvp(lambda x: 3 * x)
    thrice.defjvps(lambda dx, _, x: 3 * dx)
    return {
        "name": lambda x: checkpoint_name(x, "x"),
        "jit": jax.jit(lambda x: x + 1),
        "checkpoint": jax.checkpoint(jnp.sin),
        "scan": lambda x: lax.scan(lambda c, _: (c + 1, None), x, None, length=2)[0],
        "cond": lambda x: lax.switch(jnp.int32(0), [jnp.sin, jnp.cos], x),
        "while": lambda x: lax.while_loop(lambda c: c < 1, lambda c: c + 1, x),
        "custom_jvp": thrice,
        "custom_vjp": twice,
    }


_BARRIERS: dict[str, Sequence[Callable]] = {
    "stop_gradient": [lax.stop_gradient],
    "callback": [lambda x: jax.pure_callback(lambda x: x, x, x), lambda x: io_callback(lambda x: x, x, x)],
}


def _key(eqn: Any) -> Any:
    """What tells an equation's kind: its primitive, or the class of the high-level primitive it calls."""
    prim = eqn.params.get("_prim")
    return eqn.primitive if prim is None else type(prim)


def _last_eqns(one_liner: Callable) -> list[Any]:
    """The last equation of a function of a number, if it has any."""
    with jax.disable_jit(False):  # else jit and scan would be inlined and their primitives not seen
        return jax.make_jaxpr(one_liner)(jax.ShapeDtypeStruct((), jnp.float32)).jaxpr.eqns[-1:]


@functools.cache
def _kinds(_flags: tuple[bool, ...]) -> dict[Any, str]:
    found = {kind: eqn for kind, one_liner in _one_liners().items() for eqn in _last_eqns(one_liner)}
    # Of the high-level primitives only names are understood; the others stay opaque.
    return {_key(eqn): kind for kind, eqn in found.items() if "_prim" not in eqn.params or kind == "name"}


def kinds() -> Callable[[Any], str | None]:
    """A function from an equation to its kind: "name", "jit", "checkpoint", "scan", "cond", "while",
    "custom_jvp", "custom_vjp", or None for every other primitive."""
    table = _kinds(tuple(bool(getattr(jax.config, flag, False)) for flag in _STAGING_FLAGS))
    return lambda eqn: table.get(_key(eqn))


@functools.cache
def _barriers() -> dict[Any, str]:
    return {_key(e): kind for kind, functions in _BARRIERS.items() for f in functions for e in _last_eqns(f)}


def barrier_of(eqn: Any) -> str | None:
    """What stops a derivative at an equation: "stop_gradient", "callback", or None."""
    return _barriers().get(_key(eqn))


def name_of(eqn: Any) -> str:
    """The name that a "name" equation carries."""
    return eqn.params["name"] if "name" in eqn.params else eqn.params["_prim"].name


def name_again(jaxpr: Any, eqn: Any, value: Any) -> Any:
    """`value`, named by a "name" equation of `jaxpr`."""
    (operand,) = eqn.invars
    if is_literal(operand):  # a constant cannot be the argument of a jaxpr
        return checkpoint_name(as_array(value), name_of(eqn))
    return evaluate(stretch(jaxpr, [eqn], [operand], eqn.outvars), [value])[0]


def _jaxprs_in(value: Any) -> Iterator[Closed]:
    if hasattr(value, "eqns"):
        yield close(value)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _jaxprs_in(item)


def jaxprs_of(eqn: Any) -> list[Closed]:
    """Every jaxpr in an equation's parameters (of a cond, its branches), in order."""
    if not eqn.params:
        return []
    values = list(eqn.params.values())
    if (prim := eqn.params.get("_prim")) is not None:
        values += [vars(part) for part in (prim, *vars(prim).values()) if hasattr(part, "__dict__")]
        values = [item for value in values for item in (value.values() if isinstance(value, dict) else [value])]
    return [jaxpr for value in values for jaxpr in _jaxprs_in(value)]


def touches_ref(eqn: Any) -> bool:
    """Whether an equation has a mutable array (`jax.new_ref`) among its operands: it may write what is read later."""
    return any(hasattr(v.aval, "inner_aval") for v in eqn.invars)


class ScanParts(NamedTuple):
    """What `lax.scan` needs to run a scan equation again."""

    consts: int
    carry: int
    length: int
    options: dict[str, Any]


def scan_parts(eqn: Any) -> ScanParts:
    """How many operands of a scan are constants and how many carries, its length, and its options."""
    params = eqn.params
    if "ft_in" in params:  # jax 0.11 and later
        consts, carry, _ = (len(list(part)) for part in params["ft_in"].unpack())
    else:
        consts, carry = params["num_consts"], params["num_carry"]
    options = {k: params[k] for k in ("reverse", "unroll", "_split_transpose") if k in params}
    return ScanParts(consts, carry, params["length"], options)


def jit_options(eqn: Any, extra_in: int, extra_out: Callable[[Any], Any]) -> dict[str, Any]:
    """Keyword arguments that make `jax.jit` behave as a jit equation did, with operands and results added.

    Donation is left out: the values are kept, so their buffers cannot be given away.
    """
    params = eqn.params

    def public(shardings: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(s if isinstance(s, jax.sharding.Sharding) else None for s in shardings)

    options: dict[str, Any] = {"inline": params["inline"], "keep_unused": params["keep_unused"]}
    if any(s is not None for s in public(params["in_shardings"])):
        options["in_shardings"] = (None,) * extra_in + public(params["in_shardings"])
    if any(s is not None for s in public(params["out_shardings"])):
        options["out_shardings"] = extra_out(list(public(params["out_shardings"])))
    if compiler_options := dict(params.get("compiler_options_kvs") or ()):
        options["compiler_options"] = compiler_options
    return options


def struct(typed: Any, lead: tuple[int, ...] = ()) -> jax.ShapeDtypeStruct:
    """The type of a value, with leading axes: its shape and dtype; and, where they are part of the type, how it is
    divided over an explicit mesh, and inside `shard_map` the axes of the mesh along which it varies."""
    options: dict[str, Any] = {}
    if varying := _varying(typed):
        kind = "vma" if hasattr(typed, "vma") else "manual_axis_type"  # since jax 0.10
        options[kind] = getattr(typed, kind)
    if varying or _is_explicit(typed):
        spec = jax.sharding.PartitionSpec(*(None,) * len(lead), *typed.sharding.spec)
        options["sharding"] = jax.sharding.NamedSharding(typed.sharding.mesh, spec)
    return jax.ShapeDtypeStruct((*lead, *typed.shape), typed.dtype, **options)


def zeros(like: jax.ShapeDtypeStruct) -> jax.Array:
    """Zeros of a type, as `struct` gives it."""
    if varying := _varying(like):
        return lax.pcast(jnp.zeros(like.shape, like.dtype), varying, to="varying")
    return jnp.zeros(like.shape, like.dtype, device=like.sharding)


def _varying(typed: Any) -> tuple[str, ...]:
    manual = getattr(typed, "manual_axis_type", None)
    return tuple(sorted((getattr(typed, "vma", None) if manual is None else manual.varying) or ()))


def _is_explicit(typed: Any) -> bool:
    """Whether the type of a value says how it is divided over devices. In any other mesh the compiler decides."""
    sharding = getattr(typed, "sharding", None)
    if not isinstance(sharding, jax.sharding.NamedSharding) or all(axis is None for axis in sharding.spec):
        return False
    return jax.sharding.AxisType.Explicit in sharding.mesh.axis_types


LIBRARIES = tuple(str(file.parent) + os.sep for file in map(Path, (jax.__file__, Path(__file__).parent)))


# Where an equation comes from -------------------------------------------------------------------------------


class ScopeElement(NamedTuple):
    """An element of a name stack.

    Attributes:
        name: of the scope, or of the transform ("vmap", "jvp", "transpose") that what follows has been through.
        is_transform: which of the two.
        identity: equal for the equations of one opening of a scope, and for no others in their jaxpr.
    """

    name: str
    is_transform: bool
    identity: int


def name_stack(eqn: Any) -> list[ScopeElement]:
    """The scopes and transforms that an equation is in, the outermost first, in the jaxpr that holds it."""
    stack = eqn.source_info.name_stack.stack
    if not stack:
        return []
    transform = _transform_class()
    return [ScopeElement(element.name, isinstance(element, transform), id(element)) for element in stack]


@functools.cache
def _transform_class() -> type:
    mapped = jax.make_jaxpr(jax.vmap(jnp.sin))(jax.ShapeDtypeStruct((1,), jnp.float32))
    return type(mapped.jaxpr.eqns[0].source_info.name_stack.stack[0])


def frames_of(eqn: Any) -> list[tuple[Any, int]]:
    """The frames that an equation was called from, the outermost first, as (code, offset of the instruction in bytes).

    They start at the function that the equation's jaxpr was traced from. (jax does so itself since 0.9; before, those
    around it come first, and may be of another call: traces are cached.)
    """
    traceback = eqn.source_info.traceback
    if traceback is None:
        return []
    codes, offsets = traceback.raw_frames()
    boundary = next((i for i, code in enumerate(codes) if code in _trace_boundaries()), len(codes))
    return list(zip(codes[:boundary], offsets[:boundary], strict=True))[::-1]


@functools.cache
def takes_tracebacks() -> Any:
    """The code object of the function of JAX that takes an equation's traceback: the innermost in it."""
    return _eqns(lambda f: f)[0].source_info.traceback.raw_frames()[0][0]


def stacks_of(jaxpr: Any) -> list[list[tuple[Any, int]]]:
    """`frames_of` each equation; what one call has staged out at once, as functions of `jnp` do, shares one list."""
    held: dict[int, list[tuple[Any, int]]] = {}
    for eqn in jaxpr.eqns:
        if id(eqn.source_info.traceback) not in held:
            held[id(eqn.source_info.traceback)] = frames_of(eqn)
    return [held[id(eqn.source_info.traceback)] for eqn in jaxpr.eqns]


@functools.cache
def _trace_boundaries() -> frozenset[Any]:
    """The code objects that start a trace, where tracebacks reach beyond it.

    They are those around an equation in the body of a jit, a scan ..., that are neither around the jit itself, nor
    around what is called without a trace of its own.
    """
    with jax.disable_jit(False):
        plain = [_codes(_eqns(wrap)[0]) for wrap in _INLINE]
        if sys._getframe().f_code not in plain[0]:
            return frozenset()
        found: set[Any] = set()
        for wrap in _BODIES:
            outer = _eqns(wrap)[-1]
            inner = _codes(jaxprs_of(outer)[-1].jaxpr.eqns[-1])
            others = [*plain, _codes(outer)]
            found |= {code for code, count in inner.items() if all(count > other[code] for other in others)}
    return frozenset(found)


def _derived(custom: Any) -> Any:
    if isinstance(custom, jax.custom_jvp):
        custom.defjvps(lambda dx, _, x: dx)
    else:
        custom.defvjp(lambda x: (x, None), lambda _, ct: (ct,))
    return custom


_INLINE: Sequence[Callable] = (
    lambda f: f,
    jax.vmap,
    lambda f: jax.jit(f, inline=True),
    lambda f: lambda x: jax.jvp(f, (x,), (x,)),
    lambda f: lambda x: jax.vjp(f, x)[0],
    lambda f: lambda x: jax.linearize(f, x)[0],
)
_BODIES: Sequence[Callable] = (
    jax.jit,
    jax.checkpoint,
    lambda f: lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0],
    lambda f: lambda x: lax.cond(x[0] > 0, f, f, x),
    lambda f: lambda x: lax.while_loop(lambda c: c[0] > 0, f, x),
    lambda f: _derived(jax.custom_jvp(f)),
    lambda f: _derived(jax.custom_vjp(f)),
)


def _eqns(wrap: Callable) -> list[Any]:
    return jax.make_jaxpr(wrap(lambda x: lax.sin(x)))(jax.ShapeDtypeStruct((1,), jnp.float32)).jaxpr.eqns


def _codes(eqn: Any) -> collections.Counter:
    return collections.Counter(eqn.source_info.traceback.raw_frames()[0])


def place_of(eqn: Any) -> tuple[str, int] | None:
    """The (file, line) of the innermost frame outside of JAX and jaxwalk that an equation was called from."""
    traceback = eqn.source_info.traceback
    for frame in traceback.frames if traceback is not None else ():
        if not frame.file_name.startswith(LIBRARIES):
            return frame.file_name, frame.line_num
    return None


EDITED = "jaxwalk: edited"  # names a value that was put in the place of another; no point


def edited(value: Any) -> jax.Array:
    """`value`, as the result of an equation of its own, wherever it comes from."""
    return checkpoint_name(as_array(value), EDITED)


def as_at(eqn: Any, depth: int | None, fun: Callable, *args: Any) -> Any:
    """`fun` of pytrees of arrays, as if it were called where `eqn` was: in its scopes, on its line of source.

    Arguments:
        depth: how many elements of the name stack to keep; None for all.
    """
    if not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(args)):
        return fun(*args)  # nothing is staged out that could tell where it was
    info = eqn.source_info
    if depth is not None:
        info = info.replace(name_stack=info.name_stack[:depth])
    closed, shapes = trace(fun, *args)
    eqns = [inner.replace(source_info=info) for inner in closed.jaxpr.eqns]
    results = evaluate(closed._replace(jaxpr=closed.jaxpr.replace(eqns=eqns)), jax.tree.leaves(args))
    return jax.tree.unflatten(jax.tree.structure(shapes), results)


def is_array(aval: Any) -> bool:
    """Whether a variable of this type holds an array: no token, no mutable array."""
    return hasattr(aval, "shape") and hasattr(aval, "dtype") and not hasattr(aval, "inner_aval")


def literal_array(literal: Any) -> np.ndarray:
    """The number that is written into a jaxpr, in the dtype that it has there."""
    return np.asarray(literal.val, literal.aval.dtype)


def calls_a_jaxpr(eqn: Any) -> bool:
    """Whether an equation only calls the one jaxpr it holds, as JAX leaves some behind where it differentiates."""
    return bool(getattr(eqn.primitive, "call_primitive", False))


def apply(eqn: Any, values: Sequence[Any]) -> list[Any]:
    """The results of an equation at other operands; a primitive without a jaxpr inside takes any dtype."""
    if jaxprs_of(eqn) or "_prim" in eqn.params:
        given = {v: value for v, value in zip(eqn.invars, values, strict=True) if not is_literal(v)}
        return evaluate(stretch(_nothing(), [eqn], list(given), eqn.outvars), list(given.values()))
    results = eqn.primitive.bind(*values, **eqn.params)
    return list(results) if eqn.primitive.multiple_results else [results]


@functools.cache
def _nothing() -> Any:
    """A jaxpr of no equations, to be filled."""
    return trace(lambda: ())[0].jaxpr


def library_function(eqn: Any) -> str | None:
    """The name of the function of JAX's own that a call equation calls, as "relu"; None if it is the user's."""
    for closed in jaxprs_of(eqn)[:1]:
        info = getattr(closed.jaxpr, "debug_info", None)
        name, file = getattr(info, "func_name", None), getattr(info, "func_filename", None) or ""
        if name and file.startswith(LIBRARIES[0]):
            return name.lstrip("_")
    return None
