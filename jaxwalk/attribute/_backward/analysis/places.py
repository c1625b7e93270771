"""`places`: every place of a traced function that is more than linear in what is explained, and its layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ...._jax.jaxpr.jaxprs import Closed
from ...._points.point import Points, Site
from .dependence import DEPENDS, NOT, Calls, Dependence, Level, starts_at
from .equations import Analysis
from .place import Place
from .regions import Visited


class Analysed(NamedTuple):
    """A traced function, looked at.

    Attributes:
        places: in forward order.
        levels: its jaxprs, by the calls that lead to them.
        is_explained: of each of its results, whether it depends on what is explained.
    """

    places: list[Place]
    levels: Mapping[Calls, Level]
    is_explained: Sequence[bool]


def places(closed: Closed, explained: Sequence[bool], chosen: Points, through_maxima: bool = False) -> list[Place]:
    """Return the places of a traced function, in forward order; arguments as of `analysed`."""
    return analysed(closed, explained, chosen, through_maxima).places


def analysed(
    closed: Closed,
    explained: Sequence[bool],
    chosen: Points,
    through_maxima: bool = False,
    held: Iterable[Site] = (),
    softmax_alone: bool = False,
) -> Analysed:
    """Look at a traced function.

    Arguments:
        explained: of each of its inputs, whether it is what is explained. Where none is, as where these are integers,
            the values at points that have a δ are.
        chosen: the points that are asked for. No place that is made of several equations has one inside.
        through_maxima: whether a `stop_gradient` of a maximum is a place, of kind "stop", and what comes out of it is
            followed; else it is constant as any other.
        held: equations whose results are taken as constants.
        softmax_alone: whether the place of a softmax is its last equation alone, without `axes`. Then one is found
            wherever its logits are made, also where some are masked, whatever points are inside.
    """
    starts = {} if any(explained) else starts_at(chosen)
    dependence = Dependence(starts, through_maxima, {(site.calls, site.equation) for site in held})
    results = dependence.run(closed.jaxpr, [DEPENDS if is_explained else NOT for is_explained in explained])
    found = Analysis(dependence.levels, Visited(Points() if softmax_alone else chosen), softmax_alone).within(())
    return Analysed(found, dependence.levels, [how != NOT for how in results])
