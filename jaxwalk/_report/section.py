"""`Section`: one part of the page, and what its template shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        id: what a link to it is called.
        title: its heading.
        template: the file that shows it.
        content: what that file reads, by name.
    """

    id: str
    title: str
    template: str
    content: Mapping[str, Any]
