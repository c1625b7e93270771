"""What treescope shows of what was found: in forward order, with δ beside the output."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw

pytestmark = pytest.mark.once
treescope = pytest.importorskip("treescope")


def fun(x):
    return jnp.sum(jw.tag(jnp.tanh(jw.tag(2 * x, "z")), "a\n<b>") ** 2)


def in_order(text, *parts):
    places = [text.index(part) for part in parts]
    return places == sorted(places)


def test_a_walk_in_forward_order_with_delta_beside_the_output():
    shown = treescope.render_to_text(jw.walk(fun)(jnp.ones((2, 3))))
    assert in_order(shown, "Walk(", "value=", "1 z: (", "output=", "δ=", "2 a\\n<b>: (")
    assert "float32(2, 3)" in shown
    assert "a\n<b>" not in shown


def test_arrays_are_heat_maps_unless_the_user_has_chosen():
    walk, seen = jw.walk(fun)(jnp.ones((2, 3))), []
    with treescope.active_autovisualizer.set_scoped(lambda value, path: seen.append(path)):
        treescope.render_to_html(walk)
    assert "outputs['z']" in "".join(filter(None, seen))
    assert treescope.active_autovisualizer.get() is None
    treescope.render_to_html(walk)
    assert treescope.active_autovisualizer.get() is None


def test_points_values_and_an_evaluation():
    walk = jw.walk(fun)(jnp.ones(3))
    assert in_order(treescope.render_to_text(walk.points), "Points(", "1 z: float32[3]", "2 a\\n<b>: float32[3]")
    assert in_order(treescope.render_to_text(walk.deltas), "Named(", "z: ", "a\\n<b>: ")
    data = [(np.ones((2, 3), np.float32), np.ones(2, np.float32))]
    found = jw.evaluate(lambda w, x, y: fun(w * x), jnp.ones(3), data, keep=jw.stats.norms)
    assert in_order(treescope.render_to_text(found), "Evaluation(", "count=2", "1 z: (", "delta_l2=", "datum 0: loss")


def test_without_treescope_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "treescope", None)
    walk = jw.walk(fun)(jnp.ones(3))
    assert "Walk through 2 points" in repr(walk)
    with pytest.raises(jw.JaxwalkError, match="Trees in a notebook need treescope, the extra `notebook`: `uv sync"):
        walk.__treescope_repr__(None, None)
