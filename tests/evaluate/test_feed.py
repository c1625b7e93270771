"""What a step takes: batches joined as long as another fits, in order, and what was taken before an error."""

import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._evaluate.batch_checksums import Fingerprint
from jaxwalk._evaluate.batches import COUNTS, open_batches
from jaxwalk._evaluate.feed import Feed
from jaxwalk._evaluate.placement import Placement

pytestmark = pytest.mark.once

X = np.arange(23.0, dtype=np.float32)


def feed(batches, rows, done=()):
    return Feed(open_batches(batches), done, Placement(), rows)


def rows(feed):
    """Of each step, the data in it."""
    return [np.asarray(sent.leaves[0])[sent.counts == COUNTS].tolist() for sent in feed.steps(lambda: False)]


def cut(*lengths):
    ends = np.cumsum(lengths)
    return [X[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def test_they_are_joined_in_order_as_long_as_another_fits():
    data = cut(2, 2, 1, 0, 2, 2, 1, 1)
    assert rows(feed(data, 6)) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10]]
    assert rows(feed(data, 2)) == [[0, 1], [2, 3], [4], [5, 6], [7, 8], [9], [10]]


def test_each_step_has_as_many_rows_and_says_which_batches():
    first, second = feed(cut(2, 2, 2), 4).steps(lambda: False)
    assert [len(first.leaves[0]), len(second.leaves[0])] == [4, 4]
    assert [len(first.batches), len(second.batches)] == [2, 1]
    assert second.counts.tolist() == [1, 1, 0, 0]
    assert np.asarray(second.leaves[0]).tolist() == [4, 5, 4, 4]  # filled up with real data


def test_a_buffer_that_is_filled_again_and_again():
    def buffered():
        buffer = np.empty(1, np.float32)
        for number in X:
            buffer[:] = number
            yield buffer

    assert np.concatenate(rows(feed(buffered(), 8))).tolist() == X.tolist()


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_was_taken_before_an_error_is_sent(error):
    def failing():
        yield from cut(1, 1, 1, 1, 1)
        raise error

    fed = feed(failing(), 4)
    assert rows(fed) == [[0, 1, 2, 3], [4]]
    assert isinstance(fed.error, error)


def test_an_error_names_the_batch():
    fed = feed([*cut(1, 1, 1), X[:2]], 4)
    assert rows(fed) == [[0, 1, 2]]
    assert isinstance(fed.error, jw.ArgumentError)
    assert str(fed.error).startswith("Batch 3 of `batches` has 2 rows, and the first had 1;")


def test_it_goes_on_after_those_that_are_done():
    done = Fingerprint()
    for batch in open_batches(cut(1, 1, 1)):
        done = done.update(batch)
    assert rows(feed(cut(1, 1, 1, 1, 1), 4, [done])) == [[3, 4]]
