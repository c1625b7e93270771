"""`CoordinateCheck`: what a width check found, as tables of slopes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..._errors import counted
from ..._health.finding import Health
from ..._points.ordered_mapping import Named
from ..._points.point import Points
from ..._show.fit import as_html, as_text
from ..._show.table import Table, number
from .sizes import KINDS, Trained
from .slopes import Slope, slope_of
from .verdicts import grouped, judged, said, unsure, verdicts


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class CoordinateCheck:
    """How the sizes of a model go with its width.

    Attributes:
        widths: ascending.
        steps: how many updates there were.
        seeds: how many models of each width.
        points: those of the widest model.
        losses: mean over seeds, (widths, steps + 1): before each update, and after the last.
        sizes: by kind, "output", "change", "delta", "update", and by name, the mean of |entry|, mean over seeds. Of
            points (widths, steps + 1), and an axis for each loop around the point, as for the layers of a scan; of an
            update, by the path of the parameter, (widths, steps). A "change" before the first update is 0.
        slopes: k of size ∝ widthᵏ, by the same kinds and names, without the axis of widths; NaN where a size is zero,
            or no number.
        errors: the standard error of each; NaN for two widths and one seed.
        findings: what is not as muP wants, a `Finding` for each of the rules that `coordinate_check` names: its points
            in forward order, the slope that is furthest from what it should be, and after how many updates; empty where
            all is.
        verdicts: by point, what is found there, in a few words; "" where it is as muP wants.
        not_judged: by point, why it is not judged: an integer, opaque, of weights alone.
    """

    widths: tuple[int, ...]
    steps: int
    seeds: int
    points: Points
    losses: np.ndarray
    sizes: Mapping[str, Named]
    slopes: Mapping[str, Named]
    errors: Mapping[str, Named]
    findings: Health
    verdicts: Named
    not_judged: Named

    def tables(self) -> tuple[Table, Table]:
        """Return two tables of slopes: of the points, and of the updates of the parameters."""
        return self._points(), self._updates()

    def _points(self) -> Table:
        columns, words = ("X", "point", "init", "change", "δ", "verdict"), ("verdict",)
        rows = [self._row(name) for name in self.points]
        more = "`check.slopes` has each"
        return Table(
            self._title(), columns, rows, ("X", "init", "change", "δ"), [*self._notes()], (), ("X", "point"),
            ("point",), words, more, True,
        )  # fmt: skip

    def _row(self, name: str) -> tuple[str, ...]:
        verdict = self.verdicts[name] or self.not_judged.get(name, "")
        steps = {"output": 0, "change": self.steps, "delta": self.steps}
        cells = [self._cell(kind, name, step) for kind, step in steps.items()]
        return str(self.points[name].number), name, *cells, verdict

    def _cell(self, kind: str, name: str, step: int) -> str:
        slopes = self.slopes[kind].get(name)
        if slopes is None or np.all(np.isnan(slopes[step])):
            return ""
        return written(furthest(slopes[step]))

    def _updates(self) -> Table:
        rows = [(name, self._cell("update", name, self.steps - 1)) for name in self.slopes["update"]]
        title = f"Updates of {counted(len(rows), 'parameter')}, slope of the last (told, not judged)"
        lead = ("parameter",)
        more = '`check.slopes["update"]` has each'
        return Table(title, ("parameter", "update"), rows, ("update",), (), (), lead, lead, (), more, True)

    def _title(self) -> str:
        widths = ", ".join(map(str, self.widths))
        seeds = f", {counted(self.seeds, 'seed')}" * (self.seeds > 1)
        bad = sum(map(bool, self.verdicts.values()))
        verdict = f"{counted(bad, 'point')} not as muP wants" if bad else "all as muP wants"
        return (
            f"Width check of {counted(len(self.points), 'point')}, widths {widths},"
            f" {counted(self.steps, 'update')}{seeds}: {verdict}"
        )

    def _notes(self) -> Iterator[str]:
        yield (
            "Slope k of size ∝ width^k: init, of the output at initialisation; change, of the output since, after"
            f" {counted(self.steps, 'update')}; δ, then (not judged: in muP it is -1 at hidden layers)."
        )
        if any(point.axes for point in self.points.values()):
            yield "Of a point in a scan, that of the layer where it is furthest from 0."
        ends = (f"{_course(self.losses[i])} at width {self.widths[i]}" for i in (0, -1))
        yield f"Loss: {', '.join(ends)}."
        if doubtful := self.unsure():
            yield (
                f"{counted(len(doubtful), 'slope')} beyond 1/4, but within twice its standard error: give more seeds,"
                f" or widths further apart. First `{doubtful[0]}`."
            )

    def unsure(self) -> list[str]:
        """Return the points with a slope that is beyond the threshold, but not by more than its standard error."""
        judging = {"output": 0, "change": self.steps}
        slope = lambda kind, name, step: Slope(self.slopes[kind][name][step], self.errors[kind][name][step])
        return [
            name
            for name in self.points
            if name not in self.not_judged
            and any(name in self.slopes[k] and np.any(unsure(slope(k, name, s))) for k, s in judging.items())
        ]

    def __repr__(self) -> str:
        return "\n".join(map(as_text, self.tables()))

    def _repr_html_(self) -> str:
        return "".join(map(as_html, self.tables()))


def furthest(slopes: np.ndarray) -> float:
    """Return the slope that is furthest from 0, of those that are known."""
    known = np.ravel(slopes)[np.isfinite(np.ravel(slopes))]
    return float(known[np.argmax(np.abs(known))]) if known.size else float("nan")


def written(slope: float) -> str:
    """Return a slope with two digits after the point, and no minus before a zero."""
    return f"{round(slope, 2) + 0.0:.2f}"


def _course(losses: np.ndarray) -> str:
    return f"{number(losses[0], 3)} → {number(losses[-1], 3)}"


def checked(widths: Sequence[int], steps: int, runs: Sequence[Sequence[Trained]]) -> CoordinateCheck:
    """Return what runs at each width, with each seed, have in common, and what is to say of it."""
    first = runs[0][0]
    every = {kind: {name: _all(runs, kind, name) for name in first.sizes[kind]} for kind in KINDS}
    for change in every["change"].values():
        change[:, :, 0] = 0
    slopes = {kind: {name: slope_of(widths, of) for name, of in each.items()} for kind, each in every.items()}
    judging = judged([run[0].points for run in runs])
    points = runs[-1][0].points
    found = [*verdicts(judging, slopes, every, widths)]
    about = f"{counted(len(points) - len(judging.not_judged), 'point')}, widths {', '.join(map(str, widths))}"
    by_point = {name: said([finding for finding in found if finding.point == name], steps) for name in points}
    order = lambda kind, values: Named({n: values[n] for n in (points if kind != "update" else values) if n in values})
    return CoordinateCheck(
        tuple(widths),
        steps,
        len(runs[0]),
        points,
        np.mean([[run.losses for run in each] for each in runs], axis=1),
        {kind: order(kind, {name: of.mean(axis=0) for name, of in each.items()}) for kind, each in every.items()},
        {kind: order(kind, {name: slope.value for name, slope in each.items()}) for kind, each in slopes.items()},
        {kind: order(kind, {name: slope.error for name, slope in each.items()}) for kind, each in slopes.items()},
        Health(grouped(found), about=f"{about}, {counted(steps, 'update')}"),
        Named(by_point),
        Named(dict(judging.not_judged)),
    )


def _all(runs: Sequence[Sequence[Trained]], kind: str, name: str) -> np.ndarray:
    """Return sizes of shape (seeds, widths, steps, ...)."""
    return np.stack([np.stack([run.sizes[kind][name] for run in each]) for each in runs], axis=1).astype(np.float64)
