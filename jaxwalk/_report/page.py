"""The page itself: its sections, in order, in Jinja's templates. Whatever stands in them is escaped."""

from __future__ import annotations

from typing import Any

from .._optional import jinja2
from .._printable import printable
from .picture import PALETTES
from .record import Record
from .sections.about import about
from .sections.findings import findings
from .sections.flow import flow
from .sections.listing import listing
from .sections.tables import culprits, formulas, kinks, numbers
from .sections.training import training
from .sections.tree import points

SECTIONS = (findings, training, flow, points, listing, culprits, formulas, numbers, kinks, about)


def html_of(record: Record) -> str:
    """Return the page of a record.

    Raises:
        JaxwalkError: Jinja2 or matplotlib is not installed.
    """
    environment = jinja2().Environment(
        loader=jinja2().PackageLoader("jaxwalk._report"),
        autoescape=True,
        undefined=jinja2().StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_as_text,
    )
    made = [section(record) for section in SECTIONS]
    sections = [section for section in made if section is not None]
    template = environment.get_template("page.html")
    return template.render(title=record.title, summary=record.summary, sections=sections, palettes=PALETTES)


def _as_text(value: Any) -> Any:
    """Show control characters of a text escaped; what is markup already stays as it is."""
    return printable(value) if type(value) is str else value
