"""Draws the culprits among the digits held out, those of largest loss: `python picture.py FILE.png`, after train.py.

Above, the digits: what each is, and what the network reads. Below, δ at every pixel: red where more ink would make the
loss larger, blue where smaller.
"""

import sys

import jax
import numpy as np
from data import digits
from model import objective, params

import jaxwalk as jw

COUNT = 6
BATCH = 200


def culprits(params, x, y, count):
    """The data of largest loss, the largest first."""
    batches = [(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    return jw.evaluate(objective, params, batches, at="input", keep=None, top=count, progress=False).culprits


def draw(path, params, x, y, found):
    """A picture of the digits that are culprits, and of δ at their pixels."""
    rows = np.array([datum.index for datum in found])
    walks = jax.jit(jax.vmap(jw.walk(objective, ["input", "logits"]), (None, 0, 0)))(params, x[rows], y[rows])
    chances = jax.nn.softmax(walks.outputs["logits"])
    captions = [f"{label}, read as {c.argmax()} ({c.max():.0%})" for label, c in zip(y[rows], np.asarray(chances))]
    ax = jw.plot.culprits(walks, k=len(found), captions=captions, cmap="gray_r")
    ax.figure.savefig(path, dpi=150)
    return ax


if __name__ == "__main__":
    x, y = digits(held_out=True)
    draw(sys.argv[1], params, x, y, culprits(params, x, y, COUNT))
    print(f"{COUNT} culprits among {len(x)} digits held out: {sys.argv[1]}")
