"""Records of steps: each second one is dropped where there are too many, and the last is always there."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxwalk._jax.packing import Packing
from jaxwalk._learn.loop import records

pytestmark = pytest.mark.once


@pytest.fixture
def made(monkeypatch):
    """What makes records with room for four."""
    monkeypatch.setattr(records, "FEWEST", 4)
    monkeypatch.setattr(records, "BUDGET", 4 * 100)
    return lambda every=1: records.Records(100, every)


def filled(held, steps):
    for step in steps:
        held.add(step, float(step), {"float32": np.full(2, step, np.float32)})
    return held


@pytest.mark.parametrize(
    ("count", "steps", "stride"),
    [(0, [], 1), (1, [0], 1), (4, [0, 1, 2, 3], 1), (5, [0, 2, 4], 2), (6, [0, 2, 4, 5], 2), (10, [0, 4, 8, 9], 4)],
)
def test_too_many_are_thinned_by_powers_of_two(made, count, steps, stride):
    held = filled(made(), range(count))
    assert held.arrays()["steps"].tolist() == steps
    assert held.arrays()["loss"].tolist() == steps
    assert held.stride == stride
    assert len(held) == len(steps)
    if count:
        assert held.arrays()["float32"][:, 1].tolist() == steps


def test_with_every_the_stride_is_a_multiple_of_it(made):
    held = filled(made(3), range(0, 20, 3))
    assert (held.arrays()["steps"].tolist(), held.stride) == ([0, 6, 12, 18], 6)


def test_latest(made):
    assert filled(made(), range(6)).latest(2)["steps"].tolist() == [4, 5]


@pytest.mark.parametrize("count", [0, 3, 6, 11])
def test_what_is_restored_goes_on_as_if_nothing_had_been(made, count):
    before = filled(made(), range(count))
    after = made()
    after.restore(before.arrays() if count else {}, before.stride)
    for held in (before, after):
        filled(held, range(count, 15))
    for name, array in before.arrays().items():
        np.testing.assert_array_equal(after.arrays()[name], array)
    assert after.stride == before.stride


def test_arrays_are_packed_by_dtype_and_unpacked_with_an_axis_of_steps():
    tree = {"a": jnp.arange(3.0), "b": (jnp.int32(7), jnp.zeros((2, 0))), "c": jnp.array([[True], [False]])}
    packing = Packing.of(tree)
    packed = {dtype: np.asarray(vector) for dtype, vector in packing.pack(tree).items()}
    assert {dtype: vector.shape for dtype, vector in packed.items()} == {"float32": (3,), "int32": (1,), "bool": (2,)}
    assert packing.nbytes == 12 + 4 + 2
    rows = packing.unpack({dtype: np.stack([vector] * 5) for dtype, vector in packed.items()})
    assert rows["a"].shape == (5, 3)
    assert rows["b"][0].tolist() == [7] * 5
    assert rows["b"][1].shape == (5, 2, 0)
    assert rows["c"].shape == (5, 2, 1)
    assert packing.unpack(packing.zeros(0))["a"].shape == (0, 3)
