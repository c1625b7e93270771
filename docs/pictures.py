"""Draws the pictures of the documentation, light and dark, to docs/pictures: `python docs/pictures.py [NAME ...]`.

Each is what `jw.plot` draws of the model that the page is about, in the size that it chooses by itself.
"""

import functools
import pathlib
import shutil
import sys

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from sklearn.datasets import load_digits

import jaxwalk as jw

matplotlib.use("agg")
from matplotlib import pyplot

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "pictures"
PAPER = {"light": "#ffffff", "dark": "#1e2129"}  # of the site's pages
RATE = 5.0  # of a training that does not last
SETTINGS = {"svg.fonttype": "path", "svg.hashsalt": "jaxwalk"}


# The models of the pages -----------------------------------------------------------------------------------


class Net(nn.Module):
    """The network of the tutorial."""

    start: float = 0.0

    @nn.compact
    def __call__(self, x):
        for i in range(6):
            bias = nn.initializers.constant(self.start if i == 3 else 0.0)
            x = nn.relu(nn.Dense(32, bias_init=bias, name=f"dense_{i}")(x))
        return nn.Dense(10, name="scores")(x)


class Digits:
    """The data of the tutorial, and its network once trained."""

    def __init__(self, start):
        digits, net = load_digits(), Net(start)
        self.x, self.y = (digits.data[:600] / 16).astype(np.float32), digits.target[:600]
        self.loss = lambda params, x, y: -jax.nn.log_softmax(net.apply(params, x))[y]
        self.params = self.trained(net.init(jax.random.key(0), self.x[0]))
        self.walk = jw.walk(self.loss)(self.params, self.x[0], self.y[0])

    def trained(self, params):
        mean = lambda params: jax.vmap(self.loss, in_axes=(None, 0, 0))(params, self.x, self.y).mean()

        def step(params, _):
            value, grads = jax.value_and_grad(mean)(params)
            return jax.tree.map(lambda p, g: p - 0.05 * g, params, grads), value

        return jax.jit(lambda params: jax.lax.scan(step, params, length=600)[0])(params)

    def of_image(self, index):
        loss = lambda params, x, y: self.loss(params, jw.tag(x, "image").ravel(), y)
        return jw.walk(loss, "image")(self.params, self.x[index].reshape(8, 8), self.y[index])

    def evaluation(self):
        batches = [(self.x[i : i + 200], self.y[i : i + 200]) for i in range(0, 600, 200)]
        keep = jw.stats.combine(jw.stats.norms, jw.stats.dead)
        return jw.evaluate(self.loss, self.params, batches, keep=keep, top=6, progress=False)


def first_look():
    model = eqx.nn.MLP(8, "scalar", width_size=64, depth=10, key=jax.random.key(0))
    return jw.walk(lambda x: (jw.scoped(model)(x) - 1) ** 2)(jnp.ones(8))


def ten_lines():
    """Return the walk of README's first lines, the function, and its arguments."""
    model = jw.chain(dense=lambda w, x: w @ x, act=jax.nn.relu, total=jnp.sum)
    fun = jw.objective(model, lambda result, expectation: 0.5 * (result - expectation) ** 2)
    args = {"dense": jnp.array([[1.0, 2.0], [-3.0, 1.0]])}, jnp.array([1.0, 2.0]), 4.0
    return jw.walk(fun)(*args), fun, args


def net(w, x):
    a = x @ w
    for _ in range(2):
        a = jnp.tanh(a)
    b = a * 3
    return jnp.sum(b**2)


# The pictures ----------------------------------------------------------------------------------------------


broken = functools.cache(lambda: Digits(-5.0))
mended = functools.cache(lambda: Digits(0.0))
found = functools.cache(lambda: mended().evaluation())


def of_the_worst():
    """Return the walk of the digit of largest loss, as an image."""
    return mended().of_image(found().culprits[0].index)


@functools.cache
def ran_away():
    """Return a training of the network of the tutorial with a rate that is far too large."""
    net = Net()
    loss = lambda params, x, y: -jax.nn.log_softmax(net.apply(params, x))[y]
    digits = load_digits()
    x, y = (digits.data[:600] / 16).astype(np.float32), digits.target[:600]
    batches = [(x[i : i + 60], y[i : i + 60]) for i in range(0, 600, 60)]
    params = net.init(jax.random.key(0), x[0])
    return jw.learn(loss, params, batches, optax.sgd(RATE), epochs=4, on_nonfinite="ignore", progress=False)


def of_training(history):
    return jw.plot.training(history, health=jw.health(history))


def along(move):
    walk, fun, args = ten_lines()
    return jw.plot.prediction(fun, args, walk, move)


PICTURES = {
    "first_look": lambda: jw.plot.flow(first_look()),
    "flow_broken": lambda: jw.plot.flow(broken().walk),
    "flow_mended": lambda: jw.plot.flow(mended().walk),
    "histograms": lambda: jw.plot.histograms(mended().walk),
    "training": lambda: of_training(ran_away().history),
    "graph": lambda: jw.plot.graph(ten_lines()[0]),
    "heat": lambda: jw.plot.heat(of_the_worst(), "image"),
    "culprits": lambda: jw.plot.culprits(found(), mended().x.reshape(-1, 8, 8)),
    "prediction": lambda: along({"dense": jnp.array([-3.0, 2.0])}),
    "listing": lambda: jw.plot.listing(jw.walk(net, by="lines")(jnp.eye(2), jnp.array([1.0, -2.0]))),
}


def draw(name, picture):
    """Draw a picture light and dark."""
    for shade, paper in PAPER.items():
        with pyplot.rc_context({"figure.facecolor": paper, "axes.facecolor": paper, **SETTINGS}):
            figure = picture().get_figure(root=True)
            path = FOLDER / f"{name}-{shade}.svg"
            figure.savefig(path, metadata={"Date": None}, facecolor=paper)
            pyplot.close(figure)
            print(path.relative_to(HERE.parent), f"{path.stat().st_size // 1024} KiB")


def main(names):
    """Draw the pictures of these names; all, if there are none."""
    FOLDER.mkdir(exist_ok=True)
    shutil.copy(HERE.parent / "examples/digits/culprits.png", FOLDER / "digits.png")
    for name, picture in PICTURES.items():
        if not names or name in names:
            draw(name, picture)


if __name__ == "__main__":
    main(sys.argv[1:])
