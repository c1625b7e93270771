"""`Columns`: what many points have is one array in the pytree, and is found by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._points.columns import Columns, Group

pytestmark = pytest.mark.once


def columns():
    named = jw.Named({"b": None, "a": None}, same={}, aliases={"first": "b"})
    groups = Group(("b", "a"), (("size", 0), ("each", 1))), Group(("a",), (("more", 0),))
    arrays = {"size": jnp.arange(2.0), "each": jnp.arange(6.0).reshape(2, 3)}, {"more": jnp.ones(1)}
    return Columns(named, groups, arrays)


def test_by_name_in_order_also_after_jit_and_vmap():
    found = jax.jit(lambda c: jax.tree.map(lambda leaf: leaf * 2, c))(columns())
    assert [*found] == ["b", "a"]
    assert {key: value.tolist() for key, value in found["a"].items()} == {"size": 2, "each": [6, 8, 10], "more": 2}
    assert found["first"]["size"] == 0
    assert len(jax.tree.leaves(found)) == 3
    many = jax.vmap(lambda factor: jax.tree.map(lambda leaf: leaf * factor, columns()))(jnp.arange(4.0))
    np.testing.assert_array_equal(many["a"]["each"], np.outer(np.arange(4), [3, 4, 5]))
    with pytest.raises(jw.PointError, match="There is no `c` here"):
        found["c"]


def test_another_axis_in_its_place_is_refused():
    moved = jax.vmap(lambda f: jax.tree.map(lambda leaf: leaf * f, columns()), out_axes=-1)(jnp.arange(4.0))
    with pytest.raises(jw.ArgumentError, match=r"leave `out_axes` of `jax\.vmap` 0"):
        moved["a"]
