"""How the values that leave a line are called in what it assigns or returns: `s.obs`, where it assigns a tree `s`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from jax.core import Tracer
from jax.tree_util import keystr, tree_flatten_with_path

from .._jax.jaxpr import kinds
from .._jax.jaxpr.jaxprs import variable_of
from .passes import Pass
from .statements import Statement

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn


class Leaf(NamedTuple):
    """A leaf of what a line assigns or returns."""

    target: str  # what it is a leaf of, as the line is labelled, or one of several that it assigns at once
    path: str  # "obs", "info.0"; "" if it is no more than that itself


_Passes: TypeAlias = dict[tuple[int, int], list[Leaf]]  # the leaves of what a line assigns, by its pass
_leaves: dict[int, tuple[Any, _Passes]] = {}  # by the variable's id, and the variable with it
_of_equations: dict[int, tuple[Any, dict[tuple[Any, int], _Passes]]] = {}  # by traceback; by primitive and result
_LIMIT = 100_000  # variables remembered: traces are cached, and what is traced once is walked again


def remember(statement: Statement, turn: Pass, values: Mapping[str, Any]) -> None:
    """Remember the leaves of what a line has assigned in one pass, or returned, by the variables of the jaxpr.

    Where it assigns arrays and no trees, their names say nothing that its label does not.
    """
    if all(isinstance(values.get(name), (Tracer, NoneType)) for _, name in statement.targets):
        return
    found = [(target, *leaf) for target, name in statement.targets for leaf in _leaves_of(values.get(name))]
    if all(not path for _, path, _ in found):
        return
    if len(_leaves) > _LIMIT:
        _leaves.clear()
        _of_equations.clear()
    for target, path, tracer in found:
        name = keystr(path, simple=True, separator=".")
        if not any(mark in name for mark in "/#:\n"):
            v = variable_of(tracer)
            _, passes = _leaves.setdefault(id(v), (v, {}))
            passes.setdefault((turn.call, turn.turn), []).append(Leaf(target, name))


def join_leaves(eqn: JaxprEqn) -> None:
    """Remember by its traceback of which leaves an equation makes the variables: it may be traced again, as others."""
    for result, v in enumerate(eqn.outvars):
        held, passes = _leaves.get(id(v), (None, {}))
        if held is v:
            traceback = eqn.source_info.traceback
            _, known = _of_equations.setdefault(id(traceback), (traceback, {}))
            key = eqn.primitive, result
            known[key] = passes if known.get(key, passes) is passes else {}  # of two alike, nothing is known


def leaves_called(eqn: JaxprEqn, result: int, turn: Pass) -> Sequence[Leaf]:
    """Return the leaves that a result of an equation was of what a line assigned or returned in one pass."""
    held, passes = _leaves.get(id(eqn.outvars[result]), (None, {}))
    if held is not eqn.outvars[result]:
        passes = _traced_again(eqn, result)
    return passes.get((turn.call, turn.turn), ())


def _traced_again(eqn: JaxprEqn, result: int) -> _Passes:
    """Return what is known of the equation of which this one is a trace, or whose value was put in place of its."""
    traceback, known = _of_equations.get(id(eqn.source_info.traceback), (None, {}))
    if traceback is None or traceback is not eqn.source_info.traceback:
        return {}
    if kinds.is_edited(eqn):
        return next(iter(known.values())) if len(known) == 1 else {}
    return known.get((eqn.primitive, result), {})


def _leaves_of(value: Any) -> list[tuple[Any, Any]]:
    """Return the path and value of each leaf that is being traced."""
    if isinstance(value, Tracer):
        return [((), value)]
    try:
        leaves, _ = tree_flatten_with_path(value)
    except Exception:  # whatever a container of the user's raises
        return []
    return [(path, leaf) for path, leaf in leaves if isinstance(leaf, Tracer)]
