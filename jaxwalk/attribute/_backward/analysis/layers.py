"""Layers: a product of an active value with weights, and the bias that is added to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...._jax.jaxpr import types
from ...._jax.jaxpr.jaxprs import is_literal
from .dependence import Level

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Var

PRODUCTS = ("dot_general", "conv")
_ON_THE_WAY = ("reshape", "transpose", "squeeze", "broadcast_in_dim", "convert", "copy", "name")


def is_layer(name: str | None, eqn: JaxprEqn, level: Level) -> bool:
    return name in PRODUCTS and sum(map(level.active, eqn.invars)) == 1


def with_bias(
    index: int, level: Level, readers: Mapping[Var, Sequence[int]], names: Sequence[str | None], asked: Sequence[bool]
) -> list[int]:
    """Return the equations of a layer, whose product is the equation `index`: up to the one that adds the bias.

    Between the two only the layout may change, and nothing else may read what is between, nor may it be `asked` for.
    """
    eqns, found = level.jaxpr.eqns, [index]
    while not asked[found[-1]]:
        v = eqns[found[-1]].outvars[0]
        if len(by := readers.get(v, ())) != 1 or by[0] >= len(eqns):
            break
        eqn, reader = eqns[by[0]], by[0]
        if names[reader] == "add" and _other_is_inactive(eqn, v, level):
            return [*found, reader]
        if names[reader] not in _ON_THE_WAY and not _is_whole_slice(eqn, names[reader]):
            break
        found.append(reader)
    return [index]


def _is_whole_slice(eqn: JaxprEqn, name: str | None) -> bool:
    """Tell whether a slice leaves nothing out, as some versions of JAX make one of `x[0]` where there is but one."""
    sizes = [types.type_of(v).size for v in (eqn.invars[0], eqn.outvars[0])]
    return name == "slice" and sizes[0] == sizes[1]


def _other_is_inactive(eqn: JaxprEqn, v: Var, level: Level) -> bool:
    others = [other for other in eqn.invars if other is not v]
    return len(others) == 1 and (is_literal(others[0]) or not level.depends(others[0]))
