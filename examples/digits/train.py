"""Trains the network of network.py, in less than a minute on two cores: `python train.py [WEIGHTS.npz]`.

Without a name it writes `weights.npz` beside this file, where model.py looks for it.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from data import digits
from network import initial, network, objective, save

import jaxwalk as jw

BATCH = 64
OPTIMIZER = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(1e-2))  # AdamW, without its rate


def mean_loss(params, x, y):
    return jnp.mean(jax.vmap(objective, (None, 0, 0))(params, x, y))


def moved(key, image):
    """An image turned by at most 9° and shifted by at most 0.7 pixels, as another hand might have put it."""
    key_turn, key_shift = jax.random.split(key)
    turn = jax.random.uniform(key_turn, minval=-0.15, maxval=0.15)
    shift = jax.random.uniform(key_shift, (2, 1, 1), minval=-0.7, maxval=0.7)
    middle = (image.shape[0] - 1) / 2
    rows, columns = jnp.indices(image.shape, image.dtype) - middle
    turned = jnp.stack([
        rows * jnp.cos(turn) - columns * jnp.sin(turn),
        rows * jnp.sin(turn) + columns * jnp.cos(turn),
    ])  # fmt: skip
    return jax.scipy.ndimage.map_coordinates(image, list(turned + shift + middle), order=1)


@jax.jit
def accuracy(params, x, y):
    """The share of digits that are read right."""
    return jnp.mean(jnp.argmax(jax.vmap(network, (None, 0))(params, x), 1) == y)


@jax.jit
def step(key, params, moments, rate, x, y):
    """Weights after one step on a batch, and its loss before."""
    x = jax.vmap(moved)(jax.random.split(key, len(x)), x)
    loss, gradients = jax.value_and_grad(mean_loss)(params, x, y)
    updates, moments = OPTIMIZER.update(gradients, moments, params)
    return optax.apply_updates(params, jax.tree.map(lambda u: -rate * u, updates)), moments, loss


def train(x, y, epochs, seed=0):
    """Yields the weights and the mean loss after each epoch."""
    steps = len(x) // BATCH
    rate = optax.cosine_decay_schedule(2e-3, epochs * steps)
    key_initial, key_moved = jax.random.split(jax.random.key(seed))
    params = initial(key_initial)
    moments = OPTIMIZER.init(params)
    random = np.random.default_rng(seed)
    for epoch in range(epochs):
        losses = []
        for i, rows in enumerate(random.permutation(len(x))[: steps * BATCH].reshape(steps, BATCH)):
            count = epoch * steps + i
            key = jax.random.fold_in(key_moved, count)
            params, moments, loss = step(key, params, moments, rate(count), x[rows], y[rows])
            losses.append(loss)
        yield params, np.mean(losses)


def main(path, epochs=60):
    learned, held_out = digits(held_out=False), digits(held_out=True)
    walk = jw.evaluator(objective, at="relu*", keep=jw.stats.norms, top=1)  # compiled once, for all epochs
    for number, (params, loss) in enumerate(train(*learned, epochs), 1):
        if number % 10 == 0 or number == epochs:
            right = accuracy(params, *held_out)
            print(f"epoch {number:2}: mean loss {loss:.4f}; of the digits held out, {right:.1%} are read right")
            found = walk(params, [held_out])
            sizes = ", ".join(f"{name} {kept['delta_l2']:.2g}" for name, kept in found.kept.items())
            print(f"          on those, ‖δ‖ at {sizes}; most to blame is digit {found.culprits[0].index}")
    save(path, params)
    print(f"weights: {path}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("weights.npz"))
