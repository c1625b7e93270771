"""Many small arrays as few long ones: what a step has found comes to the host in one piece for each dtype."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Packing(NamedTuple):
    """How a pytree of arrays lies in one vector for each dtype.

    Attributes:
        tree: its structure.
        shapes, dtypes: of its leaves.
    """

    tree: Any
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]

    @classmethod
    def of(cls, value: Any) -> Packing:
        leaves, tree = jax.tree.flatten(value)
        leaves = [leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jnp.asarray(leaf) for leaf in leaves]
        return cls(tree, tuple(leaf.shape for leaf in leaves), tuple(str(leaf.dtype) for leaf in leaves))

    def pack(self, value: Any) -> dict[str, jax.Array]:
        """Return the vectors, by dtype."""
        parts: dict[str, list[jax.Array]] = {}
        for leaf, dtype in zip(jax.tree.leaves(value), self.dtypes, strict=True):
            parts.setdefault(dtype, []).append(jnp.ravel(leaf))
        return {dtype: jnp.concatenate(vectors) for dtype, vectors in parts.items()}

    def unpack(self, vectors: Mapping[str, np.ndarray]) -> Any:
        """Return the pytree of some vectors, or of rows of them: (..., length of a vector). Nothing is copied."""
        at, leaves = dict.fromkeys(self.dtypes, 0), []
        for shape, dtype in zip(self.shapes, self.dtypes, strict=True):
            start, at[dtype] = at[dtype], at[dtype] + math.prod(shape)
            vector = vectors[dtype][..., start : at[dtype]]
            leaves.append(vector.reshape((*vector.shape[:-1], *shape)))
        return jax.tree.unflatten(self.tree, leaves)

    def sizes(self) -> dict[str, int]:
        """Return the length of the vector of each dtype."""
        sizes = dict.fromkeys(self.dtypes, 0)
        for shape, dtype in zip(self.shapes, self.dtypes, strict=True):
            sizes[dtype] += math.prod(shape)
        return sizes

    def zeros(self, rows: int) -> dict[str, np.ndarray]:
        """Return rows of vectors of zeros."""
        return {dtype: np.zeros((rows, size), jnp.dtype(dtype)) for dtype, size in self.sizes().items()}

    @property
    def nbytes(self) -> int:
        """Compute how many bytes the vectors take."""
        return sum(size * jnp.dtype(dtype).itemsize for dtype, size in self.sizes().items())
