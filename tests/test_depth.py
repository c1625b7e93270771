"""Functions that nest calls deeply: walked where `jax.grad` works, and a sentence where Python's frames end."""

import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._depth import TIMES, deep_calls

DEPTH = 20 if jax.config.jax_enable_checks else 80  # the checks look at every call of a call


SCALE = 1.01 ** (2 * DEPTH + 2)


def nested(depth):
    inner = jnp.sin if depth == 0 else nested(depth - 1)
    return jax.jit(lambda x: inner(x) * 1.01)


def loss(x):
    return jnp.sum(jw.tag(nested(DEPTH)(x), "out") ** 2)


@pytest.mark.parametrize("keep", [None, jw.stats.norms], ids=["whole", "norms"])
def test_what_jax_can_differentiate_is_walked(keep):
    x = np.ones(2, np.float32)
    walk = jw.walk(loss, argnums=0, keep=keep)(x)
    np.testing.assert_allclose(walk.grads, SCALE * np.sin(2) * x, rtol=1e-5)


def test_it_is_evaluated_too():
    found = jw.evaluate(lambda w, x: loss(w * x), np.float32(1), [np.ones((1, 2), np.float32)], progress=False)
    np.testing.assert_allclose(found.loss, 2 * SCALE * np.sin(1) ** 2, rtol=1e-5)


def endless(x):
    return endless(x) + x


@pytest.mark.parametrize(
    "of",
    [
        lambda: jw.walk(endless)(1.0),
        lambda: jw.points(endless, 1.0),
        lambda: jw.outputs(endless)(1.0),
        lambda: jw.vjp(endless, 1.0),
        lambda: jw.intervene(endless, {"a": 1.0})(1.0),
        lambda: jw.evaluate(lambda w, x: endless(x), 1.0, [np.ones(2)]),
    ],
    ids=["walk", "points", "outputs", "vjp", "intervene", "evaluate"],
)
@pytest.mark.once
def test_what_calls_itself_without_end_is_told(of):
    before = sys.getrecursionlimit()
    with pytest.raises(jw.ArgumentError, match="deeper than Python's limit of frames"):
        of()
    assert sys.getrecursionlimit() == before


@pytest.mark.once
def test_the_limit_is_raised_in_the_main_thread_alone_and_once():
    before, seen = sys.getrecursionlimit(), []

    @deep_calls()
    def limit():
        seen.append(sys.getrecursionlimit())

    with deep_calls():
        limit()
    thread = threading.Thread(target=limit)
    thread.start()
    thread.join()
    assert seen == [before * TIMES, before]
    assert sys.getrecursionlimit() == before
