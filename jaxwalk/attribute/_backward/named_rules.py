"""Rules for layers by name, each with its number, as they are given: checked."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from ..._errors import ArgumentError, argument, shown
from .layer_rules import LayerRule, alpha_beta_rule, epsilon_rule, gamma_rule, z_plus_rule

NamedRule: TypeAlias = str | tuple[str, float]


class _Takes(NamedTuple):
    """What a rule is made of: what its number is called, that where none is given, the least, and what makes it."""

    called: str
    default: float
    least: float
    make: Callable[[float], LayerRule]


_TAKES = {
    "epsilon": _Takes("epsilon", 1e-6, 0, epsilon_rule),
    "gamma": _Takes("gamma", 0.25, 0, gamma_rule),
    "alpha_beta": _Takes("alpha", 2.0, 1, alpha_beta_rule),
}

_CHOICES = '"epsilon", "gamma", "z_plus" or "alpha_beta", or a pair of a name and its number, as ("gamma", 0.1)'


class RuleNames(NamedTuple):
    """The numbers that rules have where none are given with them."""

    numbers: Mapping[str, float]

    @classmethod
    def checked(cls, **given: Any) -> RuleNames:
        for takes in _TAKES.values():
            _check_number(f"`{takes.called}`", given[takes.called], takes.least)
        return cls(given)

    def check_used(self, rule: Any, rules: Mapping[str, Any]) -> None:
        """Refuse a number of a rule that is nowhere without one; the default may stand, which nobody has given."""
        for name, takes in _TAKES.items():
            number = self.numbers[takes.called]
            if number != takes.default and name not in (rule, *rules.values()):
                raise ArgumentError(
                    f"`{argument(takes.called)}` is {shown(number)}, which no layer takes: `{argument('rule')}` is"
                    f' {shown(rule)}, and no rule is "{name}" without a number of its own; give'
                    f' `{argument("rule")}="{name}"`, or that in `{argument("rules")}`, or leave the number out.'
                )

    def rule_of(self, said: str, rule: Any) -> LayerRule:
        """Return the rule of this name, or pair; `said`: which argument it is."""
        if rule == "z_plus":
            return z_plus_rule()
        name, *number = rule if isinstance(rule, tuple) else (rule,)
        if not isinstance(name, str) or name not in _TAKES or len(number) > 1:
            raise ArgumentError(f"`{said}` is {shown(rule)}; it is {_CHOICES}.")
        takes = _TAKES[name]
        for given in number:
            _check_number(f"The number of `{said}`", given, takes.least)
        return takes.make(*map(float, number or [self.numbers[takes.called]]))

    def rules_of(self, rules: Any) -> dict[str, LayerRule]:
        """Return the rules by point pattern."""
        if not isinstance(rules, Mapping) or not all(isinstance(pattern, str) for pattern in rules):
            raise ArgumentError(f"`{argument('rules')}` is {shown(rules)}; it is a mapping from point names to rules.")
        return {pattern: self.rule_of(f"rules[{pattern!r}]", rule) for pattern, rule in rules.items()}


def _check_number(said: str, number: Any, least: float) -> None:
    is_number = isinstance(number, numbers.Real) and not isinstance(number, bool)
    if not is_number or not least <= float(number) < math.inf:
        raise ArgumentError(f"{said} is {shown(number)}; it must be a finite number of at least {least}.")
