"""The doctests: what they show is as wide as it likes, whatever terminal pytest is run from."""

import pytest


@pytest.fixture(autouse=True)
def wide_terminal_of_doctests(request, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.setenv("COLUMNS", "500")
