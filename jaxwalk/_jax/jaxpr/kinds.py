"""The kinds of equation that a walk treats apart.

A kind is recognised by tracing a one-liner, not by importing a primitive or comparing names: a renamed primitive
("pjit" became "jit") is then still found, and one that is gone is an error here, not a silence.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.experimental import io_callback

from .jaxprs import as_array, evaluate, is_literal, stretch, trace

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn

# Flags (off by default, from jax 0.11) that stage out other primitives for the same source.
_STAGING_FLAGS = ("jax_remat3", "jax_custom_vjp3", "jax_custom_jvp3")

_twice = jax.custom_vjp(lambda x: 2 * x)
_twice.defvjp(lambda x: (2 * x, None), lambda _, ct: (2 * ct,))
_thrice = jax.custom_jvp(lambda x: 3 * x)
_thrice.defjvps(lambda dx, _, x: 3 * dx)


def with_no_mesh(fun: Callable, *args: Any) -> Any:
    """Call `fun` where no mesh is set, whatever is around: in a thread of its own, for JAX has one mesh a thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(fun, *args).result()


def over_one_device(fun: Callable) -> Callable:
    """Return `fun` under `jax.shard_map`. For tracing alone: there is no device."""
    mesh = jax.sharding.AbstractMesh((1,), ("x",))
    return jax.shard_map(fun, mesh=mesh, in_specs=jax.sharding.PartitionSpec(), out_specs=jax.sharding.PartitionSpec())


KINDS: dict[str, Callable] = {
    "name": lambda x: checkpoint_name(x, "x"),
    "jit": jax.jit(lambda x: x + 1),
    "checkpoint": jax.checkpoint(jnp.sin),
    "scan": lambda x: lax.scan(lambda c, _: (c + 1, None), x, None, length=2)[0],
    "cond": lambda x: lax.switch(jnp.int32(0), [jnp.sin, jnp.cos], x),
    "shard_map": lambda x: over_one_device(jnp.sin)(x),
    "while": lambda x: lax.while_loop(lambda c: c < 1, lambda c: c + 1, x),
    "custom_jvp": _thrice,
    "custom_vjp": _twice,
}
"""Of each kind, a function of a number whose last equation is of it."""

_BARRIERS: Sequence[tuple[str, Callable]] = (
    ("stop_gradient", lax.stop_gradient),
    ("callback", lambda x: jax.pure_callback(lambda x: x, x, x)),
    ("callback", lambda x: io_callback(lambda x: x, x, x)),
)


def _key(eqn: JaxprEqn) -> Any:
    """Return what tells an equation's kind: its primitive, or the class of the high-level primitive it calls."""
    prim = eqn.params.get("_prim")
    return eqn.primitive if prim is None else type(prim)


def last_eqns(fun: Callable, *args: Any) -> list[JaxprEqn]:
    """Return the last equation of what a function is traced to, if there is any."""
    return trace(fun, *args)[0].jaxpr.eqns[-1:]


def _last_of_number(one_liner: Callable) -> list[JaxprEqn]:
    return with_no_mesh(_last_of_number_here, one_liner)


def _last_of_number_here(one_liner: Callable) -> list[JaxprEqn]:
    with jax.disable_jit(False):  # else jit and scan would be inlined and their primitives not seen
        return last_eqns(one_liner, jax.ShapeDtypeStruct((), jnp.float32))


@functools.cache
def _kinds(_flags: tuple[bool, ...]) -> dict[Any, str]:
    found = {kind: eqn for kind, one_liner in KINDS.items() for eqn in _last_of_number(one_liner)}
    # Of the high-level primitives only names are understood; the others stay opaque.
    return {_key(eqn): kind for kind, eqn in found.items() if "_prim" not in eqn.params or kind == "name"}


def kinds() -> Callable[[JaxprEqn], str | None]:
    """Return a function from an equation to its kind: one of `KINDS`, or None for every other primitive."""
    table = _kinds(tuple(bool(getattr(jax.config, flag, False)) for flag in _STAGING_FLAGS))
    return lambda eqn: table.get(_key(eqn))


@functools.cache
def _barriers() -> dict[Any, str]:
    return {_key(eqn): kind for kind, one_liner in _BARRIERS for eqn in _last_of_number(one_liner)}


def barrier_of(eqn: JaxprEqn) -> str | None:
    """Return what stops a derivative at an equation: "stop_gradient", "callback", or None."""
    return _barriers().get(_key(eqn))


def refuses_forward_mode(error: TypeError) -> bool:
    """Tell whether JAX raised this because a `custom_vjp` is differentiated forward."""
    return "custom_vjp" in str(error) and "forward-mode" in str(error)


def is_foreign(eqn: JaxprEqn) -> bool:
    """Tell whether an equation's primitive is another library's: one that is not evaluated by JAX's own function."""
    return _is_foreign(eqn.primitive)


@functools.cache
def _is_foreign(primitive: Any) -> bool:
    evaluate = getattr(primitive, "impl", None)
    module = getattr(getattr(evaluate, "func", evaluate), "__module__", None) or "jax"
    return module.partition(".")[0] not in ("jax", "jaxlib", "functools")


# Names --------------------------------------------------------------------------------------------------


def name_of(eqn: JaxprEqn) -> str:
    """Return the name that a "name" equation carries."""
    return eqn.params["name"] if "name" in eqn.params else eqn.params["_prim"].name


def name_again(jaxpr: Jaxpr, eqn: JaxprEqn, value: Any) -> Any:
    """Return `value`, named by a "name" equation of `jaxpr`."""
    (operand,) = eqn.invars
    if is_literal(operand):  # a constant cannot be the argument of a jaxpr
        return checkpoint_name(as_array(value), name_of(eqn))
    return evaluate(stretch(jaxpr, [eqn], [operand], eqn.outvars), [value])[0]


EDITED = "jaxwalk: edited"  # names a value that was put in the place of another; no point


def is_edited(eqn: JaxprEqn) -> bool:
    """Tell whether an equation is that of a value that was put in the place of another."""
    return kinds()(eqn) == "name" and name_of(eqn) == EDITED


def edited(value: Any) -> jax.Array:
    """Return `value` as the result of an equation of its own, wherever it comes from."""
    return checkpoint_name(as_array(value), EDITED)
