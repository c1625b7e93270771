"""Reads an objective and its weights from a user's Python file, and says where what it raises arose."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .._errors import DataError, first_line
from .._jax.origin import file_and_line
from .._source.user_files import is_users
from .options import check_model


class Model(NamedTuple):
    """What a user's file defines: `objective(params, x, y)` of one datum, and `params`."""

    objective: Callable[[Any, Any, Any], Any]
    params: Any


def read_model(path: Path) -> Model:
    """Run a Python file and return `objective` and `params` from it.

    As with `python FILE.py`, what lies beside it can be imported from then on, and its classes are found by their
    module, which has a name that no other has.

    Raises:
        DataError: the file is not there, raises, or does not define both.
    """
    check_model(path)
    module = _module(path)
    try:
        module.__spec__.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # `sys.exit()` too: nothing of what is asked for has been done
        fix = "; put what ends a program below `if __name__ == '__main__'`" * isinstance(error, SystemExit)
        raise DataError(f"`{path}` cannot be run: {describe(error)}{fix}.") from error
    for name, what in (
        ("objective", "objective(params, x, y), the loss of one datum"),
        ("params", "params, the weights"),
    ):
        if not hasattr(module, name):
            raise DataError(f"`{path}` does not define `{name}`; define {what}.")
    if not callable(module.objective):
        raise DataError(f"`{path}`: `objective` is not a function; define objective(params, x, y).")
    return Model(module.objective, module.params)


def _module(path: Path) -> Any:
    """Return the module that a file will be, with nothing in it yet."""
    # With a space, and without a dot: it can be no installed package's, nor a module of one.
    spec = importlib.util.spec_from_file_location(f"{path.stem.replace('.', ' ')} (model)", path)
    assert spec is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    return module


def describe(error: BaseException) -> str:
    """Return an exception in one line: its kind, the first line of its text, where in the user's source it arose."""
    where = place(error)
    text = ": ".join(filter(None, (type(error).__name__, first_line(error))))
    return f"{text} ({where})" if where and not isinstance(error, SyntaxError) else text  # whose text names the place


def place(error: BaseException) -> str:
    """Return the last line of the user's source that an exception came through, as "file.py:12", or ""."""
    has = is_users(None).has
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if has(frame.filename)]
    return file_and_line(frames[-1].filename, frames[-1].lineno or 0) if frames else ""
