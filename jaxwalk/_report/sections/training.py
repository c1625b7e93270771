"""The picture of a training: the loss, and below it points × steps as a heat map."""

from __future__ import annotations

from typing import Any

from ..._errors import PointError
from ..._learn.history import History
from ...plot._style import drawing
from ...plot._training.frames import lanes_of
from ...plot._training.loss import draw_loss
from ...plot._training.training import height_of, rows_with_layers
from ...plot._training.training import training as draw
from ..picture import svg_of
from ..record import Record
from ..section import Section

WIDTH, LOSS = 8.0, 2.0  # inches


def training(record: Record) -> Section | None:
    """Return the picture of a training; where no size of any δ is known, of the loss alone; None of
    anything else, and where no step is held."""
    history = record.result
    if not isinstance(history, History) or not len(history.steps):
        return None
    words = "The loss, and the size of δ at each point in each step"
    untitled = lambda ax: draw(history, health=record.health, ax=ax).set_title("", loc="left")  # the page has a heading
    rows = rows_with_layers([size.point for size in record.sizes.values()])
    try:
        picture = svg_of(untitled, WIDTH, height_of(rows, lanes_of(record.health)), "training", words)
    except PointError:
        picture = svg_of(lambda ax: _draw_loss(ax, history), WIDTH, LOSS, "training", "The loss in each step")
    return Section("training", "The training, step by step", "flow.html", {"picture": picture})


def _draw_loss(ax: Any, history: History) -> None:
    with drawing(ax, WIDTH, LOSS) as (axes, palette):
        draw_loss(axes, history, palette)
        axes.tick_params(axis="x", labelbottom=True)
        axes.set_xlabel("step")
