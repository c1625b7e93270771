"""What a function takes, looked at before it is called."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ._errors import ArgumentError, JaxwalkError, counted, listed, shown

F = TypeVar("F", bound=Callable[..., Any])


def transform(of: F) -> F:
    """Refuse, where a transform of (fun, second) is called, arguments that are meant for what it returns."""

    @functools.wraps(of)
    def called(*args: Any, **kwargs: Any) -> Any:
        if len(args) > 2:
            name = f"jw.attribute.{of.__name__}" if ".attribute." in of.__module__ else f"jw.{of.__name__}"
            raise ArgumentError(
                f"`{name}` was given {counted(len(args), 'positional argument')}; those of `fun` go to the"
                f" function that it returns: `{name}(fun)(...)`."
            )
        return of(*args, **kwargs)

    return called  # type: ignore[return-value]


@contextlib.contextmanager
def called_with(fun: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[None]:
    """Turn what Python says where a function is called with too few arguments, or too many, into a sentence.

    A TypeError of arguments that it does take is the function's own, and comes through.

    Raises:
        ArgumentError: these arguments are not what `fun` takes.
    """
    try:
        yield
    except TypeError as error:
        if isinstance(error, JaxwalkError) or (takes := _not_taking(fun, args, kwargs)) is None:
            raise
        given = counted(len(args), "argument") + (f" and {listed(kwargs)}" if kwargs else "")
        raise ArgumentError(f"`fun` takes {takes}, and was given {given}; give it what it takes.") from error


def _not_taking(fun: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """Return what a function takes, if that is not these arguments; None if they are, or if it does not say."""
    try:
        takes = inspect.signature(fun)
    except (TypeError, ValueError):
        return None
    try:
        takes.bind(*args, **kwargs)
    except TypeError:
        bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in takes.parameters.values()]
        return str(takes.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return None


def takes_weights(name: str, layer: Any) -> bool:
    """Tell whether a layer is f(weights, x) and not f(x): by the number of arguments it cannot do without."""
    if not callable(layer):
        raise ArgumentError(f"Layer `{name}` is {shown(layer)}, which cannot be called; give f(x) or f(weights, x).")
    needed = _needed_arguments(name, layer)
    if needed == 0:
        fix = "a layer is f(x) or f(weights, x): wrap it in a lambda that takes these"
        raise ArgumentError(f"Layer `{name}` can be called without arguments; {fix}.")
    if needed > 2:
        raise ArgumentError(
            f"Layer `{name}` needs {counted(needed, 'argument')}; a layer is f(x) or f(weights, x):"
            " wrap it in a lambda that fixes the others."
        )
    return needed == 2


def _needed_arguments(name: str, layer: Callable) -> int:
    """Return how many arguments a layer cannot do without.

    Raises:
        ArgumentError: it does not say what it takes, or needs a keyword argument.
    """
    try:
        parameters = inspect.signature(layer).parameters.values()
    except (TypeError, ValueError):
        raise ArgumentError(
            f"Layer `{name}` does not say what arguments it takes; wrap it in a lambda: `lambda x: f(x)`."
        ) from None
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if any(p.kind is p.KEYWORD_ONLY for p in required):
        raise ArgumentError(f"Layer `{name}` needs a keyword argument; fix it with `functools.partial` or a lambda.")
    return len(required)


def check_keep(keep: Any) -> None:
    """Check a `keep` before it is called.

    Raises:
        ArgumentError: it is no function, or does not take two arguments.
    """
    if not callable(keep):
        raise ArgumentError(f"`keep` is {shown(keep)}; it must be a function (output, delta) -> arrays.")
    check_takes(keep, "`keep`", "output", "delta")


def check_takes(function: Callable, said: str, *arguments: str, else_: str = "") -> None:
    """Check that a function takes these arguments, before it is called: what is raised within it is the user's own.

    Arguments:
        said: what the function is, at the beginning of a sentence.
        else_: what a function of other arguments would be for, where there is such a thing.

    Raises:
        ArgumentError: it does not.
    """
    try:
        takes = inspect.signature(function)
    except (TypeError, ValueError):  # some that are written in C have none
        return
    try:
        takes.bind(*arguments)
    except TypeError:
        fix = f"give a function of {'these two' if len(arguments) == 2 else 'this one'}"
        given = ", ".join(arguments)
        raise ArgumentError(f"{said} must take ({given}), and what it takes is {takes}; {fix}{else_}.") from None
