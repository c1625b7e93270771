"""A few of the bits that `flipped.py` flips in every file that is read."""

import pytest

from flipped import outcomes


@pytest.mark.once
def test_no_flipped_bit_is_taken_for_a_number():
    found = outcomes(5, seed=0)
    assert len(found) == 7
    for file, counts in found.items():
        assert set(counts) <= {"refused", "the same"}, file
        assert counts["refused"], file
