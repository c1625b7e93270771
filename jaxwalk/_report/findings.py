"""What the numbers of a record show, in sentences. Verdicts on the health of a model are made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .._errors import counted
from .._show.table import number
from ..plot._sizes import Size
from .record import Record

SHARE = 0.5  # of the units that are dead, or of the δ that ends: from here on it is a finding
ZEROS = 0.9  # of the entries of a δ that are exactly zero
FOLD = 1000  # between the largest and the smallest δ on its way back
NAMED = 4  # points that one sentence names


class Link(NamedTuple):
    """A point that a sentence names, and which of the page's points it is."""

    name: str
    place: int | None


class Finding(NamedTuple):
    """One finding.

    Attributes:
        kind: "alarm", where numbers are not finite; "ends", where the flow ends; else "note".
        sentence: its words, and links to the points that it names, in order.
    """

    kind: str
    sentence: Sequence[str | Link]


def findings(record: Record) -> Iterator[Finding]:
    """Yield the findings, the gravest first."""
    yield from _nonfinite(record)
    yield from _stops(record)
    yield from _dead(record)
    yield from _thin(record)
    yield from _growth(record)
    yield from _unused(record)
    yield from _kinks(record)


def looked_at(record: Record) -> Iterator[str]:
    """Yield what was looked at, with its threshold; and what could not be, and why."""
    if not record.sizes:
        yield "No point has a size that was looked at."
        return
    sizes = record.sizes.values()
    if any(size.sides for size in sizes):
        yield "A NaN or an Inf, at any point."
        yield "Points at which δ is exactly zero though the loss depends on them, or all outputs are zero."
        yield f"A largest root mean square of δ of {FOLD:,} times the smallest that is not zero, or more."
    else:
        yield "Sizes, and so a NaN, an Inf or zeros: not looked at; `keep=jw.stats.summary` does."
    said = f"δ of which {_percent(ZEROS)} or more are exactly zero"
    counted_zeros = any(size.delta is not None and not np.all(np.isnan(size.delta.zeros)) for size in sizes)
    yield f"{said}." if counted_zeros else f"{said}: not looked at; `keep=jw.stats.zeros` does."
    judged = sum(size.dead is not None for size in sizes), sum(size.blocked is not None for size in sizes)
    for count, what, keep in zip(judged, ("dead units", "blocked flow"), ("dead", "blocked")):
        said = f"{what}, where {_percent(SHARE)} or more are: looked at {counted(count, 'point')} of {len(sizes)}"
        missing = f"{what}: not looked at; `keep=jw.stats.{keep}` does"
        yield (said if count else missing).capitalize() + "."
    if not record.kinks:
        yield "Kinks: not looked at; `jw.kinks` does."


# Each kind of finding -------------------------------------------------------------------------------------


def _nonfinite(record: Record) -> Iterator[Finding]:
    if record.first is not None:
        yield Finding("alarm", (record.first,))
    found = [(name, side) for name, size in record.sizes.items() for side in size.sides if _bad(size, side)]
    if found:
        found.sort(key=lambda place: _when(record, *place))
        name, side = found[0]
        of = "the output" if side == "output" else "δ"
        others = [other for other in dict.fromkeys(other for other, _ in found) if other != name]
        also = ("; then at ", *_links(record, others)) if others else ()
        met = "In the order of the run, forward and back, a NaN or an Inf is met first in "
        yield Finding("alarm", (f"{met}{of} of ", *_links(record, [name]), *also, "."))


def _bad(size: Size, side: str) -> bool:
    return bool(np.any(size.nonfinite_steps(size.sides[side])))


def _when(record: Record, name: str, side: str) -> tuple[bool, int]:
    """Return when a side is computed: outputs forward, then every δ backward."""
    place = record.place(name) or 0
    return (side == "delta", -place if side == "delta" else place)


def _stops(record: Record) -> Iterator[Finding]:
    names = [name for name, size in record.sizes.items() if "blocked" in size.marks()]
    if names:
        others = names[-2::-1]
        also = (" So it is at ", *_links(record, others), ".") if others else ()
        yield Finding("ends", ("The flow back has stopped at ", *_links(record, names[-1:]),
                               ": all of its δ is exactly zero, though the loss depends on it.", *also))  # fmt: skip
    for name, size in record.sizes.items():
        if size.blocked is not None and size.blocked >= SHARE and name not in names:
            yield Finding("note", (f"{_percent(size.blocked)} of the entries that a δ reaches at ",
                                   *_links(record, [name]),
                                   " are exactly zero: where a relu made them, it passes none of that"
                                   " back."))  # fmt: skip


def _dead(record: Record) -> Iterator[Finding]:
    marked = [(name, size) for name, size in record.sizes.items() if "dead" in size.marks()]
    silent = [name for name, size in marked if size.is_silent]
    if silent:
        yield Finding("ends", ("Every output is exactly zero at ", *_links(record, silent), "."))
    for name, size in record.sizes.items():
        if size.dead is not None and size.dead >= SHARE and name not in silent:
            over = f" over {counted(size.data, 'datum', 'data')}" if size.data > 1 else ""
            if size.is_activated:
                yield Finding("ends", ("The flow stops at ", *_links(record, [name]),
                                       f": {_percent(size.dead)} of its units pass nothing{over}."))  # fmt: skip
            else:
                units = f"{_percent(size.dead)} of the units"
                yield Finding("ends", (f"{units} are exactly zero{over} at ", *_links(record, [name]),
                                       ": where a relu made them, the flow stops there."))  # fmt: skip


def _thin(record: Record) -> Iterator[Finding]:
    for name, size in record.sizes.items():
        zeros = np.nan if size.delta is None else _mean(size.delta.zeros)
        if ZEROS <= zeros < 1:
            yield Finding("note", (f"{_percent(zeros)} of δ is exactly zero at ", *_links(record, [name]), "."))


def _growth(record: Record) -> Iterator[Finding]:
    found = {name: size.delta.overall for name, size in record.sizes.items() if size.delta is not None}
    found = {name: rms for name, rms in found.items() if rms}
    if not found:
        return
    largest, smallest = max(found, key=found.__getitem__), min(found, key=found.__getitem__)
    fold = found[largest] / found[smallest]
    if fold >= FOLD:
        yield Finding("note", (
            f"δ is {_fold(fold)} times as large at one point as at another: its root mean square is"
            f" {number(found[largest], 3)} at ", *_links(record, [largest]),
            f", and {number(found[smallest], 3)} at ", *_links(record, [smallest]), ".",
        ))  # fmt: skip


def _unused(record: Record) -> Iterator[Finding]:
    names = [name for name, point in record.points.items() if point.unused]
    if names:
        yield Finding("note", ("The loss does not depend on ", *_links(record, names), "."))


def _kinks(record: Record) -> Iterator[Finding]:
    names = [name for name, told in record.kinks_at.items() if told]
    if names:
        yield Finding("note", ("Rounding or a tie decides which δ is taken in what makes ",
                               *_links(record, names), "."))  # fmt: skip


# Words ----------------------------------------------------------------------------------------------------


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.any(np.isfinite(values)) else np.nan


def _links(record: Record, names: Sequence[str]) -> Iterator[str | Link]:
    for i, name in enumerate(names[:NAMED]):
        yield ", " if i else ""
        yield Link(name, record.place(name))
    if len(names) > NAMED:
        yield f" and {len(names) - NAMED} more"


def _percent(share: float) -> str:
    """Write a share as a percentage; one that is not whole is not shown as if it were."""
    return f"{min(100 * share, 99.9) if share < 1 else 100:.3g} %"


def _fold(fold: float) -> str:
    return f"{float(f'{fold:.2g}'):,.0f}" if fold < 1e6 else f"{fold:.1e}"
