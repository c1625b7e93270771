"""The page of a training: findings with their advice on top, the picture of its steps, the points of the last one."""

import dataclasses
import html
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from histories import synthetic

import jaxwalk as jw
from jaxwalk._learn.learn import Learned
from jaxwalk._report.page import html_of
from jaxwalk._report.record import record_of

pytestmark = pytest.mark.once

SECTIONS = re.compile('<section id="(.*?)">')


def text_of(page):
    return html.unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.S))


@pytest.fixture(scope="module")
def history():
    weights = {"weight_l2": np.full(20, 2.0), "gradient_l2": np.full(20, 3.0), "update_l2": np.linspace(0, 0.5, 20)}
    still = {"weight_l2": np.zeros(20), "gradient_l2": np.zeros(20), "update_l2": np.zeros(20)}
    made = synthetic(steps=20, blocks=2, layers=3)
    return dataclasses.replace(made, weights=jw.Named({"dense/kernel": weights, "dense/bias": still}))


def test_a_training(history):
    page = html_of(record_of(Learned(None, None, history)))
    assert SECTIONS.findall(page) == [
        "findings", "training", "flow", "points", "culprits", "numbers", "about"
    ]  # fmt: skip
    found = jw.health(history)
    assert "nonfinite" in [finding.name for finding in found]
    text = " ".join(text_of(page).split())
    for finding in found:
        assert " ".join(finding.meaning.split()) in text
        assert " ".join(finding.advice.split()) in text
    assert "The flow of step 19, forward and back" in text
    assert "20 steps of training through 22 points" in text
    assert "dense/kernel 2 3 0.5 0.25 dense/bias 0 0 0" in text
    last = history.kept["blocks/0/norm_1"]["delta_rms"][-1]
    assert f"{float(np.sqrt(np.mean(last.astype(np.float64) ** 2))):.3g}" in text
    ids = re.findall(' id="(.*?)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#(.*?)"', page)) <= set(ids)


def test_a_training_of_which_nothing_was_kept_has_its_loss(history):
    page = html_of(record_of(dataclasses.replace(history, kept=jw.Named({}))))
    assert SECTIONS.findall(page) == ["findings", "training", "points", "numbers", "about"]
    assert "The loss in each step" in page


def test_held_out_losses_are_a_table(history):
    evaluation = dataclasses.make_dataclass("Evaluated", ["epoch", "step", "loss"])
    told = dataclasses.replace(history, evaluations=(evaluation(0, 10, 2.5), evaluation(1, 20, 1.25)))
    text = " ".join(text_of(html_of(record_of(told))).split())
    assert "Held-out data epoch step mean loss 0 10 2.5 1 20 1.25" in text


def test_a_walk_and_an_evaluation_have_the_findings_of_health():
    fun = lambda w, x, y: jnp.sum(jw.tag(jnp.log(w * x), "log") - y)
    x = jnp.array([0.0, 1.0])
    walk = jw.walk(fun)(jnp.ones(2), x, x)
    evaluated = jw.evaluate(fun, jnp.ones(2), [(x[None], x[None])], progress=False)
    for result in (walk, evaluated):
        found = jw.health(result)
        assert [finding.name for finding in found][:1] == ["nonfinite"]
        text = " ".join(text_of(html_of(record_of(result))).split())
        assert all(" ".join(finding.advice.split()) in text for finding in found)


def test_a_history_without_steps_has_its_findings():
    """As of a run that is refused in its first step."""
    loss = lambda w, x: jw.tag(jnp.log(w * x), "log")
    with pytest.raises(jw.NonfiniteError) as caught, jax.numpy_dtype_promotion("standard"):
        jw.learn(loss, jnp.float32(1), [np.zeros(2, np.float32)], optax.sgd(0.1), progress=False)
    record = record_of(caught.value.learned)
    page = html_of(record)
    assert record.title == "0 steps of training through 1 point"
    assert SECTIONS.findall(page)[:2] == ["findings", "points"]
    text = " ".join(text_of(page).split())
    assert "In step 0 (epoch 0) the loss is -inf, first met as -inf in the output of `log`" in text
    assert "No step was recorded, so that there is nothing to draw." in text


def test_the_points_of_largest_delta_are_listed(history):
    table = record_of(history).culprits[0]
    assert table.columns == ("X", "point", "δ rms, step 0", "δ rms, step 19")
    assert table.notes == ["2 more points, of a smaller δ, are left out."]
    rms = lambda name, step: np.sqrt(np.mean(np.float64(history.kept[name]["delta_rms"][step]) ** 2))
    sizes = [rms(row[1], -1) for row in table.rows if row[3] != "nan"]
    assert sizes == sorted(sizes, reverse=True)
    for row in table.rows:
        assert row[2] == f"{rms(row[1], 0):.3g}"


def watched(every=1):
    loss = lambda w, x: jnp.mean((jw.tag(x @ w, "y") - 1) ** 2)
    return jax.jit(jw.watch(loss, optax.adam(0.1), every=every))


def seen_of(step, count=3):
    w, x, found = jnp.ones(2), jnp.eye(4, 2), []
    state = optax.adam(0.1).init(w)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(count):
            w, state, seen = step(w, state, x)
            found.append(seen)
    return found


def test_what_steps_have_seen():
    many = seen_of(watched())
    one = text_of(html_of(record_of(many[0])))
    assert "1 step of training through 1 point: loss 0.5" in one
    assert "; smallest" not in one
    assert "δ rms" in one
    listed, stacked = html_of(record_of(many)), html_of(record_of(jax.tree.map(lambda *steps: jnp.stack(steps), *many)))
    for page in (listed, stacked):
        assert SECTIONS.findall(page)[:3] == ["findings", "training", "flow"]
        assert "3 steps of training through 1 point" in page


def test_steps_that_were_not_looked_at_are_left_out():
    text = text_of(html_of(record_of(seen_of(watched(every=2)))))
    assert "In 1 step of 3 nothing was looked at: they are left out, with their loss." in text


def test_what_steps_of_different_points_have_seen_is_no_history():
    other = jw.Seen(jnp.zeros(()), None, jw.Named({}), jw.Named({}), None, jw.Points(()))
    with pytest.raises(
        jw.ArgumentError, match="What these 2 steps have seen is not alike, so that it makes no history"
    ):
        record_of([*seen_of(watched(), 1), other])
