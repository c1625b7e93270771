"""Whether a page can be made and written: looked at before hours of work."""

from __future__ import annotations

from pathlib import Path

from .._evaluate.store.one_file import check as check_file
from .._optional import jinja2, matplotlib


def check(path: Path) -> None:
    """Raise what `report` would meet in the end.

    Raises:
        JaxwalkError: Jinja2 or matplotlib is not installed.
        StoreError: the file cannot be written, or is a link or a device.
    """
    jinja2()
    matplotlib("figure")
    check_file(path)
