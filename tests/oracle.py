"""Models of other libraries, each with an oracle that does not use jaxwalk: δ by an ε added at every module's output."""

import contextlib
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Model(NamedTuple):
    """A loss of a model, and what its walk must say.

    Attributes:
        fun: `fun(params, x, y)`, the loss, or the loss and aux.
        args: params, x and y.
        displaced: `displaced(at, params, x, y)`, the same loss (and no aux) by other means, in which `at(path, value)` is
            where an ε is added to a value.
        names: for each point, the path of its ε; of a point in a scan, the paths of its steps, in their order.
        has_aux: whether `fun` gives aux.
    """

    fun: Callable
    args: tuple[Any, Any, Any]
    displaced: Callable
    names: dict[str, Any]
    has_aux: bool = False

    def value_and_grad(self):
        """The loss and its gradient with respect to the parameters, by JAX."""
        value, grads = jax.jit(jax.value_and_grad(self.fun, has_aux=self.has_aux))(*self.args)
        return (value[0] if self.has_aux else value), grads


class Places:
    """The values of a run that are given a path. To each an ε is added, once there are any."""

    def __init__(self, epsilons=None):
        self.epsilons = epsilons
        self.values = {}

    def __call__(self, path, value):
        """`value`, or a tree of them, displaced: the leaves of a tree are `path:0`, `path:1`...; a second value of one
        path is `path#2`. A leaf that a tree holds twice is one value."""
        leaves, tree = jax.tree.flatten(value)
        path = _free_name(path, {taken.partition(":")[0] for taken in self.values})
        distinct = list({id(leaf): leaf for leaf in leaves}.values())
        moved = {}
        for i, leaf in enumerate(distinct):
            moved[id(leaf)] = self._move(path if len(distinct) == 1 else f"{path}:{i}", leaf)
        return tree.unflatten([moved[id(leaf)] for leaf in leaves])

    def _move(self, path, leaf):
        if self.epsilons is not None:
            leaf = leaf + self.epsilons[path]
        self.values[path] = leaf
        return leaf


class Oracle:
    """Outputs and deltas of a model by path, by plain `jax.grad` with respect to the ε."""

    def __init__(self, model):
        def loss_and_values(epsilons):
            at = Places(epsilons)
            return model.displaced(at, *model.args), at.values

        def shapes():
            at = Places()
            model.displaced(at, *model.args)
            return at.values

        self.zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(shapes))
        self.loss = jax.jit(lambda epsilons: loss_and_values(epsilons)[0])
        both = jax.jit(jax.value_and_grad(loss_and_values, has_aux=True))
        (self.value, self.outputs), self.deltas = both(self.zeros)

    def output(self, where):
        """The value at a path, or at those of the steps of a scan."""
        return _stacked(self.outputs, where)

    def delta(self, where):
        """δ at a path, or at those of the steps of a scan."""
        return _stacked(self.deltas, where)


def _stacked(values, where):
    return np.asarray(values[where]) if isinstance(where, str) else np.stack([values[path] for path in where])


def check_oracle(model):
    """The oracle's loss is that of the model, and its deltas are those of finite differences along random moves."""
    oracle = Oracle(model)
    value = jax.jit(model.fun)(*model.args)
    np.testing.assert_allclose(oracle.value, value[0] if model.has_aux else value, rtol=1e-12)
    _check_directions(oracle.loss, oracle.zeros, oracle.deltas)
    used = {path for where in model.names.values() for path in ([where] if isinstance(where, str) else where)}
    assert used == set(oracle.deltas)


def _check_directions(loss, at, gradient, step=1e-6):
    for seed in range(3):
        random = np.random.default_rng(seed)
        move = jax.tree.map(lambda a: random.normal(size=a.shape), at)
        ahead, behind = (loss(jax.tree.map(lambda a, m, s=s: a + s * m, at, move)) for s in (step, -step))
        predicted = sum(np.vdot(g, m) for g, m in zip(jax.tree.leaves(gradient), jax.tree.leaves(move), strict=True))
        np.testing.assert_allclose((ahead - behind) / (2 * step), predicted, rtol=1e-6)


def entered(fun, *args):
    """Every `jax.named_scope` that computes something in `fun`, once for each time it is entered, by its full name.

    A scope entered again under the same parent is `name#2`. What is inside of loops without a known number of steps and
    of custom derivative rules is left out.
    """
    names: dict[Any, str] = {}
    for scopes in _scopes(jax.make_jaxpr(fun)(*args).jaxpr):
        for depth, (_, _, name) in enumerate(scopes, 1):
            entry = tuple((id(scope), site) for scope, site, _ in scopes[:depth])
            if entry not in names:
                parent = names.get(entry[:-1])
                names[entry] = _free_name(name if parent is None else f"{parent}/{name}", names.values())
    return set(names.values())


def _free_name(name, taken):
    return next(n for n in (name, *(f"{name}#{i}" for i in range(2, 99))) if n not in taken)


_ENTERED = ("jit", "pjit", "scan", "checkpoint", "remat", "remat2", "cond")


def _scopes(jaxpr, around=(), site=()):
    """For each equation, the scopes around it: the object, which is another at each entry, where it was read, its name."""
    for index, eqn in enumerate(jaxpr.eqns):
        stack = eqn.source_info.name_stack.stack
        scopes = (*around, *((s, site, s.name) for s in stack if type(s).__name__ == "Scope"))
        yield scopes
        if eqn.primitive.name in _ENTERED:
            for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_jaxpr):
                if _is_jaxpr(inner):
                    yield from _scopes(getattr(inner, "jaxpr", inner), scopes, (*site, index))


def _is_jaxpr(value):
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


def drawn(init, *args):
    """Random values in float64 for the parameters that `init(*args)` would give: what starts as zeros or ones tests little."""
    random = np.random.default_rng(1)
    draw = lambda shape: jnp.asarray(0.5 * random.normal(size=shape.shape))
    return jax.tree.map(draw, jax.eval_shape(init, *args))


@contextlib.contextmanager
def importing():
    """The libraries may use what JAX deprecates: while they are imported, a warning is none of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
