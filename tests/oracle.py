"""Models of other libraries, each with an oracle that does not use jaxwalk: an ε is added at every module's output."""

import contextlib
import dataclasses
import fnmatch
import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxwalk as jw
from helpers import assert_trees_equal


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A loss of a model, and what its walk must say.

    Attributes:
        fun: `fun(params, x, y)`, the loss, or the loss and aux.
        args: params, x and y.
        displaced: `displaced(at, params, x, y)`, the same loss (and no aux) by other means, in which `at(path, value)`
            is where an ε is added to a value.
        names: for each point by scopes, the path of its ε; of a point in a scan, the paths of its steps, in order.
        lines: as `names`, by lines.
        has_aux: whether `fun` gives aux.
    """

    fun: Callable
    args: tuple[Any, Any, Any]
    displaced: Callable
    names: Mapping[str, Any]
    lines: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    has_aux: bool = False

    def gradient(self):
        """A function like `fun` that gives (value, aux or None) and the gradient with respect to the parameters."""
        fun = self.fun if self.has_aux else lambda *args: (self.fun(*args), None)
        return jax.value_and_grad(fun, has_aux=True)

    @functools.cached_property
    def expected(self):
        """What `gradient` gives."""
        return jax.jit(self.gradient())(*self.args)

    @functools.cached_property
    def oracle(self):
        """Its `Oracle`."""
        return Oracle(self)


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
        self.gradient = jax.jit(jax.value_and_grad(loss_and_values, has_aux=True))
        (self.value, self.outputs), self.deltas = self.gradient(self.zeros)

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
    oracle = model.oracle
    (value, _), _ = model.expected
    np.testing.assert_allclose(oracle.value, value, rtol=1e-12)
    for seed in range(3):
        _check_direction(oracle, _normal(oracle.zeros, seed))


def _check_direction(oracle, move, step=1e-7):
    (ahead, _), _ = oracle.gradient(jax.tree.map(lambda m: step * m, move))
    (behind, _), _ = oracle.gradient(jax.tree.map(lambda m: -step * m, move))
    slope = sum(jax.tree.leaves(jax.tree.map(np.vdot, oracle.deltas, move)))
    np.testing.assert_allclose((ahead - behind) / (2 * step), slope, rtol=1e-6)


def check_walk(model, by="scopes", beside=()):
    """A walk's value, aux and gradients are those of JAX; its outputs and deltas those of the oracle, at every point.

    Returns the walk. `beside`: patterns of names of points for which the oracle has no ε.
    """
    walk = jax.jit(jw.walk(model.fun, by=by, argnums=0, has_aux=model.has_aux))(*model.args)
    expected, grads = model.expected
    _close((walk.value, walk.aux), expected)
    _close(walk.grads, grads)
    names = model.lines if by == "lines" else model.names
    can_be_asked = walk.points.where(lambda point: point.opaque is None)
    others = {name for name in can_be_asked if any(fnmatch.fnmatchcase(name, pattern) for pattern in beside)}
    assert set(names) == set(can_be_asked) - others
    for name, where in names.items():
        _close(walk.outputs[name], model.oracle.output(where))
        _close(walk.deltas[name], model.oracle.delta(where))
    return walk


def check_bits(model, by="scopes"):
    """Op by op, the value, the aux and the gradients of a walk are those of JAX, bit for bit.

    Of JAX on the function as traced: jax 0.12 adds up a gradient in another order once it has traced the function.
    """
    walk = jw.walk(model.fun, by=by, argnums=0, has_aux=model.has_aux)(*model.args)
    traced, shapes = jax.make_jaxpr(model.fun, return_shape=True)(*model.args)

    def fun(*args):
        leaves = jax.core.eval_jaxpr(traced.jaxpr, traced.consts, *jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), leaves)

    by_jax = jax.value_and_grad(fun, has_aux=model.has_aux)(*model.args)
    value = (walk.value, walk.aux) if model.has_aux else walk.value
    assert_trees_equal((value, walk.grads), by_jax)


def _close(one, other):
    """Equal but for rounding, also where a value is zero but for rounding."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    scale = max(np.max(np.abs(leaf), initial=0.0) for leaf in jax.tree.leaves(other))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13 * scale)


def _normal(shapes, seed):
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda shape: jnp.asarray(random.normal(size=shape.shape)), shapes)


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
    """For each equation, the scopes around it: an object, another at each entry; where it was read; its name."""
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
    """Random parameters in float64, like those that `init(*args)` would give: what starts as zeros tests little."""
    return jax.tree.map(lambda p: 0.5 * p, _normal(jax.eval_shape(init, *args), 0))


@contextlib.contextmanager
def importing():
    """The libraries may use what JAX deprecates: while they are imported, a warning is none of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# Kinks ----------------------------------------------------------------------------------------------------


def _loss(model):
    return (lambda *args: model.fun(*args)[0]) if model.has_aux else model.fun


def check_no_kinks(model, choices):
    """At random data rounding decides none of the model's choices."""
    found = jw.kinks(jax.jit(_loss(model)), *model.args)
    assert (list(found), found.decisions, found.notes) == ([], choices, ())


def check_kinks_of_zeros(model, points):
    """A model of zeros stands on the kink of every relu, which the walk has at `points`, by which it chooses."""
    params, *data = model.args
    args = jax.tree.map(jnp.zeros_like, params), *data
    for around in (lambda f: f, jax.jit):
        found = jw.kinks(around(_loss(model)), *args)
        assert [(k.operation, k.kind, k.point) for k in found] == [("relu", "tie", point) for point in points]
        assert all(len(k) == k.size for k in found)
    walk = jw.walk(model.fun, has_aux=model.has_aux)(*args).with_kinks(found)
    assert {name for name in walk.points if found.at(name)} >= {*points}


def check_kinks_of_padding(model):
    """Without biases, a datum of zeros is on every kink, and no other is: so in a batch, as in each datum alone."""
    params, x, y = model.args
    params = jax.tree.map(lambda p: p if p.ndim > 1 else 0 * p, params)
    xs = np.stack([x, 0 * x, 2 * x])
    first, padding, last = [jw.kinks(_loss(model), params, x, y) for x in xs]
    assert not first
    assert padding
    assert not last
    for around in (lambda f: f, jax.jit):
        batched = jw.kinks(around(jax.vmap(_loss(model), (None, 0, None))), params, xs, y)
        assert [k.entries[:, 0].tolist() for k in batched] == [[1] * len(k) for k in padding]
        alone = [k.entries[:, 1:].tolist() for k in batched], [(k.operation, k.point, k.kind) for k in batched]
        assert alone == ([k.entries.tolist() for k in padding], [(k.operation, k.point, k.kind) for k in padding])
