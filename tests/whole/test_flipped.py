"""A few of the bits that `flipped.py` flips in every file that is read."""

import pytest

from flipped import outcomes, wrong_in


@pytest.mark.once
def test_no_flipped_bit_is_taken_for_a_number():
    found = outcomes(5, seed=0)
    assert len(found) == 7
    assert not wrong_in(found)
    assert all(counts["refused"] for counts in found.values())
