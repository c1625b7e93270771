"""A model of few points, as a textbook draws it: each value and each δ at its arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from ..._walk.result import Walk
from .._sizes import Size
from .._style import Palette, drawing
from .drawing import Sheet
from .geometry import LETTER, Box, Plan, Room, planned, way_of
from .layout import Layout, laid_out
from .network import Network, Node
from .texts import LINE, Texts, texts_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME, WORDS, SMALL = 9.0, 8.0, 7.5  # sizes of letters
APART = 0.06  # half of what is between an arrow forward and the one backward
BROADEST = 10.5  # inches that a picture from left to right may have


def drawn(network: Network, what: Any, sizes: dict[str, Size], ax: Axes | None) -> Axes:
    """Draw few nodes with all that is known of each."""
    texts = texts_of(network, what, sizes)
    layout = laid_out(len(network.nodes), network.edges)
    for is_down in (False, True):
        rooms = [_room(node, text, is_down) for node, text in zip(network.nodes, texts, strict=True)]
        if not all(way.by_sides for way in layout.ways.values()):  # they turn in the gap, under the words there
            rooms = [room._replace(after=room.after + 0.2) for room in rooms]
        plan = planned(layout, rooms, 0.5, 0.45)
        stub = 0.0 if is_down else _stub(network)
        length = plan.length + stub
        if length <= BROADEST and len(set(layout.lanes)) <= 2:
            break
    notes = _notes(network, what)
    below = 0.32 + 0.16 * len(notes)
    least = max([3.0, *(len(note) * SMALL * LETTER + 0.1 for note in notes)])
    if is_down:
        beside = max(0.0, least - (plan.last - plan.first)) / 2
        ends, key = (
            (plan.length + below, plan.first - beside, plan.last + beside),
            (plan.length + 0.22, plan.first - beside),
        )
    else:
        ends, key = (max(length, least), plan.first, plan.last + below), (0.0, plan.last + 0.22)
    across = ends[2] - ends[1]
    width, height = (across, ends[0]) if is_down else (ends[0], across)
    is_new = ax is None
    with drawing(ax, width + 0.2, height + 0.2) as (ax, palette):
        sheet = Sheet(ax, is_down, *ends, is_new)
        _draw(sheet, network, layout, plan, texts, palette, is_down)
        _key(sheet, key, notes, palette, any(text.delta for text in texts))
    return ax


def _room(node: Node, text: Texts, is_down: bool) -> Room:
    """Return what a node needs; the height of lines is along the run if that goes down."""
    names = [*text.name, *text.marks]
    width = max(max(map(len, names)) * NAME * LETTER + 0.22, 0.62)
    height = len(names) * NAME * LINE + 0.2
    wide = lambda lines, size=WORDS: max(map(len, lines), default=0) * size * LETTER
    high = lambda lines: len(lines) * WORDS * LINE
    if node.is_argument:
        width, height = width - 0.15, height - 0.1
    reads = bool(node.arguments and not node.is_argument)
    if is_down:
        stub = (wide([", ".join(node.arguments)]) + 0.34) * reads
        left = max(width / 2 + stub, wide(text.delta) + 2 * APART)
        right = max(width / 2 + wide(text.derivative) + 0.08, wide(text.value) + 2 * APART)
        return Room(height, width, height, max(high(text.value), high(text.delta)) + 0.22, (left + 0.1, right + 0.1))
    above = max(high(text.value) + 2 * APART, height / 2 + 0.46 * (reads and bool(node.points)))
    below = max(high(text.delta) + 2 * APART, height / 2 + 0.06 + high(text.derivative))
    whole = max(width, wide(text.derivative))
    return Room(width, height, whole, max(wide(text.value), wide(text.delta)) + 0.2, (above + 0.05, below + 0.1))


def _stub(network: Network) -> float:
    """Return the room for the arguments that the result reads, after it."""
    names = network.nodes[-1].arguments
    return max((len(", ".join(names)) * WORDS * LETTER + 0.55) * bool(names), 0.0)


def _draw(
    sheet: Sheet, network: Network, layout: Layout, plan: Plan, texts: Sequence[Texts], palette: Palette,
    is_down: bool,
) -> None:  # fmt: skip
    for edge in network.edges:
        way = layout.ways.get(edge)
        comes_back = edge.back and network.is_flow and bool(texts[edge.start].delta)
        off = -APART * comes_back * (-1 if is_down else 1)
        colour = palette.output if network.is_flow else palette.faint
        sheet.arrow(way_of(edge, way, plan, off), colour, edge.later, network.is_flow, f"output {edge.start}")
        if comes_back:
            backward = way_of(edge, way, plan, -off)[::-1]
            sheet.arrow(backward, palette.delta, edge.later, True, f"delta {edge.start}")
    for place, (node, text, box) in enumerate(zip(network.nodes, texts, plan.boxes, strict=True)):
        _box(sheet, node, text, box, palette)
        if node.points:
            _at_arrow(sheet, text, box, plan.gaps[place], palette, is_down)
        _arguments(sheet, node, box, palette, place == len(network.nodes) - 1, is_down)


def _box(sheet: Sheet, node: Node, text: Texts, box: Box, palette: Palette) -> None:
    colours = {"blocked": palette.ends, "dead": palette.ends, "non-finite": palette.alarm, "unused": palette.faint}
    marked = [colours.get(mark, palette.kink) for mark in text.marks]
    edge = marked[0] if marked else palette.ink
    if not node.is_argument:
        sheet.box(box.middle, box.along, box.across, palette.paper, edge, 1.2, node.label)
    lines = len(text.name) + len(text.marks)
    x, y = sheet._at(box.middle)
    for place, line in enumerate([*text.name, *text.marks]):
        offset = ((lines - 1) / 2 - place) * NAME * LINE
        is_mark = place >= len(text.name)
        colour = marked[place - len(text.name)] if is_mark else palette.ink
        weight = "bold" if not is_mark and not line.startswith("=") else "normal"
        sheet.ax.text(
            x, y + offset, line, color=colour, fontsize=(SMALL if is_mark else NAME) * sheet.scale, weight=weight,
            ha="center", va="center", zorder=4,
        )  # fmt: skip


def _at_arrow(sheet: Sheet, text: Texts, box: Box, gap: float, palette: Palette, is_down: bool) -> None:
    along, across, off = gap, box.middle[1], 2 * APART
    if is_down:
        sheet.text((along, across + off), text.value, palette.output, WORDS, ha="left")
        sheet.text((along, across - off), text.delta, palette.delta, WORDS, ha="right")
        sheet.text(
            (box.middle[0], box.middle[1] + box.across / 2 + 0.08), text.derivative, palette.ink, SMALL, ha="left"
        )
    else:
        sheet.text((along, across - off), text.value, palette.output, WORDS, va="bottom")
        sheet.text((along, across + off), text.delta, palette.delta, WORDS, va="top")
        under = (box.middle[0], box.middle[1] + box.across / 2 + 0.06)
        sheet.text(under, text.derivative, palette.ink, SMALL, va="top")


def _arguments(sheet: Sheet, node: Node, box: Box, palette: Palette, is_last: bool, is_down: bool) -> None:
    """Draw from where a node reads arguments of the function: the result from after it, others from their side."""
    if not node.arguments or node.is_argument:
        return
    names = ", ".join(filter(None, node.arguments))
    if is_last and not is_down:
        end = box.end(0)
        sheet.arrow([(end[0] + 0.4, end[1]), end], palette.faint, gid="argument")
        sheet.text((end[0] + 0.45, end[1]), [names], palette.ink, NAME, ha="left")
        return
    side = box.side(-1, 0)
    tail = (side[0], side[1] - 0.3)
    sheet.arrow([tail, side], palette.faint, gid="argument")
    place = {"ha": "right"} if is_down else {"va": "bottom"}
    sheet.text((tail[0], tail[1] - 0.04), [names], palette.ink, WORDS, **place)


def _notes(network: Network, what: Any) -> tuple[str, ...]:
    walks = (f"{what.value.size} walks: each value is an array of theirs",) if _is_many(what) else ()
    steps = ("dashed: from one step to the next",) if any(edge.later for edge in network.edges) else ()
    return (*steps, *walks, *network.notes)


def _is_many(what: Any) -> bool:
    return isinstance(what, Walk) and jnp.ndim(what.value) > 0


def _key(sheet: Sheet, at: Any, notes: Sequence[str], palette: Palette, has_deltas: bool) -> None:
    """Write what the two kinds of arrow are, and what is not in the picture."""
    x, y = sheet._at(at)
    size = SMALL * sheet.scale
    sheet.ax.text(x, y, "forward: outputs Xⁱ", color=palette.output, fontsize=size, va="center")
    if has_deltas:
        x += 21 * SMALL * LETTER
        sheet.ax.text(x, y, "backward: δⁱ = ∂Loss/∂Xⁱ", color=palette.delta, fontsize=size, va="center")
    for place, note in enumerate(notes, 1):
        sheet.ax.text(sheet._at(at)[0], y - 0.16 * place, note, color=palette.ink, fontsize=size, va="center")
