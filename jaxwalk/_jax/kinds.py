"""The kinds of equation that a walk treats apart, and what their parameters are called.

A kind is recognised by tracing a one-liner, not by importing a primitive or comparing names: a renamed primitive
("pjit" became "jit") is then still found, and one that is gone is an error here, not a silence.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.experimental import io_callback

from .jaxprs import Closed, as_array, close, evaluate, is_literal, stretch

# Flags (off by default, from jax 0.11) that stage out other primitives for the same source.
_STAGING_FLAGS = ("jax_remat3", "jax_custom_vjp3", "jax_custom_jvp3")


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


class WhileParts(NamedTuple):
    """What a while equation runs, and how many of its operands each part takes as constants: those of `test` are
    first, those of `body` next; the others are the carry."""

    test: Closed
    body: Closed
    test_consts: int
    body_consts: int


def while_parts(eqn: Any) -> WhileParts:
    """Returns the test and the body of a `while_loop`, with the number of constants of each."""
    test, body = close(eqn.params["cond_jaxpr"]), close(eqn.params["body_jaxpr"])
    return WhileParts(test, body, eqn.params["cond_nconsts"], eqn.params["body_nconsts"])


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


EDITED = "jaxwalk: edited"  # names a value that was put in the place of another; no point


def edited(value: Any) -> jax.Array:
    """`value`, as the result of an equation of its own, wherever it comes from."""
    return checkpoint_name(as_array(value), EDITED)
