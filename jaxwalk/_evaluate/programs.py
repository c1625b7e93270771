"""The compiled programs of an evaluation, reused where nothing has changed that they depend on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from .._depth import deep_calls
from .._errors import ArgumentError
from .._jax.jaxpr.jaxprs import Closed, trace
from .._jax.jaxpr.value_sizes import bytes_of_values
from .._jax.leaves import is_array, opened_leaves
from .._jax.tracing import Staged, trace_context
from .._points.point import Point, Points
from .._source.captures import CannotTell, Captures
from .._source.lifetime import KeptForFunctions, kept_weakly
from .arguments import Asked
from .batches import Batches
from .placement import Placement
from .step.step import CompiledStep, step_of
from .step.task import Task
from .traced import traced

COUNTED = 2**31 - 1  # entries, at most, that are counted on the device
GROUP = 8192  # data, about, whose statistics are merged on the device before they go to the host and on disk
JOINED = 64  # rows, at most, up to which small batches are joined: a step costs as much as many of a small function
JOINED_BYTES = 2**26  # of all values of that many rows, about: a batch may be small because its data are large
KEPT = 8  # programs of one function: those used last


class Program(NamedTuple):
    """What is compiled for params and batches of one form.

    Attributes:
        task: of shapes alone; the first of its params are what the function closes over.
        constants: that, each as a function that gives it, or None if it is gone.
    """

    task: Task
    step: CompiledStep
    constants: list[Callable[[], Any]]

    @property
    def group_size(self) -> int:
        """How many batches make a group: on the device, entries are counted in 32 bits."""
        entries = max(map(_entries, self.task.with_delta))
        return max(1, min(GROUP // self.task.rows, COUNTED // (self.task.rows * entries)))

    def walk_of_a_batch(self, size: int) -> Closed:
        """Return the program of the loss and of δ, or scores, at the points, of `size` data at once."""
        rows = [jax.ShapeDtypeStruct((size, *row.shape), row.dtype) for row in self.task.datum]
        return trace(jax.vmap(self.task.walk, in_axes=(None, 0)), self.task.params, rows)[0]


class Programs:
    """The programs of one function and one set of options, by the form of params and batches.

    Arguments:
        asked: the function and the options.
        is_pure: whether the function is known to compute the same whenever it is called; else a program is used again
            only where nothing has changed that the function can reach.
    """

    def __init__(self, asked: Asked, is_pure: bool = False, kept: list[tuple[Any, Program]] | None = None):
        self.asked, self._is_pure = asked, is_pure
        self._kept = [] if kept is None else kept

    @deep_calls()
    def program(self, params: Any, data: Batches, placed: Placement) -> tuple[Program, list[Any]]:
        """Return the program, and the arrays that it takes before the batches', where they are."""
        given, closed = opened_leaves(params)
        key, arrays = self._key(params, data), set()
        if key is not None:
            arrays = key.captures.arrays
            for i, (known, program) in enumerate(self._kept):
                constants = [constant() for constant in program.constants]
                if known == key and all(constant is not None for constant in constants):
                    self._kept.append(self._kept.pop(i))
                    return program, [*constants, *given]
        program, constants = self._built(closed, [_shape(value) for value in given], data, placed, arrays)
        if key is not None and not program.task.staged.closed.consts:
            self._kept[:] = [*self._kept, (key, program)][-KEPT:]
        return program, [*constants, *given]

    def _key(self, params: Any, data: Batches) -> _Key | None:
        asked = self.asked
        rows = [(row.shape, row.dtype) for row in data.form.rows]
        form = data.form.tree, rows, data.size, data.is_on_host, jax.process_count()
        try:
            what = () if self._is_pure else (asked.fun, asked.at, asked.source, asked.statistic, asked.method)
            leaves = {id(leaf) for leaf in jax.tree.leaves(params) if is_array(leaf)}
            of_params = Captures(params, by_type=leaves)
            return _Key(Captures(*what), of_params, (asked.by, asked.top, asked.mesh, form), trace_context())
        except CannotTell:
            return None

    def _built(
        self, closed: Callable, params: list[jax.ShapeDtypeStruct], data: Batches, placed: Placement, arrays: set[int]
    ) -> tuple[Program, list[Any]]:
        asked, rows = self.asked, data.form.rows
        staged, chosen, kept_at, attributed = traced(asked, closed(params), len(params), data)
        are_arrays = all(isinstance(const, (jax.Array, np.ndarray, np.generic)) for const in staged.closed.consts)
        constants = list(staged.closed.consts) if are_arrays else []  # a mutable array stays where it is
        staged = staged.with_constants_as_inputs() if are_arrays else staged
        params = [*map(_shape, constants), *params]
        task = Task(
            staged._replace(args=[*params, *rows]),
            params,
            rows,
            chosen,
            asked.statistic,
            asked.top,
            _rows_of_a_step(staged, chosen, data, placed),
            placed._replace(home=None),
            kept_at,
            attributed,
        )
        _check_countable(task)
        return Program(task, step_of(task), [kept_weakly(c, arrays) for c in constants]), constants


class _Key(NamedTuple):
    """What a program depends on: what is captured by the function and the options, and by params; other options; JAX's
    settings."""

    captures: Captures
    params: Captures
    options: Any
    context: tuple[Any, ...]


# Kept from one call of `evaluate` to the next -----------------------------------------------------------

_KEPT = KeptForFunctions()


def kept_for(asked: Asked) -> Programs:
    """Return the programs of a function, which live as long as it."""
    return Programs(asked, kept=_KEPT.of(asked.fun))


# What is asked of points and loss ------------------------------------------------------------------------


def _shape(value: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(value.shape, value.dtype, weak_type=getattr(value, "weak_type", False))


def _rows_of_a_step(staged: Staged, points: Points, data: Batches, placed: Placement) -> int:
    """Return how many rows a step takes, of all processes together.

    Small batches are joined, but not where what fills up the last step would be seen, as by a callback. Several
    processes take one batch each: their data are in the order of the steps.
    """
    if placed.processes > 1 or not data.is_on_host or staged.closed.jaxpr.effects:
        return data.size * placed.processes
    entries = max(map(_entries, points.values()))
    limit = min(JOINED, GROUP, COUNTED // entries, JOINED_BYTES // max(1, bytes_of_values(staged.closed.jaxpr)))
    return data.size * max(1, limit // data.size)


def _entries(point: Point) -> int:
    """Return how many entries a point has at a step of the loops around it, at least 1."""
    return max(1, math.prod(point.shape[len(point.axes) :]))


def _check_countable(task: Task) -> None:
    entries = max(map(_entries, task.with_delta))
    if task.statistic is not None and task.attributed is None and task.rows * entries > COUNTED:
        raise ArgumentError(
            f"`batches` have {task.rows} rows, and a point has {entries} entries for each, which is more together than"
            f" the {COUNTED} that can be counted; give smaller batches, or `keep=None`."
        )
