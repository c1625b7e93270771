"""Keys that name points and steps of them: read as NumPy reads an index."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from jaxwalk._points.steps import selected

pytestmark = pytest.mark.once


def fun(x):
    def inner(c, _):
        return jw.tag(c * 2, "in"), None

    def outer(c, _):
        c = jw.tag(lax.scan(inner, c, None, length=4)[0], "out")
        return jw.tag(c, "w[0]"), None

    x = lax.scan(outer, x, None, length=3)[0]
    return jw.tag(jw.tag(x, "in9"), "flat")


POINTS = jw.points(fun, jnp.zeros(2))


@pytest.mark.parametrize(
    ("key", "index"),
    [
        ("out[1]", 1),
        ("out[-1]", -1),
        ("out[1:]", np.s_[1:]),
        ("out[::-2]", np.s_[::-2]),
        ("out[[0, 2]]", [0, 2]),
        ("out[...]", ...),
        ("in[0, 3]", (0, 3)),
        ("in[2]", 2),
        ("in[:, -1]", np.s_[:, -1]),
        ("in[..., 1]", np.s_[..., 1]),
        ("in[[0, 2], 1:3]", ([0, 2], np.s_[1:3])),
        ("in[[0, 2], [1, 3]]", ([0, 2], [1, 3])),
        ("w[0][1]", 1),
        ("?ut[1]", 1),
    ],
)
def test_an_index_is_numpys(key, index):
    ((point, steps),) = selected(POINTS, key, "edits")
    numbers = np.arange(1, 1 + np.prod(point.shape[:-1])).reshape(point.shape[:-1])
    assert steps.shape == numbers[index].shape
    np.testing.assert_array_equal(np.sort(numbers[steps.chosen]), np.sort(numbers[index], axis=None))
    put = np.where(steps.chosen, np.ravel(numbers[index])[steps.rows], 0)  # each row goes to where it is indexed
    np.testing.assert_array_equal(put, np.where(steps.chosen, numbers, 0))


def test_names_that_end_in_brackets_and_globs_are_none():
    assert selected(POINTS, "w[0]", "edits")[0] == (POINTS["w[0]"], None)
    assert [point.name for point, steps in selected(POINTS, "[io]*", "edits")] == ["in", "out", "in9"]
    assert [point.name for point, steps in selected(POINTS, "[io][nu]", "edits")] == ["in"]
    assert [(point.name, steps is None) for point, steps in selected(POINTS, "*[[]0[]]", "edits")] == [("w[0]", True)]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("out[3]", "`edits` names `out[3]`, but `out` has 3 steps (scan of 3): index 3 is out of bounds"),
        ("out[-4]", "`out` has 3 steps (scan of 3): index -4 is out of bounds"),
        ("out[99999999999999999999]", "`out` has 3 steps (scan of 3): "),
        ("out[3:]", "`out` has 3 steps (scan of 3), of which this is none; choose among these"),
        ("out[::0]", "slice step cannot be zero; choose among these"),
        ("out[0, 2]", "2 indices are too many; for several steps, write `[[0, 2]]`"),
        ("out[0, :]", "2 indices are too many; the axes of a step are left to the edit"),
        ("in[0, 1, 0]", "`in` has 12 steps (scan of 3, scan of 4), and 3 indices are too many"),
        ("out[[0, -3]]", "`out` has one of these steps twice in that; name each once"),
        ("out[1.0]", "what is in its brackets is no index of steps; give integers, slices, or lists of integers"),
        ("out[True]", "is no index of steps"),
        ("out[None]", "is no index of steps"),
        ("out[i]", "is no index of steps"),
        ("out[", "`edits` names `out[`, but there is no such point. Near it: `out`"),
        ("oot[1]", "`edits` names `oot[1]`, but there is no such point. Near it: `out`"),
        ("[1]", "there is no such point"),
        ("flat[0]", "`flat` is in no scan; name it whole, and let the edit choose among its entries"),
        ("in[9]", "`edits` names `in[9]`, which is steps of `in`, and as a glob `in9`; write out the names"),
    ],
)
def test_what_is_no_step_is_refused_in_a_sentence(key, says):
    with pytest.raises(jw.PointError) as error:
        selected(POINTS, key, "edits")
    assert says in str(error.value)
    assert str(error.value).count(". ") <= 1  # a second one says which names are near
