"""The exceptions, and the sentences that more than one of them needs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class JaxwalkError(Exception):
    """Anything jaxwalk refuses. Its text names the argument, the cause and the fix."""


class PointError(JaxwalkError, LookupError):
    """A point that is not there, or that cannot be walked."""


class ArgumentError(JaxwalkError, ValueError, TypeError):
    """An argument that does not fit: a loss, a layer, weights, an edit, a move, a value to tag."""


class DataError(JaxwalkError, ValueError):
    """A file that does not hold what it should."""


class StoreError(JaxwalkError, OSError):
    """A directory that an evaluation cannot be written to, or that does not hold what it should."""


class MemoryWarning(UserWarning):
    """A walk would hold a large part of the device's memory."""


def listed(names: Iterable[str], limit: int = 12) -> str:
    """`names` in backticks, the first `limit` of them, with a count of those left out."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(f"`{name}`" for name in names[:limit]) + more


def near(name: str, names: Iterable[str]) -> str:
    """A sentence that says which names are close to `name`, or which there are."""
    names = list(names)
    if not names:
        return "There are none."
    close = difflib.get_close_matches(name, names, n=5, cutoff=0.5)
    return f"Near it: {listed(close)}." if close else f"There are: {listed(names)}."


def lacking(what: str, package: str, extra: str) -> str:
    """A sentence: what cannot be done without a package, and how to install it."""
    return (
        f"{what} {package}, the extra `{extra}`: `uv sync --extra {extra}`, or `pip install 'PATH[{extra}]'` with the"
        " path of the clone."
    )


def counted(number: int, noun: str) -> str:
    """ "1 point", "2 points"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shown(value: object) -> str:
    """`value` itself if it is short to write, else what it is: a message is one sentence."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of shape {tuple(value.shape)}"  # type: ignore[attr-defined]
    text = repr(value)
    is_short = len(text) <= 40 and "\n" not in text
    return text if is_short else f"a {type(value).__name__}"


class FormulaError(JaxwalkError, NotImplementedError):
    """A step of a function that has no formula, or no exact value; or too many symbols to print."""
