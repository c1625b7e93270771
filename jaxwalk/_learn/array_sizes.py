"""The numbers that a walk with all its arrays tells of a point: those of `jw.stats.health` that need no units."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from .._points.point import Point


def sizes_of_arrays(point: Point, output: np.ndarray, delta: np.ndarray | None, lead: int) -> dict[str, np.ndarray]:
    """Compute the sizes of the output and of δ at a point: arrays of the shape of the loops around it.

    Arguments:
        output, delta: NumPy's arrays; δ is None where there is none.
        lead: how many axes, of many walks, are before those of the loops.
    """
    found = _sides(output, lead, len(point.axes), "output")
    if delta is not None:
        found |= _sides(delta, lead, len(point.axes), "delta")
    return found


def _sides(values: np.ndarray, lead: int, loops: int, side: str) -> dict[str, np.ndarray]:
    """Compute the results of one side. What is not finite is counted, and left out of all else."""
    shape = values.shape
    cut, end = shape[:lead], lead + loops
    x = np.abs(values) if np.iscomplexobj(values) else values.astype(np.float64)
    x = x.reshape(math.prod(cut), *shape[lead:end], math.prod(shape[end:]))
    axes = (0, x.ndim - 1)
    fine = np.isfinite(x)
    count = fine.sum(axes)
    some = np.maximum(count, 1)
    finite = np.where(fine, x, 0.0)
    known = lambda result: np.where(count, result, np.nan)
    norms = np.sqrt((finite**2).sum(axis=-1))
    with np.errstate(over="ignore"):
        mean = finite.sum(axes) / some
        spread = np.where(fine, x - np.expand_dims(mean, axes), 0.0)
        results = {
            "l2": known(norms.mean(axis=0)) if x.shape[0] else known(count * np.nan),
            "rms": known(np.sqrt((finite**2).sum(axes) / some)),
            "mean": known(mean),
            "std": known(np.sqrt((spread**2).sum(axes) / some)),
            "max": known(np.abs(finite).max(axes, initial=0.0)),
            "zeros": known((fine & (x == 0)).sum(axes) / some),
            "nan": np.isnan(x).sum(axes),
            "inf": np.isinf(x).sum(axes),
        }
    if side == "delta" and values.dtype.itemsize == 2:
        info, entries = jnp.finfo(values.dtype), max(x.shape[0] * x.shape[-1], 1)
        results["underflow"] = (fine & (x != 0) & (np.abs(x) < float(info.tiny))).sum(axes) / entries
        results["overflow"] = (np.abs(x) >= float(info.max) / 2).sum(axes) / entries
    return {f"{side}_{key}": value for key, value in results.items()}


def is_inexact(array: np.ndarray) -> bool:
    """Tell whether an array is of real or complex numbers, not of integers, booleans or keys."""
    return jnp.issubdtype(array.dtype, jnp.inexact)
