"""What an npy file says of its array, read before any of the array is."""

from __future__ import annotations

import math
from typing import IO, NamedTuple

import numpy as np

READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""By version of the format; 3.0 is for the names of a structured dtype."""


class Header(NamedTuple):
    """What an npy file says of its array, and the byte at which the numbers begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int

    @property
    def row_bytes(self) -> int:
        """Return the bytes of one row, which is all but the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def end(self) -> int:
        """Return the byte after the last of the numbers."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes]) -> Header:
    """Read what stands before the numbers.

    Raises:
        ValueError: it is no header that can be read; the text goes on after the array's name.
    """
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        raise ValueError("is not an array") from None
    if version not in READERS:
        raise ValueError(f"is in version {version[0]}.{version[1]} of npy")
    try:
        shape, fortran, dtype = READERS[version](file)
    except OSError:
        raise
    except Exception as error:  # NumPy has Python parse it, which fails in many ways
        raise ValueError("has a header that is damaged") from error
    if min(shape, default=0) < 0:
        raise ValueError(f"has shape {shape}")
    return Header(shape, fortran, dtype, file.tell())
