"""The layers of a chain, and the loss: what each is called, and what it and its derivative compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError, shown
from .._jax.jaxpr import jaxprs
from .._jax.leaves import is_value
from .._model.chain import Chain
from .notation.names import Name, names_of, weight_names


class Layer(NamedTuple):
    """Layer k, or the loss: X^(k+1) = fun(W^k, X^k). The "weights" of the loss are the expectation."""

    name: str
    fun: Callable[[Any, Any], Any]
    weights: Any
    x: Any
    result: Any
    weight_names: list[Name]
    x_names: list[Name]
    result_names: list[Name]
    is_loss: bool = False

    @property
    def operands(self) -> list[tuple[Name, jax.ShapeDtypeStruct]]:
        """Return the weights and the input by name."""
        return list(zip([*self.weight_names, *self.x_names], jax.tree.leaves((self.weights, self.x)), strict=True))

    @property
    def deltas_above(self) -> list[tuple[Name, jax.ShapeDtypeStruct]]:
        """Return the δ of the results by name; the derivative of the loss needs none."""
        results = zip(self.result_names, jax.tree.leaves(self.result), strict=True)
        return [(_delta(name), leaf) for name, leaf in results if _is_float(leaf) and not self.is_loss]


def layers_of(model: Any, loss: Callable, params: Any, x: Any, y: Any) -> Iterator[Layer]:
    layers = list(_layers(model, params, ""))
    for k, (name, fun, weights) in enumerate(layers, 1):
        result = jax.tree.map(struct, jax.eval_shape(fun, weights, x))
        names = weight_names(weights, k), names_of("X", k, x), names_of("X", k + 1, result)
        yield Layer(name, fun, weights, x, result, *names)
        x = result
    value = jax.eval_shape(loss, x, y)
    is_number = isinstance(value, jax.ShapeDtypeStruct) and jnp.issubdtype(value.dtype, jnp.floating)
    if not is_number or value.shape != ():
        raise ArgumentError(f"The loss must be a real scalar, but it is {shown(value)}; sum or mean it.")
    names = names_of("Y", None, y), names_of("X", len(layers) + 1, x), [Name("Loss")]
    yield Layer("loss", lambda y, x: loss(x, y), y, x, value, *names, is_loss=True)


def _layers(model: Any, params: Any, prefix: str) -> Iterator[tuple[str, Callable, Any]]:
    """Yield the layers of a chain, those of chains in it too; a function that is no chain is one layer."""
    if not isinstance(model, Chain):
        yield getattr(model, "__name__", type(model).__name__), model, params
        return
    model._check(params, prefix)
    for name, layer in model.layers.items():
        weights = params.get(name, {})
        if isinstance(layer, Chain):
            yield from _layers(layer, weights, f"{prefix}{name}/")
        elif model._weighted[name]:
            yield prefix + name, layer, weights
        else:
            yield prefix + name, lambda w, x, layer=layer: layer(x), {}


def _delta(name: Name) -> Name:
    """Return δⁱ of Xⁱ."""
    return name._replace(base="", delta=True)


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def struct(leaf: Any) -> jax.ShapeDtypeStruct:
    """Return the type of a leaf of the arguments, an object of its own for each."""
    if not is_value(leaf):
        raise ArgumentError(
            f"`*shapes` holds {shown(leaf)}; give arrays, or `jax.ShapeDtypeStruct`, and pytrees of them."
        )
    return jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf))


# Forward and backward, as jaxprs --------------------------------------------------------------------------


def forward_of(layer: Layer) -> jaxprs.Closed:
    leaves, tree = jax.tree.flatten((layer.weights, layer.x))
    return jaxprs.trace(lambda *values: jax.tree.leaves(layer.fun(*jax.tree.unflatten(tree, values))), *leaves)[0]


def backward_of(layer: Layer) -> tuple[jaxprs.Closed, list[Name]]:
    """Return the jaxpr from (weights, x, δ above) to the δ of x and of the weights, and the names of these.

    Only those that can be differentiated have one; the expectation of the loss is given none.
    """
    leaves, tree = jax.tree.flatten((layer.weights, layer.x))
    count = len(layer.weight_names)
    names = [*(n._replace(delta=True) for n in layer.weight_names), *map(_delta, layer.x_names)]
    places = [*range(count, len(leaves)), *(() if layer.is_loss else range(count))]
    chosen = [i for i in places if _is_float(leaves[i])]

    def flat(*values: Any) -> list[Any]:
        def fun(*part: Any) -> list[Any]:
            moved = dict(zip(chosen, part, strict=True))
            arguments = jax.tree.unflatten(tree, [moved.get(i, values[i]) for i in range(len(leaves))])
            return [leaf for leaf in jax.tree.leaves(layer.fun(*arguments)) if _is_float(leaf)]

        primals, pullback = jax.vjp(fun, *(values[i] for i in chosen))
        return list(pullback(list(map(jnp.ones_like, primals)) if layer.is_loss else list(values[len(leaves) :])))

    closed, _ = jaxprs.trace(flat, *leaves, *(leaf for _, leaf in layer.deltas_above))
    return closed, [names[i] for i in chosen]
