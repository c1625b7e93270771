"""An array as a picture: what lies down, what is tiled, what is reduced, against NumPy; and what is said of it."""

import numpy as np
import pytest

from jaxwalk.plot._arrays.images import Axis, channel_axis, largest, pictured

pytestmark = pytest.mark.once

RANDOM = np.random.default_rng(0)


def picture(shape, limit=1000, lead=0, channels=None):
    values = RANDOM.normal(size=shape)
    axes = [Axis("step" if i < lead else f"axis {i - lead}", i < lead) for i in range(len(shape))]
    return values, pictured(values, axes, limit, channels)


def test_a_matrix_lies_as_it_is():
    values, shown = picture((5, 7))
    np.testing.assert_array_equal(shown.pixels, values)
    assert shown.covers == (5, 7)
    assert shown.labels == ("axis 0", "axis 1")
    assert shown.words == ()


def test_vectors_of_steps_are_rows():
    values, shown = picture((3, 9), lead=1)
    np.testing.assert_array_equal(shown.pixels, values)
    assert shown.labels == ("step", "axis 0")
    values, shown = picture((2, 3, 9), lead=2)
    np.testing.assert_array_equal(shown.pixels, values.reshape(6, 9))
    assert picture((100,))[1].pixels.shape == (1, 100)
    assert picture((4, 30), lead=2)[1].pixels.shape == (1, 120)  # a number at each step of a scan in a scan


@pytest.mark.parametrize(
    ("shape", "channels", "first"),
    [((8, 8, 4), None, False), ((4, 8, 8), None, True), ((4, 8, 9), None, True), ((9, 8, 4), None, False),
     ((8, 8, 8), None, False), ((8, 8, 8), 0, True), ((4, 8, 8), -1, False)],
)  # fmt: skip
def test_channels_are_tiled(shape, channels, first):
    values, shown = picture(shape, channels=channels)
    tiles = values if first else np.moveaxis(values, -1, 0)
    count, height, width = tiles.shape
    columns = int(np.where(shown.pixels.mask[0])[0].size) + 1  # one column of nothing between two tiles
    for place, tile in enumerate(tiles):
        row, column = (place // columns) * (height + 1), (place % columns) * (width + 1)
        np.testing.assert_array_equal(shown.pixels[row : row + height, column : column + width], tile)
    assert (~shown.pixels.mask).sum() == values.size
    assert shown.words == (f"tiles, row by row: axis {0 if first else 2} of {count}",)


def test_steps_and_channels_are_tiled_together():
    values, shown = picture((3, 6, 6, 2), lead=1)
    np.testing.assert_array_equal(shown.pixels[:6, :6], values[0, :, :, 0])
    assert shown.words == ("tiles, row by row: step of 3, axis 2 of 2",)
    assert channel_axis((2, 5, 5, 3)) == 3
    assert channel_axis((2, 3, 5, 5)) == 1


def test_what_is_too_large_is_reduced_to_the_largest_of_blocks():
    values, shown = picture((40, 60), limit=20)
    blocks = values.reshape(20, 2, 20, 3).swapaxes(1, 2).reshape(20, 20, 6)
    expected = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)[..., 0]
    np.testing.assert_array_equal(shown.pixels, expected)
    assert shown.words == ("each pixel the largest of 2 × 3 entries, with its sign",)
    assert shown.covers == (40, 60)
    assert picture((1001,), limit=100)[1].words == ("each pixel the largest of 11 entries, with its sign",)


@pytest.mark.parametrize("shape", [(200, 9, 9), (3, 500, 400), (5000, 3, 3), (100000, 2, 2)])
def test_no_picture_is_larger_than_its_limit(shape):
    values, shown = picture(shape, limit=100, channels=0)
    assert max(shown.pixels.shape) <= 130  # about
    assert np.abs(shown.pixels).max() == np.abs(values).max()
    assert any("the largest of" in words for words in shown.words)


def test_what_is_no_number_outlives_the_reduction():
    values = np.array([[1.0, -2.0, np.nan, 5.0, -np.inf, 0.0, -3.0, 3.0]])
    np.testing.assert_array_equal(largest(values, 1, 2), [[-2, np.nan, -np.inf, 3]])
