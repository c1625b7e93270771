"""Rules for layers by name, each with its number, as they are given: checked."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from ..._errors import ArgumentError, argument, shown
from .layer_rules import LayerRule, alpha_beta_rule, epsilon_rule, gamma_rule, z_plus_rule

NamedRule: TypeAlias = str | tuple[str, float]

_TAKES: Mapping[str, tuple[str, float, Callable[[float], LayerRule]]] = {
    "epsilon": ("epsilon", 0, epsilon_rule),
    "gamma": ("gamma", 0, gamma_rule),
    "alpha_beta": ("alpha", 1, alpha_beta_rule),
}
"""By rule, what its number is called, how large it is at least, and what makes the rule of it."""

_CHOICES = '"epsilon", "gamma", "z_plus" or "alpha_beta", or a pair of a name and its number, as ("gamma", 0.1)'


class RuleNames(NamedTuple):
    """The numbers that rules have where none are given with them."""

    numbers: Mapping[str, float]

    @classmethod
    def checked(cls, **given: Any) -> RuleNames:
        least = {called: smallest for called, smallest, _ in _TAKES.values()}
        for called, number in given.items():
            _check_number(called, number, least[called])
        return cls(given)

    def rule_of(self, said: str, rule: Any) -> LayerRule:
        """Return the rule of this name, or pair; `said`: which argument it is."""
        if rule == "z_plus":
            return z_plus_rule()
        name, *number = rule if isinstance(rule, tuple) else (rule,)
        if not isinstance(name, str) or name not in _TAKES or len(number) > 1:
            raise ArgumentError(f"`{said}` is {shown(rule)}; it is {_CHOICES}.")
        called, least, make = _TAKES[name]
        for given in number:
            _check_number(said, given, least)
        return make(*map(float, number or [self.numbers[called]]))

    def rules_of(self, rules: Any) -> dict[str, LayerRule]:
        """Return the rules by point pattern."""
        if not isinstance(rules, Mapping) or not all(isinstance(pattern, str) for pattern in rules):
            raise ArgumentError(f"`{argument('rules')}` is {shown(rules)}; it is a mapping from point names to rules.")
        return {pattern: self.rule_of(f"rules[{pattern!r}]", rule) for pattern, rule in rules.items()}


def _check_number(said: str, number: Any, least: float) -> None:
    is_number = isinstance(number, numbers.Real) and not isinstance(number, bool)
    if not is_number or not least <= float(number) < math.inf:
        raise ArgumentError(f"`{said}` is {shown(number)}; its number must be finite, and at least {least}.")
