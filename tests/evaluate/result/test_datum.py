"""The data most to blame: what is shown of their norms, and of their own numbers."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from dataset import X, evaluate
from jaxwalk._evaluate.result.datum import Datum, largest_norms

pytestmark = pytest.mark.once


def test_equal_norms_are_told_once():
    norms = jw.Named({"far": 4.0, "tagged": 2.0, "again": 2.0, "near": 1.0, "last": 0.5})
    assert largest_norms(Datum(0, 1.0, norms)) == "far 4, tagged = again 2, near 1"
    assert (
        largest_norms(Datum(0, 1.0, jw.Named({"a": np.nan, "b": np.nan, "c": np.nan, "d": 1.0})))
        == "a = b = … nan, d 1"
    )


def test_what_an_equals_sign_means_is_said():
    names = ["far", "tagged", "again", *"abcdef"]
    norms = lambda *first: jw.Named(dict(zip(names, (*first, *np.linspace(0.1, 0.6, 6)), strict=True)))
    note = "“a = b”: the norms of δ at `a` and at `b` are equal."
    assert repr(jw.Data([Datum(0, 1.0, norms(4.0, 2.0, 2.0))])).endswith(f"tagged = again 2, f 0.6\n{note}")
    assert note not in repr(jw.Data([Datum(0, 1.0, norms(4.0, 2.0, 1.0))]))


def test_a_datum_that_came_in_with_a_nan_says_so(tmp_path):
    x = X[:4].copy()
    x[2, 0] = np.nan
    fun = lambda params, x, y: jnp.log(jnp.abs(jnp.sum(jw.tag(x @ params["in"], "hidden")) * y))
    found = evaluate([(x, np.float32([1, 0, 1, 1]))], fun=fun, keep=None, top=3)
    assert [(d.index, d.inputs) for d in found.culprits][:2] in ([(1, ""), (2, "NaN")], [(2, "NaN"), (1, "")])
    assert "NaN in its inputs" in repr(found)
    assert repr(found).count("in its inputs") == 1
    found.save(tmp_path / "e.npz")
    assert repr(jw.Evaluation.load(tmp_path / "e.npz")) == repr(found)
