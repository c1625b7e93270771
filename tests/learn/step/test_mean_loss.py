"""The loss of one datum that is none, or a function that fails on what it is given: a sentence."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxwalk as jw

pytestmark = pytest.mark.once

X, Y = np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)
GIVEN = "`learn` gave `fun` `params` of ['a'] float32[3, 5] and one datum, a row of a batch: float32[3], float32[4]"


def learn(fun, params=None, batches=((X, Y),)):
    params = {"a": jnp.ones((3, 5))} if params is None else params
    return jw.learn(fun, params, list(batches), optax.sgd(0.1), progress=False)


@pytest.mark.parametrize(
    ("fun", "what"),
    [
        (lambda w, x, y: (x @ w["a"]) ** 2, "it has shape (5,)"),
        (lambda w, x, y: (x.sum(), y), "`fun` returns a tuple"),
        (lambda w, x, y: {"loss": x.sum()}, "`fun` returns a dict"),
        (lambda w, x, y: None, "`fun` returns None"),
        (lambda w, x, y: "no", "`fun` returns a str"),
        (lambda w, x, y: 3, "its dtype is int32"),
        (lambda w, x, y: x.sum() > 0, "its dtype is bool"),
        (lambda w, x, y: x.sum().astype(complex), "its dtype is complex64"),
    ],
)
def test_no_loss(fun, what):
    with pytest.raises(jw.ArgumentError) as caught:
        learn(fun)
    assert str(caught.value) == (
        f"The loss of one datum must be a real scalar, but {what}; `learn` gives `fun` one datum at a time, without"
        " the axis of the batch: return one float for it."
    )


def test_shapes_that_do_not_fit():
    with pytest.raises(jw.ArgumentError) as caught:
        learn(lambda w, x, y: jnp.sum((x @ w["a"] - y) ** 2))
    said = str(caught.value)
    assert said.startswith("`fun` fails on what it is given: ")
    assert said.endswith(f"; {GIVEN}; give it what fits.")
    assert "\n" not in said
    assert isinstance(caught.value.__cause__, TypeError)


def test_a_batch_that_is_one_array_has_numbers_as_data():
    with pytest.raises(jw.ArgumentError, match=r"one datum, a row of a batch: float32\[\]; give it what fits"):
        learn(lambda w, x: jnp.sum(x @ w["a"]), batches=X)


def test_many_params_are_counted():
    params = {name: jnp.ones(3) for name in "abcdef"}
    with pytest.raises(jw.ArgumentError, match=r"\['d'\] float32\[3\] and 2 more and one datum"):
        learn(lambda w, x, y: jnp.sum(w["a"] + y), params)


@pytest.mark.parametrize(
    ("fun", "error"), [(lambda w, x, y: w["b"], KeyError), (lambda w, x, y: 1 / 0, ArithmeticError)]
)
def test_other_errors_of_the_user_are_left_as_they_are_with_a_note(fun, error):
    with pytest.raises(error) as caught:
        learn(fun)
    assert f"{GIVEN}." in caught.value.__notes__
