"""Tables in csv: the standard library and pyarrow read the same numbers, and refuse the same files."""

import itertools
import random
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._cli.data import csv_arrow
from jaxwalk._cli.data.open import open_data

pytestmark = pytest.mark.once

READERS = ["pyarrow", "standard library"]


@pytest.fixture(params=READERS)
def reader(request, monkeypatch):
    """Runs a test with each of the readers, in blocks that are small, so that batches cross their borders."""
    monkeypatch.setattr(csv_arrow, "BLOCK", 256)
    if request.param != "pyarrow":
        monkeypatch.setitem(sys.modules, "pyarrow", None)


def csv(path, text):
    (path / "data.csv").write_bytes(text.encode())
    return path / "data.csv"


def whole(path, **names):
    (x, y), *rest = open_data(path, **names).batches(1000)
    assert not rest
    return x, y


def test_an_integer_of_more_than_64_bits_is_a_float(tmp_path, reader):
    x, _ = whole(csv(tmp_path, f"a,y\n{10**20},1\n2,3\n"))
    np.testing.assert_array_equal(x, np.float32([[1e20], [2]]))


def test_cells_of_csv(tmp_path, reader):
    x, y = whole(csv(tmp_path, 'a,b,y\n"1", 2e0 ,3\n,nan,-4\n0.1,inf,5\n'))
    np.testing.assert_array_equal(x, np.float32([[1, 2], [np.nan, np.nan], [0.1, np.inf]]))
    assert (y.tolist(), y.dtype) == ([3, -4, 5], np.int32)


def test_integers_of_csv_are_told_over_all_rows(tmp_path, reader):
    path = csv(tmp_path, "a,y\n" + "1,1\n" * 5000 + "1,1.5\n")
    assert {y.dtype for _, y in open_data(path).batches(100)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; its first line must name the columns"),
        ("a,y\n", "has a header and no rows"),
        ("a,y,a\n1,2,3\n", "names the column `a` twice; give each a name of its own"),
        ("a;y\n1;2\n", "has a single column 'a;y'; its cells should be divided by `,`, not by `;`"),
        ("a,y\n1,2\n3\n", "line 3: the row has 1 cell where the header has 2"),
        ("a,y\n1,2,3\n", "line 2: the row has 3 cells"),
        ("a,y\n1,2\n\n1,two\n", "line 4: `y` is 'two', which is not a number"),
        ("a,y\n1,p\n", "line 2: `y` is 'p', which is not a number"),
        ("a,y\nTrue,2\n\n0,2\n", "line 4: `a` is '0', which is neither True nor False, as those before it are"),
        ("a,y\n1_000,2\n", "has no columns of numbers for x beside `y`"),
        ("a,y\n1,1_000\n", "line 2: `y` is '1_000', which is not a number"),
        ('a,y\n"' + "1" * 200_000 + '",2', "cannot be read as csv: field larger than field limit"),
    ],
)
def test_csv_that_does_not_fit(tmp_path, reader, text, message):
    with pytest.raises(jw.DataError, match=re.escape(message)):
        open_data(csv(tmp_path, text))


def test_csv_that_cannot_be_read(tmp_path, reader):
    (tmp_path / "latin.csv").write_bytes("a,bä\n1,2".encode("latin-1"))
    with pytest.raises(jw.DataError, match=r"latin\.csv` cannot be read as csv"):
        open_data(tmp_path / "latin.csv")


def outcomes(monkeypatch, path, **names):
    """What each reader makes of a file: dtypes and exact numbers, or a sentence."""
    for reader in READERS:
        with monkeypatch.context() as patched, jax.enable_x64(True):
            if reader != "pyarrow":
                patched.setitem(sys.modules, "pyarrow", None)
            try:
                yield [(a.dtype, a.tolist()) for a in whole(path, **names)]
            except jw.DataError as error:
                yield str(error)


TAKEN = ["1", "-7", " 1", "1\t", '"1"', '"1" ', '"1"2', "007", "1" * 18, "0.1", "-0.0", "1.", "-.5", "1e5", "1E+05"]
TAKEN += ["1.5e-300", "5e-324", "1e400", "1e-400", "0." + "3" * 40, "123456789.123456789012345678"]
TAKEN += ["2.2250738585072011e-308", "", '""', "nan", "NaN", "-inf", "Inf", "True", "TRUE", "false"]
LEFT = ["+1", "+1.5", "1_000", "0x10", "0X1f", "0b1", "1" * 19, str(2**63 - 1), str(-(2**63)), str(2**63), "1" * 20]
LEFT += ["١", "1\u00a0", "\u20031", "  ", " nan", "+nan", "nan(1)", "infinity", "1e", "1e 5", "- 1", "--1", "1d5", "1f"]
LEFT += [".", "NULL", "NA", "N/A", "#1", "tRUE", " true", "t", "yes", '"1,5"', '"1\n"', '"1\r\n"', ' "1"', '1"2"']
LEFT += ['"1', '"1""', "1\0", "\\1", "'1'", "1;2", "1,2"]


@pytest.mark.parametrize("cell", TAKEN + LEFT)
def test_both_readers_read_a_cell_alike(tmp_path, monkeypatch, cell):
    rows = [f"{cell},0\n", f"1,0\n{cell},1\n2,2\n", f"1.5,0\n{cell},1\n", f"True,0\n{cell},1\n"]
    rows += [f"1,0,{cell}\n", f'1,0,"{cell}"\n', f"{cell},0\n\n{cell},1"]
    for text in ["a,y\n" + row for row in rows[:4]] + ["a,y,z\n" + row for row in rows[4:6]] + ["a,y\n" + rows[6]]:
        by_arrow, by_csv = outcomes(monkeypatch, csv(tmp_path, text), x=["a"])
        assert repr(by_arrow) == repr(by_csv), text
    by_arrow, by_csv = outcomes(monkeypatch, csv(tmp_path, f"y\n{cell}\n\n{cell}\n"), x=["y"])
    assert repr(by_arrow) == repr(by_csv)


@pytest.mark.parametrize("cell", TAKEN)
def test_arrow_reads_the_usual_spellings(tmp_path, cell):
    kind = bool if cell.lower() in ("true", "false") else int
    path = csv(tmp_path, f'\ufeff a ,y,who\r\n{cell},1,p\r\n\r\n{cell},2,"q, r"')
    assert csv_arrow.scan(path, {"a": " a ", "y": "y", "who": "who"}, {"a": kind, "y": int})[0] == 2


@pytest.mark.parametrize("cell", LEFT[:-1])
def test_arrow_leaves_the_others(tmp_path, cell):
    path = csv(tmp_path, f"y\n{cell}\n")
    assert all(csv_arrow.scan(path, {"y": "y"}, {"y": kind}) is None for kind in (int, bool))


def test_both_readers_divide_a_file_alike(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_arrow, "BLOCK", 16)
    chosen = random.Random(0)
    cells = [
        "1",
        "2",
        "2.5",
        " 3",
        "",
        '"4"',
        '"a,b"',
        '"a""b"',
        'a"b',
        '"a"b',
        '"a\nb"',
        '"a\r\nb"',
        '"',
        "é",
        "#",
        "\0",
    ]
    taken = 0
    for _ in range(300):
        ends = chosen.choices(["\n", "\r\n", "\r", "\n\n", ",\n", ""], [20, 20, 20, 20, 1, 1], k=4)
        rows = [f"{chosen.choice(cells[:6])},{chosen.choice(cells)},{chosen.choice(cells[:2])}{end}" for end in ends]
        path = csv(tmp_path, chosen.choice(["", "\ufeff", "\n"]) + "a,z,y" + chosen.choice(ends[:3]) + "".join(rows))
        by_arrow, by_csv = outcomes(monkeypatch, path, x=["a"])
        assert repr(by_arrow) == repr(by_csv), path.read_bytes()
        taken += csv_arrow.scan(path, {name: name for name in "azy"}, {"a": int, "y": int}) is not None
    assert taken > 100


def test_batches_cross_the_blocks_of_the_file(tmp_path, reader):
    path = csv(tmp_path, "a,b,y\n" + "".join(f"{i / 7},{i},{i % 3}\n" for i in range(1, 501)))
    x, y = whole(path)
    np.testing.assert_array_equal(x, np.float32([[i / 7, i] for i in range(1, 501)]))
    for size, start in itertools.product((1, 7, 100, 499), (0, 1, 33, 499, 500)):
        batches = list(open_data(path).batches(size, start))
        assert [len(x) for x, _ in batches] == [len(x[i : i + size]) for i in range(start, 500, size)]
        np.testing.assert_array_equal(np.concatenate([x[:0], *(x for x, _ in batches)]), x[start:])
        np.testing.assert_array_equal(np.concatenate([y[:0], *(y for _, y in batches)]), y[start:])


def test_a_number_too_large_for_32_bits(tmp_path, reader):
    batches = open_data(csv(tmp_path, "a,y\n" + "1,1\n" * 100 + "1,3000000000\n")).batches(9)
    assert [len(next(batches)[0]) for _ in range(11)] == [9] * 11
    with pytest.raises(jw.DataError, match=re.escape("`y` holds a number too large for JAX's 32 bits in row 100")):
        next(batches)


def test_cells_that_are_not_used_are_checked(tmp_path, reader):
    (tmp_path / "latin.csv").write_bytes("a,y,z\n1,2,ä".encode("latin-1"))
    with pytest.raises(jw.DataError, match=r"latin\.csv` cannot be read as csv: 'utf-8' codec can't decode"):
        open_data(tmp_path / "latin.csv")
    with pytest.raises(jw.DataError, match="field larger than field limit"):
        open_data(csv(tmp_path, "a,y,z\n1,2," + "z" * 200_000))


def test_csv_that_is_taken_away(tmp_path, reader):
    data = open_data(csv(tmp_path, "a,y\n1,2\n"))
    data.path.unlink()
    with pytest.raises(jw.DataError, match="cannot be read as csv: No such file or directory; make it anew"):
        next(data.batches(1))


def test_pandas_is_not_imported(tmp_path):
    """Importing it takes longer than reading most files."""
    path = csv(tmp_path, "a,b,y\n1,True,2\n,False,3\n")
    code = "import pathlib, sys; from jaxwalk._cli.data.open import open_data"
    code += "; next(open_data(pathlib.Path(sys.argv[1])).batches(2))"
    code += "; assert 'pyarrow' in sys.modules and 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
