"""`update`: steps that are far too large, or far too small, for the weights that they move."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..finding import Finding
from ..rule import Limits, Rule, Threshold, needs_weights
from ..signals import Signals
from ..trend import logarithms, slope
from ..words import also, brief, fold

FEW = 3  # steps, at least, before small updates say something: a rate may warm up from 0
MANY = 10  # steps, at least, for a trend
LARGE = 0.1  # a ratio that grows is no warm-up from here on: 100 times that of Karpathy's rule


def _ratios(signals: Signals) -> dict[str, np.ndarray]:
    """Compute ‖update‖/‖w‖ by path, (n,); NaN where the weights are all zero, as biases are before the first step, and
    where the gradient is exactly zero, of which `unused` tells."""
    found = {}
    for path, sizes in signals.weights.items():
        if "update_l2" in sizes and "weight_l2" in sizes:
            weight, update = (np.asarray(sizes[key], np.float64) for key in ("weight_l2", "update_l2"))
            moved = np.asarray(sizes.get("gradient_l2", np.ones(signals.length)), np.float64) != 0
            fine = (weight > 0) & np.isfinite(update) & (moved | (update > 0))
            found[path] = np.where(fine, update / np.where(fine, weight, 1.0), np.nan)
    return found


def _find(signals: Signals, limits: Limits) -> Iterator[Finding]:
    ratios = {path: ratio for path, ratio in _ratios(signals).items() if np.isfinite(ratio).any()}
    large = list(_large(ratios, signals, limits["update_most"]))
    yield from large or _at_once(ratios, signals, limits["update_once"])
    yield from _growing(ratios, signals, limits["update_growth"], limits["update_most"])
    yield from _small(ratios, signals, limits["update_least"])


def _large(ratios: dict[str, np.ndarray], signals: Signals, limit: float) -> Iterator[Finding]:
    with np.errstate(invalid="ignore"):
        found = {path: ratio for path, ratio in ratios.items() if signals.lasts(ratio > limit)}
    size = lambda path: float(np.nanmedian(found[path][signals.length // 2 :]))
    for worst in sorted(found, key=size)[-1:]:
        meaning = (
            f"An update of `{worst}` is {brief(size(worst))} times as large as the weights that it moves: what they had"
            f" learned is overwritten in each step.{_others(found, worst)}"
        )
        yield _finding(worst, size(worst), limit, meaning, _TRY_SMALLER, found, signals, found[worst] > limit)


def _at_once(ratios: dict[str, np.ndarray], signals: Signals, limit: float) -> Iterator[Finding]:
    """Yield a step that moves most arrays by more than they are, and from which the training does not recover."""
    if signals.steps is None or not ratios or signals.length < FEW:
        return
    table = np.stack([np.where(np.isfinite(ratio), ratio, 0.0) for ratio in ratios.values()])
    typical = np.median(table, axis=0)
    step = int(np.argmax(typical[:-1]))
    if typical[step] <= limit or not (since := _not_recovered(signals, step)):
        return
    found = {path: ratio for path, ratio in ratios.items() if ratio[step] > limit}
    worst = max(found, key=lambda path: float(found[path][step]))
    size = float(found[worst][step])
    meaning = (
        f"Step {signals.steps[step]} moves `{worst}` by {brief(size)} times its size, and most of the weights by more"
        f" than theirs; {since}.{_others(found, worst)}"
    )
    at = np.arange(signals.length) == step
    yield _finding(worst, size, limit, meaning, _TRY_SMALLER, found, signals, at)


def _not_recovered(signals: Signals, step: int) -> str:
    """Return in words what has not been well since a step; "" if all is."""
    gradients = [np.asarray(w["gradient_l2"]) for w in signals.weights.values() if "gradient_l2" in w]
    gone = sum(bool(g[: step + 1].any() and signals.lasts(g == 0)) for g in gradients)
    if gone:
        return f"since then {gone} of {len(gradients)} arrays have no gradient at all"
    before, after = np.min(signals.loss[: step + 1]), np.nanmin(signals.loss[step + 1 :], initial=np.inf)
    return "" if after < before else "the loss has not come below what it was since"


def _growing(ratios: dict[str, np.ndarray], signals: Signals, limit: float, most: float) -> Iterator[Finding]:
    if signals.length < MANY or signals.steps is None:
        return
    end = signals.length * 3 // 4
    factors = {path: 10 ** float(slope(logarithms(r)[None])[0] * (signals.length - 1)) for path, r in ratios.items()}
    late = {path: _median(ratio[end:]) for path, ratio in ratios.items()}
    found = {path: ratios[path] for path in ratios if factors[path] >= limit and LARGE <= late[path] <= most}
    for worst in sorted(found, key=factors.__getitem__)[-1:]:
        meaning = (
            f"The updates of `{worst}` grow by a factor of {fold(factors[worst])} against its weights over"
            f" {signals.length} steps, to {brief(late[worst])} of them: the training runs away.{_others(found, worst)}"
        )
        always = np.ones(signals.length, bool)
        yield _finding(worst, factors[worst], limit, meaning, _TRY_SMALLER, found, signals, always)


def _small(ratios: dict[str, np.ndarray], signals: Signals, limit: float) -> Iterator[Finding]:
    """Yield the weights that not one of the steps moves: gradients may be gathered over several."""
    if signals.length < FEW:
        return
    found = {path: ratio for path, ratio in ratios.items() if np.nanmax(ratio) < limit}
    for worst in sorted(found, key=lambda path: float(np.nanmax(found[path])))[:1]:
        size = float(np.nanmax(found[worst]))
        gradient = _largest_gradient(signals, worst)
        how = (
            f"at most {brief(size)} of the weights"
            if size
            else f"exactly 0, though there is a gradient: {_why_none(gradient)}"
        )
        meaning = f"The updates of `{worst}` are {how}: it is not learned.{_others(found, worst)}"
        advice = _TRY_LARGER if size or gradient < _NO_SQUARE_IN_FLOAT16 else _TRY_TO_CLIP
        yield _finding(worst, size, limit, meaning, advice, found, signals, found[worst] < limit)


_NO_SQUARE = 1.8e19  # of this and more the square is no number of float32, nor of bfloat16, which both end at 3.4e38
_NO_SQUARE_IN_FLOAT16 = 256.0  # which ends at 65504


def _largest_gradient(signals: Signals, path: str) -> float:
    norms = np.asarray(signals.weights[path].get("gradient_l2", np.nan), np.float64)
    return float(np.nanmax(norms)) if np.isfinite(norms).any() else 0.0


def _why_none(gradient: float) -> str:
    """Return why there may be no update, though there is a gradient of that ℓ2 norm."""
    squares = (
        f"the squares of a gradient of norm {brief(gradient)} are beyond the range of its dtype, and so, with adam or"
        " rmsprop, is what the update is divided by"
    )
    if gradient >= _NO_SQUARE:
        return squares
    others = "there is no rate, or rounding takes them away"
    return f"{others}, or, in float16, {squares}" if gradient >= _NO_SQUARE_IN_FLOAT16 else others


def _median(values: np.ndarray) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan


def _others(found: dict[str, np.ndarray], worst: str) -> str:
    return also([path for path in found if path != worst], "So it is with")


def _finding(worst: str, size: float, limit: float, meaning: str, advice: str, found: dict[str, np.ndarray],
             signals: Signals, verdict: np.ndarray) -> Finding:  # fmt: skip
    weights = (worst, *(path for path in found if path != worst))
    return Finding("update", None, size, limit, meaning, advice, weights=weights, steps=signals.span(verdict))


_TRY_SMALLER = "Try a smaller rate, a warm-up, clipping (`optax.clip_by_global_norm`), or weights that begin larger."
_TRY_LARGER = (
    "Look at the rate and its schedule, at what masks or freezes these weights, and, in 16 bits, at weights in float32"
    " to learn with; if they are meant to stay as they are, all is well."
)
_TRY_TO_CLIP = (
    "Try to clip the gradients before the optimizer squares them (`optax.clip_by_global_norm`), to scale the loss down,"
    " or weights in float32 to learn with, whose moments are in float32 too; else look at the rate, and at what masks"
    " or freezes these weights."
)

UPDATE = Rule(
    "update",
    _find,
    (
        Threshold("update_least", 1e-8, "‖update‖/‖w‖, in the step in which it is largest"),
        Threshold("update_most", 10.0, "‖update‖/‖w‖, in most of the later steps"),
        Threshold(
            "update_once",
            1.0,
            "‖update‖/‖w‖ of most arrays in one step, from which the loss, or a gradient, does not recover",
        ),
        Threshold(
            "update_growth", 1000.0, "‖update‖/‖w‖ at the end over that at the start, where it ends above 0.1", 1.0
        ),
    ),
    needs_weights("update_l2"),
)
