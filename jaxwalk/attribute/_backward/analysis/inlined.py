"""A jaxpr read as if the functions that it calls stood in it: where a value was made, through calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ...._jax.jaxpr import jaxprs
from ...._jax.jaxpr.jaxprs import is_literal
from ...._points.entrywise import CALLS
from .dependence import Calls, Level, bodies_of
from .regions import Visited, makers_of

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var


class Frame:
    """A jaxpr, and the call that runs it, if that is looked into."""

    def __init__(self, level: Level, caller: Frame | None = None, call: JaxprEqn | None = None):
        self.level, self.caller, self.call = level, caller, call
        self.makers = makers_of(level.jaxpr)
        self.called: dict[int, Frame] = {}


class Node(NamedTuple):
    """A value: a variable where it is made, or comes in from outside of all that is looked at."""

    frame: Frame
    v: Var

    @property
    def depends(self) -> bool:
        return self.frame.level.depends(self.v)

    @property
    def shape(self) -> tuple[int, ...]:
        return getattr(self.v.aval, "shape", ())


class Inlined:
    """Finds where values are made. One that is named stays the same, but where the name is asked for."""

    def __init__(self, levels: Mapping[Calls, Level], kind_of: Callable[[JaxprEqn], str | None], visited: Visited):
        self._levels, self._kind_of, self._visited = levels, kind_of, visited

    def node(self, frame: Frame, v: Var | Literal) -> Node | None:
        """Return the value of a variable; None of a literal."""
        while not is_literal(v):
            index = frame.makers.get(v)
            if index is None:
                place = next((i for i, invar in enumerate(frame.level.jaxpr.invars) if invar is v), None)
                if frame.caller is None or frame.call is None or place is None:
                    return Node(frame, v)
                v, frame = frame.call.invars[place], frame.caller
                continue
            eqn = frame.level.jaxpr.eqns[index]
            if (kind := self._kind_of(eqn)) == "name" and not self._visited.at(frame.level.calls, index):
                v = eqn.invars[0]
            elif kind in CALLS and bodies_of(eqn, kind):
                result = eqn.outvars.index(v)
                frame = self._inside(frame, index, eqn)
                v = jaxprs.jaxprs_of(eqn)[0].jaxpr.outvars[result]
            else:
                return Node(frame, v)
        return None

    def made(self, node: Node) -> JaxprEqn | None:
        """Return the equation that makes a value; None if it comes in."""
        index = node.frame.makers.get(node.v)
        return None if index is None else node.frame.level.jaxpr.eqns[index]

    def operands(self, node: Node) -> list[Node]:
        """Return of what depends on what is explained that which a value is made of, each once."""
        eqn = self.made(node)
        found = [] if eqn is None else [self.node(node.frame, v) for v in eqn.invars]
        return list(dict.fromkeys(each for each in found if each is not None and each.depends))

    def _inside(self, frame: Frame, index: int, eqn: JaxprEqn) -> Frame:
        if index not in frame.called:
            level = self._levels[(*frame.level.calls, (index, 0))]
            frame.called[index] = Frame(level, frame, eqn)
        return frame.called[index]
