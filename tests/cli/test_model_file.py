"""What users bring: every way in which a file can be wrong is one sentence."""

import re
from pathlib import Path

import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._cli.model_file import read_csv, read_model

pytestmark = pytest.mark.once

COLUMNS = ("a", "b")


def csv(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n3,4\n", "b,a\n2,1\n4,3\n", "\ufeffa, b\r\n1,2\r\n\r\n3,4\r\n", 'a,b\n"1"," 2"\n3e0,4']
)
def test_csv(tmp_path, text):
    np.testing.assert_array_equal(read_csv(csv(tmp_path, text), COLUMNS), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; its first line must be `a,b`"),
        ("a,b\n", "has a header and no rows"),
        ("a\n1\n", "lacks the column `b`; its first line must name `a`, `b`"),
        ("a,b,c\n1,2,3\n", "has a column `c` that has no meaning here"),
        ("a,b,a\n1,2,3\n", "names a column twice"),
        ("a,b\n1,2\n3\n", "line 3: the row has 1 cell where the header has 2"),
        ("a,b\n1,2,3\n", "line 2: the row has 3 cells"),
        ("a,b\n1,two\n", "line 2: `b` is 'two', which is not a number"),
        ("a,b\n1,\n", "line 2: `b` is '', which is not a number"),
        ("a,b\nnan,2\n", "line 2: `a` is nan; give a number that is finite in float32"),
        ("a;b\n1;2\n", "lacks the columns `a`, `b`; its first line must name `a`, `b`; its cells are divided by `;`"),
        ("a,b\n1_000,2\n", "`a` is '1_000', which is not a number"),
        ("a,b\n1e99,2\n", "line 2: `a` is 1e99; give a number that is finite"),
    ],
)
def test_csv_that_does_not_fit(tmp_path, text, message):
    with pytest.raises(jw.DataError, match=re.escape(message)):
        read_csv(csv(tmp_path, text), COLUMNS)


def test_csv_that_cannot_be_read(tmp_path):
    with pytest.raises(jw.DataError, match=r"absent\.csv` is not there; give the path of a csv"):
        read_csv(tmp_path / "absent.csv", COLUMNS)
    for path in (tmp_path, csv(tmp_path, "a,bä\n", "latin-1")):
        with pytest.raises(jw.DataError, match="cannot be read as csv"):
            read_csv(path, COLUMNS)


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
