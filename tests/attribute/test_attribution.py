"""What an `Attribution` shows: in a terminal, in a notebook, of the inputs, of many data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

pytestmark = pytest.mark.once

X = jnp.array([1.0, -2.0], jnp.float32)


def fun(x):
    jw.tag(jnp.argmax(x), "which")
    return jnp.sum(jw.tag(x * x, "square"))


def test_the_table_has_the_inputs_first_and_the_gap_below():
    found = attribute.conductance(fun, steps=2)(X)
    assert repr(found).splitlines() == [
        "conductance at 1 point of the result 5",
        "  X  point   shape  total  |score| mean  |score| max  note",
        "     inputs  (2,)       5           2.5            4",
        "  1  which                                            unused; int32: no delta",
        "  2  square  (2,)       5           2.5            4",
        "The inputs' scores should add up to 5; their gap is 0.",
    ]
    assert "their gap is 0." in found._repr_html_()


def test_of_the_inputs_alone_it_says_why():
    found = attribute.integrated_gradients(fun, steps=2)(X)
    shown = repr(found)
    assert shown.startswith("integrated_gradients of the inputs, result 5\n")
    assert "square" not in shown
    assert "at points there is `conductance`" in shown


def test_of_many_data_totals_are_means_and_the_gap_is_the_largest():
    found = jax.vmap(attribute.conductance(fun, steps=2))(jnp.stack([X, 2 * X]))
    shown = repr(found).splitlines()
    assert shown[0] == "conductance at 1 point of 2 results, mean 12.5; totals are means"
    assert shown[2].split() == ["inputs", "(2,", "2)", "12.5", "6.25", "16"]
    assert shown[4].split() == ["2", "square", "(2,", "2)", "12.5", "6.25", "16"]
    assert shown[-1].startswith("The inputs' scores miss what they should add up to: their largest gap is ")
    none = jax.tree.map(lambda a: a[:0], found)
    assert "of 0 results" in repr(none)


def test_several_arrays_of_inputs_are_one_row():
    found = attribute.gradient_times_output(lambda a: fun(a["w"] * a["x"]))({"w": X, "x": X})
    assert "inputs  2 arrays     68" in repr(found)


def test_numbers_are_as_precise_as_their_dtype_and_none_overflows():
    found = attribute.saliency(lambda x: 60000 * jnp.sum(jw.tag(x, "x")))(jnp.ones(9, jnp.float16))
    assert repr(found).splitlines()[-1].split() == ["1", "x", "(9,)", "5.4e+05", "6e+04", "6e+04"]
    bad = attribute.gradient_times_output(lambda x: jnp.sum(jw.tag(jnp.log(x), "log")))(X)
    assert repr(bad).splitlines()[-1].split()[-3:] == ["nan"] * 3


def test_of_a_trace_it_shows_the_shapes():
    shown = []
    jax.jit(lambda x: shown.append(repr(attribute.saliency(fun)(x))))(X)
    assert shown[0].splitlines()[0] == "saliency at 1 point"
    assert "(2,)" in shown[0]


def test_treescope_shows_each_point():
    treescope = pytest.importorskip("treescope")
    shown = treescope.render_to_text(attribute.conductance(fun, steps=2)(X))
    places = [
        shown.index(part)
        for part in (
            "Attribution(",
            "method: conductance",
            "value=",
            "gap=",
            "inputs=",
            "2 square: (",
            "total=",
            "scores=",
        )
    ]
    assert places == sorted(places)


def test_scores_of_a_point_are_found_by_name():
    found = attribute.saliency(fun)(X)
    np.testing.assert_array_equal(found.scores["square"], np.ones(2))
    with pytest.raises(jw.PointError, match=r"There is no `which` here\. Its dtype is int32"):
        found.scores["which"]
