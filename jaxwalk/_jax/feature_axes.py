"""Which axes of a value its features are on, such as the channels of a convolution: followed through a jaxpr."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from .jaxpr import call_parameters, jaxprs, kinds, primitives, types
from .jaxpr.jaxprs import Closed, is_literal

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var

Axes: TypeAlias = frozenset[int] | None
"""The axes that are known to be of features; empty: they were lost on the way; None: nothing was ever known of them."""

Calls: TypeAlias = tuple[tuple[int, int], ...]
Found: TypeAlias = Mapping[tuple[Calls, int], Sequence[Axes]]

_MOVES = (
    "transpose",
    "reshape",
    "broadcast_in_dim",
    "squeeze",
    "convert",
    "copy",
    "slice",
    "dynamic_slice",
    "rev",
    "stop_gradient",
)
"""What leaves an array the parameter that it is."""


def feature_axes(closed: Closed, is_parameter: Sequence[bool] | None = None) -> Found:
    """Return the axes of features of the results of every equation, by the calls around it and its number.

    An axis is of features where a parameter has entries of its own along it: the output features of a convolution, the
    columns of a matrix that is multiplied by, the entries of a row of a table. From there it is followed: operations
    on entries, transposes, reductions, pooling keep it, whatever the layout and whatever axes `jax.vmap` has put before
    it. Of two operands that are both parameters nothing is learned.

    Arguments:
        is_parameter: of each input, whether it is one. By default all inputs may be.
    """
    reader = _Reader()
    inputs = closed.jaxpr.invars
    reader.read(closed, [None] * len(inputs), is_parameter or [True] * len(inputs), ())
    return reader.found


class _Reader:
    """Reads a jaxpr and those within; `found` is what is known of the results of every equation."""

    def __init__(self) -> None:
        self.name_of, self.kind_of = primitives.names(), kinds.kinds()
        self.found: dict[tuple[Calls, int], Sequence[Axes]] = {}

    def read(
        self, closed: Closed, axes: Sequence[Axes], fixed: Sequence[bool], calls: Calls
    ) -> tuple[list[Axes], list[bool]]:
        """Return of the results their axes, and whether they are parameters; given both of the inputs."""
        jaxpr = closed.jaxpr
        known: dict[Var, Axes] = dict(zip(jaxpr.invars, axes, strict=True))
        parameters = {v for v, is_one in zip(jaxpr.invars, fixed, strict=True) if is_one} | set(jaxpr.constvars)
        axes_of = lambda v: None if is_literal(v) else known.get(v)
        is_fixed = lambda v: not is_literal(v) and v in parameters
        for index, eqn in enumerate(jaxpr.eqns):
            of, are = [axes_of(v) for v in eqn.invars], [is_fixed(v) for v in eqn.invars]
            outs, made = self._results(eqn, of, are, (*calls, (index, 0)))
            self.found[calls, index] = outs
            known.update(zip(eqn.outvars, outs, strict=True))
            parameters.update(itertools.compress(eqn.outvars, made))
        return [axes_of(v) for v in jaxpr.outvars], [is_fixed(v) for v in jaxpr.outvars]

    def _results(
        self, eqn: JaxprEqn, axes: Sequence[Axes], fixed: Sequence[bool], calls: Calls
    ) -> tuple[Sequence[Axes], Sequence[bool]]:
        kind, bodies, none = self.kind_of(eqn), jaxprs.jaxprs_of(eqn), [False] * len(eqn.outvars)
        if kind == "scan":
            return self._scan(eqn, bodies[0], axes, fixed, calls), none
        if kind == "while":
            return axes[len(axes) - len(eqn.outvars) :], none
        if kind == "cond":
            branches = [(*calls[:-1], (calls[-1][0], branch)) for branch in range(len(bodies))]
            each = [self.read(body, axes[1:], fixed[1:], at)[0] for body, at in zip(bodies, branches, strict=True)]
            return [union(outs) for outs in zip(*each, strict=True)], none
        if len(bodies) == 1 and len(bodies[0].jaxpr.invars) == len(axes):
            return self.read(bodies[0], axes, fixed, calls)
        name = self.name_of(eqn)
        made = [name in _MOVES and fixed[0]] * len(eqn.outvars)
        rule = _rule(name)
        if rule is not None:
            return [rule(eqn, axes, fixed)] * len(eqn.outvars), made
        return [_alike(v, eqn.invars, axes) for v in eqn.outvars], made

    def _scan(
        self, eqn: JaxprEqn, body: Closed, axes: Sequence[Axes], fixed: Sequence[bool], calls: Calls
    ) -> list[Axes]:
        parts = call_parameters.scan_parts(eqn)
        first = parts.consts + parts.carry
        steps = [moved(one, {i + 1: i for i in range(_rank(v) - 1)}) for one, v in zip(axes, eqn.invars, strict=True)]
        # A carry is the parameter that it begins with at the first step only.
        are = [is_one and not parts.consts <= i < first for i, is_one in enumerate(fixed)]
        outs, _ = self.read(body, [*axes[:first], *steps[first:]], are, calls)
        stacked = [moved(one, {i: i + 1 for i in one or ()}) for one in outs[parts.carry :]]
        return [*outs[: parts.carry], *stacked]


def union(all_axes: Sequence[Axes]) -> Axes:
    known = [axes for axes in all_axes if axes is not None]
    return frozenset().union(*known) if known else None


def moved(axes: Axes, to: Mapping[int, int]) -> Axes:
    """Return where axes have gone; those that `to` does not name are gone."""
    return None if axes is None else frozenset(to[axis] for axis in axes if axis in to)


def _alike(v: Var, operands: Sequence[Var | Literal], axes: Sequence[Axes]) -> Axes:
    """Return the axes of a result of which no rule is known: of operands of its rank, each axis is where it was."""
    if not types.is_array_type(v.aval):
        return None
    same = [one for one, operand in zip(axes, operands, strict=True) if _rank(operand) == _rank(v)]
    if (found := union(same)) is not None:
        return found
    return None if union(axes) is None else frozenset()


def _rank(v: Var | Literal) -> int:
    return len(getattr(v.aval, "shape", ()))


# Rules ---------------------------------------------------------------------------------------------------

_Rule: TypeAlias = Callable[["JaxprEqn", Sequence[Axes], Sequence[bool]], Axes]


def _rule(name: str | None) -> _Rule | None:
    if name is not None and name.startswith(("reduce_", "arg")) and "window" not in name and name != "reduce_precision":
        return _reduced
    return _RULES.get(name or "")


def _transposed(eqn: JaxprEqn, axes: Sequence[Axes], fixed: Sequence[bool]) -> Axes:
    return moved(axes[0], {old: new for new, old in enumerate(eqn.params["permutation"])})


def _broadcast(eqn: JaxprEqn, axes: Sequence[Axes], fixed: Sequence[bool]) -> Axes:
    return moved(axes[0], dict(enumerate(eqn.params["broadcast_dimensions"])))


def _squeezed(eqn: JaxprEqn, axes: Sequence[Axes], fixed: Sequence[bool]) -> Axes:
    return _without(axes[0], eqn.params["dimensions"], _rank(eqn.invars[0]))


def _reduced(eqn: JaxprEqn, axes: Sequence[Axes], fixed: Sequence[bool]) -> Axes:
    return _without(axes[0], eqn.params["axes"], _rank(eqn.invars[0]))


def _without(axes: Axes, dropped: Sequence[int], rank: int) -> Axes:
    left = [axis for axis in range(rank) if axis not in {d % rank for d in dropped}]
    return moved(axes, {old: new for new, old in enumerate(left)})


def _reshaped(eqn: JaxprEqn, axes: Sequence[Axes], fixed: Sequence[bool]) -> Axes:
    """Follow an axis that is divided, or joined with others of features alone; with others it is lost."""
    if axes[0] is None:
        return None
    found: set[int] = set()
    for old, new in _groups(types.type_of(eqn.invars[0]).shape, types.type_of(eqn.outvars[0]).shape):
        if old and axes[0].issuperset(old):
            found.update(new)
    return frozenset(found)


def _groups(old: Sequence[int], new: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield, as few as can be at a time, the axes of two shapes that hold the same entries; those of length 1 none."""
    left, right = ([i for i, size in enumerate(shape) if size != 1] for shape in (old, new))
    while left and right:
        mine, other = [left.pop(0)], [right.pop(0)]
        while (a := math.prod(old[i] for i in mine)) != (b := math.prod(new[i] for i in other)):
            short, rest = (mine, left) if a < b else (other, right)
            if not rest:
                return
            short.append(rest.pop(0))
        yield mine, other


def _convolved(eqn: JaxprEqn, axes: Sequence[Axes], fixed: Sequence[bool]) -> Axes:
    return frozenset([eqn.params["dimension_numbers"].out_spec[1]])


def _multiplied(eqn: JaxprEqn, axes: Sequence[Axes], fixed: Sequence[bool]) -> Axes:
    """Add to the axes of features that are left those along which the one parameter has entries of its own."""
    contracted, batch = eqn.params["dimension_numbers"]
    found, place = [], len(batch[0])
    for side, operand in enumerate(eqn.invars):
        free = [i for i in range(_rank(operand)) if i not in contracted[side] and i not in batch[side]]
        to = {old: new for new, old in enumerate(batch[side])} | {old: place + i for i, old in enumerate(free)}
        found.append(moved(axes[side], to))
        if fixed[side] and not fixed[1 - side]:
            found.append(frozenset(to[i] for i in free))
        place += len(free)
    return union(found)


def _looked_up(eqn: JaxprEqn, axes: Sequence[Axes], fixed: Sequence[bool]) -> Axes:
    """Count the entries of a row that is looked up in a table as its features."""
    numbers, rank = eqn.params["dimension_numbers"], _rank(eqn.invars[0])
    away = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    to = dict(zip([i for i in range(rank) if i not in away], numbers.offset_dims, strict=True))
    return frozenset(to.values()) if fixed[0] and away else moved(axes[0], to)


_RULES: Mapping[str, _Rule] = {
    "transpose": _transposed,
    "broadcast_in_dim": _broadcast,
    "squeeze": _squeezed,
    "reshape": _reshaped,
    "conv": _convolved,
    "dot_general": _multiplied,
    "gather": _looked_up,
}
