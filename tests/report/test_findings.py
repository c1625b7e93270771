"""What the findings say of walks and evaluations, in which what they speak of is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._report.findings import Link, findings, looked_at
from jaxwalk._report.record import record_of

pytestmark = pytest.mark.once

X = jnp.array([1.0, 0.5, -0.5])


def said(result):
    """The sentences, a point in backticks."""
    text = lambda part: f"`{part.name}`" if isinstance(part, Link) else part
    return ["".join(map(text, finding.sentence)) for finding in findings(record_of(result))]


def test_no_finding():
    record = record_of(jw.walk(lambda x: jnp.sum(jw.tag(x * x, "square")))(X))
    assert list(findings(record)) == []
    told = list(looked_at(record))
    assert "A NaN or an Inf, at any point." in told
    assert "Dead units: not looked at; `keep=jw.stats.dead` does." in told
    assert "Kinks: not looked at; `jw.kinks` does." in told


def test_where_the_flow_stops():
    def deep(x):
        for name, scale in {"first": 1.0, "second": 1.0, "third": 30.0}.items():
            x = jw.tag(jnp.tanh(scale * x), name)
        return jnp.sum(x - 1)

    assert said(jw.walk(deep)(10 * jnp.ones(3))) == [
        "The flow back has stopped at `second`: all of its δ is exactly zero, though the loss depends on it. So it is"
        " at `first`."
    ]


def test_what_is_not_finite():
    def fun(x):
        return jnp.sum(jw.tag(jnp.log(jw.tag(x - 1, "shifted")), "log"))

    (first, order, *others) = said(jw.walk(fun)(jnp.array([1.0, 3.0])))
    assert first.startswith(
        "The first number that is not finite: -inf in the output of `log` at [0], test_findings.py:"
    )
    assert order == (
        "In the order of the run, forward and back, a NaN or an Inf is met first in the output of `log`; then at"
        " `shifted`."
    )
    assert others == []


def test_growth_shrinking_and_what_is_not_used():
    def fun(x, fold):
        jw.tag(x * 2, "beside")
        return jnp.sum(jw.tag(fold * jw.tag(x, "early"), "late"))

    grows, unused = said(jw.walk(fun)(X, 1200.0))
    assert grows == (
        "δ is 1,200 times as large at one point as at another: its root mean square is 1.2e+03 at `early`, and 1 at"
        " `late`."
    )
    assert unused == "The loss does not depend on `beside`."
    assert said(jw.walk(fun)(X, 1e-7))[0].startswith(
        "δ is 1.0e+07 times as large at one point as at another: its root mean square is 1 at `late`"
    )
    assert said(jw.walk(fun)(X, 900.0)) == [unused]


def test_dead_units_and_blocked_flow_of_an_evaluation():
    def fun(w, x, y):
        return jnp.sum(jw.tag(jax.nn.relu(jw.tag(w @ x, "dense")), "relu")) - y

    batches = [(np.float32([[1, 2], [3, 1]]), np.zeros(2, np.float32))]
    w = jnp.array([[1.0, 1.0], [-1.0, -1.0], [-1.0, -2.0], [-3.0, -1.0]])
    keep = jw.stats.combine(jw.stats.summary, jw.stats.dead, jw.stats.blocked)
    found = jw.evaluate(fun, w, batches, at="relu", keep=keep)
    assert said(found) == [
        "75 % of the entries that a δ reaches at `relu` are exactly zero: where a relu made them, it passes none of"
        " that back.",
        "75 % of the units are exactly zero over 2 data at `relu`: where a relu made them, the flow stops there.",
    ]
    before = jw.evaluate(fun, w, batches, at="dense", keep=jw.stats.dead)
    assert said(before) == ["The flow stops at `dense`: 75 % of its units pass nothing over 2 data."]
    told = list(looked_at(record_of(found)))
    assert "Dead units, where 50 % or more are: looked at 1 point of 1." in told


def test_a_layer_that_begins_at_zero_blocks_nothing():
    """As the second factor of a low-rank adapter: its outputs are zeros, and its δ is not."""
    fun = lambda b, x: (jw.tag(x @ b, "lora") - 1.0) ** 2
    (sentence,) = said(jw.walk(fun, keep=jw.stats.blocked)(jnp.zeros(3), X))
    assert sentence.startswith("100 % of the entries that a δ reaches at `lora` are exactly zero: where a relu made")


def test_numbers_that_are_not_finite_in_what_was_kept():
    fun = lambda x: jnp.sum(jw.tag(jnp.sqrt(x - 5), "root"))
    assert said(jw.walk(fun, keep=jw.stats.norms)(X)) == [
        "The loss is a NaN or an Inf.",
        "In the order of the run, forward and back, a NaN or an Inf is met first in the output of `root`.",
    ]
    dead = record_of(jw.walk(fun, keep=jw.stats.dead)(X))
    assert [finding.sentence for finding in findings(dead)] == [("The loss is a NaN or an Inf.",)]
    assert "Sizes, and so a NaN, an Inf or zeros: not looked at; `keep=jw.stats.summary` does." in looked_at(dead)
    norms = record_of(jw.walk(fun, keep=jw.stats.norms)(X))
    assert "δ of which 90 % or more are exactly zero: not looked at; `keep=jw.stats.zeros` does." in looked_at(norms)


def test_silent_points_and_a_thin_delta():
    def fun(x):
        return jnp.sum(jw.tag(x * 0, "silent")) + jw.tag(x, "thin")[3]

    assert said(jw.walk(fun)(jnp.ones(20))) == [
        "Every output is exactly zero at `silent`.",
        "95 % of δ is exactly zero at `thin`.",
    ]


def test_kinks_and_many_points():
    def fun(x):
        for i in range(6):
            x = jw.tag(jax.nn.relu(x), f"relu{i}")
        return jnp.sum(x)

    x = jnp.array([0.0, 1.0])
    (sentence,) = said(jw.walk(fun)(x).with_kinks(jw.kinks(fun, x)))
    assert sentence == (
        "Rounding or a tie decides which δ is taken in what makes `relu0`, `relu1`, `relu2`, `relu3` and 2 more."
    )


def test_data_that_are_not_finite():
    fun = lambda w, x, y: jnp.sum(jw.tag(jnp.log(w * x), "log")) - y
    batches = [(np.float32([[1, 2], [0, 1], [3, 4]]), np.zeros(3, np.float32))]
    first, order = said(jw.evaluate(fun, jnp.float32(1), batches))
    assert first == "1 datum with a NaN or Inf: 1. The mean loss is of finite ones."
    assert order.endswith("is met first in the output of `log`.")
