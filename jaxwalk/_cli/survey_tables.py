"""What the survey of a model shows: as tables, and as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._errors import counted
from .._evaluate.result.datum import Datum
from .._evaluate.result.evaluation import STEPS
from .._show.table import Table, number, text
from .survey import Kept, Line, Survey

SHOWN = {"mean": "|{}| mean", "max": "|{}| max", "zeros": "{} 0s", "nonfinite_data": "{} NaN/Inf"}
SIDES = {"output": "output", "delta": "δ"}
SPACES = 3  # between two columns of the printed table, where `text` has 2
LARGEST = 3  # points of largest δ that a culprit has beside it

Row = dict[str, str]


# As tables ------------------------------------------------------------------------------------------------


def survey_tables(s: Survey, notes: Sequence[str], width: int) -> Iterator[Table | str]:
    """A line per point, in several tables where one is wider than `width`; the data most to blame; what to know."""
    yield from _points_tables(s, width)
    yield _culprits(s)
    yield from survey_notes(s, notes)


def _points_tables(s: Survey, width: int) -> Iterator[Table]:
    rows = [row for line in s.lines for row in _rows(line)]
    title = f"{counted(len(s.points), 'point')}, over {_data(s.evaluation.count)}"
    output, delta = ([name.format(symbol) for name in SHOWN.values()] for symbol in SIDES.values())
    whole = _table(title, rows, ("X", "point", "shape", *output, *delta, "kinks", "note"))
    if _width(whole) <= width:
        yield whole
        return
    of_size = ("mean", "max", "0s", "NaN/Inf")
    yield _table(
        f"{title}, forward: |output|", rows, ("X", "point", "shape", *output, "kinks"),
        ("X", "point", "shape", *of_size, "kinks"),
    )  # fmt: skip
    felt = [row for line in s.lines if line.delta is not None for row in _rows(line)]
    among = ", of the points that have one" if len(felt) < len(rows) else ""
    yield _table(f"Backward: |δ|{among}", felt, ("X", "point", *delta), ("X", "point", *of_size))
    if noted := [row for row in rows if row.get("note")]:
        yield _table("What to know of them", noted, ("X", "point", "note"))


def _table(title: str, rows: Sequence[Row], keys: Sequence[str], columns: Sequence[str] | None = None) -> Table:
    columns = keys if columns is None else columns
    right = [name for name in columns if name not in ("point", "shape", "note")]
    return Table(title, columns, [[row.get(key, "") for key in keys] for row in rows], right)


def _width(table: Table) -> int:
    table = table.without_empty_columns()
    return max(map(len, text(table._replace(title="")).splitlines())) + (SPACES - 2) * (len(table.columns) - 1)


def _rows(line: Line) -> Iterator[Row]:
    """One, or at a point in a loop one for each step, those in the middle of many left out."""
    point = line.point
    has_steps = line.output is not None or line.delta is not None
    steps = list(np.ndindex(*(axis.length for axis in point.axes))) if has_steps else [()]
    shape = str(point.shape[len(point.axes) if has_steps else 0 :])
    about = {"X": str(point.number), "shape": shape, "kinks": str(line.kinks or ""), "note": _note(line)}
    left_out = len(steps) - 2 * STEPS
    for place, step in enumerate(steps):
        if left_out > 0 and place == STEPS:
            yield {"point": f"… {left_out} more steps"}
        if left_out <= 0 or not STEPS <= place < len(steps) - STEPS:
            name = "…" if place else point.name
            yield {"point": name + (str(list(step)) if step else ""), **_cells(line, step), **({} if place else about)}


def _cells(line: Line, step: tuple[int, ...]) -> Row:
    cells = {}
    for symbol, kept in zip(SIDES.values(), (line.output, line.delta), strict=True):
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
    """Not so where an array is of size 0, or in a branch that no datum took."""
    return bool(np.any(~np.isnan(kept["zeros"][step]) | (kept["nonfinite_data"][step] > 0)))


def _note(line: Line) -> str:
    is_there = line.output is None or _has_entries(line.output)
    nothing = "" if is_there else "no datum came here" if line.point.conditional else "no entries"
    return "; ".join(filter(None, (line.point.note(), nothing)))


def _culprits(s: Survey) -> Table:
    rows = [(str(d.index), number(d.loss), _largest(d)) for d in s.evaluation.culprits]
    mean = "none is finite" if np.isnan(s.evaluation.loss) else f"mean loss {number(s.evaluation.loss)}"
    return Table(f"Data of largest loss ({mean})", ("datum", "loss", "largest ‖δ‖"), rows, ("datum", "loss"))


def _largest(datum: Datum) -> str:
    """The points of largest norm."""
    norms = {name: float(datum.norms[name]) for name in datum.norms.once()}
    largest = sorted(norms, key=lambda name: -np.nan_to_num(norms[name], nan=np.inf))[:LARGEST]
    return ", ".join(f"{name} {number(norms[name])}" for name in largest)


def _data(count: int) -> str:
    return "1 datum" if count == 1 else f"{count} data"


# What to know of it ---------------------------------------------------------------------------------------


def survey_notes(s: Survey, notes: Sequence[str]) -> Iterator[str]:
    """Sentences; `notes`: those about the data."""
    yield from _bad(s)
    yield from notes
    yield from _kinks(s)


def _bad(s: Survey) -> Iterator[str]:
    """Data whose loss or δ is not finite; and numbers that are not finite and reach neither."""
    if total := s.evaluation.nonfinite:
        more = f", and {total - len(s.bad)} more (`--top` names more)" if total > len(s.bad) else ""
        where = "" if s.first is None else f" Of datum {s.bad[0]} the first is in {_where(s)}."
        named = ", ".join(map(str, s.bad))
        yield f"{_data(total)} with a NaN or Inf: {named}{more}.{where} The mean loss is of finite ones."
    if any(np.any(kept["nonfinite_data"]) for line in s.lines for kept in (line.output, line.delta) if kept):
        yield "NaN/Inf: how many data have one there. The other columns leave these numbers out."


def _where(s: Survey) -> str:
    assert s.first is not None
    array = SIDES.get(s.first.array, s.first.array)
    return f"the {array}" if s.first.point is None else f"the {array} of `{s.first.point}`"


def _kinks(s: Survey) -> Iterator[str]:
    """What the column `kinks` counts; nothing if there are none."""
    if isinstance(s.kinks, str):
        yield f"Kinks are not counted: {s.kinks}."
    elif s.kinks is not None and (total := sum(s.kinks.values())):
        shown = sum(line.kinks for line in s.lines)
        elsewhere = f", {total - shown} of them at no point" + " shown" * (s.kinks.get(None, 0) < total - shown)
        yield (
            f"Kinks: {'1 entry' if total == 1 else f'{total} entries'} of a relu, a max, a `where` ... on the threshold"
            f" or within rounding of it{elsewhere if total > shown else ''}; there δ is one of two. `jw.kinks` lists"
            " them."
        )


# As data --------------------------------------------------------------------------------------------------


def survey_data(s: Survey, notes: Sequence[str]) -> dict[str, Any]:
    """The same as data. At a point in a loop each number is a list, of one per step."""
    found = s.evaluation
    culprits = [{"datum": d.index, "loss": d.loss, "norms": _norms(d)} for d in found.culprits]
    first = None if s.first is None else {"datum": s.bad[0], "point": s.first.point, "array": s.first.array}
    return {
        "data": found.count,
        "mean_loss": found.loss,
        "nonfinite": {"data": found.nonfinite, "named": s.bad, "first": first},
        "points": [_line_data(line, isinstance(s.kinks, Mapping)) for line in s.lines],
        "largest_loss": culprits,
        "notes": list(survey_notes(s, notes)),
    }


def _norms(datum: Datum) -> dict[str, float]:
    return {name: float(norm) for name, norm in datum.norms.items()}


def _line_data(line: Line, with_kinks: bool) -> dict[str, Any]:
    p = line.point
    return {
        "X": p.number, "point": p.name, "shape": list(p.shape), "dtype": str(p.dtype),
        "axes": [axis._asdict() for axis in p.axes], "unused": p.unused, "conditional": p.conditional,
        "opaque": p.opaque, "note": _note(line), "output": _side_data(line.output), "delta": _side_data(line.delta),
    } | ({"kinks": line.kinks} if with_kinks else {})  # fmt: skip


def _side_data(kept: Kept | None) -> dict[str, Any] | None:
    return None if kept is None else {key: np.asarray(kept[key]).tolist() for key in SHOWN}
