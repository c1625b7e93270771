import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._report.histogram import BINS, ENTRIES, HEIGHT, WIDTH, histogram, of_magnitudes

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


def test_what_magnitudes_kept_is_drawn_between_powers_of_two():
    kept = jw.stats.magnitudes(jnp.array([[0.0, 1.0, 1.5], [3.0, 9.0, jnp.inf]]), jnp.zeros(1))
    found = of_magnitudes(kept["output_magnitudes"])
    assert (found.low, found.high) == ("1", "16")
    step = WIDTH // 4
    assert found.path == f"M0 {HEIGHT}V0h{step}V{HEIGHT // 2}h{step}V{HEIGHT}h{step}V{HEIGHT // 2}h{step}V{HEIGHT}z"
    assert of_magnitudes(kept["delta_magnitudes"]) is None
    assert of_magnitudes(np.ones(3)) is None
    assert of_magnitudes(None) is None
