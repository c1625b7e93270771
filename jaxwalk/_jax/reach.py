"""Which values of a jaxpr its results depend on, and to which of them δ comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp

from . import jaxprs, kinds
from .jaxprs import Closed, is_literal

Mask: TypeAlias = tuple[int, ...]  # per variable, how it is reached: 0 is not at all


class Reach:
    """Backward reachability over one traced program, each (jaxpr, mask) looked at once: what is used is 1."""

    def __init__(self) -> None:
        self.kind = kinds.kinds()
        self._memo: dict[tuple[int, Mask], tuple[Mask, list[Mask]]] = {}

    def into(self, jaxpr: Any, used: Sequence[int]) -> tuple[Mask, list[Mask]]:
        """Which inputs of `jaxpr` its `used` results depend on; and, per equation, which of its results."""
        key = (id(jaxpr), tuple(map(int, used)))
        if key not in self._memo:
            self._memo[key] = self._into(jaxpr, used)
        return self._memo[key]

    def _into(self, jaxpr: Any, used: Sequence[int]) -> tuple[Mask, list[Mask]]:
        live: dict[Any, int] = {}

        def reach(variables: Sequence[Any], mask: Sequence[int]) -> None:
            for v, u in zip(variables, mask, strict=True):
                if u and not is_literal(v):
                    live[v] = max(int(u), live.get(v, 0))

        reach(jaxpr.outvars, used)
        masks: list[Mask] = []
        for eqn in reversed(jaxpr.eqns):
            mask = tuple(live.get(v, 0) for v in eqn.outvars)
            masks.append(mask)
            if any(mask) or self.is_needed(eqn):
                reach(eqn.invars, self.operands(eqn, mask))
        return tuple(live.get(v, 0) for v in jaxpr.invars), masks[::-1]

    def is_needed(self, eqn: Any) -> bool:
        """Whether an equation's operands are reached even if none of its results is."""
        return jaxprs.touches_ref(eqn)

    def operands(self, eqn: Any, used: Mask) -> Sequence[int]:
        """Which operands of an equation its `used` results depend on.

        Of a function with a derivative rule of its own, all: the rule may give δ to what the function ignores.
        """
        kind = self.kind(eqn)
        rule: Callable[[Any, Mask], Sequence[int]] | None = {
            "jit": self._call,
            "checkpoint": self._call,
            "scan": self._scan,
            "cond": self._cond,
            "while": self._while,
        }.get(kind or "")
        return rule(eqn, used) if rule else [max(used, default=0) or int(self.is_needed(eqn))] * len(eqn.invars)

    def inner(self, eqn: Any, used: Mask) -> list[tuple[Closed, Mask]]:
        """The jaxprs that a jit, checkpoint, scan or cond runs, each with which of its results are used."""
        used = self._scan_results(eqn, used) if self.kind(eqn) == "scan" else used
        return [(closed, used) for closed in jaxprs.jaxprs_of(eqn)]

    def _call(self, eqn: Any, used: Mask) -> Sequence[int]:
        return self.into(jaxprs.jaxprs_of(eqn)[0].jaxpr, used)[0]

    def _cond(self, eqn: Any, used: Mask) -> Sequence[int]:
        branches = [self.into(closed.jaxpr, used)[0] for closed in jaxprs.jaxprs_of(eqn)]
        return [max(used), *(max(column) for column in zip(*branches, strict=True))]

    def _scan(self, eqn: Any, used: Mask) -> Sequence[int]:
        body = jaxprs.jaxprs_of(eqn)[0].jaxpr
        return self.into(body, self._scan_results(eqn, used))[0]

    def _scan_results(self, eqn: Any, used: Mask) -> Mask:
        """The results of a scan's body that are used at any step: a carry may be needed by a later step only."""
        parts = kinds.scan_parts(eqn)
        body = jaxprs.jaxprs_of(eqn)[0].jaxpr
        carry, stacked = used[: parts.carry], used[parts.carry :]
        return self._fixpoint(body, carry, stacked, parts.consts)

    def _fixpoint(self, body: Any, carry: Mask, stacked: Mask, consts: int) -> Mask:
        while True:
            needed = self.into(body, carry + stacked)[0][consts : consts + len(carry)]
            grown = tuple(map(max, carry, needed))
            if grown == carry:
                return carry + stacked
            carry = grown

    def _while(self, eqn: Any, used: Mask) -> Sequence[int]:
        test, body, test_consts, body_consts = kinds.while_parts(eqn)
        tested = self.into(test.jaxpr, (1,))[0]  # what decides when the loop ends is always needed
        carry = tuple(map(max, used, tested[test_consts:]))
        carry = self._fixpoint(body.jaxpr, carry, (), body_consts)
        needed = self.into(body.jaxpr, carry)[0]
        return [*tested[:test_consts], *needed[:body_consts], *carry]


COMES, STUCK = 1, 2  # δ comes back; it would, but for what it must go through on the way


class Return(Reach):
    """To which values δ comes back, from the results that have one; and to which it cannot, though it should.

    It goes neither through integers and booleans nor through `stop_gradient`. Through a `while_loop` and through a
    callback it should, but JAX cannot take it: with a tap before one, the whole backward pass would fail.
    """

    def is_needed(self, eqn: Any) -> bool:
        return super().is_needed(eqn) or kinds.barrier_of(eqn) == "callback"

    def operands(self, eqn: Any, used: Mask) -> Sequence[int]:
        used = tuple(u if _has_delta(v) else 0 for u, v in zip(used, eqn.outvars, strict=True))
        return [u if _has_delta(v) else 0 for u, v in zip(self._through(eqn, used), eqn.invars, strict=True)]

    def _through(self, eqn: Any, used: Mask) -> Sequence[int]:
        barrier, count = kinds.barrier_of(eqn), len(eqn.invars)
        if barrier == "callback":  # it cannot even be differentiated forward
            return [STUCK] * count
        if barrier == "stop_gradient" or not (any(used) or self.is_needed(eqn)):
            return [0] * count
        if self.kind(eqn) == "while":
            tested = kinds.while_parts(eqn).test_consts
            return [0] * tested + [STUCK] * (count - tested)
        return super().operands(eqn, used)


def _has_delta(v: Any) -> bool:
    return jnp.issubdtype(v.aval.dtype, jnp.inexact) if hasattr(v.aval, "dtype") else True
