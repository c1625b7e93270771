"""A function traced once, that is run again and again with other inputs, or with entries of values at points replaced."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._callables import called_with
from ..._errors import ArgumentError, PointError, argument, check_count, listed, near
from ..._jax.leaves import flatten
from ..._jax.tracing import Staged, stage
from ..._points.find import find
from ..._points.point import Points
from ..._rewrite.rewire import Plan, Visitor, plan, run
from ..._source.user_files import Source
from ..._walk.loss import loss_only
from .._attribution import Attribution

AT_ONCE = 16  # runs that are vmapped; these batches go one after the other


class Subject(NamedTuple):
    """What an attribution is of: a function, how its points are found, and the arguments attributed to."""

    fun: Callable
    by: str | None
    source: Source
    argnums: int | Sequence[int]


class Reruns(NamedTuple):
    """A traced function at its arguments.

    Attributes:
        staged: the function.
        planned: how it is run with something done at the points.
        points: these, by name.
    """

    staged: Staged
    planned: Plan
    points: Points

    @classmethod
    def of_inputs(cls, of: Subject, args: tuple) -> Reruns:
        """Trace a function of which the arguments that `argnums` names are changed."""
        with called_with(of.fun, args, {}):
            staged = stage(of.fun, args, {}, of.argnums)
        loss_only(staged, False)
        return cls(staged, plan(staged.closed, ()), Points())

    @classmethod
    def of_points(cls, of: Subject, args: tuple, names: Sequence[str]) -> Reruns:
        """Trace a function of which the values at points are changed."""
        with called_with(of.fun, args, {}):
            staged, found = find(of.fun, args, {}, of.by, of.source, used=functools.partial(loss_only, has_aux=False))
        if missing := [name for name in names if name not in found]:
            raise PointError(
                f"`{argument('attribution')}` has scores at {listed(missing, 4)}, which `{argument('fun')}` has not"
                f" with these arguments; give the function that it is of. {near(missing[0], found)}"
            )
        planned = plan(staged.closed, [found[name] for name in names])
        return cls(staged, planned, found.where(lambda point: point.name in names))

    @property
    def inputs(self) -> list[jax.Array]:
        """Return the arrays of the arguments that `argnums` names."""
        return [self.staged.args[i] for i in self.staged.chosen]

    def outputs(self) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Return the result, and the values at the points."""
        there = Visitor(lambda name, value, _: (value, None), lambda name, value: value)
        (value,), found = run(self.planned, self.staged.args, {}, there)
        return value, found

    def with_inputs(self, inputs: Sequence[Any]) -> jax.Array:
        """Return the result with other arrays in the place of `inputs`."""
        return run(self.planned, self.staged.with_chosen(inputs), {}, _replacing)[0][0]

    def with_values(self, edits: Mapping[str, tuple[Any, Any]]) -> jax.Array:
        """Return the result with values at points replaced where a mask says so, as by `jw.intervene`.

        Arguments:
            edits: by name, (mask, new value), each with the axes of the point; those of the mask after those of loops
                may be of length 1.
        """
        return run(self.planned, self.staged.args, dict(edits), _replacing)[0][0]


def _visit(name: str, value: jax.Array, edit: tuple[Any, Any] | None) -> tuple[jax.Array, None]:
    return (value if edit is None else jnp.where(edit[0], edit[1], value)), None


_replacing = Visitor(_visit, recorded=None)


def in_batches(of: Callable[[Any], Any], rows: Any, batch_size: int) -> Any:
    """Return what a function makes of each row, `batch_size` of them vmapped, and these batches one after the other."""
    return jax.lax.map(of, rows, batch_size=batch_size)


def check_batch_size(batch_size: Any) -> None:
    check_count("batch_size", batch_size)


def check_attribution(attribution: Any) -> None:
    if not isinstance(attribution, Attribution):
        raise ArgumentError(
            f"`attribution` is a {type(attribution).__name__}; give the `Attribution` that a method of `jw.attribute`"
            " returned."
        )


def scores_of_inputs(attribution: Attribution, inputs: Sequence[jax.Array]) -> list[jax.Array]:
    """Return the scores of the inputs, as an array for each of these.

    Raises:
        ArgumentError: there are none, or they are of other shapes.
    """
    if attribution.inputs is None:
        raise ArgumentError(
            f"`{argument('attribution')}` has no scores of inputs ({attribution.method}); ask for a point by"
            f" `{argument('at')}`, or give one of a method that has them, of arguments of floats."
        )
    scores, _ = flatten(attribution.inputs)
    mine, its = [jnp.shape(s) for s in scores], [jnp.shape(x) for x in inputs]
    if mine != its:
        raise ArgumentError(
            f"`{argument('attribution')}` has scores of inputs of the shapes {mine}, and the arguments have {its}; give"
            f" the arguments and the `{argument('argnums')}` that it is of{_VMAP}"
        )
    return list(scores)


_VMAP = ", and for a batch `jax.vmap` of both: `jax.vmap(lambda found, x: measure(found, fun)(x))(found, x)`."


def scores_at(attribution: Attribution, name: str, shape: tuple[int, ...]) -> jax.Array:
    """Return the scores at a point, one for each entry of its value.

    Raises:
        PointError: it has none.
        ArgumentError: they are of another shape.
    """
    scores = attribution.scores[name]
    if scores.shape != shape:
        raise ArgumentError(
            f"`{argument('attribution')}` has scores of shape {scores.shape} at `{name}`, where the value has {shape};"
            f" give one score for each entry, of these arguments{_VMAP}"
        )
    return scores


def names_at(attribution: Attribution, at: Any) -> list[str]:
    """Return which points with scores `at` names, each value by one name."""
    from ..._points.name_patterns import choose

    chosen = choose(attribution.points, at)
    names = [name for name in attribution.scores.once() if name in chosen]
    if not names:
        raise PointError(f"There are no scores at {listed(chosen)}. {attribution.scores.why_empty()}")
    return names
