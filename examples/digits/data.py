"""Handwritten digits, 8 × 8 grey pixels each: which digit is it?

1797 of them lie in scikit-learn, nothing is downloaded. They came to the UCI repository from 43 writers (Alpaydin and
Kaynak, 1998). Two thirds are to learn from, the rest are held out. Run as `python data.py FILE.npz`, it saves those
held out: x (599, 8, 8), from 0, paper, to 1, ink, and y (599,), the digit.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits


def digits(held_out):
    """Images x and digits y: those held out, or those to learn from."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    rows = order[:599] if held_out else order[599:]
    return (x[rows] / 16).reshape(-1, 8, 8).astype(np.float32), y[rows].astype(np.int32)


if __name__ == "__main__":
    x, y = digits(held_out=True)
    np.savez(sys.argv[1], x=x, y=y)
    print(f"{len(x)} digits held out: {sys.argv[1]}")
