"""`tag`: a name for a value."""

from __future__ import annotations

from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name

from .._errors import ArgumentError, shown
from .._jax.leaves import as_input, is_value


def tag(x: Any, name: str) -> Any:
    """Return x under a name: a point.

    It is the identity, and may stay in a model for good. Under `jax.checkpoint`, policies that save by name
    (`save_only_these_names`) know the name too. Inside `jax.vmap`, the value is that of the whole batch, with the
    batch axis where JAX put it (`Point.shape` shows it): walk per datum with `jax.vmap` around the walk.

    Arguments:
        x: an array, a number, or a pytree of these: then one point per leaf, "name/key" or "name/0".
        name: of the point.

    Returns:
        x, its leaves as arrays.

    Raises:
        ArgumentError: `name` is not a non-empty string; x holds no array, or something that is none.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> def fun(x):
    ...     parts = jw.tag({"sin": jnp.sin(x), "cos": jnp.cos(x)}, "parts")
    ...     return parts["sin"] * parts["cos"]
    >>> list(jw.points(fun, 1.0))
    ['parts/cos', 'parts/sin']
    """
    if not isinstance(name, str) or not name:
        raise ArgumentError(f"`name` is {shown(name)}; it must be a string that is not empty.")
    leaves, tree = jax.tree_util.tree_flatten_with_path(x)
    if not leaves:
        raise ArgumentError(f"`tag(x, {name!r})`: x holds no array ({shown(x)}); tag a value that has some.")
    return jax.tree.unflatten(tree, [_tag_leaf(leaf, name, path) for path, leaf in leaves])


def _tag_leaf(leaf: Any, name: str, path: tuple) -> jax.Array:
    full = "/".join([name, *(jax.tree_util.keystr((entry,), simple=True) for entry in path)])
    if not is_value(leaf):
        kind = type(leaf).__name__
        raise ArgumentError(f"`tag(x, {name!r})`: `{full}` is a {kind}, not an array; tag arrays, or pytrees of them.")
    return checkpoint_name(as_input(leaf), full)
