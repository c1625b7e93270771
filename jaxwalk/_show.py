"""What the two commands show: as tables, and as data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ._errors import counted
from ._survey import Line, Sizes, Survey
from ._table import Table, number, numbers
from ._walkthrough import Walkthrough

# What float32 sums of a few terms carry: below this share of the largest of its column, an entry is rounding.
NOISE = 16 * float(np.finfo(np.float32).eps)
SIZES = ("|output| mean", "max", "zeros", "|δ| mean", "max ", "zeros ")


# The walkthrough ------------------------------------------------------------------------------------------


def walkthrough_tables(w: Walkthrough) -> Iterator[Table | str]:
    """The worked example in the order in which it is told."""
    o, d, dw = w.walk.outputs, w.walk.deltas, w.walk.grads["L2"]
    names = _names(w)
    expected = [f"{'good' if y == 1 else 'bad'} shape ({number(y)})" if y in (0, 1) else number(y) for y in w.cohort.y]
    columns = ("patient", "broccoli", "Tagada strawberries", "workout hours", "expectation")
    rows = [(n, *map(number, x), e) for n, x, e in zip(names, w.cohort.x, expected, strict=True)]
    yield Table("The data: patients, per year", columns, rows, columns[1:4])

    columns = ("patient", "o1 = L1(x)", "o2 = L2(o1)", "o3 = L3(o2)")
    yield _by_patient("Forward pass", columns, names, [o["L1"], o["L2"], o["L3"]])

    correct = ["right" if c else "wrong" for c in w.correct]
    rows = list(zip(names, _column(o["L3"]), map(number, w.cohort.y), _column(w.walk.value), correct, strict=True))
    yield Table("Loss = ½ (o3 - y)²", ("patient", "o3", "y", "loss", "correct?"), rows, ("o3", "y", "loss"))

    # In two tables: each fits a terminal of 80 columns.
    columns = ("patient", "δ4", "δ3", "δ2")
    yield _by_patient("Backward pass: δⁱ = ∂Loss/∂Xⁱ", columns, names, [d["L3"], d["L2"], d["L1"]])
    columns = ("patient", "δ1", "δw² = ∂Loss/∂W²")
    yield _by_patient("Backward pass, down to the input and to the weights", columns, names, [d["input"], dw])

    worst = names[w.worst]
    if w.culprits:
        places = [_where(c.point, c.index) for c in w.culprits]
        rows = list(zip(places, _column([c.value for c in w.culprits]), [number(c.delta) for c in w.culprits]))
        yield Table(f"Culprits: who is to blame for the loss of {worst}", ("value", "is", "δ"), rows, ("is", "δ"))
        rows = [("predicted, δ1 · (0, 0, 1)", number(w.predicted)), ("actual", number(w.actual, 3))]
        yield Table(f"A prediction: one hour of workout more for {worst}", ("change of the loss", ""), rows, ("",))
    else:
        yield f"No loss, no culprits: every δ of {worst}, the patient of the largest loss, is zero."
    yield from notes(w)
    yield (
        f"Entries below {NOISE:.0e} of the largest of their column are float32's rounding and shown as 0;"
        " --json gives every number as computed."
    )


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


def _by_patient(title: str, columns: Sequence[str], names: Sequence[str], values: Sequence[Any]) -> Table:
    return Table(title, columns, list(zip(names, *map(_column, values), strict=True)), columns[1:])


def _column(values: Any) -> list[str]:
    """The numbers of a column; those that are only the rounding of the others are shown as the zeros they stand for."""
    values = np.asarray(values)
    return [numbers(np.where(np.abs(v) > NOISE * np.abs(values).max(), v, np.zeros_like(v))) for v in values]


# The survey -----------------------------------------------------------------------------------------------


def survey_tables(s: Survey, top: int, unused: Sequence[str]) -> Iterator[Table | str]:
    """A line per point, and the data of largest loss."""
    rows = [_row(line) for line in s.lines]
    columns = ("X", "point", "shape", *SIZES, "first non-finite", "note")
    yield Table(f"{counted(len(s.lines), 'point')}, over {_data(len(s.loss))}", columns, rows, ("X", *SIZES))
    rows = [(str(i), number(np.float32(loss))) for i, loss in s.largest(top)]
    mean = number(np.float32(s.loss.mean()))
    yield Table(f"Data of largest loss (mean loss {mean})", ("datum", "loss"), rows, ("datum", "loss"))
    yield from survey_notes(unused)


def survey_notes(unused: Sequence[str]) -> Iterator[str]:
    if unused:
        yield f"Not used of the data file: {', '.join(unused)}."


def survey_data(s: Survey, top: int, unused: Sequence[str]) -> dict[str, Any]:
    """The same as data. A NaN or an Inf, which JSON does not have, is "nan", "inf" or "-inf"."""
    return {
        "data": len(s.loss),
        "mean_loss": _finite(float(s.loss.mean())),
        "points": [_line_data(line) for line in s.lines],
        "largest_loss": [{"datum": i, "loss": _finite(loss)} for i, loss in s.largest(top)],
        "notes": list(survey_notes(unused)),
    }


def _line_data(line: Line) -> dict[str, Any]:
    p = line.point
    return {
        "X": p.number, "point": p.name, "shape": list(p.shape), "dtype": str(p.dtype),
        "axes": [axis._asdict() for axis in p.axes], "unused": p.unused, "conditional": p.conditional,
        "opaque": p.opaque, "output": _sizes_data(line.output), "delta": _sizes_data(line.delta),
    }  # fmt: skip


def _sizes_data(sizes: Sizes | None) -> dict[str, Any] | None:
    if sizes is None:
        return None
    return {"mean": _finite(sizes.mean), "max": _finite(sizes.max), "zeros": _finite(sizes.zeros),
            "first_nonfinite": sizes.nonfinite}  # fmt: skip


def _finite(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _row(line: Line) -> tuple[str, ...]:
    point, output, delta = line
    first = (str(point.number), point.name, str(point.shape))
    return (*first, *_cells(output), *_cells(delta), _first_nonfinite(line), point.note)


def _cells(sizes: Sizes | None) -> tuple[str, str, str]:
    if sizes is None:
        return ("", "", "")
    return number(np.float32(sizes.mean)), number(np.float32(sizes.max)), f"{100 * sizes.zeros:.3g} %"


def _first_nonfinite(line: Line) -> str:
    sizes = {"output": line.output, "δ": line.delta}
    found = [(s.nonfinite, array) for array, s in sizes.items() if s is not None and s.nonfinite is not None]
    return "{1}, datum {0}".format(*min(found)) if found else ""


def _data(count: int) -> str:
    return "1 datum" if count == 1 else f"{count} data"
