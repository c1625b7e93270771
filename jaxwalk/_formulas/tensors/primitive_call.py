"""What has no notation keeps the name of its primitive, with its parameters, and is run by JAX."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from ..._jax.jaxpr import jaxprs
from ..._jax.jaxpr.types import type_of

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn


class PrimitiveCall:
    """An equation without notation, and which of its results is meant. Two are equal if they are of one equation."""

    def __init__(self, eqn: JaxprEqn, index: int):
        self.eqn, self.index = eqn, index

    @property
    def name(self) -> str:
        several = f"[{self.index}]" if len(self.eqn.outvars) > 1 else ""
        return f"{self.eqn.primitive}{several}"

    axes = ()

    def words(self) -> list[str]:
        return [", ".join(parameters(self.eqn))]

    def __hash__(self) -> int:
        return hash((id(self.eqn), self.index))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrimitiveCall) and self.eqn is other.eqn and self.index == other.index

    def __call__(self, *arrays: Any) -> Any:
        """Compute the result, by JAX."""
        types = map(type_of, self.eqn.invars)
        args = [jnp.broadcast_to(jnp.asarray(a, t.dtype), t.shape) for a, t in zip(arrays, types, strict=True)]
        return np.asarray(jaxprs.apply(self.eqn, args)[self.index])


def parameters(eqn: JaxprEqn) -> Iterator[str]:
    """Yield name=value, but for those that say nothing: None, False and no entries."""
    bodies = [id(body.jaxpr) for body in jaxprs.jaxprs_of(eqn)]
    for name, value in eqn.params.items():
        if not _is_nothing(value):
            yield f"{name}={'…' if _is_function(value, bodies) else _shown(value)}"


def _is_nothing(value: Any) -> bool:
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return all(map(_is_nothing, value))
    return value is None or value is False or (isinstance(value, str) and not value)


def _is_function(value: Any, bodies: list[int]) -> bool:
    if isinstance(value, (tuple, list)) and value:
        return all(_is_function(v, bodies) for v in value)
    return id(getattr(value, "jaxpr", value)) in bodies or (callable(value) and not isinstance(value, type))


def _shown(value: Any) -> str:
    fields = getattr(value, "_fields", None) or getattr(value, "__dataclass_fields__", None)
    if fields is not None:
        parts = {name: getattr(value, name) for name in fields}
        return "(" + ", ".join(f"{n}={_shown(v)}" for n, v in parts.items() if not _is_nothing(v)) + ")"
    if isinstance(value, (tuple, list)):
        return "(" + ",".join(map(_shown, value)) + ("," if len(value) == 1 else "") + ")"
    return value.name.lower() if isinstance(value, enum.Enum) else str(value)
