"""The doctests: what they show is as wide as it likes, whatever terminal runs pytest. Pictures open no window."""

import os
import sys

import pytest

os.environ["MPLBACKEND"] = "agg"  # before matplotlib is imported, which reads it; processes that tests start inherit it


@pytest.fixture(autouse=True)
def wide_terminal_of_doctests(request, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.setenv("COLUMNS", "500")


@pytest.fixture(autouse=True)
def no_picture_left_open():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
