"""What two traced programs have in common that compute the same: told as plain data, which holds nothing of either."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .jaxprs import close, is_literal

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var


_PLAIN = (bool, int, str, bytes, enum.Enum, np.dtype)
_PLACES = (
    jax.sharding.Sharding,
    jax.sharding.PartitionSpec,
    jax.sharding.Mesh,
    jax.sharding.AbstractMesh,
)


class Unknown(Exception):
    """Of some part of a program it cannot be told whether it is the same: a function, by itself or within an object."""


def of_eqn(eqn: JaxprEqn) -> tuple:
    """Return the structure of an equation's primitive and parameters.

    Raises:
        Unknown: a parameter is a function, as of a callback or of a derivative rule, or holds one.
    """
    return str(eqn.primitive), _of(eqn.params)


def of_type(aval: Any) -> tuple:
    """Return the structure of a type: shape, dtype, and where they are part of it how it lies on devices."""
    return str(aval), getattr(aval, "weak_type", False), _of(getattr(aval, "sharding", None))


def of_value(value: Any) -> tuple:
    """Return the structure of a number, or of an array of few entries: what it is."""
    array = np.asarray(value)
    return str(array.dtype), array.shape, array.tobytes()


def of_config() -> tuple:
    """Return the options of JAX, as they are here."""
    return tuple((name, repr(getattr(jax.config, name, None))) for name in sorted(jax.config.values))


def of_arguments(arrays: Sequence[Any]) -> tuple:
    """Return what a compiled program needs its arguments to have in common with those that it was compiled for."""
    return tuple((of_type(jax.typeof(x)), getattr(x, "sharding", None), getattr(x, "committed", None)) for x in arrays)


def _of(value: Any) -> Any:
    if value is None or isinstance(value, (*_PLAIN, *_PLACES)) or _is_jax_function(value):
        return type(value), value
    if isinstance(value, (float, complex)):
        return type(value), repr(value)  # nan is itself, and 0.0 not -0.0
    if isinstance(value, (np.ndarray, np.generic)):
        return of_value(value)
    if isinstance(value, Mapping):
        return type(value), tuple((key, _of(value[key])) for key in sorted(value, key=str))
    if isinstance(value, (tuple, list)):
        return type(value), tuple(map(_of, value))
    if hasattr(value, "eqns"):
        jaxpr, consts = close(value)
        if consts:
            raise Unknown
        return _of_jaxpr(jaxpr)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return of_type(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value), tuple(_of(getattr(value, field.name)) for field in dataclasses.fields(value))
    if jnp.issubdtype(getattr(value, "type", type(None)), jax.dtypes.extended):  # the dtype of random keys
        return type(value), value
    if type(value).__module__.startswith("jax.") and not callable(value) and type(value).__eq__ is not object.__eq__:
        return type(value), value  # a record of JAX's own that compares by value: how a scan's operands are grouped
    raise Unknown


def _is_jax_function(value: Any) -> bool:
    """Tell whether a value is a function of a module of JAX: it stays, and holds nothing of a user's."""
    module, name = getattr(value, "__module__", None) or "", getattr(value, "__qualname__", "<locals>")
    return callable(value) and module.startswith("jax.") and "<locals>" not in name


def _of_jaxpr(jaxpr: Jaxpr) -> tuple:
    numbers: dict[Var, int] = {}

    def seen(v: Var | Literal) -> tuple:
        what = of_value(v.val) if is_literal(v) else numbers.setdefault(v, len(numbers))
        return what, of_type(v.aval)

    def many(variables: Sequence[Var | Literal]) -> tuple:
        return tuple(map(seen, variables))

    ins = many([*jaxpr.constvars, *jaxpr.invars])
    eqns = tuple((of_eqn(eqn), many(eqn.invars), many(eqn.outvars)) for eqn in jaxpr.eqns)
    return ins, eqns, many(jaxpr.outvars)
