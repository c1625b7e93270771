"""Which units a statistic has at a point is known there, and told; where they cannot be known it is asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import stats

X = np.random.default_rng(0).normal(size=(5, 1, 6, 6)).astype(np.float32)
PARAMS = {
    "conv": np.random.default_rng(1).normal(size=(4, 1, 3, 3)).astype(np.float32),
    "bias": np.float32([0, -99, 0, -99])[:, None, None],
    "out": np.ones((4, 3), np.float32),
}


def channels_first(params, x):
    h = jax.lax.conv_general_dilated(x[None], params["conv"], (1, 1), "SAME")[0]
    h = jw.tag(h + jnp.broadcast_to(params["bias"], h.shape), "conv")
    h = jw.tag(jax.nn.relu(h), "relu")
    means = jw.tag(jnp.mean(h, 1).reshape(2, 12), "mixed")
    cube = jw.tag(jnp.sin(x.reshape(3, 4, 3)), "cube")
    return jnp.sum(jw.tag(jnp.mean(h, (1, 2)) @ params["out"], "scores") ** 2) + jnp.sum(means) + jnp.sum(cube)


def test_dead_channels_of_a_convolution_are_counted_after_the_relu():
    found = jw.evaluate(channels_first, PARAMS, [(X,)], keep=stats.dead, progress=False)
    assert found.kept["conv"]["dead"].tolist() == found.kept["relu"]["dead"].tolist() == [False, True, False, True]
    after, made, mixed, cube, scores = (found.points[n].units[0] for n in ("conv", "relu", "mixed", "cube", "scores"))
    assert (after.axes, after.shape, str(after)) == ((0,), (4, 6, 6), "axis 0 of (4, 6, 6), after relu")
    assert str(made) == "axis 0 of (4, 6, 6), output of relu"
    assert str(scores) == "axis 0 of (3,), no activation"
    assert (mixed.axes, cube.axes) == (None, None)
    assert "axis 0 of (4, 6, 6), after relu" in repr(found)
    asked = "`cube` (3, 4, 3): nothing tells the axis of its units; choose an axis by `jw.stats.with_units`"
    assert asked in repr(found)
    with pytest.raises(jw.PointError, match="No `dead` at `cube`"):
        found.kept["cube"]


def test_an_axis_that_some_values_do_not_have():
    keep = stats.combine(stats.of_delta(stats.norms), stats.with_units(stats.dead, 1))
    found = jax.jit(jw.walk(channels_first, ["relu", "scores", "cube"], keep=keep))(PARAMS, X[0])
    assert found.kept["relu"]["dead"].shape == (6,)
    assert found.kept["cube"]["dead"].shape == (4,)
    assert set(found.kept["scores"]) == {"delta_l1", "delta_l2", "delta_max", "delta_rms"}
    assert str(found.points["scores"].units[0]) == "no dead: it has no axis 1"
    assert "No `dead` at `scores` (3,): it has no axis 1; choose an axis by `jw.stats.with_units`." in repr(found)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (
            stats.dead,
            r"`keep` can be taken at no point: No `dead` at `cube` \(3, 4, 3\): nothing tells the axis of its",
        ),
        (
            stats.with_units(stats.moments, (0, 3)),
            r"no point: No `moments` at `cube` \(3, 4, 3\): it has no axes 0, 3;",
        ),
    ],
)
def test_where_there_is_no_point_left(keep, message):
    with pytest.raises(jw.ArgumentError, match=message):
        jw.walk(channels_first, "cube", keep=keep)(PARAMS, X[0])


def test_what_differs_among_parts_is_told_of_each():
    keep = stats.combine(stats.dead, stats.with_units(stats.moments, ()))
    point = jw.walk(channels_first, "conv", keep=keep)(PARAMS, X[0]).points["conv"]
    assert point.note() == "dead: axis 0 of (4, 6, 6), after relu; moments: (4, 6, 6) as one unit"
