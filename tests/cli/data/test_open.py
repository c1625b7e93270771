"""Data on disk: the same numbers from whatever file; every way in which it can be wrong is one sentence."""

import os
import re
import sys

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import jaxwalk as jw
from jaxwalk._cli.data.open import open_data
from jaxwalk._optional import pandas

pytestmark = pytest.mark.once

ROWS = 11
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
Y = np.arange(ROWS) % 4


def npz(path, **arrays):
    np.savez(path / "data.npz", **arrays)
    return path / "data.npz"


def packed(path, **arrays):
    np.savez_compressed(path / "data.npz", **arrays)
    return path / "data.npz"


def npy(path, **arrays):
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path


def sharded(path, **arrays):
    for name, array in arrays.items():
        for number, shard in enumerate(np.split(array, [4, 5])):
            np.save(path / f"{name}-{number:03}.npy", shard)
    return path


def csv(path, text):
    (path / "data.csv").write_bytes(text.encode())
    return path / "data.csv"


def csv_of(path, x, y):
    rows = "".join(f"{','.join(map(repr, map(float, row)))},{label},name\n" for row, label in zip(x, y))
    return csv(path, "a,b,c,y,who\n" + rows)


def parquet(path, columns, **options):
    pyarrow.parquet.write_table(pa.table(columns), path / "data.parquet", **options)
    return path / "data.parquet"


def parquet_of(path, x, y):
    flat = {name: x[:, i] for i, name in enumerate("abc")}
    return parquet(path, {**flat, "y": y, "who": ["name"] * len(y)}, row_group_size=4)


def parquet_lists(path, x, y):
    return parquet(path, {"x": pa.array(x.tolist(), pa.list_(pa.float32())), "y": y}, row_group_size=3)


def parquet_folder(path, x, y):
    for number, (xs, ys) in enumerate(zip(np.split(x, [4, 4]), np.split(y, [4, 4]))):
        lists = pa.array(xs.tolist(), pa.list_(pa.float32(), 3))
        pyarrow.parquet.write_table(pa.table({"x": lists, "y": ys}), path / f"part-{number}.parquet")
    return path


KINDS = {f.__name__: f for f in (npz, packed, npy, sharded, csv_of, parquet_of, parquet_lists, parquet_folder)}
KINDS["fortran"] = lambda path, x, y: npz(path, x=np.asfortranarray(x), y=y)
KINDS["packed_fortran"] = lambda path, x, y: packed(path, x=np.asfortranarray(x), y=y)
KINDS["npy_fortran"] = lambda path, x, y: npy(path, x=np.asfortranarray(x), y=y)
KINDS["big_endian"] = lambda path, x, y: npz(path, x=x.astype(">f8"), y=y.astype(">i2"))


@pytest.mark.parametrize("kind", KINDS)
def test_batches(tmp_path, kind):
    data = open_data(KINDS[kind](tmp_path, x=X, y=Y))
    assert data.rows == ROWS
    assert data.unused == (["who"] if kind.endswith("_of") else [])
    for size in (1, 3, 5, ROWS, 100):
        for start in (0, 1, 4, 6, ROWS):
            batches = list(data.batches(size, start))
            assert [len(x) for x, _ in batches] == [len(X[i : i + size]) for i in range(start, ROWS, size)]
            for row, (x, y) in zip(range(start, ROWS, size), batches):
                assert (type(x), x.dtype, y.dtype) == (
                    np.ndarray,
                    np.float32,
                    np.int16 if kind == "big_endian" else np.int32,
                )
                assert x.flags.c_contiguous
                assert x.flags.owndata or x.base.flags.owndata  # no map of a file is kept alive
                np.testing.assert_array_equal(x, X[row : row + size])
                np.testing.assert_array_equal(y, Y[row : row + size])
    x, y = data.first
    np.testing.assert_array_equal(x, X[0])
    assert (y.shape, y) == ((), Y[0])


def test_two_iterations_do_not_disturb_each_other(tmp_path):
    data = open_data(packed(tmp_path, x=X, y=Y))
    for (a, _), (b, _) in zip(data.batches(4), data.batches(4)):
        np.testing.assert_array_equal(a, b)


def test_a_batch_outlives_its_file(tmp_path):
    path = npz(tmp_path, x=X, y=Y)
    x, _ = next(open_data(path).batches(4))
    path.write_bytes(b"\0" * path.stat().st_size)
    np.testing.assert_array_equal(x, X[:4])


def test_nan_and_inf_pass(tmp_path):
    x = np.float64([[1, np.nan], [np.inf, 3]])
    data = open_data(npz(tmp_path, x=x, y=np.float32([np.nan, 0]), ids=np.arange(3)))
    (x_held, y_held), *_ = data.batches(2)
    np.testing.assert_array_equal(x_held, x)
    np.testing.assert_array_equal(y_held, [np.nan, 0])
    assert data.unused == ["ids"]


def test_double_precision_stays_where_jax_has_it(tmp_path):
    path = npz(tmp_path, x=X.astype(np.float64) / 3, y=np.array([2**40] * ROWS))
    with jax.enable_x64(True):
        (x, y), *_ = open_data(path).batches(100)
    assert (x.dtype, y.dtype) == (np.float64, np.int64)
    np.testing.assert_array_equal(x, X.astype(np.float64) / 3)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[1.0], [2], [1e39]], [0, 1, 2], "`x` holds a number too large for JAX's 32 bits in row 2 (from 0)"),
        ([[1.0], [2], [3]], [0, 2**31, 2], "`y` holds a number too large for JAX's 32 bits in row 1 (from 0)"),
    ],
)
def test_too_large_for_32_bits(tmp_path, x, y, message):
    for make in (npz, packed, npy):
        batches = open_data(make(tmp_path, x=np.array(x), y=np.array(y))).batches(1)
        next(batches)  # what is before the row is had
        with pytest.raises(jw.DataError, match=re.escape(message)):
            list(batches)


def test_arrays_of_other_names(tmp_path):
    data = open_data(npz(tmp_path, images=X, labels=Y, x=X[:1]), ["images"], ["labels"])
    assert (data.rows, data.unused) == (ROWS, ["x"])
    with pytest.raises(jw.DataError, match="give one name by `--x`, not `a`, `b`"):
        open_data(npz(tmp_path, x=X, y=Y), ["a", "b"])


@pytest.mark.parametrize("make", [npz, packed, npy])
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "lacks (the array `y`; it holds `x`|`y.npy`; it holds `x.npy`)"),
        ({"x": X, "y": Y[:2]}, "`x` has 11 rows and `y` has 2; they must be as many"),
        ({"x": X[:0], "y": Y[:0]}, r"`x` has shape \(0, 3\): no rows"),
        ({"x": np.float32(1), "y": Y}, r"`x` has shape \(\): no rows"),
        ({"x": np.array(["a"]), "y": Y}, "`x` has dtype <U1; give numbers"),
        ({"x": np.zeros(11, "M8[s]"), "y": Y}, r"`x` has dtype datetime64\[s\]; give numbers"),
        ({"x": np.zeros(11, [("a", "f4")]), "y": Y}, "`x` has dtype .*; give numbers"),
        ({"x": np.zeros(11, [("ä€", "f4")]), "y": Y}, "`x` is in version 3.0 of npy; give numbers"),
        ({"x": np.zeros(11, np.longdouble), "y": Y}, "`x` has dtype .*; give numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_arrays_that_do_not_fit(tmp_path, make, arrays, message):
    with pytest.raises(jw.DataError, match=message):
        open_data(make(tmp_path, **arrays))


def test_arrays_without_entries(tmp_path):
    for make in (npz, packed, npy):
        (x, _), *_ = open_data(make(tmp_path, x=np.zeros((4, 0)), y=np.zeros(4))).batches(3)
        assert x.shape == (3, 0)


def test_a_pickle_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (print, ("BOOM",))

    array = np.empty(1, object)
    array[0] = Bomb()
    for make in (npz, packed, npy):
        with pytest.raises(jw.DataError, match="`x` is a pickle, which could run code when read, and is refused"):
            open_data(make(tmp_path, x=array, y=np.ones(1)))


def test_npz_that_cannot_be_read(tmp_path):
    (tmp_path / "text.npz").write_text("x, y")
    (tmp_path / "cut.npz").write_bytes(npz(tmp_path, x=X, y=Y).read_bytes()[:200])
    for name in ("text.npz", "cut.npz"):
        with pytest.raises(jw.DataError, match=r"cannot be read as npz.*; make it"):
            open_data(tmp_path / name)
    with open(tmp_path / "single.npz", "wb") as file:
        np.save(file, X)
    with pytest.raises(jw.DataError, match="holds a single array; save both with"):
        open_data(tmp_path / "single.npz")


def test_damage_that_is_met_on_the_way(tmp_path):
    path = packed(tmp_path, x=np.random.default_rng(0).normal(size=(50_000, 4)).astype(np.float32), y=np.zeros(50_000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = b"\0" * 40
    path.write_bytes(content)
    with pytest.raises(jw.DataError, match="cannot be read as npz"):
        list(open_data(path).batches(100))
    path = npz(tmp_path, x=X, y=Y)
    data = open_data(path)
    path.unlink()
    with pytest.raises(jw.DataError, match="cannot be read as npz: No such file"):
        list(data.batches(4))


def test_npy_that_ends_early(tmp_path):
    path = npy(tmp_path, x=X, y=Y) / "x.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(jw.DataError, match=r"x\.npy` cannot be read as npy: it ends early; make it anew"):
        open_data(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: (d / "x-001.npy").unlink(), "lacks the shard 1 of `x`, and has 2; add it"),
        (lambda d: (d / "x-002.npy").unlink(), "holds `y-002.npy` and no shard of `x` of that number; add it"),
        (lambda d: np.save(d / "x.npy", X), "holds both `x.npy` and `x-000.npy`; take one away"),
        (lambda d: np.save(d / "x-1.npy", X), "holds both `x-001.npy` and `x-1.npy`; take one away"),
        (lambda d: np.save(d / "y-001.npy", Y), "`x-001` has 1 row and `y-001` has 11; they must be as many"),
        (
            lambda d: np.save(d / "x-001.npy", X[:1, :2]),
            "x-001.npy` holds rows of float32 of shape (2,), the first shard of float32 of shape (3,); make them alike",
        ),
        (lambda d: pa.parquet.write_table(pa.table({"y": Y}), d / "a.parquet"), "holds both npy and parquet files"),
    ],
)
def test_shards_that_do_not_fit(tmp_path, change, message):
    change(sharded(tmp_path, x=X, y=Y))
    with pytest.raises(jw.DataError, match=re.escape(message)):
        open_data(tmp_path)


def test_what_is_no_data(tmp_path):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "notes.txt").write_text("x, y")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("x.npy", "holds a single array; give its folder"),
        ("notes.txt", "is no npz, csv, parquet or folder by its name"),
        ("empty", "is a folder without npy or parquet files"),
    ):
        with pytest.raises(jw.DataError, match=message):
            open_data(tmp_path / name)


def test_a_size_or_start_that_does_not_fit(tmp_path):
    data = open_data(npz(tmp_path, x=X, y=Y))
    for size, start in ((0, 0), (1, -1), (1, ROWS + 1)):
        with pytest.raises(jw.ArgumentError, match=f"Batches of {size} from row {start} of 11"):
            data.batches(size, start)


def whole(path, **names):
    data = open_data(path, **names)
    (x, y), *rest = data.batches(1000)
    assert not rest
    return x, y, data.unused


TABLE = {"a": [1.5, 2.5], "who": ["p", "q"], "y": [3, 4], "z": [5, 6]}
TEXT = "\ufeffa, who,y,z\r\n1.5,p,3,5\r\n\r\n2.5,q,4,6"


@pytest.mark.parametrize("make", [lambda path: csv(path, TEXT), lambda path: parquet(path, TABLE)])
def test_choice_of_columns(tmp_path, make):
    path = make(tmp_path)
    x, y, unused = whole(path)
    np.testing.assert_array_equal(x, np.float32([[1.5, 5], [2.5, 6]]))
    assert (y.tolist(), y.dtype, unused) == ([3, 4], np.int32, ["who"])
    x, y, unused = whole(path, x=["z"], y=["y", "a"])
    np.testing.assert_array_equal(x, [5, 6])
    np.testing.assert_array_equal(y, [[3, 1.5], [4, 2.5]])
    assert (x.dtype, y.dtype, unused) == (np.int32, np.float32, ["who"])
    x, y, _ = whole(path, y=["a", "z"])
    assert (x.shape, y.shape) == ((2, 1), (2, 2))  # what is left over is a row, though of one
    for names, message in (
        ({"y": ["Y"]}, "lacks the column `Y`. There are: `a`, `who`, `y`, `z`; choose others by `--y`."),
        ({"x": ["zz"]}, "lacks the column `zz`. Near it: `z`; choose others by `--x`."),
        ({"y": ["a", "y", "z"]}, "has no columns of numbers for x beside `a`, `y`, `z`"),
    ):
        with pytest.raises(jw.DataError, match=re.escape(message)):
            open_data(path, **names)


def test_a_column_x_is_all_of_x(tmp_path):
    for path in (csv(tmp_path, "x,y,a\n1,2,3\n"), parquet(tmp_path, {"x": [1], "y": [2], "a": [3]})):
        x, y, unused = whole(path)
        assert (x.tolist(), y.tolist(), unused) == ([1], [2], ["a"])


TRUTHS = {"a": [1.5, 2.5], "b": [True, False], "y": [False, True]}


@pytest.mark.parametrize(
    "make", [lambda path: csv(path, "a,b,y\n1.5,True,FALSE\n2.5,False, true\n"), lambda path: parquet(path, TRUTHS)]
)
def test_booleans_are_numbers(tmp_path, make):
    x, y, _ = whole(make(tmp_path))
    np.testing.assert_array_equal(x, np.float32([[1.5, 1], [2.5, 0]]))
    assert (y.tolist(), y.dtype) == ([False, True], np.bool_)


def test_which_columns_were_put_together(tmp_path):
    path = csv(tmp_path, ',a,y2,price,y\n0,1,2,"1,000",3\n')
    assert open_data(path).notes == [
        "x is the columns ``, `a`, `y2`; choose others by `--x`.",
        "Not numbers, and not used of `--data`: `price`.",
    ]
    assert open_data(path, x=["a"]).notes == ["Not used of `--data`: ``, `y2`, `price`."]
    assert open_data(csv(tmp_path, "a,y\n1,2\n")).notes == ["x is the column `a`; choose others by `--x`."]
    assert open_data(csv(tmp_path, "x,y\n1,2\n")).notes == []


def test_what_is_not_there_says_so(tmp_path):
    for name in ("absent.npz", "absent.csv", "absent.parquet", "absent"):
        with pytest.raises(jw.DataError, match=f"/{name}` is not there; give the path of an npz, a csv"):
            open_data(tmp_path / name)


def test_lists_in_parquet_are_axes(tmp_path):
    images = np.random.default_rng(0).normal(size=(ROWS, 2, 4)).astype(np.float32)
    nested = pa.array(images.tolist(), pa.list_(pa.list_(pa.float32())))
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(images)
    for column in (nested, tensors):
        path = parquet(tmp_path, {"x": column, "y": Y, "z": column}, row_group_size=4)
        for size in (1, 3, 20):
            batches = list(open_data(path).batches(size))
            np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), images)


def test_what_is_missing_in_parquet(tmp_path):
    path = parquet(tmp_path, {"a": [1.0, None], "b": pa.array([[1.0, None], [2.0, 3.0]]), "y": [True, False]})
    x, y, unused = whole(path)
    np.testing.assert_array_equal(x, [[1], [np.nan]])
    assert (y.dtype, unused) == (np.bool_, ["b"])
    x, _, _ = whole(path, x=["b"])
    np.testing.assert_array_equal(x, [[1, np.nan], [2, 3]])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1.0, 2.0], "y": [1, None]}, "`y` has nothing in row 1 (from 0), and only floats can be NaN; mend it"),
        ({"x": [[1.0], None], "y": [1, 2]}, "`x` has nothing in row 1"),
        ({"x": [[1.0, 2.0], [3.0]], "y": [1, 2]}, "`x` has 1 entry in row 1 (from 0), 2 in the first; make all as"),
        ({"x": [[[1.0], [2.0]], [[1.0], []]], "y": [1, 2]}, "`x` has 0 entries in row 1 (from 0), 1 in the first"),
        ({"x": [[[1.0], []]], "y": [1]}, "`x` has 0 entries in row 0"),
        ({"x": [[[1], [2]], [[3], [None]]], "y": [1, 2]}, "`x` has nothing in row 1"),
        ({"x": ["p"], "y": [1]}, "`x` holds string; give numbers, or choose other columns"),
        ({"x": [["p"]], "y": [1]}, "`x` holds string; give numbers"),
        ({"x": pa.array([], pa.float32()), "y": pa.array([], pa.int32())}, "has no rows; give at least one"),
    ],
)
def test_parquet_that_does_not_fit(tmp_path, columns, message):
    with pytest.raises(jw.DataError, match=re.escape(message)):
        list(open_data(parquet(tmp_path, columns)).batches(1))


def test_parquet_files_that_are_not_alike(tmp_path):
    write = lambda name, columns: pyarrow.parquet.write_table(pa.table(columns), tmp_path / name)
    write("a.parquet", {"x": [1.0], "y": [1]})
    for columns, message in (
        ({"x": [1.0]}, "b.parquet` lacks the column `y`; give it once in every file"),
        ({"x": [1], "y": [1]}, "b.parquet`: `x` holds int64, and double in the first file; make them alike"),
    ):
        write("b.parquet", columns)
        with pytest.raises(jw.DataError, match=re.escape(message)):
            open_data(tmp_path)


def test_lists_beside_other_columns(tmp_path):
    path = parquet(tmp_path, {"a": [[1.0]], "b": [1.0], "y": [1]})
    with pytest.raises(jw.DataError, match=r"`a` holds list.*, which is not put beside `a`, `b`; choose it alone"):
        open_data(path, ["a", "b"])


def test_parquet_that_cannot_be_read(tmp_path):
    (tmp_path / "text.parquet").write_text("x, y and a few more letters")
    with pytest.raises(jw.DataError, match="cannot be read as parquet"):
        open_data(tmp_path / "text.parquet")


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    path = parquet(tmp_path, TABLE)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(jw.JaxwalkError, match="Reading Parquet needs pyarrow, the extra `store`: `uv sync"):
        open_data(path)


def test_rows_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="`to_pandas` needs pandas, the extra `store`: `uv sync --extra store`"):
        pandas()


@pytest.mark.parametrize("make", [npz, packed])
@pytest.mark.parametrize("order", "CF")
def test_a_bit_that_flips_among_the_numbers(tmp_path, make, order):
    """Of a stored array it is met when the file is opened, before anything is made of it."""
    path = make(tmp_path, x=np.asarray(np.tile(X, (300, 1)), order=order), y=np.tile(Y, 300))
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(jw.DataError, match=r"data\.npz` cannot be read as npz: .*; make it anew") as caught:
        list(open_data(path).batches(100))
    if make is npz:
        assert "Bad CRC-32 for file 'x.npy'" in str(caught.value)
        with pytest.raises(jw.DataError, match="Bad CRC-32"):
            open_data(path)


@pytest.mark.parametrize("kind", ["npz", "fortran", "npy", "npy_fortran", "packed"])
def test_a_file_that_is_cut_while_it_is_read(tmp_path, kind):
    """A memory map of it would end the process."""
    x = np.random.default_rng(0).normal(size=(20_000, 3)).astype(np.float32)
    data = open_data(KINDS[kind](tmp_path, x=x, y=np.zeros(len(x))))
    batches = data.batches(100)
    next(batches)
    for file in tmp_path.iterdir():
        os.truncate(file, 300)
    with pytest.raises(jw.DataError, match="cannot be read as"):
        list(batches)


def test_a_header_that_lies(tmp_path):
    for shape in ((-1, 3), (2**32, 2**32), (11, 3, 10**9)):
        with open(npy(tmp_path, x=X, y=Y) / "x.npy", "r+b") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        with pytest.raises(jw.DataError, match=r"has shape \(-1, 3\)|ends early"):
            open_data(tmp_path)


def test_a_column_that_is_there_twice(tmp_path):
    columns = [pa.array([1.0, 2.0])] * 3
    pyarrow.parquet.write_table(pa.Table.from_arrays(columns, names=["a", "a", "y"]), tmp_path / "twice.parquet")
    with pytest.raises(jw.DataError, match="has more than one of the column `a`; give it once in every file"):
        open_data(tmp_path / "twice.parquet")
