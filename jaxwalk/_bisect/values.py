"""Values of a run, each with the entries of it that are NaN or Inf, and where these come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from .._jax.jaxpr.types import is_float

Mask: TypeAlias = np.ndarray | None  # of the entries of an array; None: no entry
Function: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]

# What stands for a NaN or an Inf to see whether an equation makes one of other numbers too. Every elementary function
# is finite at one of these: atanh and log at the first, acosh and lgamma at the second.
SUBSTITUTES = (0.5, 2.0)


class Value(NamedTuple):
    """A value of a run.

    Attributes:
        array: the numbers.
        innocent: the entries that are NaN or Inf because an input or a constant of the program is.
        guilty: the entries that are because an equation made a NaN or an Inf of other numbers.
        point: the number of the last point, in forward order, that it is computed from; 0 if there is none.
    """

    array: Any
    innocent: Mask = None
    guilty: Mask = None
    point: int = 0

    @property
    def is_bad(self) -> bool:
        """Tell whether an entry is NaN or Inf."""
        return self.innocent is not None or self.guilty is not None

    def at_point(self, number: int) -> Value:
        return self if number <= self.point else self._replace(point=number)


def given(array: Any) -> Value:
    """Return a value that no equation has made: an input, a constant."""
    return Value(array, innocent=bad_entries(array))


def bad_entries(array: Any) -> Mask:
    """Return which entries are NaN or Inf."""
    if not is_float(array):
        return None
    if _is_on_cpu(array):
        return _or_none(~np.isfinite(array))
    return None if bool(jnp.isfinite(array).all()) else ~np.isfinite(np.asarray(array))


def any_bad(arrays: Sequence[Any]) -> bool:
    """Tell whether an entry of any of some arrays is NaN or Inf."""
    return any(bad_entries(array) is not None for array in arrays)


def _is_on_cpu(array: Any) -> bool:
    return not isinstance(array, jax.Array) or next(iter(array.devices())).platform == "cpu"


def _or_none(mask: np.ndarray) -> Mask:
    return mask if mask.any() else None


def either(one: Mask, other: Mask) -> Mask:
    """Return the entries of one or the other."""
    return other if one is None else one if other is None else one | other


def both(one: Mask, other: Mask) -> Mask:
    """Return the entries of one and the other."""
    return None if one is None or other is None else _or_none(one & other)


def but(one: Mask, other: Mask) -> Mask:
    """Return the entries of one that are not of the other."""
    return one if one is None or other is None else _or_none(one & ~other)


def replaced(array: Any, entries: Mask, number: float) -> Any:
    """Return an array with a finite number at some entries."""
    if entries is None:
        return array
    changed = np.array(array)
    changed[entries] = number
    return jax.device_put(changed, array.sharding) if isinstance(array, jax.Array) else changed


class Judged(NamedTuple):
    """What an equation computed, and by result which entries it made NaN or Inf of others that are not."""

    values: list[Value]
    made: list[Mask]

    @property
    def any_made(self) -> bool:
        return any(mask is not None for mask in self.made)


def judged(fun: Function, operands: Sequence[Value], arrays: Sequence[Any], is_elementary: bool = True) -> Judged:
    """Tell which NaN and Inf among the results of an equation it made, and where the others come from.

    A NaN is made if there is one whatever finite numbers are in the place of every NaN, and of every Inf that was made
    before; an Inf if there is one whatever finite numbers are in the place of both. So inf − inf of two constants makes
    a NaN, and inf + 1 makes nothing.

    Arguments:
        fun: the equation.
        operands: its operands.
        arrays: its results.
        is_elementary: whether an entry that is finite makes the results finite that are computed of it. Of others, as
            an eigenvalue decomposition, what comes of an operand with a NaN is never made.
    """
    bad = [bad_entries(array) for array in arrays]
    if not any(x.is_bad for x in operands):
        return Judged([Value(array, None, mask) for array, mask in zip(arrays, bad, strict=True)], bad)
    made = _made(fun, operands, arrays, is_elementary)
    guilty, innocent = list(bad), [None] * len(bad)
    if any(x.innocent is not None for x in operands):
        innocent = [but(i, m) for i, m in zip(_without(fun, operands, bad, lambda x: x.guilty), made, strict=True)]
        from_makers = _without(fun, operands, bad, lambda x: but(x.innocent, x.guilty))
        guilty = [either(either(m, g), but(b, i)) for b, m, g, i in zip(bad, made, from_makers, innocent, strict=True)]
    return Judged([Value(*each) for each in zip(arrays, innocent, guilty, strict=True)], made)


def inherits_all(fun: Function, operands: Sequence[Value]) -> bool:
    """Tell whether a function is finite where finite numbers are in the place of each NaN and Inf that it takes."""
    finite = [replaced(x.array, either(x.innocent, x.guilty), SUBSTITUTES[0]) for x in operands]
    return not any_bad(fun(finite))


def _made(fun: Function, operands: Sequence[Value], arrays: Sequence[Any], is_elementary: bool) -> list[Mask]:
    all_bad = lambda x: either(x.innocent, x.guilty)
    nan_or_made = lambda x: either(x.guilty, _nans(x.array) if x.is_bad else None)
    of_nan = _still(fun, operands, nan_or_made, _nans, arrays, is_elementary)
    of_inf = _still(fun, operands, all_bad, _infs, arrays, is_elementary)
    return [either(n, i) for n, i in zip(of_nan, of_inf, strict=True)]


def _still(
    fun: Function,
    operands: Sequence[Value],
    chosen: Callable[[Value], Mask],
    kind: Callable[[Any], Mask],
    arrays: Sequence[Any],
    is_elementary: bool,
) -> list[Mask]:
    """Return the entries of a kind that there are whatever stands in the place of the `chosen` of the operands."""
    found = [kind(array) for array in arrays]
    places = [chosen(x) for x in operands]
    if all(place is None for place in places):
        return found
    if not is_elementary:
        return [None] * len(found)
    for number in SUBSTITUTES:
        if all(mask is None for mask in found):
            break
        results = fun([replaced(x.array, place, number) for x, place in zip(operands, places, strict=True)])
        found = [both(mask, kind(result)) for mask, result in zip(found, results, strict=True)]
    return found


def _without(
    fun: Function, operands: Sequence[Value], bad: Sequence[Mask], chosen: Callable[[Value], Mask]
) -> list[Mask]:
    """Return the bad entries that there are with a finite number in the place of the `chosen` of the operands."""
    if all(chosen(x) is None for x in operands):
        return list(bad)
    results = fun([replaced(x.array, chosen(x), SUBSTITUTES[0]) for x in operands])
    return [both(mask, bad_entries(result)) for mask, result in zip(bad, results, strict=True)]


def _nans(array: Any) -> Mask:
    return _or_none(np.isnan(np.asarray(array))) if is_float(array) else None


def _infs(array: Any) -> Mask:
    return _or_none(np.isinf(np.asarray(array))) if is_float(array) else None
