"""The page of a training: findings with their advice on top, the picture of its steps, the points of the last one."""

import dataclasses
import html
import re

import jax.numpy as jnp
import numpy as np
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
    assert SECTIONS.findall(page) == ["findings", "training", "flow", "points", "numbers", "about"]
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


def test_a_history_without_steps_is_refused(history):
    empty = dataclasses.replace(history, steps=np.arange(0), loss=np.ones(0))
    with pytest.raises(jw.ArgumentError, match="`history` holds no step; train for one at least"):
        record_of(empty)
