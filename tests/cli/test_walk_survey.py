"""The survey's figures, against NumPy."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from jaxwalk._cli.data.dataset import DataBatches, Dataset
from jaxwalk._cli.walk_survey import points_of, survey
from jaxwalk._cli.walk_tables import survey_notes, survey_tables

pytestmark = pytest.mark.once

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def surveyed(fun, x, params=None, size=2, kinks=False, **options):
    blocks = lambda start, size: ((x[i : i + size], x[i : i + size]) for i in range(start, len(x), size))
    data = Dataset(Path("data"), len(x), [], blocks)
    points = points_of(fun, params, data, None, None)
    return survey(fun, params, DataBatches(data, size), points, kinks=kinks, **options)


def test_sizes_over_the_data_step_by_step():
    def fun(params, x, y):
        step = lambda c, _: (jw.tag(jw.tag(c * 2, "step").astype(jnp.int32), "whole").astype(c.dtype) * 0 + c * 2, None)
        return jnp.sum(lax.scan(step, x, None, length=4)[0])

    step, whole = surveyed(fun, X).by_point
    outputs = np.stack([X * 2**i for i in range(1, 5)])
    np.testing.assert_allclose(step.output["mean"], np.abs(outputs).mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(step.output["max"], np.abs(outputs).max((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(step.delta["max"], 0)
    assert whole.delta is None
    np.testing.assert_allclose(whole.output["mean"], np.abs(outputs.astype(np.int32)).mean((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(whole.output["zeros"], (outputs.astype(np.int32) == 0).mean((1, 2)), rtol=1e-6)


def test_two_names_of_one_value_are_told():
    def fun(params, x, y):
        with jax.named_scope("outer"), jax.named_scope("inner"):
            x = x * 2
        return jnp.sum(x)

    points, culprits, *_ = survey_tables(surveyed(fun, X), [], 200)
    assert [row[-1] for row in points.rows] == ["is `outer` too", "is `outer/inner` too"]
    assert "“a = b”: the norms of δ at `a` and at `b` are equal." not in culprits.notes


def test_no_delta_at_all():
    fun = lambda params, x, y: jnp.sum(x) + 0 * jw.tag(jnp.argmax(x), "i").astype(jnp.float32)
    with pytest.raises(jw.PointError, match="No point that is asked for has a δ; `i`: its dtype is int32"):
        surveyed(fun, X)


def test_data_that_are_not_finite_are_counted_and_named():
    x = np.float32([[1.0], [0.0], [-1.0], [4.0], [-2.0]])
    fun = lambda params, x, y: jnp.sum(jw.tag(jnp.log(jw.tag(x, "x")), "log"))
    found = surveyed(fun, x, top=2)
    sizes = {size.point.name: size for size in found.by_point}
    assert sizes["log"].output["nonfinite_data"] == 3
    assert sizes["x"].output["nonfinite_data"] == 0
    assert sizes["x"].delta["nonfinite_data"] == 1
    np.testing.assert_allclose(sizes["log"].output["max"], np.log(4), rtol=1e-6)
    assert next(iter(survey_notes(found, []))) == (
        "3 data with a NaN or Inf: 1, 2, and 1 more (`--top` names more). Of datum 1 the first is in the output of"
        " `log`. The mean loss is of finite ones."
    )


def test_opaque_points_and_empty_values_and_what_is_stuck():
    def fun(params, x, y):
        jw.tag(x[:0], "empty")
        doubled = lax.while_loop(lambda c: jnp.sum(c) < 9, lambda c: jw.tag(c * 2, "loop"), jw.tag(jnp.abs(x), "stuck"))
        return jnp.sum(doubled) + jnp.sum(x)

    found = surveyed(fun, X)
    empty, stuck, loop = found.by_point
    assert np.isnan(empty.output["mean"])
    assert (loop.delta, stuck.delta) == (None, None)
    np.testing.assert_allclose(stuck.output["max"], np.abs(X).max())
    notes = {row[1]: row[-1] for row in next(iter(survey_tables(found, [], 500))).rows}
    assert notes == {
        "empty": "unused; no entries",
        "stuck": "no delta: behind a while_loop or a callback",
        "loop": "last pass of a while_loop (zeros if none): no delta",
    }


def test_kinks_over_the_data_are_those_of_each_datum():
    x = np.float32([[0, 1], [0, 0], [1, 2], [3, 0], [-1, 0]])

    def fun(params, x, y):
        step = lambda c, _: (jw.tag(jnp.maximum(c, 0), "act"), None)
        return jnp.sum(lax.scan(step, x, None, length=3)[0]) + jnp.sum(jnp.abs(x)) * params

    found = surveyed(fun, x, np.float32(1), kinks=True)
    alone = [kink for row in x for kink in jw.kinks(fun, np.float32(1), row, row)]
    expected = {}
    for kink in alone:
        expected[kink.point] = expected.get(kink.point, 0) + len(kink)
    assert {name: count for name, count in found.kinks.items() if count} == expected
    assert expected["act"] > 0


def test_sizes_do_not_depend_on_the_batches():
    x = np.float32([[0, 0, 2], [np.nan, 0, -4], [np.inf, np.nan, np.nan], [1, 1, 1], [0, 3, 0]])
    found = surveyed(lambda params, x, y: jnp.sum(jw.tag(x, "x") ** 2), x, size=2)
    (line,) = found.by_point
    fine = [row[np.isfinite(row)] for row in x if np.isfinite(row).any()]
    np.testing.assert_allclose(line.output["mean"], np.mean([np.abs(row).mean() for row in fine]), rtol=1e-6)
    np.testing.assert_allclose(line.output["zeros"], np.mean([(row == 0).mean() for row in fine]), rtol=1e-6)
    assert (line.output["max"], line.output["nonfinite_data"]) == (4, 2)
    np.testing.assert_allclose(line.delta["mean"], np.mean([np.abs(2 * row).mean() for row in fine]), rtol=1e-6)
