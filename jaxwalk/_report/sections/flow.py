"""The picture of the flow: the size of output and of δ, from point to point."""

from __future__ import annotations

from typing import Any

from ...plot import _sizes as sizes
from ..picture import svg_of
from ..record import Record
from ..section import Section

WIDTH, HEIGHT = 10.0, 3.8  # inches


def flow(record: Record) -> Section | None:
    """Return the picture of the flow; None if no size is known."""
    if not record.sizes:
        return None
    picture = svg_of(lambda ax: _draw(record.result, ax), WIDTH, HEIGHT, "flow", "Size of output and δ at each point")
    return Section("flow", "The flow, forward and back", "flow.html", {"picture": picture})


def _draw(result: Any, ax: Any) -> None:
    """Draw the flow."""
    for field, colour in (("output", "#0072b2"), ("delta", "#d55e00")):
        found = [(i, getattr(s, field)) for i, s in enumerate(sizes.sizes_of(result)) if getattr(s, field) is not None]
        ax.plot([i for i, _ in found], [float(side.rms.max()) for _, side in found], "o-", color=colour)
    ax.set_yscale("log")
