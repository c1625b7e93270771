"""The steps of a chain, its layers and the loss: what each is called, and what it and its derivative compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError, shown
from .._jax import jaxprs
from .._jax.leaves import is_value
from .._model.chain import Chain
from .notation.names import Name


class Step(NamedTuple):
    """A layer k, or the loss: X^(k+1) = fun(W^k, X^k); of the loss, "weights" are the expectation."""

    layer: str
    fun: Callable[[Any, Any], Any]
    weights: Any
    x: Any
    result: Any
    weight_names: list[Name]
    x_names: list[Name]
    result_names: list[Name]
    path: tuple[str, ...] = ()

    @property
    def is_loss(self) -> bool:
        return self.layer == "loss" and self.path == ("loss",)


def steps_of(model: Any, loss: Callable, params: Any, x: Any, y: Any) -> Iterator[Step]:
    layers = list(_layers(model, params, (), ""))
    for k, (layer, fun, weights, path) in enumerate(layers, 1):
        result = jax.tree.map(struct, jax.eval_shape(fun, weights, x))
        names = _weight_names(weights, k), _names("X", k, x), _names("X", k + 1, result)
        yield Step(layer, fun, weights, x, result, *names, path)
        x = result
    value = jax.eval_shape(loss, x, y)
    is_number = isinstance(value, jax.ShapeDtypeStruct) and jnp.issubdtype(value.dtype, jnp.floating)
    if not is_number or value.shape != ():
        raise ArgumentError(f"The loss must be a real scalar, but it is {shown(value)}; sum or mean it.")
    names = _names("Y", None, y), _names("X", len(layers) + 1, x), [Name("Loss")]
    yield Step("loss", lambda y, x: loss(x, y), y, x, value, *names, ("loss",))


def _layers(model: Any, params: Any, path: tuple[str, ...], prefix: str) -> Iterator[tuple[str, Callable, Any, tuple]]:
    """The layers of a chain, those of chains in it too; a function that is no chain is one layer."""
    if not isinstance(model, Chain):
        yield getattr(model, "__name__", type(model).__name__), model, params, ()
        return
    model._check(params, prefix)
    for name, layer in model.layers.items():
        weights = params.get(name, {})
        if isinstance(layer, Chain):
            yield from _layers(layer, weights, (*path, name), f"{prefix}{name}/")
        elif model._weighted[name]:
            yield prefix + name, layer, weights, (*path, name)
        else:
            yield prefix + name, lambda w, x, layer=layer: layer(x), {}, (*path, name)


def _names(base: str, number: int | None, tree: Any) -> list[Name]:
    paths = [p for p, _ in jax.tree_util.tree_leaves_with_path(tree)]
    return [Name(base, number, path="".join(f".{_key(e)}" for e in path)) for path in paths]


def _weight_names(tree: Any, number: int) -> list[Name]:
    """W², or the weights' own names with the layer's number: w², b²."""
    paths = [p for p, _ in jax.tree_util.tree_leaves_with_path(tree)]
    own = [".".join(_key(e) for e in path) for path in paths]
    if any(not name or not name[0].isalpha() or name[-1].isdigit() or name in ("X", "Loss", "Y") for name in own):
        return _names("W", number, tree)
    return [Name(name, number) for name in own]


def _key(entry: Any) -> str:
    return jax.tree_util.keystr((entry,), simple=True)


def struct(leaf: Any) -> jax.ShapeDtypeStruct:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    if not is_value(leaf):
        raise ArgumentError(
            f"`*shapes` holds {shown(leaf)}; give arrays, or `jax.ShapeDtypeStruct`, and pytrees of them."
        )
    return jax.ShapeDtypeStruct(np.shape(leaf), jnp.result_type(leaf))


def in_order_of(params: Any, steps: Sequence[Step], names: list[Name]) -> list[Name]:
    """The names of the leaves of (params, x, y), in the order in which JAX flattens these."""
    by_path = {s.path: s for s in steps}

    def of(tree: Any, path: tuple[str, ...]) -> list[Name]:
        if path in by_path:
            return by_path[path].weight_names
        return [n for key in sorted(tree) for n in of(tree[key], (*path, key))] if isinstance(tree, dict) else []

    first = steps[0].weight_names if steps[0].path == () else of(dict(params), ())
    return [*first, *steps[0].x_names, *steps[-1].weight_names]


# Forward and backward, as jaxprs --------------------------------------------------------------------------


def forward_of(step: Step) -> jaxprs.Closed:
    return _flat(step.fun, step.weights, step.x)


def backward_of(step: Step) -> tuple[jaxprs.Closed, list[Name]]:
    """From (weights, x, δ above) to the δ of x and of the weights: of those that can be differentiated."""
    leaves, tree = jax.tree.flatten((step.weights, step.x))
    count = len(jax.tree.leaves(step.weights))
    names = [*(n._replace(delta=True) for n in step.weight_names), *(_delta(n) for n in step.x_names)]
    chosen = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    chosen = [i for i in chosen if i >= count] + [i for i in chosen if i < count and not step.is_loss]
    above = [leaf for leaf in jax.tree.leaves(step.result) if jnp.issubdtype(leaf.dtype, jnp.inexact)]

    def flat(*values: Any) -> list[Any]:
        given, deltas = list(values[: len(leaves)]), values[len(leaves) :]

        def fun(*part: Any) -> list[Any]:
            merged = list(given)
            for i, value in zip(chosen, part, strict=True):
                merged[i] = value
            outs = jax.tree.leaves(step.fun(*jax.tree.unflatten(tree, merged)))
            return [o for o in outs if jnp.issubdtype(o.dtype, jnp.inexact)]

        primals, pullback = jax.vjp(fun, *(given[i] for i in chosen))
        return list(pullback([jnp.ones_like(p) for p in primals] if step.is_loss else list(deltas)))

    closed, _ = jaxprs.trace(flat, *leaves, *(() if step.is_loss else above))
    return closed, [names[i] for i in chosen]


def _delta(name: Name) -> Name:
    """Xⁱ → δⁱ."""
    return name._replace(base="", delta=True)


def deltas_above(step: Step) -> list[Name]:
    leaves = jax.tree.leaves(step.result)
    return [_delta(n) for n, leaf in zip(step.result_names, leaves) if jnp.issubdtype(leaf.dtype, jnp.inexact)]


def _flat(fun: Callable, *args: Any) -> jaxprs.Closed:
    leaves, tree = jax.tree.flatten(args)
    flat = lambda *values: jax.tree.leaves(fun(*jax.tree.unflatten(tree, values)))
    return jaxprs.trace(flat, *leaves)[0]
