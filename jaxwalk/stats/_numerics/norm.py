"""The ℓ2 norm of all entries of an array, and of the difference of two; of many arrays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._jax.jaxpr.types import widened
from .joined import of_each
from .one_pass import one_norm
from .quick import quick_or
from .quick_squares import quick_squares
from .subnormal import largest, rescaled, scale_of, scaled, square_of_part
from .sums import is_safe, plain_squares, real

_SMALLEST_SQUARES = 1e-30  # below, the squares of single entries are lost, as float32 ends at 1e-38
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
    return _by_size(x, jnp.max(jnp.abs(x))) if x.size else jnp.zeros((), x.dtype)


def _by_size(x: jax.Array, size: jax.Array) -> jax.Array:
    scale = scale_of(size)
    return jnp.sqrt(jnp.sum(square_of_part(x, 1 / scale))) * scale


def _difference(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
    after, before = map(_rounded, pair)
    return after - before


def _rounded(x: jax.Array) -> jax.Array:
    """Return an array in a dtype to subtract in. XLA would leave out that it was rounded to 16 bits before."""
    info, wide = jnp.finfo(x.dtype), x.astype(widened(x.dtype))
    return wide if info.bits > 16 else lax.reduce_precision(wide, info.nexp, info.nmant)


def _moved_in_two_passes(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Compute the norm of a difference, which is taken the other way round for its largest entry: of one that is read
    twice XLA would make an array."""
    after, before = map(_rounded, pair)
    moved = real(after - before)
    return _by_size(moved, jnp.max(jnp.abs(before - after))) if moved.size else jnp.zeros((), moved.dtype)


def _brief(x: jax.Array) -> jax.Array:
    """Compute the norm in one pass where the passes are what it costs; small ones XLA joins, of several arrays."""
    x = real(x)
    return one_norm(x) if x.size >= _LARGE else _in_two_passes(x)


def _plain(x: jax.Array) -> jax.Array:
    x = real(x)
    squares, largest = plain_squares(x), jnp.max(jnp.abs(x), initial=0)
    size = jnp.where((squares > _SMALLEST_SQUARES) & (squares < np.inf), jnp.sqrt(squares), largest)
    return jnp.where(jnp.isnan(squares), squares, size)  # of a NaN, XLA's largest on a CPU may be any number


brief_norms = of_each(lambda x: _in_two_passes(real(x)), _brief)
"""The ℓ2 norm of each of some arrays, as `norm`, with less to compile. Numbers below the smallest normal one may count
as 0."""

distances = of_each(_moved_in_two_passes, lambda pair: _brief(_difference(pair)))
"""The ℓ2 norm of the difference of each of some pairs, which is not kept in between; as of `brief_norms`."""

plain_norms = of_each(_plain, _plain)
"""The ℓ2 norm of each of some arrays in one look; the largest |x| where the squares are no float32."""
