"""The batches of each epoch: gone through again, or asked for by the epoch's number; all like the very first."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ... import _signals
from ..._errors import ArgumentError, DataError, counted, shown
from ..._evaluate.batches import COUNTS, Batch, Batches, open_batches

AGAIN = "give what can be gone through again, as a list, or a function from the number of an epoch to its batches"


class Epochs:
    """The batches that a run learns from.

    Arguments:
        batches: an iterable, which is gone through anew in each epoch, or a function epoch -> iterable.
        epochs: how many epochs there are.

    Attributes:
        batches: the same.
        form: the first epoch's batches, opened: what all of them are like.

    Raises:
        ArgumentError, DataError: as of `evaluate`; or `batches` can be gone through only once, and that is not enough.
    """

    def __init__(self, batches: Iterable[Any] | Callable[[int], Iterable[Any]], epochs: int):
        self.batches = batches
        check_source(batches, epochs, "batches")
        self.form = open_batches(of_epoch(batches, 0))
        self._opened: Batches | None = self.form

    @property
    def total(self) -> int | None:
        """How many data an epoch has, about; None if that cannot be known."""
        return self.form.total

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch; a short one is not filled up.

        Raises:
            ArgumentError: one is not like the first of the first epoch.
            DataError: the epoch has none, or one has no rows.
        """
        opened, self._opened = self._opened, None  # the first epoch has been opened; whatever is asked for first
        if number or opened is None:
            opened = self._like_the_first(number)
        for place, batch in enumerate(opened):
            length = int((batch.counts == COUNTS).sum())
            if not length:
                raise DataError(f"Batch {place} of `batches` has no rows, so that it has no mean loss; leave it out.")
            whole = length == opened.size
            yield batch if whole else Batch([leaf[:length] for leaf in batch.leaves], batch.counts[:length])

    def _like_the_first(self, number: int) -> Batches:
        rest = iter(of_epoch(self.batches, number))
        try:
            with _signals.handled():
                first = next(rest)
        except StopIteration:
            raise DataError(
                f"`batches` has no batch in epoch {number}, after {counted(number, 'epoch')}; {AGAIN}."
            ) from None
        return dataclasses.replace(self.form, rest=rest, first=first)


def is_asked(batches: Any) -> bool:
    """Tell whether this is a function that gives the batches of any epoch."""
    return callable(batches) and not hasattr(batches, "__iter__") and not hasattr(batches, "__getitem__")


def of_epoch(batches: Any, number: int, name: str = "batches") -> Any:
    """Return the batches of an epoch; `name`: of the argument.

    Raises:
        ArgumentError: what is returned for it cannot be iterated over.
    """
    if not is_asked(batches):
        return batches
    with _signals.handled():
        found = batches(number)
    if not is_iterable(found):
        raise ArgumentError(
            f"`{name}({number})` is {shown(found)}, which cannot be iterated over; return an iterable of batches."
        )
    return found


def is_iterable(value: Any) -> bool:
    """Tell whether a value may be batches: a Sequence of Keras can be iterated over by `__getitem__` alone."""
    return (hasattr(value, "__iter__") or hasattr(value, "__getitem__")) and not isinstance(value, (str, bytes))


def check_source(batches: Any, epochs: int, name: str) -> None:
    """Raise an ArgumentError where this gives no batches for so many epochs; `name`: of the argument."""
    if not is_asked(batches):
        if epochs > 1 and isinstance(batches, Iterator):
            what = f"`{name}` is a {type(batches).__name__}, which can be gone through once, and `epochs` is {epochs}"
            raise ArgumentError(f"{what}; {AGAIN}.")
        return
    try:
        inspect.signature(batches).bind(0)
    except TypeError:
        raise ArgumentError(
            f"`{name}` is a function that does not take one number; give one from the number of an epoch to its"
            " batches, or an iterable."
        ) from None
    except ValueError:  # it has no signature that Python knows
        pass
