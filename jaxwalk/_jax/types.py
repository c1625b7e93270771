"""Types of values: what a dtype can hold, a shape and dtype with its sharding, zeros of it."""

from __future__ import annotations

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
    options: dict[str, Any] = {}
    if varying := _varying(typed):
        kind = "vma" if hasattr(typed, "vma") else "manual_axis_type"  # since jax 0.10
        options[kind] = getattr(typed, kind)
    if varying or _is_explicit(typed):
        spec = jax.sharding.PartitionSpec(*(None,) * len(lead), *typed.sharding.spec)
        options["sharding"] = jax.sharding.NamedSharding(typed.sharding.mesh, spec)
    return jax.ShapeDtypeStruct((*lead, *typed.shape), typed.dtype, **options)


def zeros(like: jax.ShapeDtypeStruct) -> jax.Array:
    """Return zeros of a type, as `struct` gives it."""
    if varying := _varying(like):
        return lax.pcast(jnp.zeros(like.shape, like.dtype), varying, to="varying")
    return jnp.zeros(like.shape, like.dtype, device=like.sharding)


def _varying(typed: Any) -> tuple[str, ...]:
    manual = getattr(typed, "manual_axis_type", None)
    return tuple(sorted((getattr(typed, "vma", None) if manual is None else manual.varying) or ()))


def _is_explicit(typed: Any) -> bool:
    """Tell whether a value's type says how it is divided over devices. In any other mesh the compiler decides."""
    sharding = getattr(typed, "sharding", None)
    if not isinstance(sharding, jax.sharding.NamedSharding) or all(axis is None for axis in sharding.spec):
        return False
    return jax.sharding.AxisType.Explicit in sharding.mesh.axis_types


def is_array_type(aval: Any) -> bool:
    """Tell whether a variable of this type holds an array: no token, no mutable array."""
    return hasattr(aval, "shape") and hasattr(aval, "dtype") and not hasattr(aval, "inner_aval")
