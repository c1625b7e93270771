"""`chain` layers; join a model and a loss into an `objective`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from .._callables import check_takes, takes_weights
from .._errors import ArgumentError, listed, near, shown
from .._printable import printable
from .._show.fit import as_lines
from .tag import tag


class Chain:
    """An ordered graph of layers, X^(k+1) = L^k(X^k), called as `model(params, x)`.

    Its points are `input`, then the output of each layer under the layer's name; of a layer that is itself a
    Chain, also the outputs of its layers, as "name/L1". Made by `chain`.
    """

    def __init__(self, layers: Mapping[str, Callable]):
        if not layers:
            raise ArgumentError("`chain` was given no layers; give at least one function f(x) or f(weights, x).")
        self._layers = dict(layers)
        self._weighted = {
            n: l.takes_weights if isinstance(l, Chain) else takes_weights(n, l) for n, l in layers.items()
        }

    def __call__(self, params: Mapping[str, Any], x: Any) -> Any:
        """Compute the output of the last layer.

        Arguments:
            params: {layer name: weights}; layers without weights are absent.
            x: the input, a pytree of arrays.

        Raises:
            ArgumentError: `params` lacks weights of a layer, or has some for a layer that is not there or takes none.
        """
        return self._run(params, tag(x, "input"), "")

    @property
    def layers(self) -> Mapping[str, Callable]:
        """Return the layers by name, in order."""
        return MappingProxyType(self._layers)

    @property
    def takes_weights(self) -> bool:
        """Tell whether any layer takes weights."""
        return any(self._weighted.values())

    def _run(self, params: Mapping[str, Any], x: Any, prefix: str) -> Any:
        self._check(params, prefix)
        for name, layer in self.layers.items():
            weights = (params[name],) if self._weighted[name] else ()
            if isinstance(layer, Chain):
                x = layer._run(weights[0] if weights else {}, x, f"{prefix}{name}/")
            else:
                x = layer(*weights, x)
            x = tag(x, prefix + name)
        return x

    def _check(self, params: Any, prefix: str) -> None:
        where = f"`params[{prefix[:-1]!r}]`" if prefix else "`params`"
        if not isinstance(params, Mapping):
            raise ArgumentError(f"{where} is {shown(params)}; it must be {{layer name: weights}}, {{}} if none.")
        for name in params:
            if name not in self.layers:
                raise ArgumentError(f"{where} has weights for `{name}`, which is no layer. {near(name, self.layers)}")
            if not self._weighted[name]:
                raise ArgumentError(f"{where} has weights for `{name}`, a layer f(x) that takes none; leave it out.")
        if missing := [name for name, weighted in self._weighted.items() if weighted and name not in params]:
            raise ArgumentError(f"{where} lacks the weights of {listed(missing)}; add them under that name.")

    def __repr__(self) -> str:
        shown = [name + ("(weights, x)" if weighted else "(x)") for name, weighted in self._weighted.items()]
        return as_lines(printable(f"Chain({' → '.join(shown)})"))


def chain(*layers: Callable, **named_layers: Callable) -> Chain:
    """Composes a model of the given layers, one after the other.

    Arguments:
        *layers: functions f(x) or f(weights, x), or Chains; their names are "L1", "L2", ...
        **named_layers: layers with names of their own, after those.

    Returns:
        Chain: called as `model(params, x)`.

    Raises:
        ArgumentError: there are no layers; two have one name; a name is "input" or holds "/"; a layer cannot be
            called with one or two arguments.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> model = jw.chain(dense=lambda w, x: x @ w, act=jax.nn.relu)
    >>> model
    Chain(dense(weights, x) → act(x))
    >>> model({"dense": jnp.eye(2)}, jnp.array([1.0, -1.0]))
    Array([1., 0.], dtype=float32)
    """
    numbered = {f"L{i}": layer for i, layer in enumerate(layers, 1)}
    for name in named_layers:
        if name in numbered:
            raise ArgumentError(f"Two layers are named `{name}`: one by its place, one by keyword; rename the keyword.")
        if name in ("", "input") or "/" in name:
            whys = {"": "a name is not empty", "input": "that is the name of its input"}
            why = whys.get(name, "`/` divides the names of nested chains")
            raise ArgumentError(f"A layer cannot be named `{name}`: {why}; rename it.")
    return Chain(numbered | named_layers)


def objective(model: Callable[[Any, Any], Any], loss: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Return what there is to walk: fun(params, x, y) = loss(model(params, x), y).

    Arguments:
        model: any function of (params, x); a `Chain` or not.
        loss: a function of two variables, the model's result and the expectation.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> fun = jw.objective(jw.chain(lambda w, x: w * x), lambda o, y: 0.5 * (o - y) ** 2)
    >>> float(fun({"L1": 2.0}, 3.0, 5.0))
    0.5
    """
    for argument, function, takes in (("model", model, ("params", "x")), ("loss", loss, ("output", "expectation"))):
        if not callable(function):
            raise ArgumentError(f"`{argument}` is {shown(function)}, which cannot be called; give a function.")
        check_takes(function, f"`{argument}`", *takes)

    def fun(params: Any, x: Any, y: Any) -> Any:
        return loss(model(params, x), y)

    return fun
