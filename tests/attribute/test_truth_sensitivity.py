"""Sensitivity against its definition, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("float64")]

KEY = jax.random.key(0)
X = np.array([1.0, -2.0])


def fun(x):
    return jnp.sum(jw.tag(jw.tag(x**3, "cube") * 2, "twice")) + jnp.sum(jw.tag(0 * x, "zero") * 0)


def test_it_is_the_largest_relative_change_of_the_scores():
    measure = jax.jit(attribute.sensitivity(attribute.saliency(fun), key=KEY, samples=6, radius=0.1, batch_size=4))(X)
    moves = [
        jax.random.uniform(jax.random.split(key, 1)[0], (2,), minval=-0.1, maxval=0.1)
        for key in jax.random.split(KEY, 6)
    ]
    scores = lambda x: 6 * x**2
    expected = max(np.linalg.norm(scores(X + m) - scores(X)) / np.linalg.norm(scores(X)) for m in moves)
    np.testing.assert_allclose(measure.inputs, expected, rtol=1e-9)
    assert measure.by_point["cube"] == 0
    assert np.isnan(measure.by_point["zero"])
    shown = repr(measure)
    assert shown.startswith("sensitivity of saliency at 3 points; of the inputs 0.")
    assert "NaN: the scores are zeros" in shown


def test_it_comes_near_the_largest_and_not_above():
    square = lambda x: jnp.sum(jw.tag(x, "x") ** 2)
    measure = attribute.sensitivity(attribute.saliency(square), key=KEY, samples=200, radius=0.5, batch_size=200)
    found = jax.jit(jax.vmap(measure))(np.ones((2, 1)))
    np.testing.assert_allclose(found.inputs, [0.5, 0.5], rtol=0.05)
    assert (found.inputs <= 0.5).all()
    assert found.by_point["x"].shape == (2,)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda: attribute.sensitivity(X, key=KEY), "`explain` is an array of shape (2,); give what a method returned"),
        (lambda: attribute.sensitivity(fun, key=KEY)(X), "`explain` returned an array of shape (), no `Attribution`"),
        (lambda: attribute.sensitivity(fun, key=0), "`key` is 0; give one of `jax.random.key`."),
        (lambda: attribute.sensitivity(fun, key=KEY, radius=0), "`radius` is 0; it must be a number above 0."),
        (
            lambda: attribute.sensitivity(fun, key=KEY)(np.array([1, 2])),
            "`args[0]` holds integers, and they do not move by",
        ),
        (
            lambda: attribute.sensitivity(fun, 1, key=KEY)(X),
            "`argnums` is 1, and what `sensitivity` returns was called",
        ),
    ],
)
def test_refused(of, said):
    with pytest.raises(jw.JaxwalkError) as caught:
        of()
    assert said in str(caught.value)
