"""Everything that knows a JAX version: how primitives are recognised and what their parameters are called.

Primitives are recognised by tracing a one-liner, not by importing them or by comparing names: a renamed
primitive ("pjit" became "jit") is then still found, and one that is gone is an error here, not a silence.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.core import Tracer, eval_jaxpr
from jax.extend.core import Literal as Literal
from jax.extend.core import primitives

# Flags (off by default, from jax 0.11) that stage out other primitives for the same source.
_STAGING_FLAGS = ("jax_remat3", "jax_custom_vjp3", "jax_custom_jvp3")


class Closed(NamedTuple):
    """A jaxpr with the values of its constvars (the two are one object since jax 0.11)."""

    jaxpr: Any
    consts: Sequence[Any]


def close(jaxpr: Any) -> Closed:
    """`Closed` of what a trace or an equation's parameters hold: a ClosedJaxpr or a Jaxpr."""
    return Closed(jaxpr.jaxpr, jaxpr.consts) if hasattr(jaxpr, "consts") else Closed(jaxpr, ())


def trace(fun: Callable, *args: Any) -> tuple[Closed, Any]:
    """The jaxpr of `fun` at `args`, and the pytree of its results' shapes. Computes nothing."""
    jaxpr, shapes = jax.make_jaxpr(fun, return_shape=True)(*args)
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
        return repr(v.val) if isinstance(v, Literal) else numbers.setdefault(v, len(numbers)), v.aval

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


def _key(eqn: Any) -> Any:
    """What tells an equation's kind: its primitive, or the class of the high-level primitive it calls."""
    prim = eqn.params.get("_prim")
    return eqn.primitive if prim is None else type(prim)


@functools.cache
def _kinds(_flags: tuple[bool, ...]) -> dict[Any, str]:
    kinds = {}
    with jax.disable_jit(False):  # else jit and scan would be inlined and their primitives not seen
        for kind, one_liner in _one_liners().items():
            eqn = jax.make_jaxpr(one_liner)(jax.ShapeDtypeStruct((), jnp.float32)).jaxpr.eqns[-1]
            # Of the high-level primitives only names are understood; the others stay opaque.
            if "_prim" not in eqn.params or kind == "name":
                kinds[_key(eqn)] = kind
    return kinds


def kinds() -> Callable[[Any], str | None]:
    """A function from an equation to its kind: "name", "jit", "checkpoint", "scan", "cond", "while",
    "custom_jvp", "custom_vjp", or None for every other primitive."""
    table = _kinds(tuple(bool(getattr(jax.config, flag, False)) for flag in _STAGING_FLAGS))
    return lambda eqn: table.get(_key(eqn))


def name_of(eqn: Any) -> str:
    """The name that a "name" equation carries."""
    return eqn.params["name"] if "name" in eqn.params else eqn.params["_prim"].name


def name_again(jaxpr: Any, eqn: Any, value: Any) -> Any:
    """`value`, named by a "name" equation of `jaxpr`."""
    (operand,) = eqn.invars
    if isinstance(operand, Literal):  # a constant cannot be the argument of a jaxpr
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


_LIBRARIES = tuple(os.path.dirname(os.path.abspath(f)) + os.sep for f in (jax.__file__, __file__))


def source_of(eqn: Any) -> str:
    """The line of the user's source that an equation comes from, as "file.py:12", or ""."""
    traceback = eqn.source_info.traceback
    for frame in traceback.frames if traceback is not None else ():
        if not frame.file_name.startswith(_LIBRARIES):
            return f"{os.path.basename(frame.file_name)}:{frame.line_num}"
    return ""


def _found_by_tracing() -> dict[str, Callable]:
    """One-liners for primitives that `jax.extend.core.primitives` does not hold."""
    return {
        "split": lambda x: lax.split(jnp.stack([x, x]), (1, 1)),
        "add_any": jax.grad(lambda x: x * x),
        "optimization_barrier": lax.optimization_barrier,
    }


@functools.cache
def primitive(name: str) -> Any:
    """A primitive by the name that JAX's public list of them gives it; one that is gone is an error."""
    if hasattr(primitives, f"{name}_p"):
        return getattr(primitives, f"{name}_p")
    one_liner = _found_by_tracing()[name]
    return jax.make_jaxpr(one_liner)(jax.ShapeDtypeStruct((), jnp.float32)).jaxpr.eqns[-1].primitive


def apply(jaxpr: Any, eqn: Any, values: Sequence[Any]) -> list[Any]:
    """The results of an equation of `jaxpr` at other operands; a primitive without a jaxpr inside takes any dtype."""
    if jaxprs_of(eqn) or "_prim" in eqn.params:
        given = {v: value for v, value in zip(eqn.invars, values, strict=True) if not isinstance(v, Literal)}
        return evaluate(stretch(jaxpr, [eqn], list(given), eqn.outvars), list(given.values()))
    results = eqn.primitive.bind(*values, **eqn.params)
    return list(results) if eqn.primitive.multiple_results else [results]


def library_function(eqn: Any) -> str | None:
    """The name of the function of JAX's own that a call equation calls, as "relu"; None if it is the user's."""
    for closed in jaxprs_of(eqn)[:1]:
        info = getattr(closed.jaxpr, "debug_info", None)
        name, file = getattr(info, "func_name", None), getattr(info, "func_filename", None) or ""
        if name and file.startswith(_LIBRARIES[0]):
            return name.lstrip("_")
    return None
