"""The findings, first on the page."""

from __future__ import annotations

from ..findings import findings as found_in
from ..findings import looked_at
from ..record import Record
from ..section import Section


def findings(record: Record) -> Section:
    """Return the findings, in sentences, and what was looked at; that there is none is said too."""
    content = {"found": list(found_in(record)), "looked_at": list(looked_at(record)), "notes": record.notes}
    return Section("findings", "Findings", "findings.html", content)
