"""The doctests: what they show is as wide as it likes, whatever terminal runs pytest. Pictures open no window.

Those of the pages in docs/ are for one version of JAX, and with JAX's own settings, as a reader has them.
"""

import os
import pathlib
import sys
import tempfile

import pytest

# The workers of xdist, and the many processes that tests start, import JAX: seconds each where its sources are compiled
# again, since what is compiled may not be written. It is, to where it is gone at the end.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    BYTECODE = tempfile.TemporaryDirectory(prefix="jaxwalk-bytecode-")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = BYTECODE.name
    sys.dont_write_bytecode = False

os.environ["MPLBACKEND"] = "agg"  # before matplotlib is imported, which reads it; processes that tests start inherit it

DOCS = pathlib.Path(__file__).parent / "docs"
collect_ignore_glob = ["docs/*.py"]  # they need what builds the site, or draw


def pytest_collection_modifyitems(items):
    for item in items:
        if DOCS in item.path.parents:
            item.add_marker("once")


@pytest.fixture(autouse=True)
def promotion_as_a_reader_has_it(request):
    if DOCS not in request.path.parents:
        yield
        return
    import jax

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(autouse=True)
def wide_terminal_of_doctests(request, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.setenv("COLUMNS", "500")


@pytest.fixture(autouse=True)
def no_picture_left_open():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
