"""A user's Python file: every way in which it can be wrong is one sentence."""

import re
from pathlib import Path

import pytest

import jaxwalk as jw
from jaxwalk._cli.model_file import read_model

pytestmark = pytest.mark.once


def test_a_model_file(tmp_path):
    (tmp_path / "beside.py").write_text("scale = 3")
    path = tmp_path / "model.py"
    path.write_text("from beside import scale\nparams = scale\ndef objective(params, x, y): return params * x * y")
    model = read_model(path)
    assert model.objective(model.params, 1, 2) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("params = 1", "does not define `objective`; define objective(params, x, y), the loss of one datum"),
        ("def objective(params, x, y): return 0", "does not define `params`; define params, the weights"),
        ("params, objective = 1, 2", "`objective` is not a function"),
        ("a = 1\n1 / 0", "cannot be run: ZeroDivisionError: division by zero (model.py:2)."),
        ("a = 1\nassert a == 2", "cannot be run: AssertionError (model.py:2)."),
        ("import sys\nsys.exit()", "cannot be run: SystemExit"),
        ("def", "cannot be run: SyntaxError: invalid syntax (model.py, line 1)."),
        ("import a_module_that_is_not_there", "cannot be run: ModuleNotFoundError"),
    ],
)
def test_a_model_file_that_does_not_fit(tmp_path, text, message):
    (tmp_path / "model.py").write_text(text)
    with pytest.raises(jw.DataError, match=re.escape(message)):
        read_model(tmp_path / "model.py")


def test_a_model_file_that_is_named_from_its_folder(tmp_path, monkeypatch):
    """The line is that of the user's deepest file."""
    (tmp_path / "below.py").write_text("a = 1\n\nnp = 1 / 0")
    (tmp_path / "model.py").write_text("import below")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(jw.DataError, match=r"`model.py` cannot be run: ZeroDivisionError: .* \(below\.py:3\)\."):
        read_model(Path("model.py"))


def test_a_model_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "absent.py", tmp_path, tmp_path / "data.txt"):
        with pytest.raises(jw.DataError, match="is not a Python file that is there"):
            read_model(path)
