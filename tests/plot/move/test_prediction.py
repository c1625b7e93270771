"""`prediction`: its curve is the function evaluated by hand, its lines are those of δ and of the move."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._cli.example.walkthrough import PATIENTS, params, patient_loss
from jaxwalk.plot._arrays.signed import NONFINITE

pytestmark = pytest.mark.once

X = jnp.array([0.5, -1.0, 2.0])


def lines(ax):
    return {line.get_label().partition(":")[0]: line for line in ax.lines}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_curve_tangent_and_secant_are_those_of_the_function():
    fun = lambda x: jnp.sum(jnp.sin(jw.tag(2 * x, "twice")) * x) ** 2
    walk, h = jw.walk(fun)(X), np.array([0.3, -0.2, 0.5], np.float32)
    ax = jw.plot.prediction(fun, (X,), walk, {"twice": h}, span=2)
    happens, predicted, secant = (lines(ax)[name] for name in ("what happens", "what δ predicts", "secant of h"))
    t, loss = happens.get_data()
    assert (t[0], t[-1]) == (-2, 2)
    by_hand = np.array([np.sum(np.sin(2 * np.float64(X) + s * h) * np.float64(X)) ** 2 for s in t])
    np.testing.assert_allclose(loss, by_hand, atol=1e-5)
    slope = (np.interp(1e-3, t, by_hand) - np.interp(-1e-3, t, by_hand)) / 2e-3
    t, loss = predicted.get_data()
    assert (loss[-1] - loss[0]) / 4 == pytest.approx(float(walk.predict({"twice": h})), rel=1e-5)
    assert (loss[-1] - loss[0]) / 4 == pytest.approx(slope, rel=0.05)
    end = np.sum(np.sin(2 * np.float64(X) + h) * np.float64(X)) ** 2
    np.testing.assert_allclose(secant.get_data(), [[0, 1], [walk.value, end]], rtol=1e-5)
    assert not any("jumps" in text for text in legend(ax))
    assert ax.get_title(loc="left") == "The loss along a move h of twice"


def test_the_third_patient_stands_on_a_kink():
    args = (params, PATIENTS.x[2], PATIENTS.y[2])
    walk = jw.walk(patient_loss)(*args)
    ax = jw.plot.prediction(patient_loss, args, walk, {"L2": np.float32(1)})
    assert legend(ax) == [
        "what happens",
        "what δ predicts: slope −1",
        "secant of h: slope −0.5",
        "kink: the slope jumps at t = 0, from 0 to −1",
    ]
    t, loss = lines(ax)["what happens"].get_data()
    np.testing.assert_allclose(loss, 0.5 * (np.maximum(t, 0) - 1) ** 2, atol=1e-6)
    hours = jw.plot.prediction(patient_loss, args, walk, {"input": np.array([0, 0, 1000], np.float32)})
    assert legend(hours)[-1] == "kink: the slope jumps at t = 0, from 0 to −0.172"  # 1000 / 5800


def test_kinks_are_where_entries_cross_their_threshold():
    fun = lambda x: jnp.sum(jnp.abs(jw.tag(x, "x"))) + jnp.sum(x**3)
    ax = jw.plot.prediction(fun, (X,), jw.walk(fun)(X), {"x": np.array([1.0, 3.0, 0.25], np.float32)})
    guides = [line.get_xdata()[0] for line in ax.lines if "jumps" in line.get_label()]
    np.testing.assert_allclose(guides, [-0.5, 1 / 3], atol=1e-5)  # 0.5 + t, -1 + 3 t; 2 + t / 4 has none
    assert legend(ax)[-1] == "kink: the slope jumps at 2 places"


def test_a_loss_that_jumps():
    fun = lambda x: jnp.floor(jw.tag(x, "x")) + x
    x = jnp.float32(0.25)
    ax = jw.plot.prediction(fun, (x,), jw.walk(fun)(x), {"x": np.float32(0.4)})  # from -0.35 to 0.85
    assert legend(ax)[-1] == "the loss jumps at t = −0.625, from −0.75 to 0.25"
    t, loss = lines(ax)["what happens"].get_data()
    known = np.isfinite(loss) & (np.abs(t + 0.625) > 1e-3)
    np.testing.assert_allclose(loss[known], np.floor(0.25 + 0.4 * t[known]) + 0.25, atol=1e-6)
    assert np.isnan(loss).sum() == 1


def test_what_is_smooth_has_no_kinks_however_steep():
    fun = lambda x: jnp.tanh(300 * jw.tag(x, "x")) + jnp.log(x + 2)
    x = jnp.float32(0.1)
    assert len(legend(jw.plot.prediction(fun, (x,), jw.walk(fun)(x), {"x": np.float32(1)}))) == 3


def test_a_move_of_some_steps_of_a_scan_is_added_to_what_is_computed_there():
    def fun(x):
        return jnp.sum(jax.lax.scan(lambda c, _: (jw.tag(jnp.tanh(c), "h"), None), x, None, length=4)[0] ** 2)

    walk, move = jw.walk(fun)(X), np.zeros((4, 3), np.float32)
    move[1], move[3] = 0.2, [0.1, -0.3, 0.0]
    t, loss = lines(jw.plot.prediction(fun, (X,), walk, {"h": move}))["what happens"].get_data()

    def by_hand(t, x):
        for step in range(4):
            x = np.tanh(x) + t * move[step]
        return np.sum(x**2)

    np.testing.assert_allclose(loss, [by_hand(s, np.float64(X)) for s in t], atol=1e-6)


def test_what_is_not_finite_is_a_gap_and_is_counted():
    fun = lambda x: jnp.log(jw.tag(x, "x"))
    x = jnp.float32(0.5)
    ax = jw.plot.prediction(fun, (x,), jw.walk(fun)(x), {"x": np.float32(1)})
    t, loss = lines(ax)["what happens"].get_data()
    np.testing.assert_array_equal(np.isnan(loss), t <= -0.5)
    assert legend(ax)[0] == f"NaN or Inf, at {np.isnan(loss).sum()} of {len(t)} places"
    (band,) = ax.patches
    assert band.get_facecolor()[:3] == plt.matplotlib.colors.to_rgb(NONFINITE)
    assert band.get_x() + band.get_width() == pytest.approx(-0.5, abs=0.03)
    assert len(legend(ax)) == 4  # the edge of the gap is no kink


def test_odd_functions_and_the_axes_given():
    fun = lambda x: (0 * jnp.sum(jw.tag(x, "$x$")) + 5, 2 * x)
    given = plt.figure(figsize=(2, 1)).add_axes((0.3, 0.3, 0.4, 0.4))
    walk = jw.walk(fun, has_aux=True)(X)
    assert jw.plot.prediction(fun, (X,), walk, {"$x$": np.zeros(3)}, span=0.5, ax=given) is given
    assert legend(given) == ["what happens", "what δ predicts: slope 0"]
    wave = lambda x: jnp.sum(jnp.abs(jw.tag(jax.lax.complex(x, x), "wave")) ** 2)
    ax = jw.plot.prediction(wave, (X,), jw.walk(wave)(X), {"wave": np.full(3, 1j, np.complex64)})
    t, loss = lines(ax)["what happens"].get_data()
    np.testing.assert_allclose(
        loss, [np.sum(np.abs(np.float64(X) + 1j * (np.float64(X) + s)) ** 2) for s in t], rtol=1e-5
    )


def test_what_is_refused():
    fun = lambda x: jnp.sum(jw.tag(x, "x") ** 2)
    walk, h = jw.walk(fun)(X), {"x": np.ones(3)}
    cases = [
        ((3, (X,), walk, h), {}, "`fun` is 3; give the function that was walked."),
        ((fun, X, walk, h), {}, "`args` is an array of shape (3,); give the arguments of `fun` as a tuple"),
        ((fun, (X,), 3, h), {}, "`walk` is 3, which is no `Walk`; give what `jw.walk` returned."),
        ((fun, (X,), walk, {"x": np.ones(2)}), {}, "The move of `x` has shape (2,), but δ there has shape (3,);"),
        ((fun, (X,), walk, {"y": np.ones(3)}), {}, "There is no `y` here."),
        ((fun, (X,), walk, h), {"span": 0}, "`span` is 0; give a positive number."),
        ((fun, (2 * X,), walk, h), {}, "The walk has the loss 5.25, and `fun` at `args` 21; give the function and the"),
        ((fun, (X,), jax.vmap(jw.walk(fun))(X[None]), h), {}, "The walk is of 1 data; give that of one, "),
    ]  # fmt: skip
    for args, options, text in cases:
        with pytest.raises(jw.JaxwalkError) as error:
            jw.plot.prediction(*args, **options)
        assert str(error.value).startswith(text)


def test_what_is_steep_is_no_jump():
    """A softmax that is all but hard: nearer than float32 can tell, and smooth."""
    fun = lambda x: jnp.sum(jax.nn.softmax(1e4 * jw.tag(x, "v")) * jnp.arange(3.0))
    x = jnp.array([0.1, 0.1, 0.10001])
    walk = jw.walk(fun)(x)
    ax = jw.plot.prediction(fun, (x,), walk, {"v": -walk.deltas["v"]})
    assert not [text for text in ax.get_legend().get_texts() if "jumps" in text.get_text()]
