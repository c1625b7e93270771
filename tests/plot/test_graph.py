"""Graphs: by which boxes, arrows and words are in them."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._cli import example


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def words(ax):
    return {text.get_text() for text in ax.texts}


def arrows(ax, kind):
    return [int(patch.get_gid().split()[1]) for patch in ax.patches if str(patch.get_gid()).startswith(f"{kind} ")]


def test_the_worked_example_is_as_one_draws_it_by_hand():
    args = (example.params, example.PATIENTS.x[2], example.PATIENTS.y[2])
    walk = jw.walk(example.patient_loss)(*args).with_kinks(jw.kinks(example.patient_loss, *args))
    ax = jw.plot.graph(walk)
    assert {"x", "input", "L1", "L2", "L3", "Loss", "= 0.5", "params", "y", "kink: 1 near"} <= words(ax)
    assert {"X¹ =\n(0, 2000, 3000)", "δ³ = −1", "δ⁴ = −1", "∂X⁴/∂X³ = 1"} <= words(ax)
    assert "δ² =\n(−0.005, 0.0002586,\n−0.0001724)" in words(ax)
    assert "∂X³/∂X² =\n(0.005, −0.0002586,\n0.0001724)" in words(ax)
    assert arrows(ax, "output") == [0, 1, 2, 3]
    assert arrows(ax, "delta") == [0, 1, 2, 3]


def test_two_ways_are_drawn_as_they_are():
    def fun(x):
        h = jw.tag(2 * x, "h")
        left, right = jw.tag(jnp.sin(h), "left"), jw.tag(jax.lax.stop_gradient(h) + 1, "right")
        return jnp.sum(jw.tag(left * right, "both") + h)

    ax = jw.plot.graph(jw.walk(fun)(jnp.ones(2)))
    assert sorted(arrows(ax, "output")) == [0, 0, 0, 1, 2, 3]
    assert sorted(arrows(ax, "delta")) == [0, 0, 1, 2, 3]  # none through the stop_gradient
    ax = jw.plot.graph(jw.walk(fun, at=["h", "both"])(jnp.ones(2)))
    assert sorted(arrows(ax, "output")) == [0, 0, 1]
    np.testing.assert_array_less(0, ax.figure.get_size_inches())


def test_what_it_cannot_draw_is_refused():
    with pytest.raises(jw.ArgumentError, match=r"`what` is 3; give the `Walk` that `jw\.walk` made, or the `Points`"):
        jw.plot.graph(3)
