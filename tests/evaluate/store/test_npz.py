"""A header and arrays in one file: what comes back, and what a file that lies of its size is allowed."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from jaxwalk._evaluate.store.npz import pack, unpack

pytestmark = pytest.mark.once

LARGE = 10**11  # numbers, of which no machine that tests has memory for all


def test_names_are_any():
    arrays = {name: np.float32([i]) for i, name in enumerate(("a", "a.npy", "a/b", "../a", "", "text", "said"))}
    header, found = unpack(io.BytesIO(pack({"is": [1, None]}, arrays)))
    assert header == {"is": [1, None]}
    assert {name: float(array[0]) for name, array in found.items()} == {name: i for i, name in enumerate(arrays)}


def with_member(name, content, size=None, kind=zipfile.ZIP_STORED):
    """A file that `pack` wrote, with another of its members, whose size in the directory is another."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(pack({}, {"a": np.zeros(3)}))) as whole, zipfile.ZipFile(file, "w") as archive:
        for info in whole.infolist():
            is_other = info.filename == name
            archive.writestr(info.filename, content if is_other else whole.read(info), kind if is_other else None)
            if is_other and size is not None:
                info = archive.getinfo(name)
                info.file_size = info.compress_size = size
    return io.BytesIO(file.getvalue())


def npy(shape, numbers=b""):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + numbers


LIES = {
    "larger than the file": lambda: with_member("array0.npy", npy((LARGE,)), LARGE * 8 + 128),
    "shape": lambda: with_member("array0.npy", npy((LARGE,), bytes(8))),
    "overflowing shape": lambda: with_member("array0.npy", npy((2**32, 2**32))),
    "negative shape": lambda: with_member("array0.npy", npy((-1, -3), bytes(24))),
    "compressed": lambda: with_member("array0.npy", npy((2**22,), bytes(2**25)), kind=zipfile.ZIP_DEFLATED),
}


@pytest.mark.parametrize("lie", LIES)
def test_no_more_is_allocated_than_a_file_is_long(lie):
    file = LIES[lie]()
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, EOFError, zipfile.BadZipFile)):
            unpack(file)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
