"""Softmax, and normalisations: values divided by, or times, what a reduction of the same values makes."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...._jax.jaxpr import call_parameters
from ...._points.entrywise import Entrywise
from .inlined import Frame, Inlined, Node

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var

_LAYOUT = ("broadcast_in_dim", "reshape", "squeeze", "transpose")
_REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min")


class Softmax(NamedTuple):
    """The logits of a softmax, and the axes that it sums over."""

    logits: Node
    axes: tuple[int, ...]


class Normalisations:
    """Recognises them by how they are computed."""

    def __init__(self, inlined: Inlined, is_entrywise: Entrywise):
        self._inlined, self._is_entrywise, self._name = inlined, is_entrywise, is_entrywise.name_of

    # Softmax: e / Σe, with e = exp(x) or exp(x − m) ---------------------------------------------------------

    def softmax(self, frame: Frame, eqn: JaxprEqn) -> Softmax | None:
        """Return of what an equation gives the softmax: exp(x) / Σ exp(x), or exp(x − log Σ exp(x)), shifted or not."""
        name = self._name(eqn)
        nodes = [self._inlined.node(frame, v) for v in eqn.invars]
        if name == "div" and nodes[0] is not None and nodes[1] is not None:
            found = self._summed(nodes[1])
            if found is not None and self._named(nodes[0]) == self._named(found[0]) == "exp":
                logits, summed = (self._inlined.operands(node)[0] for node in (nodes[0], found[0]))
                return Softmax(self._unshifted(logits), found[1]) if logits == summed else None
        if name == "exp" and nodes[0] is not None and self._named(nodes[0]) == "sub":
            return self._by_logarithm(nodes[0])
        return None

    def is_softmax(self, frame: Frame, eqn: JaxprEqn) -> bool:
        """Tell whether an equation gives a softmax, or e / Σ e of exponentials, some left out, or scaled."""
        if self.softmax(frame, eqn) is not None:
            return True
        first, second = ([*map(functools.partial(self._inlined.node, frame), eqn.invars)] + [None] * 2)[:2]
        if first is None or second is None or self._name(eqn) not in ("div", "mul"):
            return False
        if self._name(eqn) == "div":
            return self._is_share(first, second)
        inverses = [self._inverse_of(node) for node in (first, second)]
        both = zip(inverses, (second, first), strict=True)
        return any(inverse is not None and self._is_share(other, inverse) for inverse, other in both)

    def _is_share(self, part: Node, whole: Node) -> bool:
        """Tell whether one value is exponentials, the other their sum, each with some masked."""
        found, part = self._summed(whole), self._unmasked(part)
        return found is not None and self._named(part) == "exp" and self._unmasked(found[0]) == part

    def _inverse_of(self, node: Node) -> Node | None:
        """Return s of a value that is 1/s, or another constant divided by it; None of others."""
        node = self._stripped(node)
        if self._named(node) != "div" or (eqn := self._inlined.made(node)) is None:
            return None
        above, below = (self._inlined.node(node.frame, v) for v in eqn.invars)
        return below if above is None or not above.depends else None

    def _unmasked(self, node: Node) -> Node:
        """Return what a value is before some of it is left out, or it is scaled by constants."""
        while self._named(node) in (*_LAYOUT, "convert", "copy", "select_n", "mul"):
            if len(operands := self._inlined.operands(node)) != 1:
                break
            node = operands[0]
        return node

    def _by_logarithm(self, node: Node) -> Softmax | None:
        """Return the softmax whose logarithm a difference is: z − log Σ exp(z), or x − (log Σ exp(x − m) + m)."""
        eqn = self._inlined.made(node)
        both = [self._inlined.node(node.frame, v) for v in eqn.invars] if eqn is not None else []
        if len(both) != 2 or both[0] is None or both[1] is None or not both[1].depends:
            return None
        logarithm = self._stripped(both[1])
        if self._named(logarithm) == "add":
            parts = [self._stripped(part) for part in self._inlined.operands(logarithm)]
            logarithm = next((part for part in parts if self._named(part) == "log"), logarithm)
        if self._named(logarithm) != "log":
            return None
        inside = self._stripped(self._inlined.operands(logarithm)[0])
        inside = self._inlined.operands(inside)[0] if self._named(inside) == "abs" else inside
        found = self._summed(inside)
        if found is None or self._named(found[0]) != "exp":
            return None
        logits = self._unshifted(self._inlined.operands(found[0])[0])
        return Softmax(logits, found[1]) if logits == self._unshifted(both[0]) else None

    def _summed(self, node: Node) -> tuple[Node, tuple[int, ...]] | None:
        """Return of what a value is the sum, over which axes, laid out again."""
        node = self._stripped(node)
        if self._named(node) != "reduce_sum" or (eqn := self._inlined.made(node)) is None:
            return None
        return self._inlined.operands(node)[0], call_parameters.reduced_axes(eqn)

    def _unshifted(self, node: Node) -> Node:
        """Return x of x − m, with m nothing that depends on what is explained, or a maximum of x."""
        if self._named(node) != "sub" or (eqn := self._inlined.made(node)) is None:
            return node
        first, second = (self._inlined.node(node.frame, v) for v in eqn.invars)
        if first is None or not first.depends or first.shape != node.shape:
            return node
        if second is not None and second.depends and not self._is_made_of(self._stripped(second), [first]):
            return node
        return first

    # Normalisations: a value times what is broadcast from a reduction of it -------------------------------

    def is_normalised(self, frame: Frame, value: Var | Literal, factor: Var | Literal) -> bool:
        """Tell whether a factor is broadcast from what is made, with a reduction, of the value that it goes with."""
        both = self._inlined.node(frame, value), self._inlined.node(frame, factor)
        return both[0] is not None and both[1] is not None and self._is_statistic(both[1], self._same(both[0]))

    def _same(self, node: Node) -> list[Node]:
        """Return a value and those that it is made of by functions of one value, and by subtracting a mean."""
        found = [node]
        while operands := self._inlined.operands(found[-1]):
            eqn = self._inlined.made(found[-1])
            if eqn is None or not (self._name(eqn) in _LAYOUT or self._is_entrywise(eqn)):
                break
            alike = [each for each in operands if math.prod(each.shape) == math.prod(node.shape)]
            first = next((each for each in alike if self._others_are_statistics(each, operands)), None)
            if first is None:
                break
            found.append(first)
        return found

    def _others_are_statistics(self, of: Node, operands: Sequence[Node]) -> bool:
        return all(each == of or self._is_statistic(each, [of]) for each in operands)

    def _is_statistic(self, node: Node, same: Sequence[Node]) -> bool:
        """Tell whether a value is broadcast from one of fewer entries that is made of nothing but some values."""
        size = math.prod(same[0].shape)
        while math.prod(node.shape) >= size:
            operands = self._inlined.operands(node)
            if len(operands) != 1 or node in same or not self._is_step(node):
                return False
            node = operands[0]
        return self._is_made_of(node, same)

    def _is_made_of(self, node: Node, same: Sequence[Node]) -> bool:
        """Tell whether a value is made of some values alone, by reductions and entry by entry."""
        seen: set[Node] = set()
        waiting = [node]
        while waiting:
            if (node := waiting.pop()) in same or node in seen:
                continue
            seen.add(node)
            operands = self._inlined.operands(node)
            if not operands or not (self._is_step(node) or self._is_reduction(node)):
                return False
            waiting += operands
        return True

    # Steps ------------------------------------------------------------------------------------------------

    def _is_step(self, node: Node) -> bool:
        eqn = self._inlined.made(node)
        return eqn is not None and (self._name(eqn) in _LAYOUT or self._is_entrywise(eqn))

    def _is_reduction(self, node: Node) -> bool:
        """Tell whether a value is a sum of another's, or of products of those with one another."""
        eqn = self._inlined.made(node)
        if eqn is None or self._name(eqn) != "dot_general":
            return self._named(node) in _REDUCTIONS
        return all(node.frame.level.depends(v) for v in eqn.invars)

    def _stripped(self, node: Node) -> Node:
        """Return what a value is before it is laid out in another way."""
        while self._named(node) in (*_LAYOUT, "convert", "copy") and (operands := self._inlined.operands(node)):
            node = operands[0]
        return node

    def _named(self, node: Node) -> str | None:
        eqn = self._inlined.made(node)
        return None if eqn is None else self._name(eqn)
