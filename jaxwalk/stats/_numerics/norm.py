"""The ℓ2 norm of all entries of an array, and of the difference of two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..._jax.jaxpr.types import widened
from .one_pass import one_norm
from .quick import on_cpus, quick_or
from .quick_squares import quick_squares
from .subnormal import largest, rescaled, scale_of, scaled, square_of_part
from .sums import is_safe, plain_squares, real

_LARGE = 1 << 20  # entries of an array of which a pass takes longer than to begin it


def _scaled_norm(x: jax.Array) -> jax.Array:
    size = jnp.abs(real(x))
    scale = scale_of(largest(size))
    return rescaled(jnp.sqrt(jnp.sum(scaled(size, scale) ** 2)), scale)


def _plain_norm(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    squares = plain_squares(real(x))
    return jnp.sqrt(squares), is_safe(squares)


norm = quick_or(_scaled_norm, _plain_norm)
"""The ℓ2 norm of all entries; NaN or Inf where one is."""


def quick_norm(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the norm, and whether it is right."""
    found = quick_squares(real(x))
    return jnp.sqrt(found.squares), found.is_right


def norm_of_norms(norms: jax.Array) -> jax.Array:
    """Return the norm of an array of which these are the norms of parts; of one, that itself."""
    return norm(norms) if norms.ndim else norms


def quick_norm_of_norms(norms: jax.Array) -> jax.Array:
    """Return the same, of norms that are right as `quick_norm` says it: none of them is so small as to be lost."""
    return _in_two_passes(norms) if norms.ndim else norms


def _in_two_passes(x: jax.Array) -> jax.Array:
    """Compute the norm by the largest: whoever looks twice only where it is needed has both ways to compile."""
    if not x.size:
        return jnp.zeros((), x.dtype)
    scale = scale_of(jnp.max(jnp.abs(x)))
    return jnp.sqrt(jnp.sum(square_of_part(x * (1 / scale)))) * scale


def _difference(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
    after, before = map(_rounded, pair)
    return after - before


def _rounded(x: jax.Array) -> jax.Array:
    """Return an array in a dtype to subtract in. XLA would leave out that it was rounded to 16 bits before."""
    info, wide = jnp.finfo(x.dtype), x.astype(widened(x.dtype))
    return wide if info.bits > 16 else lax.reduce_precision(wide, info.nexp, info.nmant)


def _on_both(on_cpu: Callable[[Any], jax.Array], elsewhere: Callable[[Any], jax.Array]) -> Callable[[Any], jax.Array]:
    rows = lambda: _on_both(jax.vmap(on_cpu), jax.vmap(elsewhere))
    return on_cpus(on_cpu, elsewhere, rows, on_cpu)


def _brief(x: jax.Array) -> jax.Array:
    """Compute the norm in one pass where the passes are what it costs; small ones XLA joins, of several arrays."""
    x = real(x)
    return one_norm(x) if x.size >= _LARGE else _in_two_passes(x)


brief_norm = _on_both(lambda x: _in_two_passes(real(x)), _brief)
"""The ℓ2 norm, as `norm`, with less to compile. Numbers below the smallest normal one may count as 0."""

distance = _on_both(lambda pair: _in_two_passes(_difference(pair)), lambda pair: _brief(_difference(pair)))
"""The ℓ2 norm of the difference of a pair of arrays, which is not kept in between; as of `brief_norm`."""
