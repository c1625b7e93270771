"""Draws the culprits among the digits held out, those of largest loss: `python picture.py FILE.png`, after train.py.

Above, the digits: what each is, and what the network reads. Below, δ at every pixel: red where more ink would make the
loss larger, blue where smaller.
"""

import sys

import jax
import numpy as np
from data import digits
from matplotlib.figure import Figure
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
    walk = jax.jit(jw.walk(objective, ["input", "logits"]))
    figure = Figure(figsize=(1.5 * len(found), 3.9), layout="constrained")
    for cells, datum in zip(figure.subplots(2, len(found), squeeze=False).T, found, strict=True):
        image, label = x[datum.index], y[datum.index]
        seen = walk(params, image, label)
        chances = jax.nn.softmax(seen.outputs["logits"])
        _draw_digit(cells[0], image, int(label), datum.loss, np.asarray(chances))
        _draw_delta(cells[1], np.asarray(seen.deltas["input"]))
    figure.savefig(path, dpi=150)


def _draw_digit(cell, image, label, loss, chances):
    read = chances.argmax()
    cell.imshow(image, cmap="gray_r", vmin=0, vmax=1)
    cell.set_title(f"{label}", fontsize=17, fontweight="bold", loc="left")
    cell.set_title(f"loss {loss:.2f}", fontsize=9, color="dimgray", loc="right")
    cell.set_xlabel(f"read as {read}, {chances[read]:.0%}", color="tab:green" if read == label else "tab:red")
    _frame(cell)


def _draw_delta(cell, delta):
    largest = abs(delta).max()
    cell.imshow(delta, cmap="RdBu_r", vmin=-largest, vmax=largest)
    cell.set_xlabel(f"largest |δ| {largest:.2g}", fontsize=9, color="dimgray")
    _frame(cell)


def _frame(cell):
    cell.set(xticks=[], yticks=[])
    cell.spines[:].set_color("lightgray")


if __name__ == "__main__":
    x, y = digits(held_out=True)
    draw(sys.argv[1], params, x, y, culprits(params, x, y, COUNT))
    print(f"{COUNT} culprits among {len(x)} digits held out: {sys.argv[1]}")
