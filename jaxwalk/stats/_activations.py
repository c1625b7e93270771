"""What `health` has of the result of an activation: units that are active, and entries that are saturated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._counts import dead_of, finish_dead
from ._numerics.quick import Way, quick_or
from ._numerics.sums import counted, real, share
from ._statistic import Of, State, Units, Value
from ._unit_axes import taken

_NEVER_ZERO = frozenset(
    ("tanh", "sigmoid", "logistic", "softmax", "gelu", "silu", "swish", "softplus", "soft_sign", "log_sigmoid", "mish")
    + ("erf", "erfc", "exp", "exp2", "elu", "selu", "celu", "leaky_relu", "log_softmax", "logaddexp")
)
"""Activations that are zero at no more than a point: no unit of theirs is ever off."""


def _activation(value: Value) -> tuple[str, Callable[[Any], Any] | None]:
    """Return the activation that makes or reads a value, and how its result comes from the value."""
    if value.made_by:
        return value.made_by, lambda output: output
    activated = value.activated
    return value.activation, (None if activated is None else lambda output: activated(output)[0])


# Units that are active -----------------------------------------------------------------------------------


def active_at(value: Value) -> tuple[Of, Units] | None:
    name, result = _activation(value)
    if result is None or name in _NEVER_ZERO:
        return None
    careful, units = taken(_active_of, value, f"{'output of' if value.made_by else 'after'} {name}")
    of = _active_along(units.axes or (), lambda x: careful(x, x))
    return (lambda output, delta: of(jnp.asarray(result(output)))), units


def _active_of(output: jax.Array, delta: jax.Array) -> State:
    found = dead_of(output, delta)
    return {"count": found["count"], "active": found["active"]}


def _active_along(axes: tuple[int, ...], careful: Way) -> Way:
    """Return `careful`, which counts units along these axes, done in sums that XLA calls a library for on CPUs."""

    def by_unit(x: jax.Array) -> jax.Array:
        total = jnp.sum(x, axis=tuple(i for i in range(x.ndim) if i not in axes))
        return total.transpose([sorted(axes).index(axis) for axis in axes]).reshape(-1)

    def quick(x: jax.Array) -> tuple[State, jax.Array]:
        x = real(x)
        # x - x is NaN where x is not finite; of sign(x), which `first_look` reads too, XLA would make an array.
        total = by_unit(jnp.abs(jnp.sign(x + x)) + (x - x))
        count = jnp.full(total.shape, x.size // max(total.size, 1), jnp.int32)
        return {"count": count, "active": total.astype(jnp.int32)}, jnp.isfinite(jnp.sum(total))

    def again(x: jax.Array, _: State) -> State:
        x = real(x)
        value = lambda number: np.full((), number, x.dtype)
        finite = jnp.abs(x) <= float(jnp.finfo(x.dtype).max)
        kinds = jnp.where(finite, jnp.where(x != 0, value(2), value(1)), value(0))
        total, count = by_unit(kinds), by_unit(jnp.sign(kinds))
        return {"count": count.astype(jnp.int32), "active": (total - count).astype(jnp.int32)}

    return quick_or(careful, quick, again)


def finish_active(state: State) -> dict[str, Any]:
    found = finish_dead(state) if state else {}
    return {key: value for key, value in found.items() if key != "dead"}


# Entries that are saturated ------------------------------------------------------------------------------

_SHARE = 0.99
"""How near to the end of its range a function is saturated: the slope of tanh there is 2 % of its largest, that of the
sigmoid 4 %, and that of the largest entry of a softmax too."""


def _ends(x: jax.Array) -> jax.Array:
    return jnp.abs(x) > _SHARE


_SATURATED: dict[str, Callable[[jax.Array], jax.Array]] = {
    "tanh": _ends,
    "hard_tanh": _ends,
    "sigmoid": lambda x: _ends(2 * x - 1),
    "logistic": lambda x: _ends(2 * x - 1),
    "hard_sigmoid": lambda x: _ends(2 * x - 1),
    "softmax": lambda x: jnp.max(x, axis=-1, initial=0) > _SHARE,
}


def saturated_at(value: Value) -> tuple[Of, None] | None:
    name, result = _activation(value)
    if result is None or name not in _SATURATED or not value.shape:
        return None

    def of(output: Any, delta: Any) -> State:
        mask = _SATURATED[name](real(result(output)))
        return {"count": jnp.full((), mask.size, jnp.int32), "saturated": counted(mask)}

    return of, None


def finish_saturated(state: State) -> dict[str, Any]:
    return {"saturated_share": share(state["saturated"], state["count"])} if state else {}
