"""What of the params is trained: its arrays of floats, by path; whether an optimizer's state fits them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .._errors import ArgumentError, shown
from .._jax.leaves import flatten, is_array


def trained_part(params: Any) -> Any:
    """Return the params with None in the place of what is no array, as functions and names: that is not trained.

    Raises:
        ArgumentError: there is no array among them, or one that is not of floats.
    """
    leaves, tree = flatten(params, "`params`")
    arrays = [leaf if is_array(leaf) else None for leaf in leaves]
    if all(leaf is None for leaf in arrays):
        raise ArgumentError(
            f"`params` holds no floating array to train, but {shown(params)}; give the weights of the model."
        )
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if is_array(leaf) and not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise ArgumentError(
                f"`params` holds an array of {leaf.dtype}, `{name_of(path)}`, which has no gradient; partition it out,"
                " and give it to `fun` as another argument or close over it."
            )
    return params if all(leaf is not None for leaf in arrays) else jax.tree.unflatten(tree, arrays)


def with_trained(params: Any, trained: Any) -> Any:
    """Return the params with other arrays in the place of those that are trained."""
    leaves, tree = jax.tree.flatten(params)
    arrays = iter(jax.tree.leaves(trained))
    return jax.tree.unflatten(tree, [next(arrays) if is_array(leaf) else leaf for leaf in leaves])


def names_of(trained: Any) -> list[str]:
    """Return the paths of the arrays: "layers/0/kernel"; two that are written alike are "a/b" and "a/b#2"."""
    names = [name_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(trained)]
    count: Counter[str] = Counter()
    for i, name in enumerate(names):
        count[name] += 1
        names[i] = f"{name}#{count[name]}" if count[name] > 1 else name
    return names


def name_of(path: tuple[Any, ...]) -> str:
    """Return a path as "layers/0/kernel", without the `value` of a variable of Flax NNX; of params that are one array,
    "params"."""
    if len(path) > 1 and isinstance(path[-1], jax.tree_util.GetAttrKey) and path[-1].name == "value":
        path = path[:-1]
    return jax.tree_util.keystr(path, simple=True, separator="/") or "params"


# The optimizer -------------------------------------------------------------------------------------------


def is_transformation(value: Any) -> bool:
    """Tell whether a value is a gradient transformation, as those of optax are."""
    return callable(getattr(value, "init", None)) and callable(getattr(value, "update", None))


def check_optimizer(optimizer: Any) -> optax.GradientTransformationExtraArgs:
    """Return an optimizer of optax as one that takes what else its `update` may ask for.

    Raises:
        ArgumentError: it is none.
    """
    if isinstance(optimizer, optax.MultiSteps):
        optimizer = optimizer.gradient_transformation()
    if not is_transformation(optimizer):
        inner = " (of an `nnx.Optimizer`, its `tx`)" if hasattr(optimizer, "tx") else ""
        raise ArgumentError(
            f"`optimizer` is {shown(optimizer)}, which is no gradient transformation of optax; give one, as"
            f" `optax.adam(1e-3)`{inner}."
        )
    return optax.with_extra_args_support(optimizer)


def check_state(optimizer: optax.GradientTransformation, opt_state: Any, trained: Any) -> None:
    """Check that a state is of this optimizer, and of these params: by the paths and the shapes of its arrays.

    Raises:
        ArgumentError: it is not.
    """
    wanted, found = _shapes(jax.eval_shape(optimizer.init, trained)), _shapes(opt_state)
    if wanted == found:
        return
    fix = "make it by `optimizer.init(params)`, of this optimizer and these params"
    for place in [*wanted, *found]:
        mine, other = found.get(place), wanted.get(place)
        if mine != other:
            has = "nothing" if mine is None else f"an array of shape {mine}"
            article = "an array" if mine is None else "one"
            wants = "nothing" if other is None else f"{article} of shape {other}"
            raise ArgumentError(
                f"`opt_state` does not fit: at `{place or 'opt_state'}` it has {has}, and `optimizer` {wants}; {fix}."
            )


def _shapes(state: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): jnp.shape(leaf) for path, leaf in leaves}


def count_of(opt_state: Any) -> Any:
    """Return how many steps an optimizer has counted.

    That of `optax.MultiSteps` is the number of updates, and stays while it gathers the gradients of one.

    Raises:
        ArgumentError: it does not count them.
    """
    for field in ("gradient_step", "count"):
        for _, count in optax.tree_utils.tree_get_all_with_path(opt_state, field):
            if jnp.shape(count) == () and jnp.issubdtype(jnp.result_type(count), jnp.integer):
                return count
    raise ArgumentError(
        "`every` counts steps as `optimizer` does, but its state has no count; add one, as"
        " `optax.chain(optimizer, optax.scale_by_schedule(lambda count: 1.0))`, and make the state anew by its `init`."
    )
