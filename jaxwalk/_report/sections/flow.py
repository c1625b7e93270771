"""The picture of the flow: the size of output and of δ, from point to point."""

from __future__ import annotations

from ..._learn.history import History
from ...plot._flow import flow_of_sizes
from ...plot._rows.rows import figure_height, rows_with_steps
from ..picture import svg_of
from ..record import Record
from ..section import Section

WIDTH = 8.0  # inches


def flow(record: Record) -> Section | None:
    """Return the picture of the flow; None if no size is known."""
    if not any(size.sides for size in record.sizes.values()):
        return None
    sizes = list(record.sizes.values())
    height = figure_height(rows_with_steps([size.point for size in sizes]))
    words = "Size of output and δ at each point, in forward order from above"
    step = f" of step {record.result.steps[-1]}" if isinstance(record.result, History) else ""
    # The page has a heading.
    untitled = lambda ax: flow_of_sizes(record.result, sizes, health=record.health, ax=ax).set_title("", loc="left")
    picture = svg_of(untitled, WIDTH, height, "flow", words)
    return Section("flow", f"The flow{step}, forward and back", "flow.html", {"picture": picture})
