"""Models of Haiku, unedited: every method of a module is a scope."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oracle import Model, check_bits, check_oracle, check_walk, drawn, entered, importing

with importing():
    import haiku as hk

pytestmark = pytest.mark.usefixtures("float64", "relaxed")


def squared(result, y):
    return jnp.sum((result - y) ** 2)


def intercepted(at, path=lambda context: context.module.module_name, methods=("__call__",)):
    """The output of every call of these methods of modules has an ε, at its `path`, unless that is None."""

    def add(next_fun, args, kwargs, context):
        out = next_fun(*args, **kwargs)
        where = path(context) if context.method_name in methods else None
        return out if where is None else at(where, out)

    return hk.intercept_methods(add)


# ResNet18: its blocks, with few channels -----------------------------------------------------------------------

CONFIG = {**hk.nets.ResNet.CONFIGS[18], "channels_per_group": (2, 2, 3, 3)}
STEM = {"output_channels": 2, "kernel_shape": 3, "stride": 1}


def resnet18(x):
    logits = {"w_init": hk.initializers.RandomNormal()}
    net = hk.nets.ResNet(num_classes=3, initial_conv_config=STEM, logits_config=logits, **CONFIG)
    return net(x, is_training=True)


def block_modules(group, block):
    projects = group > 0 and block == 0
    parts = ["shortcut_conv", "shortcut_batchnorm"] if projects else []
    return [*parts, "conv_0", "batchnorm_0", "conv_1", "batchnorm_1"]


def resnet_modules():
    yield from ("initial_conv", "initial_batchnorm")
    for group in range(4):
        for block in range(2):
            yield from (f"block_group_{group}/block_{block}/{part}" for part in block_modules(group, block))
            yield f"block_group_{group}/block_{block}"
        yield f"block_group_{group}"
    yield "logits"


@functools.cache
def resnet():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(4, 8, 8, 3)), random.normal(size=(4, 3))  # two data of one pixel norm to -1 and 1
    init, apply = hk.transform_with_state(resnet18)
    params, state = jax.eval_shape(init, jax.random.key(0), x)
    state = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), state)
    params = drawn(lambda: params)

    def fun(params, x, y):
        result, _ = apply(params, state, None, x)
        return squared(result, y)

    def displaced(at, params, x, y):
        averages = ("mean_ema", "var_ema")
        path = lambda c: None if c.module.name in averages else c.module.module_name.replace("/~", "")
        with intercepted(at, path):
            return fun(params, x, y)

    names = [*(f"res_net/{module}" for module in resnet_modules()), "res_net"]
    return Model(fun, (params, x, y), displaced, {name: name for name in names})


# An LSTM over time, between two linear layers --------------------------------------------------------------------

STEPS = 5


def steps(path, part=""):
    return [f"{path}{f'#{i}' if i > 1 else ''}{part}" for i in range(1, STEPS + 1)]


@functools.cache
def lstm():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(STEPS, 2, 3)), random.normal(size=(2, 2))

    def recurrent(unroll):
        def network(x):
            core = hk.LSTM(4)
            results, _ = unroll(core, hk.Linear(3, name="before")(x), core.initial_state(x.shape[1]))
            return hk.Linear(2, name="after")(results[-1])

        return hk.without_apply_rng(hk.transform(network))

    init, apply = recurrent(hk.dynamic_unroll)
    params = drawn(init, jax.random.key(0), x)

    def displaced(at, params, x, y):
        path = lambda context: context.module.name + "." + context.method_name
        with intercepted(at, path, ("__call__", "initial_state")):
            return squared(recurrent(hk.static_unroll).apply(params, x), y)

    # Haiku has the hidden state before the cell state; the cell computes it after. That one has a test of its own.
    names = {"before": "before.__call__", "after": "after.__call__", "lstm/linear": steps("linear.__call__")}
    names |= {"lstm:1": steps("lstm.__call__", ":0")}
    names |= {f"initial_state{lstm}:{i}": f"lstm.initial_state:{i}" for lstm in ("/lstm", "") for i in (0, 1)}
    return Model(lambda params, x, y: squared(apply(params, x), y), (params, x, y), displaced, names)


# A module called from another's method, twice, and its method beside `__call__` ---------------------------------


class Encoder(hk.Module):
    def __init__(self):
        super().__init__(name="encoder")
        self.linear = hk.Linear(3)

    def __call__(self, x):
        return self.linear(jnp.tanh(self.linear(x)))

    def half(self, x):
        return jnp.sin(self.linear(x))


@functools.cache
def shared():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 3)), random.normal(size=(2, 3))

    def network(x):
        encoder = Encoder()
        x = encoder.half(x)
        return hk.Sequential([encoder, jax.nn.relu, hk.Linear(3, name="last"), encoder])(x)

    init, apply = hk.without_apply_rng(hk.transform(network))
    fun = lambda params, x, y: squared(apply(params, x), y)

    def displaced(at, params, x, y):
        path = lambda context: f"{context.module.name}.{context.method_name}"
        with intercepted(at, path, ("__call__", "half")):
            return fun(params, x, y)

    half = {"half/encoder/linear": "linear.__call__", "half/encoder": "encoder.half", "half": "encoder.half"}
    names = half | {
        "sequential/encoder/linear": "linear.__call__#2",
        "sequential/encoder/linear#2": "linear.__call__#3",
        "sequential/encoder": "encoder.__call__",
        "sequential/last": "last.__call__",
        "sequential/encoder#2/linear": "linear.__call__#4",
        "sequential/encoder#2/linear#2": "linear.__call__#5",
        "sequential/encoder#2": "encoder.__call__#2",
        "sequential": "sequential.__call__",
    }
    return Model(fun, (drawn(init, jax.random.key(0), x), x, y), displaced, names)


@pytest.mark.parametrize("build", [resnet, lstm, shared])
def test_oracle(build):
    check_oracle(build())


@pytest.mark.parametrize("build", [resnet, lstm, shared])
def test_every_scope_is_a_module(build):
    model = build()
    averages = {name for name in entered(model.fun, *model.args) if name.endswith("_ema")}
    assert entered(model.fun, *model.args) - averages == {name.partition(":")[0] for name in model.names}


def test_walk_of_a_resnet():
    check_walk(resnet(), beside=["*/mean_ema:?", "*/var_ema:?"])


def test_walk_of_an_lstm():
    """The cell state c is read in the cell too, which makes the hidden state h = s·tanh(c) of it; both leave the cell.

    The ε of the oracle is added after the cell, where h is made already: its δ of h times ∂h/∂c is what it lacks.
    """
    walk, oracle = check_walk(lstm(), beside=["lstm:0"]), lstm().oracle
    c, h = (oracle.output(steps("lstm.__call__", part)) for part in (":1", ":0"))
    after, of_h = (oracle.delta(steps("lstm.__call__", part)) for part in (":1", ":0"))
    np.testing.assert_allclose(walk.outputs["lstm:0"], c, rtol=1e-10)
    whole = after + of_h * h / np.tanh(c) * (1 - np.tanh(c) ** 2)
    np.testing.assert_allclose(walk.deltas["lstm:0"], whole, rtol=1e-9, atol=1e-13)


def test_walk_of_shared_modules():
    check_walk(shared())
    check_bits(shared())
