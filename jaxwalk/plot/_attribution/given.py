"""The numbers of an attribution that are drawn: scores by name, the inputs among them, of one datum or the mean."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from ..._errors import ArgumentError, PointError, argument, counted, listed, shown
from ...attribute import Attribution
from .._arrays.chosen import index_of, numbers, written
from .._words import in_words

INPUTS = "inputs"


class Data(NamedTuple):
    """Which data of an attribution under `jax.vmap` are drawn: one of them, or the mean over all.

    Attributes:
        lengths: of the axes that `jax.vmap` gave; none of a single datum.
        datum: its index; None for the mean.
        words: that say so; none of a single datum.
    """

    lengths: tuple[int, ...]
    datum: tuple[int, ...] | None
    words: list[str]

    def of(self, values: Any, what: str) -> np.ndarray:
        """Return the values of that datum, or their means over all data, in float64."""
        values, lead = numbers(values), len(self.lengths)
        if values.shape[:lead] != self.lengths:
            raise ArgumentError(
                f"The scores of `{what}` have the shape {values.shape}, which does not begin with that of the result,"
                f" {self.lengths}; leave `out_axes` of `jax.vmap` 0."
            )
        if self.datum is not None:
            return values[self.datum]
        with np.errstate(invalid="ignore", over="ignore"):
            return values.mean(tuple(range(lead))) if lead else values


def data_of(attribution: Any, datum: Any) -> Data:
    """Return which data are drawn.

    Raises:
        ArgumentError: it is no attribution, or is being traced, or holds no datum, or not this one.
    """
    if not isinstance(attribution, Attribution):
        raise ArgumentError(
            f"`attribution` is {shown(attribution)}, which is no `Attribution`; give what a method of `jw.attribute`"
            " returned for your arguments: `method(fun)(*args)`; or `Edges`, a `Curve`, or a list of curves."
        )
    if isinstance(attribution.value, Tracer):
        raise ArgumentError("The attribution is being traced, and has no numbers to draw; draw what `jit` returns.")
    value = np.asarray(attribution.value)
    if not value.size:
        raise ArgumentError("There is no datum to draw: an axis that `jax.vmap` gave has a length of 0.")
    if datum is None:
        words = [f"mean over {counted(value.size, 'datum', 'data')}"] * bool(value.ndim)
        return Data(value.shape, () if not value.ndim else None, words)
    index = index_of("datum", datum, value.shape, "the attribution is of one datum", "the data by `jax.vmap`")
    if len(index) < value.ndim:
        raise ArgumentError(
            f"`datum` is {shown(datum)}, and `jax.vmap` gave the attribution {value.ndim} axes; give an index for each."
        )
    words = [f"datum {written(index)} of {written(value.shape)} (result {in_words(value[index])})"]
    return Data(value.shape, index, words)


def inputs_of(attribution: Attribution) -> dict[str, Any]:
    """Return the scores of the inputs by name: "inputs", or of several arrays "inputs/" and where each is."""
    found = jax.tree_util.tree_leaves_with_path(attribution.inputs)
    if len(found) == 1:
        return {INPUTS: found[0][1]}
    return {f"{INPUTS}/{jax.tree_util.keystr(path, simple=True, separator='/')}": leaf for path, leaf in found}


def is_one(attribution: Attribution, at: Any) -> bool:
    """Tell whether the scores of one point, or of an array of the inputs, are asked for: by name, or as all there is.

    Raises:
        PointError: there are no scores at all; or those of the inputs are asked for, and there are none, or several.
    """
    inputs = inputs_of(attribution)
    if at is None and not attribution.scores:
        if len(inputs) != 1:
            why = attribution.scores.why_empty()
            raise PointError(f"There are no scores at points. {why} {_which(inputs)}".strip())
        return True
    if not isinstance(at, str):
        return False
    if at in attribution.points or at in inputs:
        return True
    if at == INPUTS or at.startswith(f"{INPUTS}/"):
        if not inputs:
            raise PointError(f"`{argument('at')}` is {at!r}, but there are no scores of the inputs; name a point.")
        raise PointError(f"`{argument('at')}` is {at!r}, which names no array of the inputs. {_which(inputs)}")
    return False


def _which(inputs: dict[str, Any]) -> str:
    return f"Of the inputs there are: {listed(inputs)}; name one by `at`." if inputs else ""


def check_no_points(options: dict[str, Any], what: str) -> None:
    """Refuse options that are of points, where something else is drawn."""
    for name, given in options.items():
        if given is not None:
            raise ArgumentError(f"`{name}` is for an `Attribution`, and what is drawn is {what}; leave it out.")


def check_none(options: dict[str, Any]) -> None:
    """Refuse options that are of the scores of one point, where several are drawn."""
    for name, given in options.items():
        if given is not None:
            said = f"`{name}` is for the scores of one point, and `{argument('at')}` names none"
            raise ArgumentError(f"{said}; name one, or leave it out.")
