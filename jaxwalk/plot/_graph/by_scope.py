"""A model of many points: a box for what is folded into one, its size as its colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._errors import counted
from ..._optional import matplotlib
from ..._printable import printable
from ..._show.table import number
from .._sizes import Size
from .._style import SIZED, Palette, drawing, is_dark
from .by_hand import NAME, SMALL
from .drawing import Sheet
from .geometry import LETTER, Box, Plan, Room, planned, way_of
from .layout import laid_out
from .network import Network, Node
from .texts import LINE, numbered, result_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAR = 2.4  # inches


def drawn(network: Network, what: Any, sizes: dict[str, Size], ax: Axes | None) -> Axes:
    """Draw many nodes, from the top down."""
    texts = [_texts(node, sizes, what) for node in network.nodes]
    rooms = [_room(*text) for text in texts]
    layout = laid_out(len(network.nodes), network.edges)
    plan = planned(layout, rooms, 0.24, 0.22)
    side, colours = _coloured(network, sizes)
    notes = _notes(network)
    above = 0.17 * len(notes) + 0.1 * bool(notes)
    below = 0.62 * bool(side)
    least = max([2.8 * bool(side), *(len(note) * SMALL * LETTER + 0.1 for note in notes)])
    beside = max(0.0, least - (plan.last - plan.first)) / 2
    first, last = plan.first - beside, plan.last + beside
    is_new = ax is None
    with drawing(ax, last - first + 0.2, plan.length + above + below + 0.2) as (ax, palette):
        sheet = Sheet(ax, True, plan.length + below, first, last, is_new, -above)
        for place, note in enumerate(notes):
            sheet.text((0.08 + 0.17 * place - above, first), [note], palette.ink, SMALL, ha="left")
        _draw(sheet, network, layout.ways, plan, texts, colours, palette)
        if side:
            _bar(sheet, (plan.length + 0.2, first), side, colours, palette)
    return ax


def _texts(node: Node, sizes: dict[str, Size], what: Any) -> tuple[list[str], str, list[str]]:
    """Return the words in a box: its name, what is in it, and what is remarkable."""
    name = list(wrapped(node.label))
    if not node.points:
        return name, "".join(result_of(what)), []
    if node.label == "…":
        return ["…"], f"{counted(len(node.points), 'point')} between", _marks(node, sizes)
    point = node.points[0]
    shapes = {(each.shape, each.dtype) for each in node.points}
    inside = [*node.times, *([str(point.shape)] * (len(shapes) == 1))]
    if node.values == 1:
        inside.insert(0, numbered("X", point))
    elif [f"×{node.values}"] != inside[:1]:
        inside.append(counted(len(node.points), "point"))
    return name, "  ".join(inside), _marks(node, sizes)


def _marks(node: Node, sizes: dict[str, Size]) -> list[str]:
    """Return the marks of a node, with how many of its values have each; a value may have several names."""
    counts: dict[str, int] = {}
    values = {point.site: point for point in node.points}
    for point in values.values():
        for mark in sizes[point.name].marks() if point.name in sizes else ["unused"] * point.unused:
            counts[mark] = counts.get(mark, 0) + 1
    return [mark if len(values) == 1 else f"{count} of {len(values)} {mark}" for mark, count in counts.items()]


def _room(name: Sequence[str], inside: str, marks: Sequence[str]) -> Room:
    small = [inside] * bool(inside) + [", ".join(marks)] * bool(marks)
    wide = max(max(map(len, name)) * NAME, max(map(len, small), default=0) * SMALL) * LETTER + 0.24
    high = (len(name) * NAME + len(small) * SMALL) * LINE + 0.12
    return Room(high, wide, high, 0.0, (wide / 2 + 0.12, wide / 2 + 0.12))


def _coloured(network: Network, sizes: dict[str, Size]) -> tuple[str, list[float]]:
    """Return of what the colours say the size, "δ" or "output", and that of each node; NaN if it has none."""
    for side in ("delta", "output"):
        found = [_size([sizes[p.name] for p in node.points if p.name in sizes], side) for node in network.nodes]
        if not all(map(np.isnan, found)):
            return ("δ" if side == "delta" else "output"), found
    return "", [float("nan")] * len(network.nodes)


def _size(sizes: Sequence[Size], side: str) -> float:
    """Return the root mean square of all entries at some points."""
    total = entries = 0.0
    for size in sizes:
        if side in size.sides and (rms := size.sides[side].overall) is not None:
            count = float(np.prod(size.point.shape))
            total += count * rms**2
            entries += count
    return float(np.sqrt(total / entries)) if entries else float("nan")


def _norm(colours: Sequence[float]) -> Any:
    known = [size for size in colours if size > 0 and np.isfinite(size)] or [1.0]
    return matplotlib("colors").LogNorm(min(known), max(max(known), 1.01 * min(known)))


def _notes(network: Network) -> tuple[str, ...]:
    back = (
        ("dashed: back up, to the next step or the next one alike",)
        if any(edge.later for edge in network.edges)
        else ()
    )
    return (*network.notes, *back)


def _draw(
    sheet: Sheet, network: Network, ways: Any, plan: Plan, texts: Sequence[Any], colours: Sequence[float],
    palette: Palette,
) -> None:  # fmt: skip
    for edge in network.edges:
        sheet.arrow(
            way_of(edge, ways.get(edge), plan, 0.0), palette.faint, edge.later, network.is_flow, f"output {edge.start}"
        )
    norm, shades = _norm(colours), matplotlib("cm").ScalarMappable(cmap=SIZED)
    for node, (name, inside, marks), box, size in zip(network.nodes, texts, plan.boxes, colours, strict=True):
        face = shades.cmap(norm(size)) if size > 0 and np.isfinite(size) else palette.paper
        ink = palette.ink if face == palette.paper else "#ffffff" if is_dark(face) else "#000000"
        edge, width = _edge(marks, palette)
        sheet.box(box.middle, box.along, box.across, face, edge, width, node.label)
        _words(sheet, box, name, [inside, ", ".join(marks)], ink)


def _edge(marks: Sequence[str], palette: Palette) -> tuple[str, float]:
    """Return the colour and width of the edge of a box."""
    if any("non-finite" in mark for mark in marks):
        return palette.alarm, 2.0
    return (palette.ends, 2.0) if any("unused" not in mark for mark in marks) else (palette.faint, 0.8)


def _words(sheet: Sheet, box: Box, name: Sequence[str], small: Sequence[str], ink: str) -> None:
    lines = [(printable(line), NAME, "bold") for line in name] + [(line, SMALL, "normal") for line in small if line]
    place = box.middle[0] - sum(size for _, size, _ in lines) * LINE / 2
    for line, size, weight in lines:
        place += size * LINE
        sheet.text((place - size * LINE / 2, box.middle[1]), [line], ink, size, weight=weight)


def _bar(sheet: Sheet, at: Any, side: str, colours: Sequence[float], palette: Palette) -> None:
    """Draw what the colours mean, below."""
    x, y = sheet._at(at)
    bar = sheet.ax.inset_axes((x, y - 0.12, BAR, 0.12), transform=sheet.ax.transData)
    norm = _norm(colours)
    mappable = matplotlib("cm").ScalarMappable(norm, SIZED)
    found: Any = sheet.ax.get_figure(root=True)
    colorbar = found.colorbar(mappable, cax=bar, orientation="horizontal")
    colorbar.outline.set_visible(False)
    colorbar.minorticks_off()
    colorbar.set_ticks([norm.vmin, norm.vmax], labels=[number(norm.vmin, 2), number(norm.vmax, 2)])
    for label, side_of in zip(bar.get_xticklabels(), ("left", "right"), strict=True):
        label.set_horizontalalignment(side_of)
    bar.tick_params(labelsize=SMALL * sheet.scale, length=2)
    colorbar.set_label(
        f"size of {side}: root mean square of what is in a box", fontsize=SMALL * sheet.scale, loc="left"
    )
