"""What `jax.shard_map` divides: over which axes of a mesh a value inside varies, and how such values are stacked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
from jax import lax

from .jaxpr import call_parameters, jaxprs, types

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn


class Shards(NamedTuple):
    """How a shard_map divides.

    Attributes:
        mesh: the mesh, as it is outside.
        axes: those of its axes that are divided here, in the order of the mesh.
        checked: whether types inside say over which axes a value varies (`check_vma`).
    """

    mesh: Any
    axes: tuple[str, ...]
    checked: bool

    def varying(self, typed: Any) -> tuple[str, ...]:
        """Return the axes over which a value inside varies. All of them where that is not known."""
        return tuple(axis for axis in self.axes if not self.checked or axis in types.varying(typed))

    def label(self, axis: str) -> str:
        """Return what one of its axes is called. One that `jax.pmap` has named by itself is that of the pmap."""
        if axis.startswith(("<axis", "_internal_pmap")):
            return "pmap"
        return f"mesh axis {axis}" if self.checked else f"unchecked mesh axis {axis}"

    def sizes(self, over: Sequence[str]) -> tuple[int, ...]:
        """Return how many shards there are along some axes."""
        return tuple(self.mesh.shape[axis] for axis in over)

    def stacked(self, typed: Any, over: Sequence[str]) -> jax.ShapeDtypeStruct:
        """Return the type outside of values of a type inside, stacked over some axes, which come first."""
        explicit = dict(zip(self.mesh.axis_names, self.mesh.axis_types, strict=True))
        lead = [axis if explicit[axis] == jax.sharding.AxisType.Explicit else None for axis in over]
        return types.outside(typed, self.mesh, self.axes, tuple(zip(lead, self.sizes(over), strict=True)))

    def stack(self, value: Any, over: Sequence[str]) -> jax.Array:
        """Return a value inside with an axis of length 1 for each of those it is stacked over."""
        value = types.as_varying(value, over) if self.checked else value
        return lax.expand_dims(value, range(len(over)))

    def again(self, fun: Callable, in_specs: Any, out_specs: Any) -> Callable:
        """Return a function divided in the same way."""
        options = {"mesh": self.mesh, "axis_names": set(self.axes), "check_vma": self.checked}
        return jax.shard_map(fun, in_specs=in_specs, out_specs=out_specs, **options)


Loop: TypeAlias = int | Shards
"""What gives the values inside it leading axes: a scan of some length, or a shard_map."""


def shards_of(eqn: JaxprEqn) -> Shards:
    """Return how a shard_map equation divides."""
    params = eqn.params
    manual = params["newly_manual_axes"] if "newly_manual_axes" in params else params["manual_axes"]  # since jax 0.10
    return Shards(params["mesh"], tuple(a for a in params["mesh"].axis_names if a in manual), params["check_vma"])


def specs_of(eqn: JaxprEqn) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return how the operands and the results of a shard_map equation are divided."""
    return tuple(eqn.params["in_specs"]), tuple(eqn.params["out_specs"])


def loops_of(kind: str, eqn: JaxprEqn) -> list[Loop]:
    """Return what gives leading axes to the values inside an equation of some kind, if it does."""
    if kind == "scan":
        return [call_parameters.scan_parts(eqn).length]
    return [shards_of(eqn)] if kind == "shard_map" else []


def unstacked(value: Any, over: Sequence[str]) -> jax.Array:
    """Return what a shard holds of values stacked over some axes, without these axes."""
    return lax.squeeze(value, range(len(over)))


def around(typed: Any, value: Any, loops: Sequence[Loop]) -> jax.ShapeDtypeStruct:
    """Return the type that something has outside of `loops` (the outermost first) that goes with each value inside."""
    for loop in reversed(loops):
        if isinstance(loop, Shards):
            over = loop.varying(value)
            typed, value = loop.stacked(typed, over), loop.stacked(value, over)
        else:
            typed, value = types.struct(typed, (loop,)), types.struct(value, (loop,))
    return typed


def trace_inside(loops: Sequence[Loop], fun: Callable, *values: Any) -> tuple[jaxprs.Closed, Any]:
    """Return the jaxpr of `fun` at values of these types inside `loops`, and the pytree of its results' shapes."""
    found: list[tuple[jaxprs.Closed, Any]] = []

    def innermost(*values: Any) -> tuple[()]:
        found.append(jaxprs.trace(fun, *values))
        return ()

    inside: Callable = innermost
    for loop in reversed([loop for loop in loops if isinstance(loop, Shards)]):
        over = [loop.varying(value) for value in values]
        specs = tuple(jax.sharding.PartitionSpec(*axes) for axes in over)
        inside = loop.again(_unstacking(inside, over), specs, ())
        values = tuple(map(loop.stacked, values, over))
    if inside is innermost:
        return jaxprs.trace(fun, *values)
    jax.eval_shape(inside, *values)
    return found[0]


def _unstacking(fun: Callable, over: Sequence[Sequence[str]]) -> Callable:
    return lambda *values: fun(*map(unstacked, values, over))
