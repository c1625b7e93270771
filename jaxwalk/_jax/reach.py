"""Which values of a jaxpr its results depend on, and to which of them δ comes back."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jax.numpy as jnp

from .jaxpr import call_parameters, jaxprs, kinds
from .jaxpr.jaxprs import Closed, is_literal

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

Mask: TypeAlias = tuple[int, ...]  # per variable, how it is reached: 0 is not at all


class Reach:
    """Backward reachability over one traced program: what is used is 1. Each (jaxpr, mask) is looked at once."""

    whole = 1  # in a mask: reached, by any way

    def __init__(self) -> None:
        self.kind = kinds.kinds()
        self._memo: dict[tuple[int, Mask], tuple[Mask, list[Mask]]] = {}

    def into(self, jaxpr: Jaxpr, used: Sequence[int]) -> tuple[Mask, list[Mask]]:
        """Return which inputs of `jaxpr` its `used` results depend on; and, per equation, which of its results."""
        key = (id(jaxpr), tuple(map(int, used)))
        if key not in self._memo:
            self._memo[key] = self._into(jaxpr, used)
        return self._memo[key]

    def _into(self, jaxpr: Jaxpr, used: Sequence[int]) -> tuple[Mask, list[Mask]]:
        reached: dict[Var, int] = {}

        def reach(variables: Sequence[Var | Literal], mask: Sequence[int]) -> None:
            for v, u in zip(variables, mask, strict=True):
                if u and not is_literal(v):
                    reached[v] = max(int(u), reached.get(v, 0))

        reach(jaxpr.outvars, used)
        masks: list[Mask] = []
        for eqn in reversed(jaxpr.eqns):
            mask = tuple([reached.get(v, 0) for v in eqn.outvars])
            masks.append(mask)
            if any(mask) or self.is_needed(eqn):
                reach(eqn.invars, self.operands(eqn, mask))
        return tuple(reached.get(v, 0) for v in jaxpr.invars), masks[::-1]

    def is_needed(self, eqn: JaxprEqn) -> bool:
        """Tell whether an equation's operands are reached even if none of its results is."""
        return jaxprs.touches_ref(eqn)

    def operands(self, eqn: JaxprEqn, used: Mask) -> Sequence[int]:
        """Return which operands of an equation its `used` results depend on.

        They are all operands of a function with a derivative rule of its own: the rule may give δ to what the function
        ignores.
        """
        match self.kind(eqn):
            case None:
                pass
            case "jit" | "checkpoint" | "scan" | "cond" | "shard_map" as kind:
                bodies = [self.into(closed.jaxpr, inner)[0] for closed, inner in self.inner(eqn, used)]
                needed = tuple(map(max, zip(*bodies, strict=True)))
                return (max(used, default=0), *needed) if kind == "cond" else needed
            case "while":
                return self._around_passes(eqn, used)
        return [max(used, default=0) or self.whole * self.is_needed(eqn)] * len(eqn.invars)

    def inner(self, eqn: JaxprEqn, used: Mask) -> list[tuple[Closed, Mask]]:
        """Return the jaxprs that a jit, checkpoint, scan, cond, shard_map or while runs, each with its used results."""
        bodies = jaxprs.jaxprs_of(eqn)
        if self.kind(eqn) == "while":
            return self._tested_and_passed(eqn, used)
        if self.kind(eqn) == "scan":
            parts = call_parameters.scan_parts(eqn)
            used = self._at_any_step(bodies[0].jaxpr, used[: parts.carry], used[parts.carry :], parts.consts)
        return [(closed, used) for closed in bodies]

    def _at_any_step(self, body: Jaxpr, carry: Mask, stacked: Mask, consts: int) -> Mask:
        """Return which results of a loop's body are used: a carry may be needed by a later step only."""
        while True:
            needed = self.into(body, carry + stacked)[0][consts : consts + len(carry)]
            grown = tuple(map(max, carry, needed))
            if grown == carry:
                return carry + stacked
            carry = grown

    def _tested_and_passed(self, eqn: JaxprEqn, used: Mask) -> list[tuple[Closed, Mask]]:
        test, body, test_consts, body_consts = call_parameters.while_parts(eqn)
        decides: Mask = (1,)  # what decides when the loop ends is always needed
        tested = self.into(test.jaxpr, decides)[0][test_consts:]
        return [
            (test, decides), (body, self._at_any_step(body.jaxpr, tuple(map(max, used, tested)), (), body_consts))
        ]  # fmt: skip

    def _around_passes(self, eqn: JaxprEqn, used: Mask) -> Sequence[int]:
        parts, ((test, decides), (body, carry)) = call_parameters.while_parts(eqn), self._tested_and_passed(eqn, used)
        tested, needed = self.into(test.jaxpr, decides)[0], self.into(body.jaxpr, carry)[0]
        return [*tested[: parts.test_consts], *needed[: parts.body_consts], *carry]


# In a mask of `Return`: a `stop_gradient` is on every way; δ comes back; it would, but for what is on a way. Numbers
# from STUCK on say by what, as `Return.behind` has it.
STOPPED, COMES, STUCK = 1, 2, 3


class Return(Reach):
    """To which values δ comes back, from the results that have one; and to which it cannot, though it should.

    It goes neither through integers and booleans nor through `stop_gradient`. Through a `while_loop`, a callback, and
    a primitive of another library that refuses it, it should, but JAX cannot take it: with a tap before one, the whole
    backward pass would fail.

    Attributes:
        behind: by what else than a `while_loop` or a callback δ is stuck; first nothing else.
    """

    whole = COMES

    def __init__(self) -> None:
        super().__init__()
        self.behind = [""]
        self._refusals: dict[int, list[bool]] = {}
        self._plain: dict[Any, bool] = {}  # by primitive

    def is_needed(self, eqn: JaxprEqn) -> bool:
        return super().is_needed(eqn) or kinds.barrier_of(eqn) == "callback"

    def operands(self, eqn: JaxprEqn, used: Mask) -> Sequence[int]:
        used = tuple([u if u and _has_delta(v) else 0 for u, v in zip(used, eqn.outvars, strict=True)])
        if (most := max(used, default=0)) and self._is_plain(eqn):
            return [most if _has_delta(v) else 0 for v in eqn.invars]
        return [u if u and _has_delta(v) else 0 for u, v in zip(self._through(eqn, used), eqn.invars, strict=True)]

    def _is_plain(self, eqn: JaxprEqn) -> bool:
        """Tell whether δ comes back to every operand alike: most primitives of JAX are so, looked at once."""
        if eqn.primitive not in self._plain:
            is_other = self.kind(eqn) or kinds.barrier_of(eqn) or kinds.is_foreign(eqn) or "_prim" in eqn.params
            self._plain[eqn.primitive] = not is_other
        return self._plain[eqn.primitive]

    def _through(self, eqn: JaxprEqn, used: Mask) -> Sequence[int]:
        barrier, count, most = kinds.barrier_of(eqn), len(eqn.invars), max(used, default=0)
        if barrier == "callback":  # it cannot even be differentiated forward
            return [STUCK] * count
        if barrier == "stop_gradient" or not (most or self.is_needed(eqn)):
            return [min(most, STOPPED)] * count
        if self.kind(eqn) == "while":
            tested = call_parameters.while_parts(eqn).test_consts
            return [0] * tested + [most if most == STOPPED else STUCK] * (count - tested)
        needed = super().operands(eqn, used)
        if most == STOPPED or not kinds.is_foreign(eqn):
            return needed
        return [self._stuck_at(eqn) if refused else n for n, refused in zip(needed, self._refused(eqn), strict=True)]

    def _refused(self, eqn: JaxprEqn) -> list[bool]:
        if id(eqn) not in self._refusals:
            self._refusals[id(eqn)] = [
                _has_delta(v) and not jaxprs.is_differentiable(eqn, place) for place, v in enumerate(eqn.invars)
            ]
        return self._refusals[id(eqn)]

    def _stuck_at(self, eqn: JaxprEqn) -> int:
        name = str(eqn.primitive)
        if name not in self.behind:
            self.behind.append(name)
        return STUCK + self.behind.index(name)


def _has_delta(v: Var | Literal) -> bool:
    return _is_inexact(getattr(v.aval, "dtype", None))


@functools.cache
def _is_inexact(dtype: Any) -> bool:
    return dtype is None or jnp.issubdtype(dtype, jnp.inexact)
