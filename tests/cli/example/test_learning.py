"""The worked example's learning phase: every figure of the textbook, in fractions and in floats."""

from fractions import Fraction as F

import numpy as np
import pytest

from jaxwalk._cli.example.learning import FLOATS, FRACTIONS, RATES, epochs, signs
from jaxwalk._cli.example.walkthrough import PATIENTS, Cohort

pytestmark = pytest.mark.once

W2 = [F(1, 200), F(-3000, 11600000), F(1, 5800)]
SMALL = F(1, 10**7)


@pytest.fixture(scope="module")
def exactly():
    return {(e.rate, e.is_batch): e for e in epochs(PATIENTS, FRACTIONS)}


@pytest.fixture(scope="module")
def in_floats():
    return {(e.rate, e.is_batch): e for e in epochs(PATIENTS, FLOATS)}


@pytest.mark.parametrize(("rate", "o3"), [(F(1), [4_300_000, 1, 13_000_000]), (SMALL, [F("0.43"), 1, F("1.3")])])
def test_one_patient_at_a_time(exactly, rate, o3):
    epoch = exactly[rate, False]
    weights = [u.weights.tolist() for u in epoch.updates]
    assert weights[:2] == [W2, W2]  # the first two teach nothing
    assert weights[2] == [W2[0], W2[1] + 2000 * rate, W2[2] + 3000 * rate]
    assert epoch.outputs == o3
    assert epoch.updates[2].delta_w2.tolist() == [0, -2000, -3000]


def test_the_losses_after_small_steps_and_who_is_right(exactly):
    epoch = exactly[SMALL, False]
    assert epoch.losses == [F("0.09245"), 0, F("0.045")]
    assert epoch.correct.tolist() == [True, True, True]


def test_all_at_once(exactly):
    epoch = exactly[SMALL, True]
    (update,) = epoch.updates
    assert update.walk.value == F(1, 6)
    deltas = update.walk.deltas
    assert [deltas[at].tolist() for at in ("L3", "L2")] == [[0, 0, F(-1, 3)]] * 2
    assert deltas["L1"][2].tolist() == deltas["input"][2].tolist() == [-w / 3 for w in W2]
    assert update.delta_w2.tolist() == [0, F(-2000, 3), -1000]
    assert update.weights.tolist() == [W2[0], F("0.0002") / 3 + W2[1], F("0.0001") + W2[2]]
    assert epoch.outputs == [F("0.43") / 3, 1, F("1.3") / 3]
    assert epoch.losses == [F(1849, 180000), 0, F(289, 1800)]
    assert epoch.correct.tolist() == [True, True, False]


def test_floats_agree_with_fractions(exactly, in_floats):
    for way, epoch in in_floats.items():
        expected = exactly[way]
        for found, right in zip(epoch.updates, expected.updates, strict=True):
            np.testing.assert_allclose(found.weights, right.weights.astype(float), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(epoch.outputs, np.float64(expected.outputs), rtol=1e-5)
        np.testing.assert_allclose(epoch.losses, np.float64(expected.losses), rtol=1e-4, atol=1e-12)
        assert epoch.correct.tolist() == expected.correct.tolist()


def test_what_is_nothing_but_rounding_teaches_nothing_and_is_named(in_floats, exactly):
    assert [u.settled for u in in_floats[F(1), False].updates] == [["x¹"], [], []]
    assert in_floats[F(1), True].updates[0].settled == ["x¹"]
    assert not any(u.settled for epoch in exactly.values() for u in epoch.updates)


def test_a_patient_of_whom_there_is_something_to_learn_is_not_settled():
    cohort = Cohort(np.float32([[200, 0, 0], [100, 0, 0]]), np.float32([0, 0]))
    for epoch in epochs(cohort, FLOATS, RATES[1:]):
        assert not any(u.settled for u in epoch.updates)
        if epoch.is_batch:
            np.testing.assert_allclose(epoch.updates[0].delta_w2, [(200 + 50) / 2, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("arithmetic", [FLOATS, FRACTIONS], ids=["floats", "fractions"])
def test_the_sign_analysis_is_that_of_the_textbook(arithmetic):
    sign = lambda value: int(value > 0) - int(value < 0)
    *open_, blocked = signs(arithmetic)
    should = {(sign(s.delta3), bool(s.o1 >= 0)): -sign(s.delta_w2) for s in open_}  # 1: grow, -1: shrink, 0: stay
    expected = {(0, True): 0, (0, False): 0, (-1, True): 1, (-1, False): -1, (1, True): -1, (1, False): 1}
    assert should == expected
    for s in open_:
        assert s.o2 >= 0
        assert sign(s.delta3) == sign(s.delta4)
        assert sign(s.delta2) == sign(s.delta4) * sign(s.w2)
    assert blocked.o2 < 0
    assert (blocked.delta4, blocked.delta3) == (-1, 0)
    np.testing.assert_allclose(float(blocked.leaky), 0.01 * (-0.005 * 0.01 - 1), rtol=1e-6)
