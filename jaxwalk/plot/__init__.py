"""Pictures of what was found: each a function that draws on matplotlib's axes, and returns them."""

from ._flow import flow as flow
from ._histograms import histograms as histograms
from ._listing import listing as listing

__all__ = ["flow", "histograms", "listing"]
