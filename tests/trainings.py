"""Short trainings of small models, watched, for what `jw.health` is to find and not to find."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxwalk as jw


def stacked(seens):
    """The history of some steps that were seen, as `jw.learn` has it."""
    one = seens[0]
    stack = lambda named: jw.Named({k: {n: np.stack([np.asarray(v) for v in vs]) for n, vs in of.items()}
                                    for k, of in _together([getattr(s, named) for s in seens]).items()})  # fmt: skip
    loss = np.array([float(s.loss) for s in seens])
    return jw.History(np.arange(len(seens)), loss, stack("kept"), stack("weights"), one.points, len(seens))


def _together(mappings):
    return {k: {n: [m[k][n] for m in mappings] for n in of} for k, of in mappings[0].items()}


class Training:
    """A watched step, compiled once, and the history of a training by it."""

    def __init__(self, fun, optimizer, by=None, has_aux=False):
        self.optimizer = optimizer
        self.step = jax.jit(jw.watch(fun, optimizer, by=by, has_aux=has_aux))

    def history(self, params, batches, rate=None):
        """`rate`: of an optimizer by `optax.inject_hyperparams`."""
        state, seens = self.optimizer.init(params), []
        if rate is not None:
            state.hyperparams["learning_rate"] = jnp.asarray(rate, jnp.float32)
        for batch in batches:
            params, state, seen = self.step(params, state, *batch)
            seens.append(seen)
        self.params = params
        return stacked(jax.device_get(seens))


AS_IT_SHOULD_BE = {"skip": 1.0, "sharp": 1.0, "used": 1.0, "scale": 1.0, "offset": 0.0}
"""By what the tests break a training: a factor on the residual stream, one on the scores of attention, on one of the
params, and on the loss, and what is added to that."""


def how(batches, **broken):
    """The batches, each with what the tests break."""
    numbers = {name: np.float32(value) for name, value in (AS_IT_SHOULD_BE | broken).items()}
    return [(*batch, numbers) for batch in batches]


def with_rate(optimizer, rate):
    return optax.inject_hyperparams(optimizer)(learning_rate=rate)


def dense(key, fan_in, fan_out, gain=1.0, lead=()):
    """Weights of variance gain / fan_in."""
    return jax.random.normal(key, (*lead, fan_in, fan_out)) * (gain / fan_in) ** 0.5


def keys(seed=0):
    """A function that gives a new key at each call."""
    chain = [jax.random.key(seed)]

    def key():
        chain[0], new = jax.random.split(chain[0])
        return new

    return key


def regression(steps, batch=32, features=8, seed=0, dtype=np.float32):
    """Batches of a function to be learned: x, and sums of it, squashed."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(features, 4)) / features**0.5
    for _ in range(steps):
        x = random.normal(size=(batch, features))
        yield x.astype(dtype), np.tanh(x @ matrix).astype(dtype)


TEXT = (
    "The model is an ordered graph of layers, each a pure function. From one loss value, the derivative finds the"
    " culprits: for every value of the model it says how far it is responsible for the error. "
)


def text(steps, batch=8, length=16, seed=0):
    """Batches of pieces of a text, letters as numbers, and the letters that come next."""
    letters = np.array([ord(c) % 64 for c in TEXT], np.int32)
    random = np.random.default_rng(seed)
    for _ in range(steps):
        starts = random.integers(0, len(letters) - length - 1, batch)
        pieces = np.stack([letters[s : s + length + 1] for s in starts])
        yield pieces[:, :-1], pieces[:, 1:]


# A perceptron --------------------------------------------------------------------------------------------


def perceptron(layers=8, gain=2.0, width=16, seed=0, dtype=jnp.float32):
    """Params of a stack of dense layers, and one more, `spare`, that the loss has a term of."""
    key = keys(seed)
    params = {
        "into": dense(key(), 8, width),
        "layers": {"w": dense(key(), width, width, gain, (layers,)), "b": jnp.zeros((layers, width))},
        "out": dense(key(), width, 4),
        "spare": jnp.ones(()),
    }
    return jax.tree.map(lambda x: x.astype(dtype), params)


def perceptron_loss(activation):
    """The mean square error; the layers are a scan."""

    def fun(params, x, y, how):
        def layer(h, w):
            return jw.tag(activation(jw.tag(h @ w["w"] + w["b"], "pre")), "act"), None

        h, _ = jax.lax.scan(layer, x @ params["into"], params["layers"])
        out = jw.tag(h @ params["out"], "out").astype(jnp.float32)
        spare = how["used"] * params["spare"].astype(jnp.float32) ** 2
        return how["scale"] * (jnp.mean((out - y) ** 2) + 1e-3 * spare) + how["offset"]

    return fun


# A transformer -------------------------------------------------------------------------------------------


def norm(x, scale):
    x = x - jnp.mean(x, -1, keepdims=True)
    return scale * x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + jnp.asarray(1e-5, x.dtype))


def transformer(layers, width=16, hidden=32, heads=2, seed=0, dtype=jnp.float32):
    """Params of a GPT on 64 letters."""
    key = keys(seed)
    stack = {
        "qkv": dense(key(), width, 3 * width, 1, (layers,)),
        "out": dense(key(), width, width, 1 / layers, (layers,)),
        "up": dense(key(), width, hidden, 2, (layers,)),
        "down": dense(key(), hidden, width, 1 / layers, (layers,)),
        "bias": jnp.zeros((layers, hidden)),
        "norm1": jnp.ones((layers, width)),
        "norm2": jnp.ones((layers, width)),
    }
    params = {
        "letters": 0.5 * jax.random.normal(key(), (64, width)),
        "places": 0.1 * jax.random.normal(key(), (16, width)),
        "stack": stack,
        "norm": jnp.ones(width),
        "head": dense(key(), width, 64, 0.1),
    }
    return jax.tree.map(lambda x: x.astype(dtype), params)


def gpt(params, x, y, how, heads=2):
    """The mean cross-entropy of the next letter; the layers are a scan, rematerialised."""

    def block(h, w):
        shape = (*h.shape[:2], heads, h.shape[-1] // heads)
        q, k, v = (part.reshape(shape) for part in jnp.split(norm(h, w["norm1"]) @ w["qkv"], 3, -1))
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * (how["sharp"] / shape[-1] ** 0.5).astype(h.dtype)
        mask = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        scores = jw.tag(jnp.where(mask, scores, jnp.asarray(-jnp.inf, h.dtype)), "scores")
        attention = jw.tag(jax.nn.softmax(scores), "attention")
        mixed = jnp.einsum("bhqk,bkhd->bqhd", attention, v).reshape(h.shape)
        h = how["skip"].astype(h.dtype) * h + mixed @ w["out"]
        up = jw.tag(norm(h, w["norm2"]) @ w["up"] + w["bias"], "up")
        return jw.tag(h + jw.tag(jax.nn.relu(up), "relu") @ w["down"], "block"), None

    h = params["letters"][x] + how["used"].astype(params["places"].dtype) * params["places"]
    h, _ = jax.lax.scan(jax.checkpoint(block), h, params["stack"])
    logits = jw.tag(norm(h, params["norm"]) @ params["head"], "logits")
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), y)
    return how["scale"] * jnp.mean(losses) + how["offset"]
