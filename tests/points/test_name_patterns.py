import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw

pytestmark = pytest.mark.once

X = np.ones(3, np.float32)


def fun(x):
    for name in ("enc/0/attn", "enc/0/mlp", "enc/1/attn", "enc/1/mlp", "enc/1/mlp/act", "head", "a[0]"):
        x = jw.tag(x * 2, name)
    return jnp.sum(jw.tag(x, "head"))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("head", ["head"]),
        ("head*", ["head", "head#2"]),
        ("enc/*/mlp", ["enc/0/mlp", "enc/1/mlp"]),
        ("enc/1/*", ["enc/1/attn", "enc/1/mlp"]),
        ("enc/**", ["enc/0/attn", "enc/0/mlp", "enc/1/attn", "enc/1/mlp", "enc/1/mlp/act"]),
        ("**/act", ["enc/1/mlp/act"]),
        ("**/head", ["head"]),
        ("enc/[1-9]/?ttn", ["enc/1/attn"]),
        ("a[0]", ["a[0]"]),
        (["head", "enc/0/*"], ["enc/0/attn", "enc/0/mlp", "head"]),
        (lambda p: p.name.endswith("mlp"), ["enc/0/mlp", "enc/1/mlp"]),
        ([lambda p: p.number == 1, "head#2"], ["enc/0/attn", "head#2"]),
    ],
)
def test_at(at, expected):
    assert list(jw.walk(fun, at)(X).deltas) == expected
    assert list(jw.outputs(fun, at)(X)[1]) == expected


def test_a_point_keeps_its_number():
    assert jw.walk(fun, "head")(X).points["head"].number == 6


def test_what_is_not_chosen_changes_nothing():
    chosen, everything = jw.walk(fun, "enc/1/mlp")(X), jw.walk(fun)(X)
    np.testing.assert_array_equal(chosen.deltas["enc/1/mlp"], everything.deltas["enc/1/mlp"])
