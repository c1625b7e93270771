"""Where a NaN or an Inf is first met says where that is in the source, and whether it came in with the data."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxwalk as jw

W, X, Y = np.ones((3, 2), np.float32), np.ones(3, np.float32), np.ones(2, np.float32)
BAD = np.float32([1, np.nan, 1])


def loss(w, x, y):
    return jnp.sum((jw.tag(jnp.tanh(x @ w), "h") - y) ** 2)


PLACE = f"test_nonfinite.py:{loss.__code__.co_firstlineno + 1}"


def test_it_shows_the_place_in_the_source():
    found = jw.walk(loss)(W * np.float32("nan"), X, Y).first_nonfinite()
    assert repr(found) == f"NaN in the output of `h` at [0], {PLACE}"
    assert (found.line, found.inputs) == (loss.__code__.co_firstlineno + 1, ())
    assert repr(jw.walk(lambda x: jnp.log(jw.tag(x, "x")) * 1)(np.float32(0)).first_nonfinite()) == "-inf in the loss"


def test_it_says_that_an_argument_has_it_already():
    walk = jax.jit(jw.walk(loss))(W, BAD, Y)
    found = walk.first_nonfinite()
    assert dict(walk.inputs) == {"args[1]": 2, "args[2]": 0}
    assert found.inputs == ("args[1]",)
    assert repr(found) == f"NaN in the output of `h` at [0], {PLACE}; a NaN or Inf is in `args[1]` already"
    named = jw.walk(lambda x, data: jnp.sum(jw.tag(x * data["m"], "h")))(X, data={"m": BAD, "n": 3}).first_nonfinite()
    assert named.inputs == ("data['m']",)


def test_of_many_walks_it_is_asked_of_the_datum_that_is_named():
    walk = jax.vmap(jw.walk(loss), (None, 0, 0))(W, np.stack([X, X, BAD]), np.stack([Y, Y * np.float32("inf"), Y]))
    found = walk.first_nonfinite()
    assert (found.point, found.index, found.inputs) == ("h", (2, 0), ("args[1]",))


def test_nothing_is_looked_for_where_nothing_is_held():
    assert not jw.walk(loss, keep=lambda output, delta: jnp.sum(delta))(W, BAD, Y).inputs
