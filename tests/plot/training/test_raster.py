"""Cells as pixels: each pixel is the largest of all cells that it covers, whatever their widths."""

import numpy as np
import pytest

from jaxwalk.plot._training.raster import pixels, reduced

pytestmark = pytest.mark.once


def test_each_pixel_is_the_largest_of_the_cells_that_it_covers():
    random = np.random.default_rng(0)
    for _ in range(50):
        count, most = random.integers(1, 40, 2)
        edges = np.concatenate([[0], np.cumsum(random.uniform(0.1, 3, count))])
        values = random.normal(size=(count, 2))
        covered = pixels(edges, int(most))
        ends = np.linspace(0, edges[-1], most + 1)
        overlaps = (edges[:-1] < ends[1:, None] - 1e-12) & (edges[1:] > ends[:-1, None] + 1e-12)
        if count <= most and np.allclose(np.diff(edges), edges[1]):  # one alone: it is not divided
            assert len(covered) == count
            continue
        expected = np.stack([values[found].max(0) for found in overlaps])
        np.testing.assert_array_equal(reduced(values, covered, 0), expected)
        np.testing.assert_array_equal(reduced(values.T, covered, 1), expected.T)


def test_cells_of_one_width_have_a_pixel_each_where_there_is_room():
    values = np.arange(7.0)[:, None]
    assert reduced(values, pixels(np.arange(8), 10), 0) is values
    assert pixels(np.arange(8), 0).tolist() == [[0, 7]]
