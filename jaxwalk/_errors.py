"""The exceptions, and the sentences that more than one of them needs."""

from __future__ import annotations

import difflib
import numbers
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from ._printable import printable

_MARK = "\0argument\0"  # before and after the name of an argument, until the error is made


class JaxwalkError(Exception):
    """Anything jaxwalk refuses. Its text names the argument, the cause and the fix; it is one line, whatever it cites.

    Attributes:
        argument: the name of the argument that the text is about, as "batches"; None if it marks none.
    """

    argument: str | None

    def __init__(self, text: str = ""):
        self._pieces = [*map(printable, text.split(_MARK))]  # every second one is the name of an argument
        self.argument = next(iter(self._pieces[1::2]), None)
        super().__init__("".join(self._pieces))


class PointError(JaxwalkError, LookupError):
    """A point that is not there, or that cannot be walked."""


class ArgumentError(JaxwalkError, ValueError, TypeError):
    """An argument that does not fit: a loss, a layer, weights, an edit, a move, a value to tag."""


class DataError(JaxwalkError, ValueError):
    """A file that does not hold what it should."""


class StoreError(JaxwalkError, OSError):
    """A directory that an evaluation cannot be written to, or that does not hold what it should."""


class ProcessError(JaxwalkError, RuntimeError):
    """Another of several processes that evaluate together failed, or is gone, so that this one cannot go on."""


class NonfiniteError(JaxwalkError, ArithmeticError):
    """A step of training whose loss, or a gradient, is NaN or Inf. Nothing is lost.

    Attributes:
        learned: what `learn` would have returned, had it ended before this step.
        batch: the data of the step, the arguments of the function after `params`, with the axis of the batch.
    """

    learned: Any
    batch: tuple


class FormulaError(JaxwalkError, NotImplementedError):
    """A step of a function that has no formula, or no exact value; or too many symbols to print."""


class MemoryWarning(UserWarning):
    """A walk would hold a large part of the device's memory."""


def check_count(name: str, value: object, least: int = 1) -> None:
    """Raise an ArgumentError if an argument is no integer, Python's or NumPy's, of at least `least`."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ArgumentError(f"`{name}` is {shown(value)}; it must be an integer of at least {least}.")


def argument(name: str) -> str:
    """Mark an argument in the text of an error, so that the command line can name its option instead."""
    return f"{_MARK}{name}{_MARK}"


def with_options(error: JaxwalkError, options: Mapping[str, str]) -> str:
    """Return an error's text with the command line's options in place of the arguments that `argument` has marked."""
    return "".join(options.get(piece, piece) if i % 2 else piece for i, piece in enumerate(error._pieces))


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return `names` in backticks, the first `limit` of them, with a count of those left out."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(f"`{name}`" for name in names[:limit]) + more


def near(name: object, names: Iterable[str]) -> str:
    """Return a sentence that says which names are close to `name`, or which there are."""
    names = list(names)
    if not names:
        return "There are none."
    close = difflib.get_close_matches(str(name), names, n=5, cutoff=0.5)
    return f"Near it: {listed(close)}." if close else f"There are: {listed(names)}."


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return "1 point", "2 points", or with `plural` "2 entries"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def shown(value: object) -> str:
    """Return `value` itself if it is short to write, else what it is: a message is one sentence."""
    numpy = sys.modules.get("numpy")  # not imported for this: a number of NumPy's is none without it
    is_number = numpy is not None and isinstance(value, numpy.generic)
    if hasattr(value, "shape") and hasattr(value, "dtype") and not is_number:
        return f"an array of shape {tuple(value.shape)}"  # type: ignore[attr-defined]
    text = repr(value)
    is_short = len(text) <= 40 and "\n" not in text
    return text if is_short else f"a {type(value).__name__}"


def first_line(of: object) -> str:
    """Return the first line of what an error says, without its full stop."""
    try:
        text = str(of)
    except Exception:  # an error of somebody's own, which cannot even say what it is
        return ""
    return (text.strip().splitlines() or [""])[0].rstrip(".")
