"""The parameters of equations that call other programs (jit, checkpoint, scan, while), and of devices."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from . import types
from .jaxprs import Closed, close

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

# Calls --------------------------------------------------------------------------------------------------


class ScanParts(NamedTuple):
    """What `lax.scan` needs to run a scan equation again: how many operands are constants and carries, and the rest."""

    consts: int
    carry: int
    length: int
    options: dict[str, Any]


def scan_parts(eqn: JaxprEqn) -> ScanParts:
    """Return how many operands of a scan are constants and how many carries, its length, and its options."""
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


def while_parts(eqn: JaxprEqn) -> WhileParts:
    """Return the test and the body of a `while_loop`, with the number of constants of each."""
    test, body = close(eqn.params["cond_jaxpr"]), close(eqn.params["body_jaxpr"])
    return WhileParts(test, body, eqn.params["cond_nconsts"], eqn.params["body_nconsts"])


def ends_datum_by_datum(eqn: JaxprEqn) -> bool:
    """Tell whether the test of a `while_loop` says of each datum of a `vmap` whether its own loop goes on.

    JAX then computes on with all data until none goes on, and discards what it made of those that were done.
    """
    return bool(types.type_of(while_parts(eqn).test.jaxpr.outvars[0]).shape)


def jit_again(eqn: JaxprEqn, fun: Callable, extra_in: int, extra_out: Callable[[Any], Any]) -> Callable:
    """Return `fun` under `jax.jit`, as a jit equation had what it ran, with operands and results added.

    Donation is left out: the values are kept, so their buffers cannot be given away.
    """
    params = eqn.params
    fun.__name__ = params["name"]  # what profilers and XLA's dumps call it
    into, out = (
        tuple(s if isinstance(s, jax.sharding.Sharding) else None for s in params[name])
        for name in ("in_shardings", "out_shardings")
    )
    options: dict[str, Any] = {"inline": params["inline"], "keep_unused": params["keep_unused"]}
    if any(s is not None for s in into):
        options["in_shardings"] = (None,) * extra_in + into
    if any(s is not None for s in out):
        options["out_shardings"] = extra_out(list(out))
    if compiler_options := dict(params.get("compiler_options_kvs") or ()):
        options["compiler_options"] = compiler_options
    return jax.jit(fun, **options)


def checkpoint_again(eqn: JaxprEqn, fun: Callable) -> Callable:
    """Return `fun` under `jax.checkpoint`, as a checkpoint equation had what it ran."""
    return jax.checkpoint(fun, prevent_cse=eqn.params["prevent_cse"], policy=eqn.params["policy"])


def scatter_again(eqn: JaxprEqn, scatter: Callable, operand: jax.Array, indices: Any, updates: jax.Array) -> jax.Array:
    """Return what `scatter` (`lax.scatter_add` ...) makes of other operands, of any dtype, as an equation has it."""
    params = eqn.params
    options = {name: params[name] for name in ("indices_are_sorted", "unique_indices", "mode")}
    return scatter(operand, indices, updates, params["dimension_numbers"], **options)


def reduced_axes(eqn: JaxprEqn) -> tuple[int, ...]:
    """Return the axes over which an equation reduces its operand."""
    return tuple(map(int, eqn.params["axes"]))


# Devices ------------------------------------------------------------------------------------------------


def is_reshard(eqn: JaxprEqn) -> bool:
    """Tell whether an equation does nothing but say on which devices a value lies."""
    return str(eqn.primitive) == "reshard"


def only_places(eqn: JaxprEqn) -> bool:
    """Tell whether an equation does nothing but say, or constrain, on which devices a value lies."""
    return str(eqn.primitive) in ("reshard", "mesh_cast", "sharding_constraint")


def without_places(eqn: JaxprEqn) -> JaxprEqn:
    """Return an equation that does not say where its results lie on a mesh with explicit axes."""
    said = {name: None for name in ("sharding", "out_sharding") if eqn.params.get(name) is not None}
    return eqn.replace(params=eqn.params | said) if said else eqn


def params_but_devices(eqn: JaxprEqn) -> list[tuple[str, Any]]:
    """Return the parameters of an equation, sorted, less those that say on which devices its values lie."""
    names = re.compile(r"\w*sharding|\w*shardings|ctx_mesh|context_mesh")
    return sorted(item for item in eqn.params.items() if not names.fullmatch(item[0]))
