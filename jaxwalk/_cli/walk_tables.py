"""Shows the survey of a model: as tables, and as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._errors import counted
from .._evaluate.result.datum import Datum, largest_norms, same_norms
from .._evaluate.result.evaluation import STEPS
from .._points.point import Points
from .._show.table import Table, number
from .._show.terminal import GAP
from .walk_survey import Kept, PointSizes, Survey

SHOWN = {"mean": "|{}| mean", "max": "|{}| max", "zeros": "{} 0s", "nonfinite_data": "{} NaN/Inf"}
SIDES = {"output": "output", "delta": "δ"}

Cells = dict[str, str]
"""What stands in a row, by column."""


# As tables ------------------------------------------------------------------------------------------------


def survey_tables(s: Survey, notes: Sequence[str], width: int) -> Iterator[Table | str]:
    """Yield a row per point, in several tables if one were wider than `width`; the data most to blame; notes."""
    yield from _points_tables(s, width)
    yield _culprits(s)
    yield from survey_notes(s, notes)


def _points_tables(s: Survey, width: int) -> Iterator[Table]:
    rows = [row for sizes in s.by_point for row in _rows(sizes, s.points)]
    title = f"{counted(len(s.points), 'point')}, over {_data(s.evaluation.count)}"
    output, delta = ([name.format(symbol) for name in SHOWN.values()] for symbol in SIDES.values())
    whole = _table(title, rows, ("X", "point", "shape", *output, *delta, "kinks", "note"))
    if whole.width(GAP) <= width:
        yield whole
        return
    of_size = ("mean", "max", "0s", "NaN/Inf")
    yield _table(
        f"{title}, forward: |output|", rows, ("X", "point", "shape", *output, "kinks"),
        ("X", "point", "shape", *of_size, "kinks"),
    )  # fmt: skip
    felt = [row for sizes in s.by_point if sizes.delta is not None for row in _rows(sizes, s.points)]
    among = ", of the points that have one" if len(felt) < len(rows) else ""
    yield _table(f"Backward: |δ|{among}", felt, ("X", "point", *delta), ("X", "point", *of_size))
    if noted := [row for row in rows if row.get("note")]:
        yield _table("What to know of them", noted, ("X", "point", "note"))


def _table(title: str, rows: Sequence[Cells], keys: Sequence[str], columns: Sequence[str] | None = None) -> Table:
    columns = keys if columns is None else columns
    right = [name for name in columns if name not in ("point", "shape", "note")]
    return Table(title, columns, [[row.get(key, "") for key in keys] for row in rows], right)


def _rows(sizes: PointSizes, points: Points) -> Iterator[Cells]:
    """Yield one row, or at a point in a loop one for each step, those in the middle of many left out."""
    point = sizes.point
    has_steps = sizes.output is not None or sizes.delta is not None
    steps = list(np.ndindex(*(axis.length for axis in point.axes))) if has_steps else [()]
    shape = str(point.shape[len(point.axes) if has_steps else 0 :])
    about = {"X": str(point.number), "shape": shape, "kinks": str(sizes.kinks or ""), "note": _note(sizes, points)}
    left_out = len(steps) - 2 * STEPS
    for place, step in enumerate(steps):
        if left_out > 0 and place == STEPS:
            yield {"point": f"… {left_out} more steps"}
        if left_out <= 0 or not STEPS <= place < len(steps) - STEPS:
            name = "…" if place else point.name
            yield {"point": name + (str(list(step)) if step else ""), **_cells(sizes, step), **({} if place else about)}


def _cells(sizes: PointSizes, step: tuple[int, ...]) -> Cells:
    cells = {}
    for symbol, kept in zip(SIDES.values(), (sizes.output, sizes.delta), strict=True):
        if kept is not None and _has_entries(kept, step):
            cells |= {name.format(symbol): _cell(key, kept, step) for key, name in SHOWN.items()}
    return cells


def _cell(key: str, kept: Kept, step: tuple[int, ...]) -> str:
    value = kept[key][step]
    if key == "nonfinite_data":
        return str(value or "")
    if np.isnan(kept["zeros"][step]):  # not one number is finite
        return "nan"
    return f"{100 * value:.3g} %" if key == "zeros" else number(value)


def _has_entries(kept: Kept, step: tuple[int, ...] = ()) -> bool:
    """Tell whether there are any: not where an array is of size 0, or in a branch that no datum took."""
    return bool(np.any(~np.isnan(kept["zeros"][step]) | (kept["nonfinite_data"][step] > 0)))


def _note(sizes: PointSizes, points: Points) -> str:
    is_there = sizes.output is None or _has_entries(sizes.output)
    nothing = "" if is_there else "no datum came here" if sizes.point.conditional else "no entries"
    return "; ".join(filter(None, (sizes.point.note(), points.also(sizes.point.name), nothing)))


def _culprits(s: Survey) -> Table:
    rows = [(str(d.index), number(d.loss), largest_norms(d)) for d in s.evaluation.culprits]
    mean = "none is finite" if np.isnan(s.evaluation.loss) else f"mean loss {number(s.evaluation.loss)}"
    title, notes = f"Data of largest loss ({mean})", same_norms(row[-1] for row in rows)
    return Table(title, ("datum", "loss", "largest ‖δ‖"), rows, ("datum", "loss"), notes)


def _data(count: int) -> str:
    return counted(count, "datum", "data")


# What to know of it ---------------------------------------------------------------------------------------


def survey_notes(s: Survey, notes: Sequence[str]) -> Iterator[str]:
    """Yield sentences; `notes`: those about the data."""
    yield from nonfinite_notes(s)
    yield from notes
    yield from kink_notes(s)


def nonfinite_notes(s: Survey) -> Iterator[str]:
    """Name data whose loss or δ is not finite, and say where numbers are not finite that may reach neither."""
    if total := s.evaluation.nonfinite:
        more = f", and {total - len(s.bad)} more (`--top` names more)" if total > len(s.bad) else ""
        where = "" if s.first is None else f" Of datum {s.bad[0]} the first is in {_where(s)}."
        if s.given:
            have = "has" if len(s.given) == 1 else "have"
            where = f" In datum {s.bad[0]} its {' and '.join(s.given)} {have} one already, before the model."
        named = ", ".join(map(str, s.bad))
        yield f"{_data(total)} with a NaN or Inf: {named}{more}.{where} The mean loss is of finite ones."
    if any(np.any(kept["nonfinite_data"]) for sizes in s.by_point for kept in (sizes.output, sizes.delta) if kept):
        yield "NaN/Inf: how many data have one there. The other columns leave these numbers out."


def _where(s: Survey) -> str:
    assert s.first is not None
    array = SIDES.get(s.first.array, s.first.array)
    return f"the {array}" if s.first.point is None else f"the {array} of `{s.first.point}`"


def kink_notes(s: Survey) -> Iterator[str]:
    """Say what the column `kinks` counts, if there are any."""
    if isinstance(s.kinks, str):
        yield f"Kinks are not counted: {s.kinks}."
    elif s.kinks is not None and (total := sum(s.kinks.values())):
        shown = sum(sizes.kinks for sizes in s.by_point)
        elsewhere = f", {total - shown} of them at no point" + " shown" * (s.kinks.get(None, 0) < total - shown)
        yield (
            f"Kinks: {counted(total, 'entry', 'entries')} of a relu, a max, a `where` ... on the threshold"
            f" or within rounding of it{elsewhere if total > shown else ''}; there δ is one of two, or the loss"
            " itself jumps. `jw.kinks` lists them."
        )


# As data --------------------------------------------------------------------------------------------------


def survey_data(s: Survey, notes: Sequence[str]) -> dict[str, Any]:
    """Return the same as data. At a point in a loop each number is a list, of one per step."""
    found = s.evaluation
    culprits = [{"datum": d.index, "loss": d.loss, "norms": _norms(d)} for d in found.culprits]
    first = None
    if s.first is not None:
        first = {"datum": s.bad[0], "point": s.first.point, "array": s.first.array, "given": list(s.given)}
    return {
        "data": found.count,
        "mean_loss": found.loss,
        "nonfinite": {"data": found.nonfinite, "named": s.bad, "first": first},
        "points": [_point_data(sizes, s.points, isinstance(s.kinks, Mapping)) for sizes in s.by_point],
        "largest_loss": culprits,
        "notes": list(survey_notes(s, notes)),
    }


def _norms(datum: Datum) -> dict[str, float]:
    return {name: float(norm) for name, norm in datum.norms.items()}


def _point_data(sizes: PointSizes, points: Points, with_kinks: bool) -> dict[str, Any]:
    p = sizes.point
    return {
        "X": p.number, "point": p.name, "shape": list(p.shape), "dtype": str(p.dtype),
        "axes": [axis._asdict() for axis in p.axes], "unused": p.unused, "conditional": p.conditional,
        "opaque": p.opaque, "note": _note(sizes, points),
        "output": _side_data(sizes.output), "delta": _side_data(sizes.delta),
    } | ({"kinks": sizes.kinks} if with_kinks else {})  # fmt: skip


def _side_data(kept: Kept | None) -> dict[str, Any] | None:
    return None if kept is None else {key: np.asarray(kept[key]).tolist() for key in SHOWN}
