"""The compiled steps of a run, reused by a later one where nothing has changed that they depend on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._evaluate.batches import Batches
from ..._jax.jaxpr.jaxprs import Closed, evaluate, trace
from ..._jax.packing import Packing
from ..._jax.tracing import trace_context
from ..._points.point import Points
from ..._source.captures import CannotTell, Captures
from ..._source.lifetime import KeptForFunctions, kept_weakly
from .asked import Asked

KEPT = 4  # runs of one function whose programs are kept: the last ones

Run = Callable[[list[Any], Any, Any, tuple], tuple[Any, Any, Any]]


class Program(NamedTuple):
    """A step, compiled for params, state and batches of one form.

    Attributes:
        run: (constants, params, state, batch) -> (params, state, outcome); params and state are given away.
        constants: the arrays that the step closes over, each as a function that gives it.
        seen: which points it looks at, and how what it keeps of them is packed; None if it does not look.
    """

    run: Run
    constants: Sequence[Callable[[], Any]] = ()
    seen: tuple[Points, Packing] | None = None


class Kept:
    """What is kept of the runs of one function, with one set of options.

    Attributes:
        programs: by the number of rows of a batch, and whether the points are looked at.
        arrays: the ids of JAX's arrays that the user's function holds, which are not kept alive here.
    """

    def __init__(self, programs: dict[tuple[int, bool], Program] | None = None, arrays: set[int] | None = None):
        self.programs, self.arrays = {} if programs is None else programs, arrays or set()


def built(step: Callable, params: Any, state: Any, batch: tuple, kept: Kept, is_divided: bool) -> Program:
    """Trace a step, and return the program, which is compiled when it is first run.

    The program is of what was traced, not of the user's function, which may be gone before it.

    Arguments:
        is_divided: whether arrays are on a mesh, where params and state are to stay as they are divided.
    """
    closed, (*moved, outcome) = trace(step, params, state, *batch)
    given = jax.tree.leaves((params, state))
    are_arrays = all(isinstance(const, (jax.Array, np.ndarray, np.generic)) for const in closed.consts)
    if not are_arrays or [*map(_form, given)] != [*map(_form, jax.tree.leaves(moved))]:
        # A mutable array stays where it is; a state whose form changes from step to step is compiled for each.
        return Program(jax.jit(lambda _, params, state, batch: step(params, state, *batch), donate_argnums=(1, 2)))
    # One of NumPy's would be brought to the device in each step.
    constants = [const if isinstance(const, jax.Array) else jnp.array(const) for const in closed.consts]
    jaxpr, count, found = closed.jaxpr, len(given), jax.tree.structure(outcome)

    def flat(constants: list[Any], given: list[Any], batch: list[Any]) -> tuple[list[Any], Any]:
        results = evaluate(Closed(jaxpr, constants), [*given, *batch])
        return results[:count], jax.tree.unflatten(found, results[count:])

    places = ([leaf.sharding for leaf in given], None) if is_divided else None
    compiled = jax.jit(flat, donate_argnums=1, out_shardings=places)

    def run(constants: list[Any], params: Any, state: Any, batch: tuple) -> tuple[Any, Any, Any]:
        given, tree = jax.tree.flatten((params, state))
        moved, outcome = compiled(constants, given, jax.tree.leaves(batch))
        return *jax.tree.unflatten(tree, moved), outcome

    return Program(run, [kept_weakly(constant, kept.arrays) for constant in constants])


def _form(array: Any) -> tuple[Any, ...]:
    return array.shape, array.dtype, getattr(array, "weak_type", False)


# Kept from one run to the next ---------------------------------------------------------------------------

_KEPT = KeptForFunctions()


class _Key(NamedTuple):
    """What the programs of a run depend on: what is captured by the function and the options, and by params; other
    options, and the form of a datum; where params lie on a mesh; JAX's settings."""

    captures: Captures
    params: Captures
    options: Any
    places: list[Any]
    context: tuple[Any, ...]


def kept_for(asked: Asked, params: Any, data: Batches) -> Kept:
    """Return what earlier runs of this function have left for such params and batches, which lives as long as it; where
    it cannot be told whether something has changed, nothing."""
    try:
        key, known = _key(asked, params, data), _KEPT.of(asked.fun)
    except CannotTell:
        return Kept()
    if known is None:
        return Kept()
    programs = next((programs for other, programs in known if other == key), {})
    known[:] = [*(one for one in known if one[1] is not programs), (key, programs)][-KEPT:]
    return Kept(programs, key.captures.arrays)


def _key(asked: Asked, params: Any, data: Batches) -> _Key:
    leaves = jax.tree.leaves(params)
    what = Captures(asked.fun, asked.optimizer, asked.at, asked.source, asked.keep)
    form = data.form.tree, [(row.shape, row.dtype) for row in data.form.rows]
    options = asked.by, asked.on_nonfinite, asked.mesh, form
    places = [leaf.sharding for leaf in leaves] if asked.mesh is not None else []
    return _Key(what, Captures(params, by_type={*map(id, leaves)}), options, places, trace_context())
