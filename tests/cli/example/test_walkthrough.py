"""The worked example's figures.

Float32 and float64 hold the figures to the tolerances given. Exceptions are the third patient's inner deltas: exactly
0 in exact arithmetic, o2 falls on either side of L3's kink by rounding. In float32, by `dot` and `where` (as
`_cli/example/walkthrough.py` writes them), it falls where the textbook stands, X³ >= 0; so these are checked in
float32, and only where o2 came out >= 0 do the textbook's branch and ours agree. Away from the kink (x¹, x²), float64
is checked too.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._cli.example.walkthrough import (
    L1,
    L2,
    PATIENTS,
    WEIGHTS,
    Cohort,
    loss,
    model,
    params,
    patient_loss,
    walk_through,
)

pytestmark = pytest.mark.once

W2 = np.array([1 / 200, -3000 / 11600000, 1 / 5800])
ROUNDING = 4e-7  # what a float32 sum of terms of about 1 may be off

w = walk_through()
ws = w.walk


def test_forward_pass():
    np.testing.assert_array_equal(ws.outputs["L1"], [[100, 2000, 100], [200, 0, 0], [0, 2000, 3000]])
    np.testing.assert_allclose(ws.outputs["L2"], [0, 1, 0], atol=ROUNDING)
    np.testing.assert_allclose(ws.outputs["L3"], [0, 1, 0], atol=ROUNDING)


def test_loss():
    np.testing.assert_allclose(ws.value, [0, 0, 0.5], atol=ROUNDING)
    np.testing.assert_array_equal(w.correct, [True, True, False])
    assert w.worst == 2


def test_names_and_numbers():
    assert [(p.number, p.name) for p in ws.points.values()] == [(1, "input"), (2, "L1"), (3, "L2"), (4, "L3")]


def test_the_third_patient_falls_on_the_textbook_s_side_in_float32():
    assert 0 <= ws.outputs["L2"][2] < 1e-7


def test_backward_pass():
    deltas = {name: np.asarray(d) for name, d in ws.deltas.items()}
    np.testing.assert_allclose(deltas["L3"], [0, 0, -1], atol=ROUNDING)
    np.testing.assert_allclose(deltas["L2"], [0, 0, -1], atol=ROUNDING)
    for name in ("L1", "input"):
        np.testing.assert_allclose(deltas[name][2], -W2, rtol=1e-6)
        np.testing.assert_allclose(deltas[name][:2], np.zeros((2, 3)), atol=ROUNDING * W2.max())
    np.testing.assert_allclose(ws.grads["L2"][2], [0, -2000, -3000], rtol=1e-6)
    np.testing.assert_allclose(ws.grads["L2"][:2], np.zeros((2, 3)), atol=ROUNDING * 2000)


def test_the_explicit_formulas():
    """δ4 = o3 − y. δ3 = δ4 if o2 >= 0 else 0. δ2 = δ3·w². δw² = δ3·o1. δ1 = δ2. For many patients, in float32."""
    x = np.random.default_rng(0).uniform(0, [60, 3000, 3000], (50, 3)).astype(np.float32)
    y = np.tile(np.float32([0, 1]), 25)
    walk = walk_through(Cohort(x, y)).walk
    o, d = walk.outputs, walk.deltas
    assert 5 < np.sum(o["L2"] < 0) < 45  # both sides of the kink
    np.testing.assert_allclose(d["L3"], o["L3"] - y, rtol=1e-6)
    np.testing.assert_allclose(d["L2"], np.where(o["L2"] >= 0, d["L3"], 0), rtol=1e-6)
    np.testing.assert_allclose(d["L1"], np.outer(d["L2"], WEIGHTS), rtol=1e-5)
    np.testing.assert_allclose(d["input"], d["L1"], rtol=1e-6)
    np.testing.assert_allclose(walk.grads["L2"], np.asarray(d["L2"])[:, None] * x, rtol=1e-5)


def test_away_from_the_kink_in_float64():
    with jax.enable_x64(True):
        walk = jw.walk(patient_loss, argnums=0)({"L2": W2}, np.array([200.0, 0, 0]), 0.25)
        np.testing.assert_allclose(walk.deltas["L3"], 0.75, rtol=1e-14)
        np.testing.assert_allclose(walk.deltas["input"], 0.75 * W2, rtol=1e-14)
        np.testing.assert_allclose(walk.grads["L2"], [150, 0, 0], rtol=1e-14)


def test_the_kink_is_announced():
    np.testing.assert_array_equal(w.on_kink, [False, False, True])
    far = walk_through(Cohort(np.float32([[200, 0, 0], [0, 2000, 100]]), np.float32([0, 1])))
    np.testing.assert_array_equal(far.on_kink, [False, False])


def test_culprits_of_the_third_patient():
    found = {(c.point, *c.index): float(c.delta) for c in w.culprits}
    expected = {("L3",): -1, ("L2",): -1}
    for name in ("L1", "input"):
        expected |= {(name, i): -W2[i] for i in range(3)}
    assert found.keys() == expected.keys()
    for place, delta in expected.items():
        np.testing.assert_allclose(found[place], delta, rtol=1e-6)
    sizes = [abs(c.delta) for c in w.culprits]
    assert sizes == sorted(sizes, reverse=True)


def test_one_hour_of_workout_more():
    np.testing.assert_allclose(w.predicted, -1 / 5800, rtol=1e-6)
    np.testing.assert_allclose(w.actual, 0.5 * (1 - 1 / 5800) ** 2 - 0.5, atol=ROUNDING)


def test_blocked_flow_and_the_leaky_relu():
    """o2 < 0 and δ4 ≠ 0: nothing comes through L3; a leaky relu lets a hundredth through."""
    x, y = np.float32([0, 2000, 100]), np.float32(1)
    blocked = jw.walk(patient_loss)(params, x, y)
    assert blocked.outputs["L2"] < 0
    assert blocked.deltas["L3"] == -1
    assert blocked.deltas["L2"] == 0
    leaky = jw.chain(L1, L2, lambda x: jnp.where(x >= 0, x, 0.01 * x))
    walk = jw.walk(jw.objective(leaky, loss))(params, x, y)
    np.testing.assert_allclose(walk.deltas["L2"], 0.01 * walk.deltas["L3"], rtol=1e-6)


# Learning: these start from the textbook's δw², which float32 gives.


def outputs_after(weights):
    return np.array([model({"L2": np.float32(weights)}, x) for x in PATIENTS.x])


@pytest.mark.parametrize(("rate", "o3"), [(1.0, [4_300_000, 1, 13_000_000]), (1e-7, [0.43, 1, 1.3])])
def test_gradient_descent_one_datum_at_a_time(rate, o3):
    weights = WEIGHTS
    for x, y in zip(*PATIENTS, strict=True):
        step = jw.walk(patient_loss, argnums=0)({"L2": weights}, x, y).grads["L2"]
        weights = weights - np.float32(rate) * np.where(np.abs(step) < 1e-3, 0, step)  # x¹'s δw² is rounding: it is 0
    expected = W2 - rate * np.array([0, -2000, -3000])
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    np.testing.assert_allclose(outputs_after(weights), o3, rtol=1e-5)
    if rate < 1:
        np.testing.assert_allclose(loss(outputs_after(weights), PATIENTS.y), [0.09245, 0, 0.045], rtol=1e-4, atol=1e-12)


def test_batch_learning():
    fun = lambda params, xs, ys: jnp.mean(jax.vmap(patient_loss, (None, 0, 0))(params, xs, ys))
    walk = jw.walk(fun, argnums=0)(params, *PATIENTS)
    np.testing.assert_allclose(walk.value, 1 / 6, rtol=1e-6)
    np.testing.assert_allclose(walk.deltas["L3"][2], -1 / 3, rtol=1e-6)
    np.testing.assert_allclose(walk.deltas["L2"][2], -1 / 3, rtol=1e-6)
    np.testing.assert_allclose(walk.deltas["input"][2], -W2 / 3, rtol=1e-6)
    np.testing.assert_allclose(walk.grads["L2"], [0, -2000 / 3, -1000], rtol=1e-6, atol=1e-4)
    weights = WEIGHTS - np.float32(1e-7) * walk.grads["L2"]
    np.testing.assert_allclose(weights, [1 / 200, 0.0002 / 3 + W2[1], 0.0001 + W2[2]], rtol=1e-6)
    o3 = outputs_after(weights)
    np.testing.assert_allclose(o3, [0.43 / 3, 1, 1.3 / 3], rtol=1e-5)
    np.testing.assert_allclose(loss(o3, PATIENTS.y), [0.0102722, 0, 0.1605555], rtol=1e-4, atol=1e-12)
    np.testing.assert_array_equal((o3 >= 0.5) == PATIENTS.y, [True, True, False])


@pytest.mark.parametrize(("y", "sign"), [(1, -1), (-1, 1)])
def test_sign_analysis(y, sign):
    """δ4 < 0, result too low: δ3 < 0 and sign(δ2) = −sign(w²); δ4 > 0, the other way round."""
    walk = jw.walk(patient_loss)(params, np.float32([100, 0, 0]), np.float32(y))
    assert np.sign(walk.deltas["L3"]) == np.sign(walk.deltas["L2"]) == sign
    np.testing.assert_array_equal(np.sign(walk.deltas["L1"]), sign * np.sign(W2))
