"""`Place`: a part of a traced function that is more than linear in what is explained, or a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...._jax.jaxpr.jaxprs import Closed
from ...._points.point import Site

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var


class Place(NamedTuple):
    """One equation, or a few that are one idea, that a backward rule may have another way back for.

    Attributes:
        kind: what it is:
            "layer": a product (dot, convolution) of an active value with an inactive one, with the bias that is added.
                Linear: listed because some methods treat it apart.
            "function": a function, entry by entry, of one active value: an activation; in one equation, or many.
            "product": a product (entry by entry, dot, convolution) or quotient of two active values.
            "binary": any other function, entry by entry, of two active values or more.
            "softmax": softmax of logits, along `axes`.
            "normalisation": a product or quotient of an active value and a factor that is made of a mean, or another
                reduction, of the same value; its active operands are the value and the factor, in this order.
            "maximum": the largest, or the least, of entries: a reduction, of windows, cumulative.
            "stop": a `stop_gradient` of a maximum, such as logits are shifted by; only where it is asked for.
            "linear": a function that is linear, but has a derivative rule of its own, which may say another thing; its
                program is without that rule.
            "other": none of these.
        site: the last of its equations: what stands in for it stands there.
        eqn: that equation.
        reads: the values that it is computed from. A layer reads its two factors, in their order, and its bias.
        closed: the program, `reads` -> the results of `eqn`.
        active: of each of `reads`, whether it is a real or complex value that depends on what is explained.
        name: "relu", "gelu", "softmax"; else the primitive.
        where: the line of source, as "model.py:12", or "".
        axes: of a softmax, those that it sums over.
    """

    kind: str
    site: Site
    eqn: JaxprEqn
    reads: Sequence[Var | Literal]
    closed: Closed
    active: Sequence[bool]
    name: str
    where: str
    axes: tuple[int, ...] = ()

    @property
    def said(self) -> str:
        """Return what it is called in a sentence: "`sort` (model.py:12)"."""
        calls = self.name not in ("", str(self.eqn.primitive))
        steps = "" if calls or len(self.closed.jaxpr.eqns) == 1 else "what ends in "
        return f"{steps}`{self.name}`" + (f" ({self.where})" if self.where else "")
