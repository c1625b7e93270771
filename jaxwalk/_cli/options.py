"""What options mean, and paths looked at before JAX is imported, which takes seconds."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from .._errors import DataError, JaxwalkError
from .._evaluate.store import directory
from .._report import place

BATCH = 256  # data walked at once, if nothing else is asked for

COLUMNS = ("broccoli", "strawberries", "workout", "expectation")
"""Of the worked example's patients: what they did in a year, and in which shape they are."""

NAMES = {
    "at": "--at", "batches": "--data", "fun": "objective", "out": "--out", "resume=True": "--resume",
    "source": "--source", "top": "--top",
}  # fmt: skip
"""What arguments of the API, as errors have them, are called here."""


def path(text: str) -> Path:
    """Read an option that is a path."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; give a path")  # by itself, `Path` would take the current folder
    if "\0" in text:
        raise argparse.ArgumentTypeError("it holds a NUL byte, which no path has")
    return Path(text)


def positive(text: str) -> int:
    """Read an option that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return int(text)


def rate(text: str) -> Fraction:
    """Read an option that is a rate of learning, exactly: 1e-7 is 1/10000000."""
    try:
        found = Fraction(text)
    except (ValueError, ZeroDivisionError):
        found = Fraction(0)
    if found <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0, such as 1, 1e-7 or 1/3")
    return found


def names(text: str) -> list[str]:
    """Read an option that is names, divided by commas."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name; divide names by commas")
    return found


def check_model(path: Path) -> None:
    """Raise a DataError if there is no Python file at `path`."""
    if path.suffix != ".py" or not path.is_file():
        raise DataError(f"`{path}` is not a Python file that is there; give the path of one.")


def check_data(path: Path) -> None:
    """Raise a DataError if there are no data at `path`."""
    with of_data():
        if not path.exists():
            raise DataError(f"`{path}` is not there; give the path of an npz, a csv, a Parquet file or a folder.")


@contextlib.contextmanager
def of_data() -> Iterator[None]:
    """Name the option in errors about data."""
    try:
        yield
    except DataError as error:
        raise DataError(f"`--data`: {error}") from error


def check_walk(options: argparse.Namespace) -> None:
    """Raise a JaxwalkError if the paths of `jaxwalk walk` cannot be read or written."""
    check_model(options.file)
    check_data(options.data)
    check_report(options)
    if options.out is not None:
        directory.check(options.out, options.resume)


def check_report(options: argparse.Namespace) -> None:
    """Raise a JaxwalkError if a page is asked for that cannot be made or written."""
    if options.report is not None:
        try:
            place.check(options.report)
        except JaxwalkError as error:
            raise type(error)(f"`--report`: {error}") from error
