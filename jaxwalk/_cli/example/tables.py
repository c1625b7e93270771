"""Shows the worked example: as tables, and as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..._show.table import Table, number, numbers
from ..._walk.result import Walk
from .walkthrough import WEIGHTS, Walkthrough

Headings = Mapping[str, Mapping[str, str]]
"""Titles of tables, the headings of their columns, and what stands in each, as `numbers_of` names it."""

FEATURE_HEADINGS = ("broccoli", "strawberries", "workout, h")
DATA: Headings = {
    "The data: broccoli, Tagada strawberries, workout per year": {
        name: name for name in (*FEATURE_HEADINGS, "expectation")
    }
}
FORWARD: Headings = {
    "Forward pass": {"o¹ = L1(x)": "o1", "o² = L2(o¹)": "o2", "o³ = L3(o²)": "o3"},
    "Loss = ½ (o³ − y)²": {"o³": "o3", "y": "y", "loss": "loss", "correct? (threshold ½)": "correct"},
}
BACKWARD: Headings = {  # in two tables: each fits a terminal of 60 columns
    "Backward pass: δⁱ = ∂Loss/∂Xⁱ": {"δ⁴": "delta4", "δ³": "delta3", "δ²": "delta2"},
    "Backward pass, down to input and weights: δW² = ∂Loss/∂W²": {"δ¹": "delta1", "δW²": "delta_w2"},
}
NUMBERS = (
    *FEATURE_HEADINGS,
    "o² = L2(o¹)",
    "o³ = L3(o²)",
    "o³",
    "y",
    "loss",
    "δ⁴",
    "δ³",
)  # flush right: words are not, nor vectors
CHANGE = "change of the loss"


def numbers_of(w: Walk, y: Any, correct: Any) -> dict[str, Any]:
    """Return what is computed of a patient, or of several along a leading axis, by name."""
    o, d = w.outputs, w.deltas
    return {
        "x": o["input"], "y": y, "o1": o["L1"], "o2": o["L2"], "o3": o["L3"], "loss": w.value, "correct": correct,
        "delta4": d["L3"], "delta3": d["L2"], "delta2": d["L1"], "delta1": d["input"], "delta_w2": w.grads["L2"],
    }  # fmt: skip


def tables(headings: Headings, names: Sequence[str], cells: Mapping[str, Sequence[str]]) -> Iterator[Table]:
    """Yield tables with a row per patient."""
    for title, columns in headings.items():
        rows = zip(names, *(cells[key] for key in columns.values()), strict=True)
        yield Table(title, ("x", *columns), list(rows), [name for name in columns if name in NUMBERS])


def walkthrough_tables(w: Walkthrough) -> Iterator[Table | str]:
    """Yield the worked example in the order in which it is told."""
    yield from number_tables(w)
    yield from blame_tables(w)
    yield from notes(w)
    yield from rounding_notes(w)


def rounding_notes(w: Walkthrough) -> Iterator[str]:
    """Say that small numbers are shown as 0, if any are."""
    found, bounds = numbers_of(w.walk, w.cohort.y, w.correct), _bounds(w)
    if any(np.any((np.asarray(found[key]) != 0) & (np.abs(found[key]) <= bounds[key])) for key in ("o2", "loss")):
        yield "A number no larger than its own rounding error is shown as 0; --json gives every number as computed."


def number_tables(w: Walkthrough) -> Iterator[Table]:
    """Yield the data, the forward pass and the backward pass."""
    found, bounds = numbers_of(w.walk, w.cohort.y, w.correct), _bounds(w)
    cells = {key: _column(values, bounds.get(key, 0)) for key, values in found.items()}
    cells |= {name: list(map(number, column)) for name, column in zip(FEATURE_HEADINGS, w.cohort.x.T, strict=True)}
    shapes = {0.0: "bad shape (0)", 1.0: "good shape (1)"}
    cells["expectation"] = [shapes.get(float(y), number(y)) for y in w.cohort.y]
    cells["correct"] = ["right" if c else "wrong" for c in w.correct]
    yield from tables({**DATA, **FORWARD, **BACKWARD}, w.cohort.names, cells)


def blame_tables(w: Walkthrough) -> Iterator[Table | str]:
    """Say what is to blame for the largest loss."""
    bound = w.bound[w.worst]  # the rounding error that o2 and o3 may have there
    worst = w.cohort.names[w.worst]
    if not w.culprits:
        yield f"No loss, no culprits: every δ of {worst}, the patient of the largest loss, is zero."
        return
    values = _column([c.value for c in w.culprits], [bound * (c.point in ("L2", "L3")) for c in w.culprits])
    rows = [(_where(c.point, c.index), v, number(c.delta)) for c, v in zip(w.culprits, values, strict=True)]
    yield Table(f"Culprits: who is to blame for the loss of {worst}", ("value", "is", "δ"), rows, ("is", "δ"))
    rows = [("predicted, δ¹ · (0, 0, 1)", number(w.predicted)), ("actual", number(w.actual, 3))]
    yield Table(f"A prediction for {worst}", ("one hour of workout more", CHANGE), rows, (CHANGE,))


def notes(w: Walkthrough) -> Iterator[str]:
    """Yield what a reader of the numbers must know."""
    for i in np.flatnonzero(w.on_kink):
        o2 = float(w.walk.outputs["L2"][i])
        side = "lets all of δ⁴ through to δ³" if o2 >= 0 else "lets nothing of δ⁴ through to δ³"
        value, bound = number(np.float32(o2), 2), number(np.float32(w.bound[i]), 2)
        yield (
            f"{w.cohort.names[i]} stands on the kink of L3: o² is {value}, within its rounding error of {bound} from"
            f" 0. On which side it falls is rounding's choice: this one {side}, the other does the opposite."
        )


def walkthrough_data(w: Walkthrough) -> dict[str, Any]:
    """Return the same as data, every number as computed."""
    columns = numbers_of(w.walk, w.cohort.y, w.correct) | {"x": w.cohort.x, "on_kink": w.on_kink}
    lists = {name: np.asarray(values).tolist() for name, values in columns.items()}
    names = w.cohort.names
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


def _where(point: str, index: Sequence[int]) -> str:
    names = {"input": "X¹", "L1": "X²", "L2": "X³", "L3": "X⁴"}
    subscript = "".join(chr(ord("₁") + i) for i in index)
    return f"{names[point]}{subscript} ({point})"


def _bounds(w: Walkthrough) -> dict[str, np.ndarray]:
    """Return the rounding error that each patient's numbers may have, from that of o2; others have none."""
    bound, delta4 = w.bound.astype(np.float64), np.abs(np.asarray(w.walk.deltas["L3"], np.float64))
    of_input = np.outer(bound, np.abs(WEIGHTS))
    return dict.fromkeys(("o2", "o3", "delta4", "delta3"), bound) | {
        "loss": bound * (delta4 + bound), "delta2": of_input, "delta1": of_input,
        "delta_w2": bound[:, None] * np.abs(w.cohort.x),
    }  # fmt: skip


def _column(values: Any, bound: Any) -> list[str]:
    """Return the numbers of a column; one no larger than its own rounding error is shown as 0."""
    values = np.asarray(values)
    settled = np.where((np.abs(values) <= bound) & np.isfinite(bound), np.zeros_like(values), values)
    return [numbers(value) for value in settled]
