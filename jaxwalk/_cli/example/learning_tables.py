"""Shows how the worked example is taught: as tables, and as data; in floats and in fractions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..._errors import listed
from ..._formulas.entries.arithmetic import holds_entries
from ..._show.table import Table, number, numbers
from .exact import shown
from .learning import RATES, Arithmetic, Epoch, Sign, epochs, signs
from .walkthrough import Cohort

FORWARD = ("x", "o³", "y", "loss", "correct? (threshold ½)")
RIGHT = ("α", "o³", "y", "loss", "δ⁴", "δ³")


def learning_tables(
    cohort: Cohort, arithmetic: Arithmetic, rates: tuple[Fraction, ...] = RATES
) -> Iterator[Table | str]:
    """Yield the worked example's learning phase in the order in which it is told."""
    taught = epochs(cohort, arithmetic, rates)
    one_by_one, batches = ([e for e in taught if e.is_batch == is_batch] for is_batch in (False, True))
    for epoch in one_by_one:
        yield _updates(epoch)
        yield _forward(epoch, cohort, f"After that epoch (α = {_rate(epoch)}), a new forward pass")
    yield from _batch(batches, cohort)
    yield from _sign_tables(signs(arithmetic))
    yield from _notes(taught)


def _updates(epoch: Epoch) -> Table:
    rows = []
    for update in epoch.updates:
        told = (update.walk.value, update.walk.deltas["L3"])
        rows.append((update.names[0], *(_text(0 if update.settled else v) for v in told), *_learned(update)))
    title = f"Gradient descent, one patient at a time: ŵ² = w² − α·δW², α = {_rate(epoch)}"
    return Table(title, ("x", "loss", "δ⁴", "δW²", "ŵ²"), rows, RIGHT)


def _learned(update: Any) -> tuple[str, str]:
    return _text(update.delta_w2), _text(update.weights)


def _forward(epoch: Epoch, cohort: Cohort, title: str) -> Table:
    columns = epoch.outputs, cohort.y, epoch.losses
    words = ["right" if correct else "wrong" for correct in epoch.correct]
    rows = list(zip(cohort.names, *(map(_text, column) for column in columns), words, strict=True))
    return Table(title, FORWARD, rows, RIGHT)


def _batch(epochs: Sequence[Epoch], cohort: Cohort) -> Iterator[Table | str]:
    (first,) = epochs[0].updates
    deltas = first.walk.deltas
    settled = [0 if name in first.settled else 1 for name in cohort.names]
    at = [np.asarray(deltas[name]) for name in ("L3", "L2", "L1")]
    rows = [(name, *(_text(d[i] * settled[i]) for d in at)) for i, name in enumerate(cohort.names)]
    title = f"Batch learning: the loss is the mean of theirs, {_text(first.walk.value)}"
    yield Table(title, ("x", "δ⁴", "δ³", "δ² = δ¹"), rows, RIGHT)
    rows = [(_rate(epoch), *_learned(epoch.updates[0])) for epoch in epochs]
    yield Table("The average direction, and the weights", ("α", "δW²", "ŵ²"), rows, RIGHT)
    for epoch in epochs:
        yield _forward(epoch, cohort, f"After that update (α = {_rate(epoch)}), a new forward pass")


# Signs ----------------------------------------------------------------------------------------------------

_SHOULD = {0: "stay", -1: "grow", 1: "shrink"}  # by the sign of δW²
_RESULT = {0: "right", -1: "too low", 1: "too high"}  # by the sign of δ⁴


def _sign_tables(cases: Sequence[Sign]) -> Iterator[Table | str]:
    *open_, blocked = cases
    rows = [(_sign(s.delta3), "≥ 0" if s.o1 >= 0 else "< 0", _sign(s.delta_w2), _should(s)) for s in open_]
    title = "Sign analysis: what a weight should do, read off walks of the model"
    yield Table(title, ("δ³", "o¹", "δW²", "the weight should"), rows)
    rows = [
        (_result(s), "≥ 0" if s.o2 >= 0 else "< 0", *map(_sign, (s.delta4, s.delta3, s.delta2, s.w2)), _flow(s))
        for s in (open_[0], *open_[2:], blocked)
    ]
    yield Table("... and where the learning flow goes", ("result", "o²", "δ⁴", "δ³", "δ²", "w²", "so"), rows)
    yield (
        f"Blocked: there is something to learn, δ⁴ = {_text(blocked.delta4)}, and L3 lets nothing through. A leaky"
        f" relu, 0.01·x for x < 0, would give δ³ = {_text(blocked.leaky)}: its result differs too, and with it δ⁴."
    )


def _signum(value: Any) -> int:
    return int(value > 0) - int(value < 0)


def _sign(value: Any) -> str:
    return ("0", "> 0", "< 0")[_signum(value)]


def _should(sign: Sign) -> str:
    return _SHOULD[_signum(sign.delta_w2)]


def _result(sign: Sign) -> str:
    return _RESULT[_signum(sign.delta4)]


def _flow(sign: Sign) -> str:
    if sign.delta4 == 0:
        return "nothing to learn"
    if sign.delta3 == 0:
        return "blocked"
    return "sign(δ²) = sign(w²)" if _signum(sign.delta2) == _signum(sign.w2) else "sign(δ²) = −sign(w²)"


# Words ----------------------------------------------------------------------------------------------------


def _notes(taught: Sequence[Epoch]) -> Iterator[str]:
    for epoch in taught:
        if epoch.correct.all():
            continue
        wrong = [u for u in epoch.updates if _largest(u.weights) > 1]
        if wrong:
            yield (
                f"α = {_rate(epoch)} is far too large a step: the weights, {_text(wrong[-1].weights)}, are the update"
                " and little else."
            )
            break
    settled = list(dict.fromkeys(name for epoch in taught for u in epoch.updates for name in u.settled))
    if settled:
        yield (
            f"The δ⁴ of {listed(settled)} is no larger than the rounding error that o² may have, and is taken for 0, as"
            " it is in fractions (--exact): with α = 1 what float32 makes of it would move the weights, and take"
            " patients off the kink of L3."
        )


def _largest(values: Any) -> Any:
    return max(abs(value) for value in values)


def _rate(epoch: Epoch) -> str:
    short = f"{float(epoch.rate):g}"
    return short.replace("e-0", "e-") if Fraction(short) == epoch.rate else str(epoch.rate)


def _text(value: Any) -> str:
    """Return a number, or a vector of them, as one writes it: fractions as fractions, floats to 4 digits."""
    if isinstance(value, Fraction | int) or holds_entries(value):
        return shown(value)
    return numbers(np.asarray(value)) if np.ndim(value) else number(value)


def learning_data(cohort: Cohort, arithmetic: Arithmetic, rates: tuple[Fraction, ...] = RATES) -> dict[str, Any]:
    """Return the same as data: floats as computed, a fraction as text, "-3/11600"."""
    return {
        "epochs": [_epoch_data(epoch, cohort) for epoch in epochs(cohort, arithmetic, rates)],
        "signs": [
            {key: _plain(value) for key, value in s._asdict().items()} | {"weight": _should(s), "flow": _flow(s)}
            for s in signs(arithmetic)
        ],
    }


def _epoch_data(epoch: Epoch, cohort: Cohort) -> dict[str, Any]:
    updates = [
        {
            "patients": u.names, "loss": _plain(u.walk.value), "delta4": _plain(u.walk.deltas["L3"]),
            "delta3": _plain(u.walk.deltas["L2"]), "delta2": _plain(u.walk.deltas["L1"]),
            "delta_w2": _plain(u.delta_w2), "w2": _plain(u.weights), "settled": u.settled,
        }
        for u in epoch.updates
    ]  # fmt: skip
    forward = [
        {"patient": name, "o3": _plain(o), "loss": _plain(loss), "correct": bool(correct)}
        for name, o, loss, correct in zip(cohort.names, epoch.outputs, epoch.losses, epoch.correct, strict=True)
    ]
    return {"rate": str(epoch.rate), "batch": epoch.is_batch, "updates": updates, "forward": forward}


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction | int):
        return str(value)
    if holds_entries(value):
        return np.vectorize(str, otypes=[object])(value).tolist()
    return np.asarray(value).tolist()
