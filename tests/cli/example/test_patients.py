"""Patients in a csv: every way in which the file can be wrong is one sentence."""

import re

import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._cli.example.patients import read_csv

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
