"""What is found wrong while a run is under way: looked for every so many steps, each kind said once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._health.finding import Finding, Health
from ..._health.judge import judge
from ..history import History
from ..to_signals import signals_of

RECENT = 64  # steps that were looked at, of which the last so many are judged together
EARLY = (8, 16, 32)  # after so many it is looked, and then after each RECENT


class Met:
    """The kinds of findings that a run has met.

    Attributes:
        findings: the first of each kind.
    """

    def __init__(self) -> None:
        self.findings: tuple[Finding, ...] = ()

    def is_due(self, looked_at: int) -> bool:
        """Tell whether to look, after so many steps that were looked at: steps and not seconds, so that a run that is
        gone on with looks when one does that was left alone."""
        return looked_at in EARLY or (looked_at > 0 and looked_at % RECENT == 0)

    def look(self, recent: History) -> list[Finding]:
        """Return what is found of kinds that were not met before."""
        known = {finding.name for finding in self.findings}
        firsts: dict[str, Finding] = {}
        for finding in judge(signals_of(recent)):
            if finding.name not in known:
                firsts.setdefault(finding.name, finding)
        self.findings = (*self.findings, *firsts.values())
        return [*firsts.values()]

    def add(self, finding: Finding) -> None:
        """Add one that no history shows, in the place of another of its kind."""
        self.findings = (*(f for f in self.findings if f.name != finding.name), finding)

    def health(self, whole: History) -> Health:
        """Return what is found of the whole history, and those met on the way whose kind is not among it."""
        found = judge(signals_of(whole))
        names = {finding.name for finding in found}
        return Health([*found, *(f for f in self.findings if f.name not in names)], found.notes, found.about)

    def written(self) -> list[dict[str, Any]]:
        """Return what JSON can hold."""
        return [{name: _plain(value) for name, value in vars(finding).items()} for finding in self.findings]

    def restore(self, written: list[Mapping[str, Any]]) -> None:
        """Take in what `written` gave."""
        self.findings = tuple(
            Finding(**{key: tuple(value) if isinstance(value, list) else value for key, value in one.items()})  # type: ignore[arg-type]
            for one in written
        )


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [*map(_plain, value)]
    return value.item() if isinstance(value, np.generic) else value
