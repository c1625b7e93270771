import jax.numpy as jnp
import numpy as np
import pytest

from jaxwalk._report.histogram import BINS, ENTRIES, HEIGHT, WIDTH, histogram

pytestmark = pytest.mark.once


def test_bars_stand_where_the_numbers_are():
    found = histogram(jnp.array([0.0, 0.0, 1.0]))
    assert (found.low, found.high, found.note) == ("0", "1", "")
    step = WIDTH // BINS
    right = f"V{HEIGHT}h{step * (BINS - 2)}V{HEIGHT // 2}h{step}"
    assert found.path == f"M0 {HEIGHT}V0h{step}{right}V{HEIGHT}z"


@pytest.mark.parametrize(
    ("values", "ends", "note"),
    [
        (np.float32([np.nan, 1, 3]), ("1", "3"), "1 not finite"),
        (np.array([3 + 4j, 0]), ("0", "5"), "of |x|"),
        (np.array([1e308, -1e308]), ("-1e+308", "1e+308"), ""),
        (np.array([5e-324, 0]), ("0", "4.94e-324"), ""),
        (np.ones(3, "bfloat16"), ("1", "1"), ""),
        (np.arange(ENTRIES + 1), ("0", "2e+05"), "of every 2th entry"),
        (np.arange(4), ("0", "3"), ""),
    ],
)
def test_of_any_numbers(values, ends, note):
    found = histogram(values)
    assert (found.low, found.high) == ends
    assert found.note == note
    assert found.path.count("V") >= 2


@pytest.mark.parametrize("values", [None, np.ones(1), np.ones(0), np.array([True, False]), np.full(3, np.inf)])
def test_of_nothing_to_show(values):
    assert histogram(values) is None
