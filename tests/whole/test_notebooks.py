"""Every notebook runs, without a warning, and what it shows is what is stored in it.

A cell tagged "varies" (training, pictures) is compared by the kinds of its outputs alone. After a change,
`uv run jupyter execute --inplace notebooks/*.ipynb` stores the outputs afresh.
"""

import copy
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.once

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

# Not PYTHONWARNINGS in the kernel's environment: ipykernel itself warns as it stops, and would die of it.
STRICT = "import warnings; warnings.simplefilter('error'); warnings.filterwarnings('ignore', module='ipykernel')"

COMPUTES = {"3_batches"}
"""Those whose trainings take longer than their compilation: compiled in a hurry, they would take twice as long."""

NUMBER = re.compile(r"(?<![\w.])[-−+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w])")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def stored(request, monkeypatch):
    if request.param.stem in COMPUTES:
        monkeypatch.setenv("XLA_FLAGS", "")
    return nbformat.read(request.param, as_version=4)


def test_there_is_a_notebook():
    assert NOTEBOOKS


def test_shows_what_it_stores(stored, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)  # a kernel has no terminal
    monkeypatch.delenv("MPLBACKEND", raising=False)  # pictures are outputs only with the backend that ipykernel sets
    fresh = executed(stored)
    for now, before in zip(code_cells(fresh), code_cells(stored), strict=True):
        where = f"In the cell\n\n{before.source}\n\n"
        assert kinds(now) == kinds(before), f"{where}the kinds of the outputs differ from the stored ones."
        if "varies" not in before.metadata.get("tags", []):
            assert_same_text(texts(now), texts(before), where)


def test_stores_nothing_of_the_machine(stored):
    shown = "\n".join(text for cell in code_cells(stored) for text in texts(cell))
    assert not re.findall(r"/(?:tmp|home|root|Users|work)/\S*|\b0x[0-9a-f]{6,}|\S*Warning\b", shown)
    assert "stderr" not in {kind for cell in code_cells(stored) for kind in kinds(cell)}


@pytest.mark.parametrize("other", ["loss 0.5001", "loss 0.5", "loss 4.9e-1", "loss 0.5 1", "gain 0.5"])
def test_the_comparison_compares(other):
    if other in ("loss 0.5", "loss 0.5001"):
        return assert_same_text([other], ["loss  0.5"], "")
    with pytest.raises(AssertionError):
        assert_same_text([other], ["loss 0.5"], "")


def executed(stored):
    notebook = copy.deepcopy(stored)
    for cell in code_cells(notebook):
        cell.outputs = []
    notebook.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    del notebook.cells[0]
    return notebook


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """What sorts of outputs there are; a stream may come in one piece or in several."""
    found = [out.get("name") or (out.output_type, *sorted(out.data)) for out in cell.outputs]
    return [kind for i, kind in enumerate(found) if i == 0 or kind != found[i - 1] or kind not in ("stdout", "stderr")]


def texts(cell):
    """The text that a cell shows, one string for each kind of text; but for sizes of figures: fonts differ."""
    parts = {}
    for out in cell.outputs:
        shown = {out.name: out.text} if out.output_type == "stream" else out.data
        for kind, text in shown.items():
            if not kind.startswith(("image/", "application/")) and not text.startswith("<Figure size"):
                parts.setdefault(kind, []).append(re.sub(r"<[^>]*>", " ", text) if kind == "text/html" else text)
    return ["".join(parts[kind]) for kind in sorted(parts)]


def assert_same_text(now, before, where):
    """The same words and, to 3 digits, the same numbers: the last digits are those of a JAX version and a machine."""
    for one, other in zip(now, before, strict=True):
        assert words(one) == words(other), f"{where}the text differs from what is stored."
        np.testing.assert_allclose(numbers(one), numbers(other), rtol=1e-3, atol=1e-6, err_msg=where)


def words(text):
    """NumPy pads what it prints to the longest of its numbers, also before a bracket."""
    return re.sub(r"(?<=\[) | (?=\])", "", re.sub(r"[\s|:-]+", " ", NUMBER.sub("#", text))).strip()


def numbers(text):
    return [float(found.replace("−", "-")) for found in NUMBER.findall(text)]
