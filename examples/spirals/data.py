"""Two spirals of points in the plane: which of the two does a point lie on?

Run as `python data.py FILE.npz`, it saves 500 of them: x (500, 2) and y (500,), 0 or 1.
"""

import sys

import numpy as np


def spirals(count, seed):
    """`count` points (x, y), half of them on each spiral, with some noise."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 2
    turn = 3 * np.pi * np.sqrt(random.uniform(size=count))
    angle = turn + np.pi * y
    x = np.stack([turn * np.cos(angle), turn * np.sin(angle)], 1) / 10
    return (x + random.normal(scale=0.03, size=x.shape)).astype(np.float32), y.astype(np.int32)


if __name__ == "__main__":
    x, y = spirals(500, seed=1)
    np.savez(sys.argv[1], x=x, y=y)
    print(f"{len(x)} points on two spirals: {sys.argv[1]}")
