"""Entries that are not machine numbers, fractions or symbols, and what an arithmetic of them is.

A value whose dtype is `object` holds entries; any other is an ordinary array, of integers or truth values, say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .rearrange import Entries


class Unsupported(Exception):
    """Why an operation cannot be done on these entries, as the end of a sentence."""


class Refused(NamedTuple):
    """An entry that could not be computed: an error once a result depends on it. A branch not taken may hold it."""

    reason: str


class Arithmetic(NamedTuple):
    """What can be done with entries.

    Attributes:
        constant: from a Python number and the dtype it was rounded to, to an entry.
        operations: by our name of the primitive, a function of entries.
        is_known: whether an entry is a number or a truth value, and not a symbol.
        select: from a truth value or a number that is an entry, and as many cases, to an entry.
        refusal: a sentence from what was met (primitive and line), and why it is refused.
        defers: whether what cannot be computed becomes a `Refused` entry, and is no error yet.
        inspect: called with each entry that is made; it may refuse.
        steps: how many operations on entries may be done, or None.
        too_many: the sentence if they are more.
    """

    constant: Callable[[Any, Any], Any]
    operations: Mapping[str, Callable]
    is_known: Callable[[Any], bool]
    select: Callable[[Any, Sequence[Any]], Any]
    refusal: Callable[[str, str], str]
    defers: bool = False
    inspect: Callable[[Any], None] | None = None
    steps: int | None = None
    too_many: str = ""


def holds_entries(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def as_entries(value: Any, arithmetic: Arithmetic) -> Entries:
    """An array of machine numbers as entries."""
    if holds_entries(value):
        return value
    array = np.asarray(value)
    result = np.empty(array.shape, object)
    for index in np.ndindex(array.shape):
        result[index] = arithmetic.constant(array[index].item(), array.dtype)
    return result
