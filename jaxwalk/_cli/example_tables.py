"""What the worked example shows: as tables, and as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._show.table import Table, number, numbers
from .example import WEIGHTS, Walkthrough


def walkthrough_tables(w: Walkthrough) -> Iterator[Table | str]:
    """The worked example in the order in which it is told."""
    o, d, dw = w.walk.outputs, w.walk.deltas, w.walk.grads["L2"]
    names, bounds = _names(w), _bounds(w)
    expected = [f"{'good' if y == 1 else 'bad'} shape ({number(y)})" if y in (0, 1) else number(y) for y in w.cohort.y]
    columns = ("patient", "broccoli", "Tagada strawberries", "workout hours", "expectation")
    rows = [(n, *map(number, x), e) for n, x, e in zip(names, w.cohort.x, expected, strict=True)]
    yield Table("The data: patients, per year", columns, rows, columns[1:4])

    columns = ("patient", "o1 = L1(x)", "o2 = L2(o1)", "o3 = L3(o2)")
    yield _by_patient("Forward pass", columns, names, [o["L1"], o["L2"], o["L3"]], [0, bounds.o2, bounds.o2])

    correct = ["right" if c else "wrong" for c in w.correct]
    rows = list(
        zip(names, _column(o["L3"], bounds.o2), map(number, w.cohort.y), _column(w.walk.value, bounds.loss), correct)
    )
    columns = ("patient", "o3", "y", "loss", "correct? (threshold ½)")
    yield Table("Loss = ½ (o3 - y)²", columns, rows, columns[1:4])

    # In two tables: each fits a terminal of 80 columns.
    columns = ("patient", "δ4", "δ3", "δ2")
    yield _by_patient(
        "Backward pass: δⁱ = ∂Loss/∂Xⁱ", columns, names, [d["L3"], d["L2"], d["L1"]], [bounds.o2, bounds.o2, bounds.d2]
    )
    columns = ("patient", "δ1", "δw² = ∂Loss/∂W²")
    yield _by_patient(
        "Backward pass, down to the input and to the weights", columns, names, [d["input"], dw], [bounds.d2, bounds.dw]
    )

    worst = names[w.worst]
    if w.culprits:
        places = [_where(c.point, c.index) for c in w.culprits]
        values = _column(
            [c.value for c in w.culprits], [bounds.o2[w.worst] * (c.point in ("L2", "L3")) for c in w.culprits]
        )
        rows = list(zip(places, values, [number(c.delta) for c in w.culprits], strict=True))
        yield Table(f"Culprits: who is to blame for the loss of {worst}", ("value", "is", "δ"), rows, ("is", "δ"))
        rows = [("predicted, δ1 · (0, 0, 1)", number(w.predicted)), ("actual", number(w.actual, 3))]
        yield Table(f"A prediction: one hour of workout more for {worst}", ("change of the loss", ""), rows, ("",))
    else:
        yield f"No loss, no culprits: every δ of {worst}, the patient of the largest loss, is zero."
    yield from notes(w)
    if any(
        np.any((np.asarray(v) != 0) & (np.abs(v) <= b)) for v, b in ((o["L2"], bounds.o2), (w.walk.value, bounds.loss))
    ):
        yield "A number no larger than its own rounding error is shown as 0; --json gives every number as computed."


def notes(w: Walkthrough) -> Iterator[str]:
    """What a reader of the numbers must know."""
    for i in np.flatnonzero(w.on_kink):
        o2 = float(w.walk.outputs["L2"][i])
        side = "lets all of δ4 through to δ3" if o2 >= 0 else "lets nothing of δ4 through to δ3"
        value, bound = number(np.float32(o2), 2), number(np.float32(w.bound[i]), 2)
        yield (
            f"{_names(w)[i]} stands on the kink of L3: o2 is {value}, within its rounding error of {bound} from 0."
            f" On which side it falls is rounding's choice: this one {side}, the other does the opposite."
        )


def walkthrough_data(w: Walkthrough) -> dict[str, Any]:
    """The same as data, every number as computed."""
    o, d = w.walk.outputs, w.walk.deltas
    columns = {
        "x": w.cohort.x, "y": w.cohort.y, "o1": o["L1"], "o2": o["L2"], "o3": o["L3"], "loss": w.walk.value,
        "correct": w.correct, "delta4": d["L3"], "delta3": d["L2"], "delta2": d["L1"], "delta1": d["input"],
        "delta_w2": w.walk.grads["L2"], "on_kink": w.on_kink,
    }  # fmt: skip
    lists = {name: np.asarray(values).tolist() for name, values in columns.items()}
    names = _names(w)
    return {
        "patients": [{"patient": n} | {k: v[i] for k, v in lists.items()} for i, n in enumerate(names)],
        "culprits": {
            "patient": names[w.worst],
            "entries": [
                {"point": c.point, "index": list(c.index), "value": float(c.value), "delta": float(c.delta)}
                for c in w.culprits
            ],
        },
        "prediction": {
            "patient": names[w.worst], "move": {"workout": 1}, "predicted": w.predicted, "actual": w.actual
        },
        "notes": list(notes(w)),
    }  # fmt: skip


def _names(w: Walkthrough) -> list[str]:
    superscripts = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    return [f"x{i}".translate(superscripts) for i in range(1, len(w.cohort.x) + 1)]


def _where(point: str, index: Sequence[int]) -> str:
    names = {"input": "X¹", "L1": "X²", "L2": "X³", "L3": "X⁴"}
    subscript = "".join(chr(ord("₁") + i) for i in index)
    return f"{names[point]}{subscript} ({point})"


class _Bounds(NamedTuple):
    """The rounding error that each patient's numbers may have, from that of o2."""

    o2: np.ndarray  # and of o3, δ4, δ3
    loss: np.ndarray
    d2: np.ndarray  # and of δ1
    dw: np.ndarray


def _bounds(w: Walkthrough) -> _Bounds:
    bound, delta4 = w.bound.astype(np.float64), np.abs(np.asarray(w.walk.deltas["L3"], np.float64))
    return _Bounds(
        bound, bound * (delta4 + bound), np.outer(bound, np.abs(WEIGHTS)), bound[:, None] * np.abs(w.cohort.x)
    )


def _by_patient(title: str, columns: Sequence[str], names: Sequence[str], values: Sequence, bounds: Sequence) -> Table:
    return Table(title, columns, list(zip(names, *map(_column, values, bounds), strict=True)), columns[1:])


def _column(values: Any, bound: Any) -> list[str]:
    """The numbers of a column; one no larger than its own rounding error is shown as 0."""
    values = np.asarray(values)
    settled = np.where((np.abs(values) <= bound) & np.isfinite(bound), np.zeros_like(values), values)
    return [numbers(value) for value in settled]
