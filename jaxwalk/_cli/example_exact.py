"""The worked example as a textbook has it: its formulas, and its numbers as fractions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from .._errors import FormulaError
from .._formulas.entries.exact import exact
from .._formulas.formulas import formulas
from .._show.table import Table
from .._walk.result import Walk
from .._walk.walk import walk
from .example import Cohort, loss, model, params, patient_loss

HALF = Fraction(1, 2)


def formula_tables() -> Iterator[Table | str]:
    """The formulas of the worked example, read off the functions; without SymPy, what to install."""
    try:
        found = formulas(model, loss, params, np.zeros(3, np.float32), np.float32(0), grain="entries")
    except FormulaError as error:
        yield f"The formulas are not shown. {error}"
        return
    forward = [e for e in found if not e.name.startswith("δ")]
    rows = [(e.layer, f"{e.name} = {e.text}") for e in forward]
    yield Table("The model and the loss, as formulas", ("layer", "formula"), rows)
    rows = [(e.layer, f"{e.name} = {e.text}") for e in found if e.name.startswith("δ")]
    yield Table("Their derivatives, each in terms of the one above it", ("layer", "formula"), rows)


def exact_walks(cohort: Cohort) -> list[Walk]:
    """A walk through each patient, in fractions."""
    one = exact(walk(patient_loss, argnums=0))
    return [one(params, x, y) for x, y in zip(cohort.x, cohort.y, strict=True)]


def exact_tables(cohort: Cohort) -> Iterator[Table | str]:
    """The worked example in fractions: nothing is rounded."""
    walks, names = exact_walks(cohort), _names(cohort)
    weights = exact(lambda w: w)(params["L2"])
    yield f"In fractions, nothing rounded. w² = {shown(weights)}."
    columns = ("patient", "o1 = L1(x)", "o2 = L2(o1)", "o3 = L3(o2)")
    rows = [(n, *(shown(w.outputs[p]) for p in ("L1", "L2", "L3"))) for n, w in zip(names, walks, strict=True)]
    yield Table("Forward pass", columns, rows, columns[1:])
    columns = ("patient", "o3", "y", "loss", "correct? (threshold ½)")
    rows = [
        (n, shown(w.outputs["L3"]), shown(y), shown(w.value), "right" if is_correct(w, y) else "wrong")
        for n, w, y in zip(names, walks, _expected(cohort), strict=True)
    ]
    yield Table("Loss = ½ (o3 - y)²", columns, rows, columns[1:4])
    columns = ("patient", "δ4", "δ3", "δ2 = δ1")
    rows = [(n, *(shown(w.deltas[p]) for p in ("L3", "L2", "L1"))) for n, w in zip(names, walks, strict=True)]
    yield Table("Backward pass: δⁱ = ∂Loss/∂Xⁱ", columns, rows, columns[1:])
    columns = ("patient", "δw² = ∂Loss/∂W²")
    rows = [(n, shown(w.grads["L2"])) for n, w in zip(names, walks, strict=True)]
    yield Table("Backward pass, down to the weights", columns, rows, columns[1:])
    yield from _notes(walks, names)


def _notes(walks: Sequence[Walk], names: Sequence[str]) -> Iterator[str]:
    """Of patients who stand on the kink of L3, while there is something to learn."""
    for name, w in zip(names, walks, strict=True):
        if w.outputs["L2"] == 0 and w.deltas["L3"] != 0:
            yield (
                f"{name} stands on the kink of L3: o2 is exactly 0. L3 takes 0 to its side of X³ ≥ 0, which lets all of"
                " δ4 through to δ3; the other side lets nothing through."
            )


def exact_data(cohort: Cohort) -> dict[str, Any]:
    """The same as data: a fraction is text, "-3/11600"."""
    patients, walks, names = [], exact_walks(cohort), _names(cohort)
    for name, w, y in zip(names, walks, _expected(cohort), strict=True):
        o, d = w.outputs, w.deltas
        columns = {
            "x": o["input"], "y": y, "o1": o["L1"], "o2": o["L2"], "o3": o["L3"], "loss": w.value, "delta4": d["L3"],
            "delta3": d["L2"], "delta2": d["L1"], "delta1": d["input"], "delta_w2": w.grads["L2"],
        }  # fmt: skip
        texts = {key: [str(v) for v in value] if np.ndim(value) else str(value) for key, value in columns.items()}
        patients.append({"patient": name, **texts, "correct": is_correct(w, y)})
    return {"patients": patients, "notes": list(_notes(walks, names))}


def is_correct(walked: Walk, expected: Fraction) -> bool:
    return (walked.outputs["L3"] >= HALF) == (expected >= HALF)


def shown(value: Any) -> str:
    """Fractions as a person writes them: −(1/200, −3/11600, 1/5800)."""
    if not isinstance(value, np.ndarray):
        return str(value).replace("-", "−")
    first = next((v for v in value if v != 0), 0)
    return ("−" if first < 0 else "") + "(" + ", ".join(shown(-v if first < 0 else v) for v in value) + ")"


def _expected(cohort: Cohort) -> Sequence[Fraction]:
    return exact(lambda y: y)(cohort.y)


def _names(cohort: Cohort) -> list[str]:
    return [f"x{i}".translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")) for i in range(1, len(cohort.x) + 1)]
