"""Which values of a jaxpr its results depend on: through calls, scans, branches and loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import _compat
from ._compat import Closed, Literal

Mask = tuple[bool, ...]


class Reach:
    """Backward reachability over one traced program, each (jaxpr, mask) looked at once."""

    def __init__(self) -> None:
        self.kind = _compat.kinds()
        self._memo: dict[tuple[int, Mask], tuple[Mask, list[Mask]]] = {}

    def into(self, jaxpr: Any, used: Sequence[bool]) -> tuple[Mask, list[Mask]]:
        """Which inputs of `jaxpr` its `used` results depend on; and, per equation, which of its results."""
        key = (id(jaxpr), tuple(used))
        if key not in self._memo:
            self._memo[key] = self._into(jaxpr, used)
        return self._memo[key]

    def _into(self, jaxpr: Any, used: Sequence[bool]) -> tuple[Mask, list[Mask]]:
        live = {v for v, u in zip(jaxpr.outvars, used, strict=True) if u and not isinstance(v, Literal)}
        masks: list[Mask] = []
        for eqn in reversed(jaxpr.eqns):
            mask = tuple(v in live for v in eqn.outvars)
            masks.append(mask)
            if any(mask) or _compat.touches_ref(eqn):
                operands = zip(eqn.invars, self.operands(eqn, mask), strict=True)
                live.update(v for v, u in operands if u and not isinstance(v, Literal))
        return tuple(v in live for v in jaxpr.invars), masks[::-1]

    def operands(self, eqn: Any, used: Mask) -> Sequence[bool]:
        """Which operands of an equation its `used` results depend on.

        Of a function with a derivative rule of its own, all: the rule may give δ to what the function ignores.
        """
        kind = self.kind(eqn)
        rule: Callable[[Any, Mask], Sequence[bool]] | None = {
            "jit": self._call,
            "checkpoint": self._call,
            "scan": self._scan,
            "cond": self._cond,
            "while": self._while,
        }.get(kind or "")
        return rule(eqn, used) if rule else [True] * len(eqn.invars)

    def inner(self, eqn: Any, used: Mask) -> list[tuple[Closed, Mask]]:
        """The jaxprs that a jit, checkpoint, scan or cond runs, each with which of its results are used."""
        used = self._scan_results(eqn, used) if self.kind(eqn) == "scan" else used
        return [(closed, used) for closed in _compat.jaxprs_of(eqn)]

    def _call(self, eqn: Any, used: Mask) -> Sequence[bool]:
        return self.into(_compat.jaxprs_of(eqn)[0].jaxpr, used)[0]

    def _cond(self, eqn: Any, used: Mask) -> Sequence[bool]:
        branches = [self.into(closed.jaxpr, used)[0] for closed in _compat.jaxprs_of(eqn)]
        return [True, *(any(column) for column in zip(*branches, strict=True))]

    def _scan(self, eqn: Any, used: Mask) -> Sequence[bool]:
        body = _compat.jaxprs_of(eqn)[0].jaxpr
        return self.into(body, self._scan_results(eqn, used))[0]

    def _scan_results(self, eqn: Any, used: Mask) -> Mask:
        """The results of a scan's body that are used at any step: a carry may be needed by a later step only."""
        parts = _compat.scan_parts(eqn)
        body = _compat.jaxprs_of(eqn)[0].jaxpr
        carry, stacked = used[: parts.carry], used[parts.carry :]
        return self._fixpoint(body, carry, stacked, parts.consts)

    def _fixpoint(self, body: Any, carry: Mask, stacked: Mask, consts: int) -> Mask:
        while True:
            needed = self.into(body, carry + stacked)[0][consts : consts + len(carry)]
            grown = tuple(a or b for a, b in zip(carry, needed, strict=True))
            if grown == carry:
                return carry + stacked
            carry = grown

    def _while(self, eqn: Any, used: Mask) -> Sequence[bool]:
        test, body = eqn.params["cond_jaxpr"].jaxpr, eqn.params["body_jaxpr"].jaxpr
        test_consts, body_consts = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
        tested = self.into(test, (True,))[0]  # what decides when the loop ends is always needed
        carry = tuple(a or b for a, b in zip(used, tested[test_consts:], strict=True))
        carry = self._fixpoint(body, carry, (), body_consts)
        needed = self.into(body, carry)[0]
        return [*tested[:test_consts], *needed[:body_consts], *carry]
