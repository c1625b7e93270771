"""`jw.scoped`: modules open a scope named by their path, and are otherwise the modules they were."""

import collections
import copy
import dataclasses
import inspect
import io
import pickle
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax import lax

import jaxwalk as jw
from jaxwalk._jax.origin import ROOT

KEYS = jax.random.split(jax.random.key(0), 8)
X = jnp.array([0.3, -0.7])
XS = jnp.array([[0.3, -0.7], [1.1, 0.4]])


def _inner(eqn):
    for value in eqn.params.values():
        for item in value if isinstance(value, (tuple, list)) else [value]:
            if hasattr(item, "eqns") or hasattr(item, "jaxpr"):
                yield getattr(item, "jaxpr", item)


def _stacks(jaxpr, around=""):
    for eqn in jaxpr.eqns:
        stack = f"{around}/{eqn.source_info.name_stack}"
        yield stack
        for inner in _inner(eqn):
            yield from _stacks(inner, stack)


def scopes(fun, *args):
    """The rooted scopes in what `fun` computes at `args`, each once, in the order in which they are met."""
    closed = eqx.filter_make_jaxpr(lambda *args: fun(*args))(*args)[0]  # as an argument, `fun` would be flattened
    parts = [part.rstrip(")").split("(")[-1] for stack in _stacks(closed.jaxpr) for part in stack.split("/")]
    return list(dict.fromkeys(part for part in parts if part.startswith(ROOT)))


def nnx_scopes(module, *args):
    """The same of an NNX module: its state goes in as an argument."""
    graphdef, state = nnx.split(module)
    return scopes(lambda state, *args: nnx.merge(graphdef, state)(*args), state, *args)


def same(a, b):
    """Whether two pytrees of arrays are equal, bit for bit."""
    pairs = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    return all(np.asarray(u).tobytes() == np.asarray(v).tobytes() for u, v in pairs) and bool(pairs)


class Gain(eqx.Module):
    gain: jax.Array

    def __call__(self, x):
        return self.gain * x


class Block(eqx.Module):
    """Submodules in every kind of place, and attributes that are no modules."""

    layers: list
    heads: dict
    pair: tuple
    still: eqx.nn.Linear
    act: collections.abc.Callable
    label: str = eqx.field(static=True)

    def __init__(self, label="a"):
        dense = [eqx.nn.Linear(2, 2, key=key) for key in KEYS]
        self.layers = [dense[0], jnp.tanh, dense[1]]
        self.heads = {"left": dense[2], "right": dense[3]}
        self.pair = (Gain(jnp.float32(2.0)), (dense[4],))
        self.still = dense[5]
        self.act = jax.nn.relu
        self.label = label

    def __call__(self, x, *, scale=1.0, key=None):
        for layer in self.layers:
            x = layer(x)
        for head in self.heads.values():
            x = x + head(x)
        if key is not None:
            x = x + jax.random.normal(key, x.shape)
        return self.act(self.pair[1][0](self.pair[0](x))) * scale

    def peek(self, x):
        return self.layers[0](x)


BLOCK = [".layers.0", ".layers.2", ".heads.left", ".heads.right", ".pair.0", ".pair.1.0"]


class Net(nnx.Module):
    def __init__(self, rngs):
        dense = lambda: nnx.Linear(2, 2, rngs=rngs)
        self.first = dense()
        self.layers = nnx.List([dense(), jnp.tanh, dense()])
        self.heads = nnx.Dict(left=dense(), right=dense())
        self.tree = nnx.data({"a": [dense()], "z": (dense(),)})
        self.seq = nnx.Sequential(dense(), nnx.relu, nnx.BatchNorm(2, rngs=rngs))
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.still = dense()

    def __call__(self, x, *, scale=1.0):
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        for head in self.heads.values():
            x = x + head(x)
        for (layer,) in self.tree.values():
            x = layer(x)
        return self.drop(self.seq(x)) * scale


NET = [
    *(".Net", ".first", ".layers.0", ".layers.2", ".heads.left", ".heads.right", ".tree.a.0", ".tree.z.0"),
    *(".seq", ".seq.layers.0", ".seq.layers.2", ".drop"),
]

EQUINOX = {
    "own": (Block, (X,)),
    "mlp": (lambda: eqx.nn.MLP(2, 2, 3, 2, key=KEYS[0]), (X,)),
    "prelu": (lambda: eqx.nn.MLP(2, 2, 3, 1, activation=eqx.nn.PReLU(), key=KEYS[0]), (X,)),
    "gru": (lambda: eqx.nn.GRUCell(2, 2, key=KEYS[0]), (X, X)),
    "attention": (lambda: eqx.nn.MultiheadAttention(2, 2, key=KEYS[0]), (XS, XS, XS)),
    "conv": (lambda: eqx.nn.Conv1d(2, 2, 1, key=KEYS[0]), (XS,)),
    "shared": (lambda: Tied(), (X,)),
}
FLAX = {
    "own": (lambda: Net(nnx.Rngs(0)), (XS,)),
    "mha": (lambda: nnx.MultiHeadAttention(2, 2, decode=False, rngs=nnx.Rngs(0)), (XS,)),
    "rnn": (lambda: nnx.RNN(nnx.GRUCell(2, 2, rngs=nnx.Rngs(0))), (XS[None],)),
    "norm": (lambda: nnx.LayerNorm(2, rngs=nnx.Rngs(0)), (XS,)),
}


class Tied(eqx.Module):
    shared: eqx.nn.Shared

    def __init__(self):
        pair = (eqx.nn.Linear(2, 2, key=KEYS[0]), eqx.nn.Linear(2, 2, key=KEYS[1]))
        self.shared = eqx.nn.Shared(pair, lambda pair: pair[1].weight, lambda pair: pair[0].weight)

    def __call__(self, x):
        first, second = self.shared()
        return second(first(x))


# names --------------------------------------------------------------------------------------------------------------


def test_equinox_paths_through_lists_dicts_and_tuples():
    assert scopes(jw.scoped(Block()), X) == [".Block", *BLOCK]
    assert scopes(jw.scoped(Block(), name="actor"), X) == [".actor"] + [f".actor{path}" for path in BLOCK]


def test_equinox_layers_of_layers():
    assert scopes(jw.scoped(EQUINOX["mlp"][0]()), X) == [".MLP", ".layers.0", ".layers.1", ".layers.2"]
    assert ".activation" in scopes(jw.scoped(EQUINOX["prelu"][0]()), X)
    attention = jw.scoped(EQUINOX["attention"][0](), name="att")
    assert scopes(attention, XS, XS, XS)[:4] == [".att", ".att.query_proj", ".att.key_proj", ".att.value_proj"]
    assert scopes(jw.scoped(Tied()), X) == [".Tied", ".shared.pytree.0", ".shared.pytree.1"]
    sequential = eqx.nn.Sequential([eqx.nn.Linear(2, 2, key=KEYS[0]), eqx.nn.Lambda(jnp.tanh)])
    assert scopes(jw.scoped(sequential), X) == [".Sequential", ".layers.0", ".layers.1"]


def test_nnx_paths_through_lists_dicts_and_pytrees():
    assert nnx_scopes(jw.scoped(Net(nnx.Rngs(0))), XS) == NET
    named = jw.scoped(Net(nnx.Rngs(0)), name="net")
    assert nnx_scopes(named, XS) == [".net"] + [f".net{path}" for path in NET[1:]]


def test_nnx_layers_of_layers():
    paths = nnx_scopes(jw.scoped(FLAX["rnn"][0]()), XS[None])
    assert paths[0] == ".RNN"
    assert {".cell", ".cell.dense_i", ".cell.dense_h"} <= set(paths)  # inside a scan
    assert nnx_scopes(jw.scoped(FLAX["mha"][0]()), XS)[1:] == [".query", ".key", ".value", ".out"]


def test_a_submodule_called_alone_has_its_path():
    assert scopes(jw.scoped(Block()).layers[2], X) == [".layers.2"]
    assert scopes(jw.scoped(Block()).peek, X) == [".layers.0"]


def test_scopes_open_around_those_of_the_library():
    (first, *_) = jax.make_jaxpr(jw.scoped(EQUINOX["mlp"][0]()))(X).eqns
    assert str(first.source_info.name_stack) == ".MLP/eqx.nn.MLP/.layers.0/eqx.nn.Linear"


def test_other_pytrees_and_static_fields_hold_modules_too():
    Pair = collections.namedtuple("Pair", "up down")
    plain = Gain(jnp.float32(2.0))

    class Holder(eqx.Module):
        pair: Pair
        table: collections.defaultdict
        none: None
        still: eqx.Module = eqx.field(static=True)

        def __call__(self, x):
            x = self.pair.down(self.pair.up(x))
            for layer in self.table.values():
                x = layer(x)
            return self.still(x)

    class Half(eqx.Module):
        def __call__(self, x):
            return x / 2

    holder = Holder(Pair(plain, plain), collections.defaultdict(list, z=plain, a=plain), None, Half())
    model = jw.scoped(holder)
    assert type(model.pair) is Pair
    assert model.table.default_factory is list
    assert scopes(model, X) == [".Holder", ".pair.up", ".pair.down", ".table.z", ".table.a", ".still"]
    assert same(model(X), holder(X))


def test_modules_without_a_call_are_containers():
    class Bag(eqx.Module):
        inside: Gain
        alone: eqx.nn.StateIndex

    class Box(nnx.Module):
        def __init__(self):
            self.inside = nnx.Linear(2, 2, rngs=nnx.Rngs(0))

    bag = Bag(Gain(jnp.float32(2.0)), eqx.nn.StateIndex(jnp.float32(0.0)))
    scoped = jw.scoped(bag)
    assert type(scoped) is Bag
    assert scoped.alone is bag.alone
    assert scopes(scoped.inside, X) == [".inside"]
    assert type(jw.scoped(Box())) is Box
    assert nnx_scopes(jw.scoped(Box()).inside, XS) == [".inside"]


def test_one_library_inside_the_other():
    class Mixed(eqx.Module):
        inner: nnx.Module
        layers: list

        def __call__(self, x):
            return self.layers[0](self.inner(x[None])[0])

    mixed = Mixed(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), [Gain(jnp.float32(2.0))])
    assert scopes(jw.scoped(mixed), X) == [".Mixed", ".inner", ".layers.0"]


# the same model -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", EQUINOX)
def test_equinox_values_and_gradients_bit_for_bit(case):
    make, args = EQUINOX[case]
    model = make()
    scoped = jw.scoped(model)
    assert all(a is b for a, b in zip(jax.tree.leaves(scoped), jax.tree.leaves(model), strict=True))
    loss = lambda model, *args: jnp.sum(model(*args) ** 2)
    assert same(eqx.filter_value_and_grad(loss)(scoped, *args), eqx.filter_value_and_grad(loss)(model, *args))
    assert repr(scoped) == repr(model)
    assert scopes(scoped, *args)
    assert scopes(model, *args) == []  # the model given is not changed


@pytest.mark.parametrize("case", FLAX)
def test_nnx_values_and_gradients_bit_for_bit(case):
    make, args = FLAX[case]
    model, scoped = make(), jw.scoped(make())  # two: calls count random numbers
    loss = lambda model, *args: jnp.sum(model(*args) ** 2)
    assert same(nnx.value_and_grad(loss)(scoped, *args), nnx.value_and_grad(loss)(model, *args))
    assert same(nnx.state(scoped, nnx.Not(nnx.RngKey)), nnx.state(model, nnx.Not(nnx.RngKey)))
    assert repr(jw.scoped(model)) == repr(model)
    assert nnx_scopes(model, *args) == []


def test_nnx_variables_and_rngs_are_the_models():
    model = Net(nnx.Rngs(0))
    scoped = jw.scoped(model)
    variables = lambda m: [v for _, v in nnx.iter_graph(m) if isinstance(v, nnx.Variable)]
    assert [id(v) for v in variables(scoped)] == [id(v) for v in variables(model)]
    assert len(variables(model)) > 10
    assert scoped.drop.rngs is model.drop.rngs
    assert scoped.first is not model.first
    scoped.first.kernel[...] = jnp.zeros((2, 2))
    assert float(jnp.abs(model.first.kernel[...]).sum()) == 0.0


def test_nnx_variables_stay_the_models_whatever_they_hold():
    class Holder(nnx.Module):
        def __init__(self):
            self.inner = nnx.Variable(Gain(jnp.float32(2.0)))

        def __call__(self, x):
            return self.inner.get_value()(x)

    model = Holder()
    assert jw.scoped(model).inner is model.inner


def test_attributes_methods_classes_and_signatures_stay():
    model, net = jw.scoped(Block("b")), jw.scoped(Net(nnx.Rngs(0)))
    assert isinstance(model, Block)
    assert isinstance(model.layers[0], eqx.nn.Linear)
    assert isinstance(net.seq, nnx.Sequential)
    assert (model.label, model.act, model.layers[1]) == ("b", jax.nn.relu, jnp.tanh)
    assert list(model.heads) == ["left", "right"]
    unsorted = nnx.Dict(z=net.first, a=net.still)
    assert list(jw.scoped(unsorted)) == ["z", "a"]
    assert inspect.signature(model) == inspect.signature(Block())
    assert inspect.signature(net) == inspect.signature(Net(nnx.Rngs(0)))
    assert (type(model).__name__, type(model).__module__, type(model).__doc__) == ("Block", __name__, Block.__doc__)
    assert same(model.peek(X), Block().peek(X))
    assert same(model(X, scale=3.0, key=KEYS[0]), Block()(X, scale=3.0, key=KEYS[0]))
    assert dataclasses.replace(jw.scoped(Gain(jnp.float32(1.0))), gain=jnp.float32(3.0)).gain == 3.0


def test_state_of_equinox():
    class Normed(eqx.Module):
        norm: eqx.nn.BatchNorm
        layers: eqx.nn.Sequential

        def __init__(self):
            self.norm = eqx.nn.BatchNorm(2, axis_name="batch", mode="batch")
            inner = eqx.nn.BatchNorm(2, axis_name="batch", mode="batch")
            self.layers = eqx.nn.Sequential([eqx.nn.Linear(2, 2, key=KEYS[0]), inner])

        def __call__(self, x, state):
            x, state = self.norm(x, state)
            return self.layers(x, state)

    model, state = eqx.nn.make_with_state(Normed)()
    scoped, again = jw.scoped(model), jax.tree.map(lambda x: x, state)
    run = lambda model, state: jax.vmap(model, in_axes=(0, None), out_axes=(0, None), axis_name="batch")(XS, state)
    assert scopes(run, scoped, jax.tree.map(lambda x: x, state)) == [".Normed", ".norm", ".layers", *LAYERS]
    assert same(run(scoped, state), run(model, again))
    frozen = eqx.nn.inference_mode(scoped)
    assert (frozen.norm.inference, scoped.norm.inference, type(frozen.norm)) == (True, False, type(scoped.norm))


LAYERS = [".layers.layers.0", ".layers.layers.1"]


def test_calls_that_are_transformed():
    class Jitted(eqx.Module):
        dense: eqx.nn.Linear

        @eqx.filter_jit
        def __call__(self, x, *, scale=1.0):
            return self.dense(x) * scale

    class NnxJitted(nnx.Module):
        def __init__(self):
            self.dense = nnx.Linear(2, 2, rngs=nnx.Rngs(0))

        @nnx.jit
        def __call__(self, x):
            return self.dense(x)

    assert scopes(jw.scoped(Jitted(eqx.nn.Linear(2, 2, key=KEYS[0]))), X) == [".Jitted", ".dense"]
    assert nnx_scopes(jw.scoped(NnxJitted()), XS) == [".NnxJitted", ".dense"]
    assert "scale" in inspect.signature(jw.scoped(Jitted(eqx.nn.Linear(2, 2, key=KEYS[0])))).parameters


# transforms ---------------------------------------------------------------------------------------------------------


def _scanned(model, x):
    return lax.scan(lambda x, _: (model(x), None), x, None, length=3)[0]


def _stacked(model, x):
    """A scan over the stacked weights of three models."""
    three = jax.tree.map(lambda w: jnp.stack([w, w, w]) if eqx.is_array(w) else w, model)
    weights, static = eqx.partition(three, eqx.is_array)
    return lax.scan(lambda x, weights: (eqx.combine(weights, static)(x), None), x, weights)[0]


THROUGH = {
    "jit": lambda model, x: eqx.filter_jit(model)(x),
    "plain jit": lambda model, x: jax.jit(lambda x: model(x))(x),
    "jit of the model": lambda model, x: eqx.filter_jit(lambda model, x: model(x))(model, x),
    "vmap": lambda model, x: jax.vmap(model)(jnp.stack([x, x])),
    "filter_vmap": lambda model, x: eqx.filter_vmap(model)(jnp.stack([x, x])),
    "grad": lambda model, x: eqx.filter_grad(lambda model: model(x).sum())(model),
    "jit of grad of vmap": lambda model, x: jax.jit(jax.grad(lambda x: jax.vmap(model)(x).sum()))(jnp.stack([x, x])),
    "checkpoint": lambda model, x: jax.grad(lambda x: jax.checkpoint(lambda x: model(x))(x).sum())(x),
    "scan": _scanned,
    "scan of weights": _stacked,
    "partition, combine": lambda model, x: eqx.combine(*eqx.partition(model, eqx.is_array))(x),
    "tree_at": lambda model, x: eqx.tree_at(lambda m: m.layers[0].weight, model, jnp.eye(2))(x),
    "tree.map": lambda model, x: jax.tree.map(lambda w: w * 2 if eqx.is_array(w) else w, model)(x),
    "deepcopy": lambda model, x: copy.deepcopy(model)(x),
    "copy": lambda model, x: copy.copy(model)(x),
}


@pytest.mark.parametrize("case", THROUGH)
def test_equinox_scopes_through(case):
    through = THROUGH[case]
    assert scopes(through, jw.scoped(Block()), X) == [".Block", *BLOCK]
    assert same(eqx.filter(through(jw.scoped(Block()), X), eqx.is_array), eqx.filter(through(Block(), X), eqx.is_array))


def _loss(model, xs):
    return jnp.sum(model(xs) ** 2)


NNX_THROUGH = {
    "merge": lambda model, xs: model(xs),
    "jit": lambda model, xs: nnx.jit(lambda model, xs: model(xs))(model, xs),
    "grad": lambda model, xs: nnx.grad(_loss)(model, xs),
    "jit of grad": lambda model, xs: nnx.jit(nnx.grad(_loss))(model, xs),
    "vmap": lambda model, xs: nnx.vmap(lambda model, xs: model(xs), in_axes=(None, 0))(model, xs[None]),
    "scan": lambda model, xs: nnx.scan(
        lambda xs, model: model(xs), in_axes=(nnx.Carry, None), out_axes=nnx.Carry, length=3
    )(xs, model),
    "deepcopy": lambda model, xs: copy.deepcopy(model)(xs),
    "clone": lambda model, xs: nnx.clone(model)(xs),
    "state": lambda model, xs: nnx.merge(*nnx.split(model, nnx.Param, ...))(xs),
}


@pytest.mark.parametrize("case", NNX_THROUGH)
def test_nnx_scopes_through(case):
    class Small(nnx.Module):
        def __init__(self):
            self.layers = nnx.List([nnx.Linear(2, 2, rngs=nnx.Rngs(i)) for i in range(2)])
            self.norm = nnx.LayerNorm(2, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.norm(self.layers[1](jnp.tanh(self.layers[0](x))))

    graphdef, state = nnx.split(jw.scoped(Small()))
    through = lambda state, xs: jax.tree.leaves(NNX_THROUGH[case](nnx.merge(graphdef, state), xs))
    assert scopes(through, state, XS) == [".Small", ".layers.0", ".layers.1", ".norm"]
    assert same(through(state, XS), jax.tree.leaves(NNX_THROUGH[case](Small(), XS)))


def test_scoping_twice_gives_one_treedef_and_compiles_once():
    traces = []

    @eqx.filter_jit
    def run(model, x):
        traces.append(x)
        return model(x)

    @nnx.jit
    def nnx_run(model, x):
        traces.append(x)
        return model(x)

    model, net = Block(), Net(nnx.Rngs(0))
    assert jax.tree.structure(jw.scoped(model)) == jax.tree.structure(jw.scoped(model))
    assert jax.tree.structure(jw.scoped(model)) != jax.tree.structure(jw.scoped(model, name="b"))
    assert nnx.split(jw.scoped(net))[0] == nnx.split(jw.scoped(net))[0]
    for _ in range(2):
        run(jw.scoped(model), X), nnx_run(jw.scoped(net), XS)
    assert len(traces) == 2
    run(jw.scoped(model, name="b"), X)
    assert len(traces) == 3


def test_two_paths_never_share_a_class():
    model = jw.scoped(Block())
    classes = {type(layer) for layer in (model.layers[0], model.layers[2], *model.heads.values(), model.still)}
    assert len(classes) == 5


def test_files_of_leaves_are_those_of_the_model():
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, Block())
    file.seek(0)
    like = jax.tree.map(lambda w: jnp.zeros_like(w) if eqx.is_array(w) else w, jw.scoped(Block()))
    assert same(eqx.tree_deserialise_leaves(file, like)(X), Block()(X))


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickles(protocol):
    cell = jw.scoped(eqx.nn.GRUCell(2, 2, key=KEYS[0]), name="cell")
    back = pickle.loads(pickle.dumps(cell, protocol))
    assert type(back) is type(cell)
    assert scopes(back, X, X) == [".cell"]
    assert same(back(X, X), cell(X, X))
    dense = jw.scoped(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    back = pickle.loads(pickle.dumps(dense, protocol))
    assert type(back) is type(dense)
    assert same(back(XS), dense(XS))


LOADS = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    model = pickle.load(file)
import jax.numpy as jnp, jaxwalk as jw
first, second = model.layers
x = jnp.ones(first.in_features)
by_hand = second.weight @ (first.weight @ x + first.bias) + second.bias
print(float(abs(model(x) - by_hand).max()) < 1e-6, *jw.points(model, x))
"""


def test_a_pickle_of_before_the_folders_loads_by_itself():
    """It names `jaxwalk._scoped`, which there is no file for; and nothing of jaxwalk is imported when it is loaded."""
    saved = Path(__file__).with_name("saved") / "scoped_equinox.pickle"
    done = subprocess.run([sys.executable, "-c", LOADS, str(saved)], capture_output=True, text=True, check=True)
    names = "layers.0 layers.1 Sequential"
    assert done.stdout.strip() == f"True {names}"


# places -------------------------------------------------------------------------------------------------------------


def test_equinox_a_module_at_two_places_has_two_paths():
    class Twice(eqx.Module):
        first: Gain
        second: Gain

        def __call__(self, x):
            return self.second(self.first(x))

    gain = Gain(jnp.float32(2.0))
    assert scopes(jw.scoped(Twice(gain, gain)), X) == [".Twice", ".first", ".second"]


class Looped(nnx.Module):
    """One module at two places, and a cycle."""

    def __init__(self):
        self.second = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        self.first = self.second
        self.layers = nnx.List([self.second] * 11)
        self.me = self

    def __call__(self, x):
        return self.layers[10](self.second(self.first(x)))


def test_nnx_a_module_at_two_places_stays_one():
    scoped = jw.scoped(Looped())
    assert scoped.me is scoped
    assert scoped.first is scoped.second is scoped.layers[10]
    assert nnx_scopes(scoped, XS) == [".Looped", ".first"]
    assert nnx_scopes(jw.scoped(nnx.merge(*nnx.split(Looped()))), XS) == [".Looped", ".first"]
    assert len(jax.tree.leaves(nnx.split(scoped)[1])) == 2
    assert same(scoped(XS), Looped()(XS))


def test_scoped_again_is_named_anew():
    model, net = Block(), Net(nnx.Rngs(0))
    once = jw.scoped(model)
    assert jw.scoped(once) is once
    assert nnx.split(jw.scoped(jw.scoped(net)))[0] == nnx.split(jw.scoped(net))[0]
    assert scopes(jw.scoped(once, name="b"), X) == [".b"] + [f".b{path}" for path in BLOCK]
    assert scopes(jw.scoped(once.layers[0]), X) == [".Linear"]
    outer = eqx.nn.Sequential([once])
    assert scopes(jw.scoped(outer), X) == [".Sequential", ".layers.0"] + [f".layers.0{path}" for path in BLOCK]


def test_subclass_hooks_of_the_user_are_not_run():
    seen = []

    class Base(eqx.Module):
        def __init_subclass__(cls, *, tag):
            seen.append((cls, tag))

    class Layer(Base, tag="layer"):
        def __call__(self, x):
            return x * 2

    class NnxBase(nnx.Module):
        def __init_subclass__(cls, *, tag):
            super().__init_subclass__()
            seen.append((cls, tag))

    class NnxLayer(NnxBase, tag="nnx"):
        def __init__(self):
            self.scale = nnx.Param(jnp.float32(2.0))

        def __call__(self, x):
            return x * self.scale[...]

    assert scopes(jw.scoped(Layer()), X) == [".Layer"]
    assert nnx_scopes(jw.scoped(NnxLayer()), X) == [".NnxLayer"]
    assert seen == [(Layer, "layer"), (NnxLayer, "nnx")]


def test_what_the_libraries_warn_of_is_not_said_again():
    with pytest.warns(UserWarning, match="__post_init__"):

        class Layer(eqx.Module):
            def __init__(self):
                pass

            def __post_init__(self):
                pass

            def __call__(self, x):
                return x * 2

    assert scopes(jw.scoped(Layer()), X) == [".Layer"]  # a warning would be an error here


def test_scoped_while_tracing():
    weights, static = eqx.partition(Block(), eqx.is_array)
    loss = lambda scope: lambda weights, x: jnp.sum(scope(eqx.combine(weights, static))(x) ** 2)
    assert scopes(jax.jit(jax.grad(loss(jw.scoped))), weights, X) == [".Block", *BLOCK]
    assert same(jax.grad(loss(jw.scoped))(weights, X), jax.grad(loss(lambda model: model))(weights, X))


def test_a_walk_of_a_scoped_model():
    loss = lambda model: lambda x: jnp.sum(jw.tag(model(x), "result") ** 2)
    walk, plain = jw.walk(loss(jw.scoped(Block())))(X), jw.walk(loss(Block()))(X)
    assert same(walk.deltas["result"], plain.deltas["result"])
    assert float(jnp.abs(walk.deltas["result"]).sum()) > 0


def test_nnx_modules_that_are_no_pytrees():
    class Plain(nnx.Module, pytree=False):
        def __init__(self):
            self.layers = [nnx.Linear(2, 2, rngs=nnx.Rngs(0))]

        def __call__(self, x):
            return self.layers[0](x)

    scoped = jw.scoped(Plain())
    assert jax.tree_util.all_leaves([scoped])
    assert nnx_scopes(scoped, XS) == [".Plain", ".layers.0"]


# refusals -----------------------------------------------------------------------------------------------------------

REFUSED = {
    "function": lambda: jnp.tanh,
    "linen": lambda: linen.Dense(2),
    "class": lambda: eqx.nn.Linear,
    "list": lambda: [eqx.nn.Linear(2, 2, key=KEYS[0])],
    "array": lambda: X,
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_what_is_no_module(case):
    with pytest.raises(jw.ArgumentError, match="open scopes by themselves, and elsewhere wrap code in"):
        jw.scoped(REFUSED[case]())


@pytest.mark.parametrize("key", ["a/b", "f(x)", (1, 2)])
def test_refuses_keys_that_cannot_name_a_scope(key):
    class Holder(eqx.Module):
        layers: dict

    with pytest.raises(jw.ArgumentError, match=r"`model` has a module at `layers.*`, which cannot name a scope"):
        jw.scoped(Holder({key: Gain(jnp.float32(2.0))}))
    jw.scoped(Holder({key: jnp.tanh}))  # no module, no scope


def test_refuses_two_modules_of_one_path():
    class Holder(eqx.Module):
        a: dict

    gain = Gain(jnp.float32(2.0))
    with pytest.raises(jw.ArgumentError, match=r"two modules at `a.b.c`, which would be one name; rename"):
        jw.scoped(Holder({"b.c": gain, "b": {"c": gain}}))

    class One(eqx.Module):
        One: Gain

        def __call__(self, x):
            return self.One(x)

    with pytest.raises(jw.ArgumentError, match=r"two modules at `One`, .*`name=\"model\"` in front"):
        jw.scoped(One(gain))
    assert scopes(jw.scoped(One(gain), name="model"), X) == [".model", ".model.One"]


@pytest.mark.parametrize("name", ["", ".a", 3])
def test_refuses_names(name):
    with pytest.raises(jw.ArgumentError, match=r"`name` is .*; it must be a string that is not empty"):
        jw.scoped(Gain(jnp.float32(2.0)), name=name)


def test_refuses_a_name_that_cannot_name_a_scope():
    with pytest.raises(jw.ArgumentError, match=r"`model` has a module at `a/b`, which cannot name a scope"):
        jw.scoped(Gain(jnp.float32(2.0)), name="a/b")


@pytest.mark.once
def test_neither_library_is_imported():
    code = (
        "import sys, jaxwalk as jw\n"
        "try: jw.scoped(len)\n"
        "except jw.ArgumentError: print({'equinox', 'flax'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
