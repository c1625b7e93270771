"""A picture of matplotlib's as SVG that stands in a page: in the page's colours, with ids of its own."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np

from .._optional import matplotlib
from ..plot._style import DARK, LIGHT

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
NOTHING = dict.fromkeys(("Date", "Creator", "Format", "Type"))
"""Metadata: none, for a page of the same numbers is the same."""


def svg_of(draw: Callable[[Any], object], width: float, height: float, name: str, words: str) -> str:
    """Return what `draw` draws on axes of a figure of this size, in inches.

    Arguments:
        name: of letters and digits; it begins every id, which a page may have only once.
        words: what the picture shows, for those who cannot see it.
    """
    own = {"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}
    # Of images that it resamples, matplotlib now and then computes colours of numbers that are not drawn.
    with matplotlib("style").context(["default", own], after_reset=True), np.errstate(invalid="ignore", over="ignore"):
        figure = matplotlib("figure").Figure((width, height), layout="constrained", facecolor="none")
        ax = figure.subplots()
        ax.set_facecolor("none")
        draw(ax)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=NOTHING)
    return _of_page(file.getvalue(), name, words, width)


def colours(palette: Any) -> dict[str, str]:
    """Return the colours of a page, by the names that `_of_page` gives to those of a picture."""
    return {f"--{field}": value for field, value in palette._asdict().items()}


PALETTES = {"light": colours(LIGHT), "dark": colours(DARK)}
_VARIABLES = {"#000000": "var(--ink)"} | {value: f"var({name})" for name, value in PALETTES["light"].items()}
_COLOUR = re.compile("#[0-9a-f]{6}")


def _of_page(text: str, name: str, words: str, width: float) -> str:
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(text)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    for element in root.iter():
        for key, value in element.attrib.items():
            element.set(key, _attribute(key, value, name))
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    root.attrib |= {"role": "img", "aria-label": words, "style": f"width:{72 * width:.0f}pt"}
    return ElementTree.tostring(root, "unicode")


def _attribute(key: str, value: str, name: str) -> str:
    """Return an attribute with the page's colours, and with ids that are this picture's alone."""
    if key == "id":
        return f"{name}-{value}"
    if key in ("href", f"{{{XLINK}}}href"):
        return f"#{name}-{value[1:]}" if value.startswith("#") else value
    value = value.replace("url(#", f"url(#{name}-")
    return _COLOUR.sub(lambda found: _VARIABLES.get(found[0], found[0]), value)
