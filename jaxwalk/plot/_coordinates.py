"""`coordinates`: the size of each point against the width of the model, as it is initialised and as it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._errors import ArgumentError, PointError, argument, counted, listed, shown
from .._health.finding import Finding
from .._learn.coordinate.result import CoordinateCheck, furthest, written
from .._points.name_patterns import At, choose
from .._points.point import Points
from ._rows.captions import fit, head, note
from ._rows.log_axis import log_axis
from ._style import Palette, drawing
from ._words import folded, lay_out, room

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CROWD = 12  # lines that are not as muP wants, beyond which they are thin
FEW = 8  # points that all have their names
AROUND = (34, 30, 16)  # typographic points left of, below and above a panel, for its ticks, its scale, and its title
NAMES = 0.42  # of the width of a panel, for the names at the ends of the lines
WORDS = 45  # typographic points of a panel's height that words around the picture may still take
TYPE, APART = 7.5, 9.5  # of these names: the height of the letters, and from one to the next


class Mark(NamedTuple):
    """How the lines of points are drawn that are not as muP wants, or of those that are."""

    colour: str
    shape: str
    label: str


MARKS = {
    "grows at init": Mark("alarm", "^", "grows with width"),
    "blows up": Mark("alarm", "^", "grows with width"),
    "vanishes at init": Mark("ends", "v", "shrinks with width"),
    "does not learn": Mark("ends", "v", "shrinks with width"),
    "not finite": Mark("alarm", "X", "not finite"),
    "": Mark("output", "o", "as muP wants"),
    "not judged": Mark("faint", ".", "not judged"),
}


class Line(NamedTuple):
    """A point in a panel: its sizes (widths, layers), its slope, and which of MARKS it has."""

    name: str
    sizes: np.ndarray
    slope: float
    mark: str

    @property
    def is_bad(self) -> bool:
        return self.mark not in ("", "not judged")


def coordinates(check: CoordinateCheck, at: At = None, *, step: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw the sizes of points against the width: left the outputs at initialisation, right their change by training.

    Both scales are logarithmic, so that size ∝ widthᵏ is a line of slope k. Under muP all lines are level, but at the
    left those of the network's output, and of attention's logits, which may fall. Points that are not as muP wants are
    drawn above the others, with their names and slopes; of few points all are named. A point in a scan has a line for
    each layer. Sizes that are zero, or no number, are not drawn, and a note says so.

    Arguments:
        check: what `jw.coordinate_check` returned.
        at: which points, as of `jw.walk`.
        step: the change after how many updates; None for all of them.
        ax: the axes to draw in; a new figure's unless told. The two panels are insets of it.

    Returns:
        The axes.

    Raises:
        JaxwalkError: matplotlib is not installed.
        ArgumentError: `check` is none, there are not so many updates; or `ax` is none.
        PointError: `at` chooses no point, or none that has a size.

    >>> import jax, jax.numpy as jnp, optax, jaxwalk as jw
    >>> loss = lambda params, x: jnp.mean((jw.tag(x @ params["in"], "hidden") @ params["out"] - 1) ** 2)
    >>> make = lambda width: (loss, {"in": jnp.ones((2, width)), "out": jnp.ones((width, 1)) / width})
    >>> check = jw.coordinate_check(make, [8, 16, 32], [jnp.ones((4, 2))], optax.sgd(0.1), steps=1)
    >>> ax = jw.plot.coordinates(check)
    >>> [panel.get_title(loc="left") for panel in ax.child_axes]
    ['output at initialisation', 'change after 1 update']
    """
    step = _step(check, step)
    chosen = choose(check.points, at)
    sides = {"output at initialisation": ("output", 0), f"change after {counted(step, 'update')}": ("change", step)}
    lines = {title: [*_lines(check, chosen, *side)] for title, side in sides.items()}
    if not any(lines.values()):
        raise PointError(
            f"`{argument('at')}={shown(at)}` chooses points of which no size is known: {listed(chosen)}; choose others."
        )
    with drawing(ax, 7.5, 3.6) as (axes, palette):
        slot = axes.get_position()
        lay_out(axes)
        axes.set(xticks=[], yticks=[], facecolor="none")
        axes.spines[:].set_visible(False)
        words = [word for i, title in enumerate(lines) for word in _panel(axes, i, title, lines[title], check, palette)]
        words += _unseen(check, chosen, step)
        _legend(axes, [line for each in lines.values() for line in each], palette)
        head(axes, _title(check, chosen))
        note(axes, palette, words)
        fit(axes, slot)
    return axes


def _step(check: CoordinateCheck, step: int | None) -> int:
    if not isinstance(check, CoordinateCheck):
        raise ArgumentError(f"`check` is {shown(check)}; give what `jw.coordinate_check` returned.")
    if step is None:
        return check.steps
    if not isinstance(step, (int, np.integer)) or isinstance(step, bool) or not 1 <= step <= check.steps:
        raise ArgumentError(f"`step` is {shown(step)}; there are the updates 1 to {check.steps}.")
    return int(step)


def _lines(check: CoordinateCheck, chosen: Points, kind: str, step: int) -> Iterator[Line]:
    """Yield the points of a panel, those that are not as muP wants last: they are drawn above the others."""
    marks = {name: "not judged" if name in check.not_judged else "" for name in chosen}
    bad = {n: f.name for f in _findings(check, step) for n in f.points if n in chosen and _is_seen(check, f, n, step)}
    marks |= bad
    for name in sorted(chosen, key=lambda name: name in bad):
        if name in check.sizes[kind]:
            sizes = check.sizes[kind][name][:, step].reshape(len(check.widths), -1)
            yield Line(name, sizes, furthest(check.slopes[kind][name][step]), marks[name])


def _findings(check: CoordinateCheck, step: int) -> list[Finding]:
    """Return the findings of the outputs at initialisation, or those of their changes."""
    return [f for f in check.findings if f.name == "not finite" or f.name.endswith("init") == (step == 0)]


def _is_seen(check: CoordinateCheck, finding: Finding, name: str, step: int) -> bool:
    """Tell whether what was found at a point is so after this many updates."""
    if finding.name == "not finite":
        return not np.all(np.isfinite(check.sizes["output"][name][:, step]))
    slopes = check.slopes["change" if step else "output"][name][step]
    return bool(np.any(slopes / finding.threshold > 1))


def _unseen(check: CoordinateCheck, chosen: Points, step: int) -> Iterator[str]:
    """Yield the points of which something was found after other updates than these."""
    at = [(f, name) for f in _findings(check, step) for name in f.points if name in chosen and f.name != "not finite"]
    if others := dict.fromkeys(name for f, name in at if not _is_seen(check, f, name, step)):
        yield f"Not as muP wants after other updates (choose by `step`): {listed(others, 4)}."


def _panel(
    ax: Axes, place: int, title: str, lines: Sequence[Line], check: CoordinateCheck, palette: Palette
) -> Iterator[str]:
    """Draw a panel, and yield what must be said of it."""
    panel = ax.inset_axes(_box(ax, place))
    panel.set_title(title, fontsize=9, fontweight="normal")
    sizes = np.concatenate([np.zeros(0), *(np.ravel(line.sizes) for line in lines)])
    _scales(panel, sizes, check.widths, palette)
    crowded = sum(line.is_bad for line in lines) > CROWD
    for line in lines:
        _draw(panel, line, check.widths, palette, crowded)
    yield from _name(panel, lines, palette)
    for what, bad in (("zero", lambda x: x == 0), ("not finite", lambda x: ~np.isfinite(x))):
        if names := [line.name for line in lines if np.any(bad(line.sizes))]:
            yield f"{title[0].upper()}{title[1:]}, {what} and not drawn: {listed(names, 4)}."


def _box(ax: Axes, place: int) -> tuple[float, float, float, float]:
    width, height = room(ax)
    left, below, above = AROUND[0] / width, AROUND[1] / height, AROUND[2] / height
    across = max((0.5 - left) * (1 - NAMES), 0.1)
    return 0.5 * place + left, below, across, max(1 - below - above, 0.3)


def _scales(panel: Axes, sizes: np.ndarray, widths: Sequence[int], palette: Palette) -> None:
    axis = log_axis(sizes[sizes > 0], False)
    panel.set(xscale="log", yscale="log", xlabel="width", ylim=(10.0**axis.low, 10.0**axis.high))
    ticks = axis.ticks(max(2, int(room(panel)[1] / 24)))
    panel.set_yticks([*ticks], [*ticks.values()])
    most = max(2, int(room(panel)[0] / 26))
    shown = widths[:: -(-len(widths) // most)]
    panel.set_xticks(shown, [str(width) for width in shown])
    panel.minorticks_off()
    panel.grid(visible=True, axis="y", color=palette.faint, alpha=0.25, linewidth=0.6)


def _draw(panel: Axes, line: Line, widths: Sequence[int], palette: Palette, crowded: bool) -> None:
    mark, stands_out = MARKS[line.mark], line.is_bad and not crowded
    style = {"color": getattr(palette, mark.colour), "marker": mark.shape, "markersize": 4 if stands_out else 2.5}
    style |= {"linewidth": 1.6 if stands_out else 0.9, "alpha": 1 if stands_out else 0.6 if line.is_bad else 0.45}
    for sizes in line.sizes.T:
        panel.plot(widths, np.where(np.isfinite(sizes) & (sizes > 0), sizes, np.nan), zorder=2 + line.is_bad, **style)


def _name(panel: Axes, lines: Sequence[Line], palette: Palette) -> Iterator[str]:
    """Write names and slopes at the ends of lines, those furthest from level first, as far as there is room."""
    low, high = np.log10(panel.get_ylim())
    height = room(panel)[1] - WORDS
    named = [line for line in lines if line.is_bad or len(lines) <= FEW]
    named = [line for line in named if np.any(_ends(line))]
    named.sort(key=lambda line: (not line.is_bad, -abs(np.nan_to_num(line.slope))))
    most = max(1, int(height / APART))
    named, left = named[:most], len(named) - most
    ends = [(np.log10(np.median(_ends(line)[_ends(line) > 0])) - low) / (high - low) for line in named]
    for line, y in zip(named, _apart(ends, APART / height), strict=True):
        slope = "" if np.isnan(line.slope) else f"  {written(line.slope).replace('-', '−')}"
        colour = getattr(palette, MARKS[line.mark].colour if line.is_bad else "ink")
        panel.annotate(
            folded(line.name, 62, TYPE) + slope, (1, y), (6, 0), "axes fraction", "offset points", va="center",
            fontsize=TYPE, color=colour, annotation_clip=False,
        )  # fmt: skip
    if left > 0:
        yield f"No room for the names of {left} points; choose by `at`."


def _ends(line: Line) -> np.ndarray:
    """Return the sizes at the last width at which there are some."""
    good = np.isfinite(line.sizes) & (line.sizes > 0)
    rows = np.flatnonzero(good.any(1))
    return np.where(good[rows[-1]], line.sizes[rows[-1]], 0) if rows.size else np.zeros(1)


def _apart(places: Sequence[float], apart: float) -> np.ndarray:
    """Return places from 0 to 1 that are near these, and so far apart."""
    order = np.argsort(places)
    found = np.array(places, float)[order]
    for i in range(1, len(found)):
        found[i] = max(found[i], found[i - 1] + apart)
    if len(found) and found[-1] > 1:
        found[-1] = 1
        for i in range(len(found) - 2, -1, -1):
            found[i] = min(found[i], found[i + 1] - apart)
    back = np.empty(len(found))
    back[order] = found
    return back


def _legend(ax: Axes, lines: Sequence[Line], palette: Palette) -> None:
    """Draw a line of no points for each kind, of which `head` makes the legend."""
    for label, mark in {MARKS[line.mark].label: MARKS[line.mark] for line in lines}.items():
        ax.plot([], [], color=getattr(palette, mark.colour), marker=mark.shape, label=label)


def _title(check: CoordinateCheck, chosen: Points) -> str:
    of = "" if len(chosen) == len(check.points) else f"{len(chosen)} of "
    bad = sum(bool(check.verdicts[name]) for name in chosen)
    verdict = f"{counted(bad, 'point')} not as muP wants" if bad else "all as muP wants"
    return f"Size against width at {of}{counted(len(check.points), 'point')}: {verdict}"
