"""From a function and its arguments to a jaxpr: which arguments are traced, and where they go."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

from .._errors import ArgumentError, shown
from .argnums import leaves_of, positions_of
from .jaxpr import jaxprs
from .jaxpr.jaxprs import Closed
from .jaxpr.structure import of_config
from .leaves import as_input, flatten, is_array, other_leaves, replaced


class Staged(NamedTuple):
    """A traced function at its arguments."""

    closed: Closed
    args: list[Any]  # the values of its inputs
    shapes: Any  # the pytree of its results, as shapes and dtypes
    chosen: list[int]  # which of the inputs belong to the arguments that `argnums` names
    rebuild: Callable[[Sequence[Any]], Any]  # from the leaves of those to what `jax.grad` would return for `argnums`

    def with_chosen(self, values: Sequence[Any]) -> list[Any]:
        """Return the inputs, with those of `chosen` replaced."""
        return replaced(self.args, self.chosen, values)

    def with_constants_as_inputs(self) -> Staged:
        """Return the same function with the arrays that it closes over as its first inputs."""
        jaxpr, consts = self.closed
        closed = Closed(jaxpr.replace(constvars=[], invars=[*jaxpr.constvars, *jaxpr.invars]), ())
        chosen = [len(consts) + place for place in self.chosen]
        return self._replace(closed=closed, args=[*consts, *self.args], chosen=chosen)

    def results(self, leaves: Sequence[Any]) -> Any:
        """Return the results as the function does."""
        return jax.tree.unflatten(jax.tree.structure(self.shapes), leaves)


def stage(fun: Callable, args: tuple, kwargs: dict[str, Any], argnums: int | Sequence[int] | None = None) -> Staged:
    """Trace `fun` once, abstractly.

    Arrays are traced, as by `jax.jit`: Python's own `if` cannot look at their values. What `jax.grad` would leave as it
    is, is left as it is: Python numbers outside `argnums`, booleans, strings, functions.
    """
    if not callable(fun):
        raise ArgumentError(f"`fun` is {shown(fun)}, which cannot be called; give a function of arrays.")
    leaves, tree = flatten((args, kwargs))
    positions = positions_of(args, argnums)
    named = leaves_of(args, positions)
    traced = [i for i, leaf in enumerate(leaves) if i in named or is_array(leaf)]

    @functools.wraps(fun, (), ())  # JAX's errors name it, its line and its arguments
    def whole(*args, **kwargs):
        args, kwargs = jax.tree.unflatten(tree, replaced(leaves, traced, jax.tree.leaves((args, kwargs))))
        return _checked(fun(*args, **kwargs))

    values = [as_input(leaves[i]) for i in traced]
    positional, by_name = _without_others(tree, replaced([None] * len(leaves), traced, values), values)
    with _noting_what_to_do():
        closed, shapes = jaxprs.trace(whole, *positional, **by_name)
    chosen = [args[position] for position in positions]
    structure = jax.tree.structure(chosen[0] if isinstance(argnums, int) else tuple(chosen))
    rebuild = lambda leaves: None if argnums is None else jax.tree.unflatten(structure, leaves)
    return Staged(closed, values, shapes, [traced.index(i) for i in named], rebuild)


@contextlib.contextmanager
def _noting_what_to_do() -> Iterator[None]:
    """Say beside what JAX says of a value that Python asked for, but that is not there while a function is traced,
    what to write."""
    try:
        yield
    except _ASKED as error:
        error.add_note(INSTEAD)
        raise


INSTEAD = (
    "jaxwalk traces `fun` once, as `jax.jit` does, without its numbers: in place of Python's `if` write `jnp.where` or"
    " `jax.lax.cond`, of a loop `jax.lax.scan`, of NumPy's functions those of `jax.numpy`."
)
"""A note of an error that asks for a value that is not there yet."""

_ASKED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerBoolConversionError,
    jax.errors.TracerIntegerConversionError,
)


@jax.jit
def _nothing() -> int:
    return 0


def trace_context() -> tuple[Any, ...]:
    """Return what is equal as long as the settings are by which JAX traces: its configuration, the mesh that is set."""
    return _nothing.trace().jaxpr, of_config()  # the first is the same object in the same context


def _without_others(tree: Any, leaves: list[Any], values: list[Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments with None for what is not traced; where a container refuses None, the values alone."""
    try:
        args, kwargs = jax.tree.unflatten(tree, leaves)
        found = jax.tree.leaves((args, kwargs))
    except Exception:  # whatever the constructor of a user's container raises
        return values, {}
    is_same = len(found) == len(values) and all(a is b for a, b in zip(found, values, strict=True))
    return (args, kwargs) if is_same else (values, {})


def _checked(results: Any) -> Any:
    """Return what the function returned; refuse what is neither an array nor a number."""
    for place, leaf in other_leaves(results):
        fix = "return arrays, numbers, and pytrees of them"
        raise ArgumentError(f"`fun` returns {shown(leaf)} at `result{place}`, which is not an array; {fix}.")
    return results
