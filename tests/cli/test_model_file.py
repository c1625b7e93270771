"""A user's Python file: every way in which it can be wrong is one sentence."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._cli.model_file import read_model

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def path_afterwards(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])


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
        (
            "import sys\nsys.exit(0)",
            "cannot be run: SystemExit: 0 (model.py:2); put what ends a program below `if __name__ == '__main__'`.",
        ),
        ("raise BaseException('so')", "cannot be run: BaseException: so (model.py:1)."),
        ("raise ValueError('\\x1b[2J\\x07bad')", r"cannot be run: ValueError: \x1b[2J\x07bad (model.py:1)."),
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


ITS_OWN = {
    "a dataclass": "import dataclasses\n@dataclasses.dataclass\nclass P:\n    a: int = 1\nparams = P().a",
    "type hints": "import typing, fractions\nclass P:\n    a: fractions.Fraction\n"
    "params = typing.get_type_hints(P)['a'] is fractions.Fraction",
    "a pickle": "import pickle\nclass P:\n    pass\nparams = type(pickle.loads(pickle.dumps(P()))) is P",
}


@pytest.mark.parametrize("case", ITS_OWN)
@pytest.mark.parametrize("name", ["model.py", "my.model.py", "numpy.py"])
def test_a_file_finds_its_own_classes(tmp_path, case, name):
    rest = "\ndef objective(params, x, y):\n    return 0\nassert __name__ != '__main__'\n"
    (tmp_path / name).write_text(f"from __future__ import annotations\n{ITS_OWN[case]}{rest}")
    assert read_model(tmp_path / name).params == 1
    assert sys.modules["numpy"] is np


def test_what_lies_beside_a_file_or_where_it_says_is_found_later_too(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "of_a_test_in_lib.py").write_text("scale = 3")
    (tmp_path / "of_a_test_beside.py").write_text("scale = 5")
    (tmp_path / "model.py").write_text(
        "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\nparams = 1\n"
        "def objective(params, x, y):\n    import of_a_test_in_lib, of_a_test_beside\n"
        "    return of_a_test_in_lib.scale * of_a_test_beside.scale\n"
    )
    assert read_model(tmp_path / "model.py").objective(1, 1, 1) == 15


def test_ctrl_c_in_a_file_is_no_error_of_it(tmp_path):
    (tmp_path / "model.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        read_model(tmp_path / "model.py")
