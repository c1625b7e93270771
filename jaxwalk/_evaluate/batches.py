"""Batches of data, as they come: checked, filled up to the length of the first, the rows that count marked."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .. import _signals
from .._errors import ArgumentError, DataError, counted, shown

COUNTS, FAILED = 1, -1  # of `Batch.counts`
FORM = "give pytrees of arrays, such as (x, y), with one row per datum"


class Batch(NamedTuple):
    """Some data, along a leading axis.

    Attributes:
        leaves: the arrays, each of as many rows as the first batch.
        counts: per row, COUNTS if it is a datum, 0 if it only fills up a short batch, FAILED if there are no more
            because something failed.
    """

    leaves: list[Any]
    counts: np.ndarray


class Form(NamedTuple):
    """What every batch is like: the pytree, and of each leaf its path and one row of it."""

    tree: Any
    paths: list[str]
    rows: list[jax.ShapeDtypeStruct]


@dataclasses.dataclass
class Batches:
    """An iterable of batches that has been opened: what its batches are like is known from the first.

    Attributes:
        size: how many data are in the first batch, and at most in any.
        form: what every batch is like.
        total: how many data there are, if that can be known beforehand: by an attribute `rows`, or by the length, not
            counting that the last batch may be short.
        unit: by what that is known, "row" or "batch".
        is_on_host: whether the arrays of the first batch lie in the host's memory, and nobody has said where else.
    """

    size: int
    form: Form
    total: int | None
    unit: str
    rest: Iterator[Any]
    first: Any = None
    is_on_host: bool = True

    @property
    def datum(self) -> tuple:
        """The arguments of one datum: the parts of a tuple or a list; anything else is one argument."""
        return self.arguments(self.form.rows)

    def arguments(self, leaves: Sequence[Any]) -> tuple:
        """Return the arguments that these leaves make up."""
        batch = jax.tree.unflatten(self.form.tree, leaves)
        return tuple(batch) if isinstance(batch, (tuple, list)) and not hasattr(batch, "_fields") else (batch,)

    def __iter__(self) -> Iterator[Batch]:
        """Give the batches, which can be gone through once.

        Raises:
            ArgumentError: a batch is not like the first.
        """
        came = itertools.chain([self.first], self.rest)
        self.first = None
        for number, value in enumerate(came):
            yield self._batch(value, number)

    def written_form(self) -> str:
        """Return what every batch is like, as a text."""
        rows = [f"{path or 'batch'} {row.dtype}{list(row.shape)}" for path, row in zip(self.form.paths, self.form.rows)]
        return f"{counted(self.size, 'row')} of {', '.join(rows)}"

    def empty(self, counts: int = 0) -> Batch:
        """Return a batch without a datum, whose rows count as `counts`."""
        rows = [(jnp if _is_key(r) else np).zeros((self.size, *r.shape), r.dtype) for r in self.form.rows]
        return Batch(rows, np.full(self.size, counts, np.int8))

    def _batch(self, value: Any, number: int) -> Batch:
        leaves = [_array(leaf, path, number) for leaf, path in zip(self._leaves(value, number), self.form.paths)]
        length = _length(leaves, self.form.paths, number)
        for leaf, path, row in zip(leaves, self.form.paths, self.form.rows, strict=True):
            _check_like(leaf, row, path, number)
        if length > self.size:
            raise ArgumentError(
                f"Batch {number} of `batches` has {length} rows, and the first had {self.size}; none may have more"
                " than the first, since one program is compiled for all."
            )
        return Batch([padded(leaf, self.size) for leaf in leaves], (np.arange(self.size) < length).astype(np.int8))

    def _leaves(self, value: Any, number: int) -> list[Any]:
        leaves, tree = jax.tree.flatten(value)
        if tree != self.form.tree:
            raise ArgumentError(
                f"Batch {number} of `batches` has the structure {tree}, and the first had {self.form.tree};"
                " give all the same."
            )
        return leaves


def open_batches(batches: Iterable[Any]) -> Batches:
    """Take the first batch, and return the batches, whose form is that of the first.

    Raises:
        ArgumentError: `batches` is no iterable of pytrees of arrays with a leading axis of one length.
        DataError: there is no batch, or no datum in the first.
    """
    rest = _iterator(batches)
    try:
        with _signals.handled():
            first = next(rest)
    except StopIteration:
        raise DataError("`batches` is empty; give at least one batch. A generator can be gone through once.") from None
    found, tree = jax.tree_util.tree_flatten_with_path(first)
    if not found:
        raise ArgumentError(f"The first of `batches` is {shown(first)}, which holds no array; {FORM}.")
    paths = [jax.tree_util.keystr(path) for path, _ in found]
    leaves = [_array(leaf, path, 0) for (_, leaf), path in zip(found, paths, strict=True)]
    size = _length(leaves, paths, 0)
    if size == 0:
        raise DataError("The first of `batches` has no rows; as many as it has are walked at once: give at least one.")
    rows = [jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in leaves]
    return Batches(size, Form(tree, paths, rows), *_total(batches, size), rest, first, all(map(_is_on_host, leaves)))


def _iterator(batches: Any) -> Iterator[Any]:
    # A Sequence of Keras can be iterated over by `__getitem__` alone.
    is_iterable = hasattr(batches, "__iter__") or hasattr(batches, "__getitem__")
    if not is_iterable or isinstance(batches, (str, bytes)) or getattr(batches, "shape", None) == ():
        raise ArgumentError(f"`batches` is {shown(batches)}, which cannot be iterated over; {FORM}.")
    return iter(batches)


def _total(batches: Any, size: int) -> tuple[int | None, str]:
    if isinstance(rows := getattr(batches, "rows", None), int):
        return rows, "row"
    try:
        return len(batches) * size, "batch"
    except TypeError:
        return None, "batch"


def _array(leaf: Any, path: str, number: int) -> Any:
    """Return a leaf as an array that nobody else will write to."""
    if isinstance(leaf, jax.Array):
        return leaf if isinstance(leaf, Tracer) else _own(_strong(leaf))
    if isinstance(leaf, np.ma.MaskedArray):
        raise ArgumentError(
            f"Batch {number} of `batches` holds a masked array at `batch{path}`, whose mask would be lost; fill it."
        )
    # An array of NumPy, or what turns into one, as a PyTorch tensor does.
    # A copy: the iterable may fill the same buffer again before the device has read it.
    array = np.array(leaf) if isinstance(leaf, (int, float, complex)) or hasattr(leaf, "__array__") else None
    if array is None or not _is_held(array.dtype):
        what = shown(leaf) if array is None else f"an array of dtype {array.dtype}"
        raise ArgumentError(f"Batch {number} of `batches` holds {what} at `batch{path}`; {FORM}.")
    return _narrowed(array, path, number)


def _is_on_host(leaf: Any) -> bool:
    if not isinstance(leaf, jax.Array) or isinstance(leaf, Tracer):
        return True
    return not leaf.committed and all(device.platform == "cpu" for device in leaf.devices()) and not _is_key(leaf)


def _is_held(dtype: np.dtype) -> bool:
    """Say whether JAX has arrays of this dtype, or of a narrower one of its kind. It has no long doubles."""
    is_long = dtype.char in (np.dtype(np.longdouble).char, np.dtype(np.clongdouble).char)
    return not is_long and (dtype.kind in "biufc" or jnp.issubdtype(dtype, jnp.number))


def _strong(array: jax.Array) -> jax.Array:
    """Return an array whose dtype is not weak: a weak one gives way to others; that of the next batch might not."""
    return jax.lax.convert_element_type(array, array.dtype) if getattr(array, "weak_type", False) else array


def _own(array: jax.Array) -> jax.Array:
    """Return a copy of what lies on CPUs: there JAX takes a buffer of NumPy's as it is, which may be filled again."""
    if _is_key(array) or not array.is_fully_addressable or any(device.platform != "cpu" for device in array.devices()):
        return array
    return jax.device_put(np.array(array), array.sharding if array.committed else None)


def _is_key(array: Any) -> bool:
    """Tell whether these are keys of random numbers, which NumPy does not have."""
    return jnp.issubdtype(array.dtype, jax.dtypes.extended)


def _narrowed(array: np.ndarray, path: str, number: int) -> np.ndarray:
    """Return an array in the dtype that JAX will hold it in, if that can hold it."""
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)
    if dtype == array.dtype:
        return array
    if (
        array.dtype.kind in "iu"
        and array.size
        and (array.max() > np.iinfo(dtype).max or array.min() < np.iinfo(dtype).min)
    ):
        raise _too_large("integers", path, number, dtype)
    try:
        with np.errstate(over="raise"):  # raised by numbers that become infinite, not by those that are
            return array.astype(dtype)
    except FloatingPointError:
        raise _too_large("numbers", path, number, dtype) from None


def _too_large(what: str, path: str, number: int, dtype: Any) -> ArgumentError:
    which = f"Batch {number} of `batches` holds {what} at `batch{path}`"
    return ArgumentError(f"{which} that do not fit JAX's {dtype}; set JAX_ENABLE_X64=1.")


def _length(leaves: Sequence[Any], paths: Sequence[str], number: int) -> int:
    for leaf, path in zip(leaves, paths, strict=True):
        if leaf.ndim == 0:
            raise ArgumentError(f"Batch {number} of `batches` holds a single number at `batch{path}`; {FORM}.")
    for leaf, path in zip(leaves, paths, strict=True):
        if len(leaf) != len(leaves[0]):
            raise ArgumentError(
                f"Batch {number} of `batches` has {counted(len(leaves[0]), 'row')} at `batch{paths[0]}` and {len(leaf)}"
                f" at `batch{path}`; give one row per datum in each."
            )
    return len(leaves[0])


def _check_like(leaf: Any, row: jax.ShapeDtypeStruct, path: str, number: int) -> None:
    for what, mine, first in (("shape", leaf.shape[1:], row.shape), ("dtype", leaf.dtype, row.dtype)):
        if mine != first:
            raise ArgumentError(
                f"Batch {number} of `batches` has rows of {what} {mine} at `batch{path}`, and the first had {first};"
                " give all the same, since one program is compiled for all."
            )


def padded(leaf: Any, size: int) -> Any:
    """Fill a leaf up to `size` rows: by its first row (real data, so that nothing odd is computed), or by zeros."""
    missing = size - len(leaf)
    if not missing:
        return leaf
    numpy = jnp if isinstance(leaf, jax.Array) else np
    filling = numpy.repeat(leaf[:1], missing, 0) if len(leaf) else numpy.zeros((missing, *leaf.shape[1:]), leaf.dtype)
    return numpy.concatenate([leaf, filling])
