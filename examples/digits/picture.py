"""Draws the culprits among the digits held out, those of largest loss: `python picture.py FILE.png`, after train.py."""

import sys

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
from data import digits
from model import network, objective, params

matplotlib.use("Agg")
ROWS, COLUMNS = 2, 6


def culprits(params, x, y, count):
    """(index, loss) of the data of largest loss, the largest first."""
    losses = jax.jit(jax.vmap(objective, (None, 0, 0)))(params, x, y)
    return [(int(i), float(losses[i])) for i in jnp.argsort(-losses)[:count]]


def draw(path, params, x, y, rows):
    """A picture of the digits in `rows`: what each is, and what the network reads with which probability."""
    figure, axes = plt.subplots(ROWS, COLUMNS, figsize=(9, 4), layout="constrained")
    for cell in axes.flat:
        cell.set_axis_off()
    for cell, (index, loss) in zip(axes.flat, rows, strict=False):
        chances = jax.nn.softmax(network(params, x[index]))
        read = int(jnp.argmax(chances))
        cell.imshow(x[index], cmap="gray_r", vmin=0, vmax=1)
        cell.set_title(f"a {y[index]}", fontsize=13, loc="left", fontweight="bold")
        cell.set_title(f"loss {loss:.2f}", fontsize=9, loc="right", color="gray")
        color = "tab:green" if read == y[index] else "tab:red"
        cell.text(0.5, -0.06, f"read as {read}, {chances[read]:.0%} sure", color=color, transform=cell.transAxes,
                  ha="center", va="top", fontsize=10)  # fmt: skip
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    x, y = digits(held_out=True)
    draw(sys.argv[1], params, x, y, culprits(params, x, y, ROWS * COLUMNS))
