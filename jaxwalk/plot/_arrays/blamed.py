"""What is most to blame, as bars, and as images of data that have one."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from ..._errors import ArgumentError, shown
from ..._evaluate.result.datum import Datum
from ..._evaluate.result.evaluation import Evaluation
from ..._show.short_paths import short_paths
from ..._walk.culprits import Culprit
from ..._walk.result import Walk
from .._style import Palette
from .._words import in_words
from .as_image import is_image
from .gallery import Item
from .ranked import Bar
from .signed import sign_colors

NAME = 28  # letters of a point's name; a longer one is cut where that leaves it apart from the others
INPUT = "input"  # what the point before the first layer of a chain is called


def bars_of(result: Walk | Evaluation, k: int, palette: Palette) -> list[Bar]:
    """Return a bar for each entry of a walk, or each datum of an evaluation, that is most to blame."""
    if isinstance(result, Evaluation):
        return [_of_datum(datum, palette) for datum in result.culprits[:k]]
    culprits = result.culprits(k)
    points = [culprit.point for culprit in culprits]
    names = dict(zip(points, short_paths(points, NAME), strict=True))
    return [_of_entry(culprit, names[culprit.point], palette) for culprit in culprits]


def _of_entry(culprit: Culprit, name: str, palette: Palette) -> Bar:
    index = str(list(culprit.index)) if culprit.index else ""
    label = f"{name}{index} = {in_words(culprit.value)}"
    if np.iscomplexobj(culprit.delta):
        return Bar(label, float(np.abs(culprit.delta)), palette.faint, f"|{in_words(culprit.delta)}|")
    length = float(culprit.delta)
    return Bar(label, length, sign_colors(np.array([length]))[0], in_words(culprit.delta))


def _of_datum(datum: Datum, palette: Palette) -> Bar:
    norms = {name: float(datum.norms[name]) for name in datum.norms.once()}
    words = [in_words(datum.loss)]
    if norms:
        name = max(norms, key=lambda name: np.inf if np.isnan(norms[name]) else norms[name])
        words.append(f"‖δ‖ {in_words(norms[name], 3)} at {name}")
    words += [f"{datum.inputs} in its inputs"] * bool(datum.inputs)
    return Bar(f"datum {datum.index}", datum.loss, palette.delta, ", ".join(words))


def items_of(result: Walk | Evaluation, data: Any, k: int, captions: Any) -> tuple[list[Item], list[str]]:
    """Return the data most to blame with their images, and what must be said; no data if they have no images."""
    found = _data_of(result, k)
    items = []
    for index, loss in found:
        image, delta = _image(result, data, index)
        if image is None or not is_image(image):
            told = [] if data is None else [f"not drawn as images: a datum is {shown(np.asarray(image))}"]
            return [], told
        items.append(Item(_caption(captions, index), f"{worth_of(result)} {in_words(loss)}", image, delta))
    return items, []


def worth_of(result: Walk | Evaluation) -> str:
    """Return what a datum is ranked by, in a word: with a method of attribution, the result that is explained."""
    return "result" if isinstance(result, Evaluation) and result.method else "loss"


def _data_of(result: Walk | Evaluation, k: int) -> list[tuple[Any, Any]]:
    """Return the index and the loss of the data of largest loss, those of a NaN first; of a single one, () and it."""
    if isinstance(result, Evaluation):
        return [(datum.index, datum.loss) for datum in result.culprits[:k]]
    losses = np.asarray(result.value)
    wide = losses.astype(np.float64).ravel()
    order = np.argsort(-np.where(np.isnan(wide), np.inf, wide), kind="stable")[:k]
    places = [tuple(map(int, np.unravel_index(flat, losses.shape))) for flat in order]
    return [(place[0] if len(place) == 1 else place, losses[place]) for place in places]


def _image(result: Walk | Evaluation, data: Any, index: Any) -> tuple[Any, Any]:
    """Return the datum at an index, and its δ if that is known; or None for each."""
    if isinstance(data, str) or (data is None and isinstance(result, Walk) and INPUT in result.outputs):
        if isinstance(result, Evaluation):
            raise ArgumentError(f"`data` is {data!r}, but an evaluation holds no outputs; give the data themselves.")
        name = INPUT if data is None else data
        delta = result.deltas[name][index] if name in result.deltas else None
        return result.outputs[name][index], delta
    if data is None:
        return None, None
    if isinstance(result, Evaluation):
        return looked_up("data", data, index), None
    datum = np.asarray(data if index == () and not callable(data) else looked_up("data", data, index))
    return datum, _delta_of(result, datum, index)


def _delta_of(walk: Walk, datum: np.ndarray, index: Any) -> Any | None:
    """Return the δ of the first point whose output is this datum; None if there is none."""
    for name, delta in walk.deltas.items():
        output = walk.outputs[name]
        if output[index].shape == datum.shape and np.array_equal(output[index], datum, equal_nan=True):
            return delta[index]
    return None


def _caption(captions: Any, index: Any) -> str:
    if captions is None:
        return "" if index == () else f"datum {index}"
    return str(captions(index) if callable(captions) else looked_up("captions", captions, index))


def looked_up(argument: str, given: Any, index: Any) -> Any:
    """Return what a function, or a sequence, that was given has for an index."""
    if callable(given):
        return given(index)
    try:
        return (np.asarray(given) if isinstance(given, jax.Array) else given)[index]  # JAX refuses no index
    except (IndexError, KeyError, TypeError):
        raise ArgumentError(
            f"`{argument}` is {shown(given)}, which has nothing at the index {index}; give as many as there are data,"
            " in their order, or a function from the index."
        ) from None
