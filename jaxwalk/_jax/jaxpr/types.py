"""Types of values: what a dtype can hold, a shape and dtype with its sharding, zeros of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from jax.extend.core import Literal, Var


def type_of(v: Var | Literal) -> jax.ShapeDtypeStruct:
    """Return the type of a variable that holds an array: its shape and dtype."""
    return cast(jax.ShapeDtypeStruct, v.aval)


def widened(dtype: Any) -> Any:
    """Return the dtype in which to compare and to sum values of `dtype`: at least float32; for integers, float32."""
    if not jnp.issubdtype(dtype, jnp.inexact) or jnp.finfo(dtype).bits < 32:
        return jnp.dtype(jnp.float32)
    return jnp.dtype(dtype)


def is_float(typed: Any) -> bool:
    """Return whether a value, or a type, is real or complex."""
    return hasattr(typed, "dtype") and jnp.issubdtype(typed.dtype, jnp.inexact)


def holds(dtype: Any, number: complex) -> bool:
    """Tell whether an array of `dtype` takes a Python number without losing its kind: integers take no 1.5."""
    if isinstance(number, bool):
        return dtype == jnp.bool_
    kinds = {int: jnp.number, float: jnp.inexact, complex: jnp.complexfloating}
    return jnp.issubdtype(dtype, kinds[type(number)])


def struct(typed: Any, lead: tuple[int, ...] = ()) -> jax.ShapeDtypeStruct:
    """Return the type of a value, with leading axes: its shape and dtype; and, where they are part of the type, how it
    is divided over an explicit mesh, and inside `shard_map` the axes of the mesh along which it varies."""
    options = _varying_over(varying(typed), typed)
    if options or _is_explicit(typed):
        spec = jax.sharding.PartitionSpec(*(None,) * len(lead), *typed.sharding.spec)
        options["sharding"] = jax.sharding.NamedSharding(typed.sharding.mesh, spec)
    return jax.ShapeDtypeStruct((*lead, *typed.shape), typed.dtype, **options)


def outside(typed: Any, mesh: Any, axes: Sequence[str], lead: Sequence[tuple[str | None, int]]) -> jax.ShapeDtypeStruct:
    """Return the type outside a `shard_map` over `axes` of a value inside, with leading axes.

    Arguments:
        lead: per leading axis, the axis of the mesh that it is divided over, where the type says so; and its length.
    """
    options = _varying_over([axis for axis in varying(typed) if axis not in axes], typed)
    inner = typed.sharding.spec if _is_explicit(typed) else (None,) * len(typed.shape)
    spec = jax.sharding.PartitionSpec(*(axis for axis, _ in lead), *inner)
    if options or any(axis is not None for axis in spec):
        options["sharding"] = jax.sharding.NamedSharding(mesh, spec)
    return jax.ShapeDtypeStruct((*(length for _, length in lead), *typed.shape), typed.dtype, **options)


def zeros(like: jax.ShapeDtypeStruct) -> jax.Array:
    """Return zeros of a type, as `struct` gives it."""
    if axes := varying(like):
        return as_varying(jnp.zeros(like.shape, like.dtype), axes)
    return jnp.zeros(like.shape, like.dtype, device=like.sharding)


def varying(typed: Any) -> tuple[str, ...]:
    """Return the axes of the mesh over which a value of this type varies, inside a `shard_map` that checks them."""
    manual = getattr(typed, "manual_axis_type", None)
    return tuple(sorted((getattr(typed, "vma", None) if manual is None else manual.varying) or ()))


def _varying_over(axes: Sequence[str], like: Any) -> dict[str, Any]:
    """Return the argument of `jax.ShapeDtypeStruct` that says so."""
    if not axes:
        return {}
    if hasattr(like, "vma"):
        return {"vma": frozenset(axes)}
    return {"manual_axis_type": jax.sharding.ManualAxisType(varying=frozenset(axes))}  # since jax 0.10


def as_varying(value: Any, axes: Sequence[str]) -> jax.Array:
    """Return a value inside a `shard_map` as one that varies over these axes too."""
    missing = tuple(axis for axis in axes if axis not in varying(jax.typeof(value)))
    return lax.pcast(value, missing, to="varying") if missing else value


def is_partial_sum(typed: Any) -> bool:
    """Tell whether the shards hold parts of a sum, or of the sums that its cotangent is, yet to be added up."""
    manual = getattr(typed, "manual_axis_type", None)
    return manual is not None and bool(manual.unreduced or manual.reduced)


def _is_explicit(typed: Any) -> bool:
    """Tell whether a value's type says how it is divided over devices. In any other mesh the compiler decides."""
    sharding = getattr(typed, "sharding", None)
    if not isinstance(sharding, jax.sharding.NamedSharding) or all(axis is None for axis in sharding.spec):
        return False
    return jax.sharding.AxisType.Explicit in sharding.mesh.axis_types


def is_array_type(aval: Any) -> bool:
    """Tell whether a variable of this type holds an array: no token, no mutable array."""
    return hasattr(aval, "shape") and hasattr(aval, "dtype") and not hasattr(aval, "inner_aval")
