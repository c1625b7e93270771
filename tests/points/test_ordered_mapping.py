import jax
import numpy as np
import pytest

from jaxwalk import Named


def test_is_a_read_only_mapping_in_its_own_order():
    named = Named({"b": 1, "a": 2})
    assert (list(named), list(named.values()), len(named), "a" in named, named.get("c")) == (
        ["b", "a"],
        [1, 2],
        2,
        True,
        None,
    )
    assert named == {"b": 1, "a": 2}
    with pytest.raises(TypeError):
        named["b"] = 3


def test_the_order_is_not_sorted_by_jax():
    leaves, tree = jax.tree.flatten(Named({"b": 1, "a": 2}))
    assert leaves == [1, 2]
    assert list(jax.tree.unflatten(tree, leaves)) == ["b", "a"]
    assert jax.tree.structure(Named({"a": 1, "b": 2})) != tree


def test_paths_carry_the_names():
    ((path, _),) = jax.tree_util.tree_leaves_with_path(Named({"enc/L1": 1}))
    assert jax.tree_util.keystr(path) == "['enc/L1']"


def test_says_why_a_name_is_absent_also_after_jit():
    named = jax.tree.map(lambda x: x, Named({"a": 1}, {"b": "Its dtype is int32."}))
    with pytest.raises(KeyError, match=r"There is no `b` here\. Its dtype is int32\."):
        named["b"]
    with pytest.raises(KeyError, match=r"There is no `aa` here\. Near it: `a`\."):
        named["aa"]
    with pytest.raises(KeyError, match="There are none"):
        Named({})["a"]


def test_of_a_mapping_the_first_are_shown_by_name():
    kept = {"l2": np.array(1.8274), "max": np.array(3), "key": jax.random.key(0), "min": np.ones(2), "zeros": 0}
    lines = repr(Named({"h": kept, "few": {"a": {"b": np.arange(2)}, "none": None}})).splitlines()
    assert lines == [
        "2 values",
        "  name  is",
        "  h     l2 1.827, max 3, key key<fry>[], … 2 more",
        "  few   a (0, 1), none",
    ]


def test_shows_what_it_can():
    named = Named(
        {"small": np.arange(2), "large": np.zeros((100, 100)), "key": jax.random.key(0), "tree": {"a": np.ones(1)}}
    )
    lines = repr(named).splitlines()
    assert lines[0] == "4 values"
    assert lines[2].split() == ["small", "int64[2]", "(0,", "1)"]
    assert lines[3].split() == ["large", "float64[100,", "100]"]
    assert "<td" in named._repr_html_()
    assert repr(Named({})) == "0 values"
