"""`Statistic`: something of the output and the δ of a datum that merges over data; its sides, its units, unions."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError, listed, shown
from .._printable import printable
from .._show.fit import as_lines
from ._fold import Partial, fold

State = Mapping[str, Any]
Of: TypeAlias = Callable[[Any, Any], State]


class Units(NamedTuple):
    """Which units a statistic has at a point, or why it is not taken there.

    Attributes:
        statistic: its name.
        shape: of the value, without the axes of loops.
        axes: of the value, whose positions are the units, in row-major order; None where it is not taken.
        note: what else there is to say: after which activation it is taken, or why it is not taken.
    """

    statistic: str
    shape: tuple[int, ...]
    axes: tuple[int, ...] | None
    note: str = ""

    def __str__(self) -> str:
        if self.axes is None:
            return f"no {self.statistic}: {self.note}"
        axes = "axis" if len(self.axes) == 1 else "axes"
        named = f"{axes} {', '.join(map(str, self.axes))} of {self.shape}" if self.axes else f"{self.shape} as one unit"
        return f"{named}, {self.note}" if self.note else named


class Value(NamedTuple):
    """What is known of the value at a point before it is there.

    Attributes:
        shape: without the axes of loops.
        axes: of its units, as of its channels; None where nothing tells.
        activation: the name of the one that reads it, or "".
        made_by: the name of the one whose result it is, or "".
        activated: value -> what others read in its place, where an activation reads it.
        program: a text that is equal where `activated` is.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...] | None
    activation: str = ""
    made_by: str = ""
    activated: Callable[[Any], Sequence[Any]] | None = None
    program: str = ""


@dataclasses.dataclass(frozen=True)
class Statistic:
    """A statistic of the output and the δ at a point, over any number of data.

    Called with (output, delta) it is a `keep` of `jw.walk`: it gives the results for the one value it is shown.
    Over data, each datum gives a state, states are merged two by two, in any order, and the last one is finished.

    To write one's own, give `of`, `merge` and `finish`. `merge` and `finish` see JAX's arrays inside a compiled
    function, and NumPy's, widened to 64 bits, between batches: use operators, or `jw.stats.numpy_of(state)`. At a
    point in a scan the arrays of a state have the scan's axis in front: work entry by entry, or along the last axis.

    Attributes:
        name: what it is called. In a combination no two have the same.
        of: (output, delta) -> state: a dict, which may nest, of arrays, of the same shapes and dtypes for all data.
        merge: (state, state) -> state: from those of two sets of data, that of both sets together. Associative and
            commutative, to rounding.
        finish: state -> results: a flat dict of arrays by name.
        side: "output" or "delta" if `of` looks at that argument alone.
        parts: the statistics it is a union of, if it is one.
        merge_all: (states, which) -> state: of many data at once, where that is cheaper than two by two; arrays have a
            leading axis, and `which`, booleans of that length, says whose are to be merged: the others are zeros.
            It is called with JAX's arrays.
        at: `Value` -> (of, `Units`): the `of` for that value, where it is not the same for all, and the units it has
            there, or None for one without. It raises an `ArgumentError`, in a few words, where it would have units and
            nothing tells which, and returns None where there is nothing that it could be taken of. Called with a value
            alone, as in a function of one's own, a statistic knows nothing of a point.
        doc: what `help` says of it, if not this.
        by_entry: whether `merge` and `finish` work entry by entry, or along the last axis, so that between batches they
            may be given all steps of a loop at once, and several points, in axes in front. Else they are called step by
            step, which takes its time where there are thousands.
    """

    name: str
    of: Of
    merge: Callable[[State, State], State]
    finish: Callable[[State], dict[str, Any]]
    side: str | None = None
    parts: tuple[Statistic, ...] = ()
    merge_all: Callable[[State, Any], State] | None = None
    doc: str | None = None
    at: Callable[[Value], tuple[Of, Units | None] | None] | None = None
    by_entry: bool = False

    def __post_init__(self) -> None:
        if self.doc is not None:
            object.__setattr__(self, "__doc__", self.doc)

    def __call__(self, output: Any, delta: Any) -> dict[str, Any]:
        """Return the results for one value: what `jw.walk(fun, keep=statistic)` keeps."""
        return self.finish(self.of(output, delta))

    def __repr__(self) -> str:
        return as_lines(printable(f"Statistic({self.name})"))


def numpy_of(state: Any) -> Any:
    """Return the namespace for the arrays of `state`: `numpy` if all are NumPy's, else `jax.numpy`."""
    return np if all(isinstance(x, np.ndarray | np.generic) for x in jax.tree.leaves(state)) else jnp


# Unions -------------------------------------------------------------------------------------------------


def combine(*statistics: Statistic, name: str | None = None) -> Statistic:
    """Return the union of some statistics: all their results, in one state.

    Arguments:
        *statistics: at least one. No two have the same name, and no two a result of the same name.
        name: of the union; by default their names with "+" between.

    Returns:
        Statistic: its state is a dict of theirs, by name.

    Raises:
        ArgumentError: nothing to combine, or what is no statistic, or a name twice; two results of one name (when
            it first sees a value).

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> from jaxwalk import stats
    >>> both = stats.combine(stats.zeros, stats.dead)
    >>> sorted(both(jnp.array([0.0, 1.0]), jnp.array([1.0, 1.0])))
    ['active_share', 'dead', 'dead_count', 'dead_share', 'delta_zeros', 'output_zeros']
    """
    for statistic in statistics:
        _check(statistic, "`statistics` holds")
    names = [statistic.name for statistic in statistics]
    if not names:
        raise ArgumentError("`statistics` is empty; give at least one to combine.")
    if repeated := _repeated(names):
        raise ArgumentError(f"`statistics` has {listed(repeated)} more than once; leave the others out.")
    return union("+".join(names) if name is None else name, statistics)


def _check(statistic: Any, said: str = "`statistic` is") -> None:
    if not isinstance(statistic, Statistic):
        fix = "wrap a plain function by `jw.stats.averaged`"
        raise ArgumentError(f"{said} {shown(statistic)}, which is not a `Statistic`; {fix}.")


def union(name: str, parts: Sequence[Statistic]) -> Statistic:
    """Return the union of statistics, no two of one name. States of some of them are merged and finished too."""

    def of(output: Any, delta: Any) -> State:
        state = {part.name: part.of(output, delta) for part in parts}
        # Two results of one name are refused here, before the first datum, and not after the last.
        jax.eval_shape(finish, state)
        return state

    def merge(a: State, b: State) -> State:
        return {part.name: part.merge(a[part.name], b[part.name]) for part in parts if part.name in a}

    def finish(state: State) -> dict[str, Any]:
        return _flat({part.name: part.finish(state[part.name]) for part in parts if part.name in state})

    def merge_all(states: State, which: Any) -> State:
        return {part.name: merged(part, states[part.name], which) for part in parts if part.name in states}

    sides = {part.side for part in parts}
    side, by_entry = sides.pop() if len(sides) == 1 else None, all(part.by_entry for part in parts)
    return Statistic(name, of, merge, finish, side, tuple(parts), merge_all, by_entry=by_entry)


def merged(statistic: Statistic, states: State, which: Any) -> State:
    """Merge the states, along a leading axis, of the data for which `which` is true; of none, the state is zeros."""
    if statistic.merge_all is not None:
        return statistic.merge_all(states, which)
    return fold(statistic.merge, Partial(states, jnp.int32(which))).state


def _flat(results: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    if repeated := _repeated(name for result in results.values() for name in result):
        owners = [owner for owner, result in results.items() if repeated[0] in result]
        fix = "leave one of them out, or rename its result"
        raise ArgumentError(f"The statistics {listed(owners)} both have a result `{repeated[0]}`; {fix}.")
    return functools.reduce(operator.or_, results.values())


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


# Sides --------------------------------------------------------------------------------------------------


def of_output(statistic: Statistic) -> Statistic:
    """Return the part of a statistic that looks at the output alone; as `of_delta`."""
    return _side(statistic, "output")


def of_delta(statistic: Statistic) -> Statistic:
    """Return the part of a statistic that looks at δ alone.

    In a walk it costs no memory in the forward pass: no output is saved for it.

    Arguments:
        statistic: one that has such a part, as `norms` and `summary`. What looks at both together, as `blocked`, is
            no part of the result.

    Returns:
        Statistic: with the same results, those of δ alone.

    Raises:
        ArgumentError: it has no such part, or is no statistic.

    >>> import jax.numpy as jnp
    >>> from jaxwalk import stats
    >>> stats.of_delta(stats.zeros)(jnp.ones(4), jnp.array([0.0, 0.0, 0.0, 1.0]))
    {'delta_zeros': Array(0.75, dtype=float32)}
    """
    return _side(statistic, "delta")


def _side(statistic: Statistic, side: str) -> Statistic:
    _check(statistic)
    chosen = _parts_of(statistic, side)
    if not chosen:
        raise ArgumentError(f"`{statistic.name}` has no part that looks at the {side} alone; choose another statistic.")
    return chosen[0] if len(chosen) == 1 else union(f"{side}_{statistic.name}", chosen)


def _parts_of(statistic: Statistic, side: str) -> list[Statistic]:
    if statistic.side == side:
        return [statistic]
    return [chosen for part in statistic.parts for chosen in _parts_of(part, side)]
