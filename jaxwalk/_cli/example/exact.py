"""Shows the worked example as a textbook has it: its formulas, and its numbers as fractions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..._errors import FormulaError
from ..._formulas.entries.exact import exact
from ..._formulas.formulas import formulas
from ..._show.table import Table
from ..._walk.walk import walk
from .tables import FORWARD, Headings, numbers_of, tables
from .walkthrough import Cohort, loss, model, params, patient_loss

HALF = Fraction(1, 2)


def formula_tables() -> Iterator[Table | str]:
    """Yield the formulas of the worked example, read off the functions; without SymPy, what to install."""
    try:
        found = formulas(model, loss, params, np.zeros(3, np.float32), np.float32(0), grain="entries")
    except FormulaError as error:
        yield f"The formulas are not shown. {error}"
        return
    for title, is_backward in (
        ("The model and the loss, as formulas", False),
        ("Their derivatives, each in terms of the one above it", True),
    ):
        rows = [(e.layer, f"{e.name} = {e.text}") for e in found if e.name.startswith("δ") == is_backward]
        yield Table(title, ("layer", "formula"), rows)


BACKWARD: Headings = {
    "Backward pass: δⁱ = ∂Loss/∂Xⁱ": {"δ⁴": "delta4", "δ³": "delta3", "δ² = δ¹": "delta2"},
    "Backward pass, down to the weights": {"δW² = ∂Loss/∂W²": "delta_w2"},
}


def exact_numbers(cohort: Cohort) -> list[dict[str, Any]]:
    """Walk through each patient, in fractions."""
    one = exact(walk(patient_loss, argnums=0))
    walks = [(one(params, x, y), y) for x, y in zip(cohort.x, exact(lambda y: y)(cohort.y), strict=True)]
    return [numbers_of(w, y, (w.outputs["L3"] >= HALF) == (y >= HALF)) for w, y in walks]


def exact_tables(cohort: Cohort) -> Iterator[Table | str]:
    """Yield the worked example in fractions: nothing is rounded."""
    patients = exact_numbers(cohort)
    weights = exact(lambda w: w)(params["L2"])
    yield f"In fractions, nothing rounded. W² = {shown(weights)}."
    cells = {key: [shown(patient[key]) for patient in patients] for key in patients[0]}
    cells["correct"] = ["right" if patient["correct"] else "wrong" for patient in patients]
    yield from tables({**FORWARD, **BACKWARD}, cohort.names, cells)
    yield from _notes(patients, cohort.names)


def _notes(patients: Sequence[dict[str, Any]], names: Sequence[str]) -> Iterator[str]:
    """Name patients who stand on the kink of L3, while there is something to learn."""
    for name, found in zip(names, patients, strict=True):
        if found["o2"] == 0 and found["delta4"] != 0:
            yield (
                f"{name} stands on the kink of L3: o² is exactly 0. L3 takes 0 to its side of X³ ≥ 0, which lets all of"
                " δ⁴ through to δ³; the other side lets nothing through."
            )


def exact_data(cohort: Cohort) -> dict[str, Any]:
    """Return the same as data: a fraction is text, "-3/11600"."""
    patients = exact_numbers(cohort)
    text = lambda value: [str(v) for v in value] if np.ndim(value) else str(value)
    rows = [
        {"patient": name} | {key: text(found[key]) for key in found if key != "correct"} | {"correct": found["correct"]}
        for name, found in zip(cohort.names, patients, strict=True)
    ]
    return {"patients": rows, "notes": list(_notes(patients, cohort.names))}


def shown(value: Any) -> str:
    """Write fractions as a person does: −(1/200, −3/11600, 1/5800)."""
    if not isinstance(value, np.ndarray):
        return str(value).replace("-", "−")
    first = next((v for v in value if v != 0), 0)
    return ("−" if first < 0 else "") + "(" + ", ".join(shown(-v if first < 0 else v) for v in value) + ")"
