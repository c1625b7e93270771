"""The rules, on numbers made by hand: what is found, what is not, and what is said of it."""

import pickle

import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._health.judge import RULES, judge
from jaxwalk._health.signals import Signals
from jaxwalk._health.trend import slope

pytestmark = pytest.mark.once
N = 60


def point(name, number, shape=(32, 16), dtype="float32", **known):
    return jw.Point(name, number, "tag", shape, np.dtype(dtype), clock=(number,), site=((), number, 0), **known)


def signals(kept, loss=None, weights=None, steps=True, points=None, **known):
    """Of points one after the other, with numbers that are the same in each step unless they have an axis of steps."""
    points = points or [point(name, i) for i, name in enumerate(kept, 1)]
    count = len(loss) if loss is not None else N
    loss = np.linspace(2.0, 1.0, N) if loss is None else np.asarray(loss, float)
    full = lambda numbers: {k: np.asarray(v) if np.ndim(v) else np.full(count, v) for k, v in numbers.items()}
    weights = {path: full(sizes) for path, sizes in (weights or {}).items()}
    kept = {name: full(numbers) for name, numbers in kept.items()}
    return Signals(jw.Points(points), loss, kept, weights, np.arange(count) if steps else None, **known)


def names(found):
    return [finding.name for finding in found]


def stack(sizes, pattern="h/{}/attn", key="delta_l2"):
    return {pattern.format(i): {key: size} for i, size in enumerate(sizes)}


def test_layers_that_look_alike_are_one_finding():
    falling = stack([10.0 ** (i - 12) for i in range(12)]) | stack([10.0 ** (i - 8) for i in range(12)], "h/{}/mlp")
    (found,) = judge(signals(falling))
    assert found.name == "vanishing"
    assert found.number == pytest.approx(1e11)
    assert len(found.points) == 24
    assert found.meaning.startswith(
        "‖δ‖ falls by a factor of 1e+11 on its way back from `h/11/attn` to `h/0/attn`, over"
    )


def test_points_of_other_kinds_are_not_compared():
    """Scores have a smaller δ than the residual stream, by nature; so has what comes before a sum of many."""
    kept = stack([1.0] * 6, "h/{}/out") | stack([1e-6] * 6, "h/{}/scores") | {"embedded": {"delta_l2": 1e-9}}
    assert judge(signals(kept)) == ()


def test_one_layer_far_off_is_no_slope():
    assert judge(signals(stack([1.0, 1.0, 1e-12, 1.0, 1.0, 1.0]))) == ()


def test_numbers_count_on_over_occurrences():
    kept = {"relu": {"delta_l2": 1e-8}} | {f"relu#{i}": {"delta_l2": 10.0 ** (i - 8)} for i in range(2, 9)}
    assert names(judge(signals(kept))) == ["vanishing"]


def test_what_passes_is_not_found():
    """Branches that begin at zero, a first step of Adam, a spike: not in most of the later half."""
    sizes = np.where(np.arange(N) < 5, 1.0, 0.0)
    kept = {
        f"h/{i}": {"delta_l2": 1 + (10.0 ** (3 * i)) * sizes, "output_zeros": sizes, "output_std": 1.0}
        for i in range(6)
    }
    weights = {"w": {"weight_l2": 1.0, "gradient_l2": 1.0, "update_l2": 0.1 + 99 * sizes}}
    assert judge(signals(kept, weights=weights)) == ()


def test_a_run_that_has_converged_is_healthy():
    loss = np.geomspace(1.0, 1e-12, 40)
    kept = stack([1.0] * 5) | {f"h/{i}/attn": {"delta_l2": np.sqrt(loss)} for i in range(5)}
    weights = {"w": {"weight_l2": 1.0, "gradient_l2": np.sqrt(loss), "update_l2": 1e-3 * np.sqrt(loss)}}
    assert judge(signals(kept, loss, weights)) == ()
    at_zero = {f"h/{i}/attn": {"delta_l2": 0.0} for i in range(5)}
    assert judge(signals(at_zero, np.zeros(40))) == ()


def test_a_loss_that_has_come_to_its_floor_is_not_stalled():
    random = np.random.default_rng(0)
    loss = 1 + 3 * np.exp(-np.arange(200.0)) + 0.1 * random.normal(size=200)
    assert judge(signals({}, loss)) == ()


@pytest.mark.parametrize("seed", range(8))
def test_a_noisy_loss_that_falls_is_not_stalled(seed):
    random = np.random.default_rng(seed)
    loss = np.linspace(2.0, 0.8, 60) * random.exponential(size=60)
    assert judge(signals({}, loss)) == ()


@pytest.mark.parametrize("loss", [np.full(N, 2.3), np.linspace(2.0, 2.2, N), np.full(N, -3.0)])
def test_a_loss_that_does_not_fall_is_stalled(loss):
    assert "stalled" in names(judge(signals({}, loss)))


def test_delta_that_falls_is_vanishing_unless_the_loss_falls_too():
    kept = stack([1.0] * 3) | {f"h/{i}/attn": {"delta_l2": np.geomspace(1.0, 1e-5, N)} for i in range(3)}
    assert names(judge(signals(kept, np.linspace(2.0, 1.5, N)))) == ["vanishing"]
    assert judge(signals(kept, np.geomspace(2.0, 1e-5, N))) == ()


def test_delta_that_grows_is_exploding():
    kept = {f"h/{i}/attn": {"delta_l2": np.geomspace(1.0, 1e5, N)} for i in range(3)}
    (found,) = judge(signals(kept))
    assert (found.name, found.steps) == ("exploding", (0, N - 1))
    assert "grows by a factor of 100,000 over 60 steps" in found.meaning


def test_biases_that_begin_at_zero_are_no_large_update():
    grown = np.cumsum(np.full(N, 0.1))
    weights = {"b": {"weight_l2": np.concatenate([[0.0], grown[:-1]]), "gradient_l2": 1.0, "update_l2": 0.1}}
    assert judge(signals({}, weights=weights)) == ()


def test_weights_that_decay_to_zero_and_rates_that_warm_up_are_healthy():
    sizes = np.geomspace(1.0, 1e-6, N)
    decays = {"weight_l2": sizes, "gradient_l2": 1e-9 * sizes, "update_l2": 0.5 * sizes}
    warms = {"weight_l2": 1.0, "gradient_l2": 1.0, "update_l2": np.geomspace(1e-9, 1e-3, N)}
    gathers = {"weight_l2": 1.0, "gradient_l2": 1.0, "update_l2": np.where(np.arange(N) % 4, 0.0, 1e-3)}
    assert judge(signals({}, weights={"decays": decays, "warms": warms, "gathers": gathers})) == ()


def test_an_update_ratio_that_grows_is_found():
    weights = {"w": {"weight_l2": 1.0, "gradient_l2": 1.0, "update_l2": np.geomspace(1e-4, 2.0, N)}}
    (found,) = judge(signals({}, weights=weights))
    assert (found.name, found.weights, found.threshold) == ("update", ("w",), 1000.0)
    assert found.meaning.endswith("to 0.618 of them: the training runs away.")


def test_an_inf_that_a_mask_made_is_healthy():
    fine = {"output_nan": 0, "output_inf": 0, "delta_nan": 0, "delta_inf": 0}
    kept = {"scores": fine | {"output_inf": 120}, "attention": fine, "out": fine}
    assert judge(signals(kept)) == ()
    loss = np.where(np.arange(N) < 15, 1.0, np.nan)
    bad = np.where(np.arange(N) < 15, 0, 3)
    (found,) = judge(signals(kept | {"attention": fine | {"output_nan": bad}}, loss)).named("nonfinite")
    assert (found.steps, found.number) == ((15, 59), 120.0)


def test_backward_the_last_point_is_the_first():
    fine = {"output_nan": 0, "output_inf": 0, "delta_nan": 0, "delta_inf": 0}
    kept = {"a": fine | {"delta_nan": 5}, "b": fine | {"delta_nan": 2}, "c": fine}
    weights = {"w": {"gradient_l2": np.nan}}
    (found,) = judge(signals(kept, weights=weights))
    assert found.meaning == "The first NaN is met in δ of `b` in step 0, 2 entries. In this step it is also at `a`."
    assert (found.points, found.weights) == (("a", "b"), ("w",))
    assert "√ at 0" in found.advice


def test_dead_units_of_few_data_are_not_judged():
    shares = np.zeros((1, 16))
    few = signals({"relu": {"active_share": shares}}, [1.0], steps=False, points=[point("relu", 1, (16,))])
    assert judge(few).named("dead") == ()
    many = few._replace(runs=100)
    (found,) = judge(many).named("dead")
    assert found.meaning.startswith("100 % of the 16 units at `relu` are active on less than 1 % of the data")


def test_unused_points_are_said_to_be_so():
    points = [point("a", 1, unused=True), point("b", 2, stopped=True)]
    kept = {"a": {"delta_l2": 0.0}, "b": {"delta_l2": 0.0}}
    weights = {"w": {"gradient_l2": 0.0}}
    weights_found, points_found = judge(signals(kept, points=points, weights=weights))
    assert weights_found.advice.endswith("if it is frozen on purpose, all is well. δ is stopped before `b`.")
    assert points_found.meaning == "The loss does not depend on `a`: 0 of δ arrives."


def test_a_threshold_is_asked_for_by_its_name():
    kept = stack([10.0**i for i in range(4)])
    assert names(judge(signals(kept), {"vanishing_fold": 100})) == ["vanishing"]
    assert names(judge(signals(kept), {"vanishing_fold": 2000.0})) == []
    assert names(judge(signals(kept), {"vanishing_fold": 100, "vanishing": False})) == []
    assert "Left out: `vanishing`." in judge(signals(kept), {"vanishing": False}).notes


def message(thresholds):
    with pytest.raises(jw.ArgumentError) as error:
        judge(signals({}), thresholds)
    return str(error.value)


def test_thresholds_that_are_wrong():
    every = ", ".join(f"`{t.name}`" for rule in RULES for t in rule.thresholds)
    assert message({"ded_share": 0.5}) == (
        "There is no threshold `ded_share`. Near it: `dead_share`, `underflow_share`, `saturated_share`,"
        f" `overflow_share`, `dead_active`. All: {every}."
    )
    assert message({"dead_share": "half"}) == "`dead_share` is 'half'; it must be a number from 0 to 1."
    assert message({"dead_share": 50}) == "`dead_share` is 50; it must be a number from 0 to 1."
    assert message({"update_most": float("nan")}) == "`update_most` is nan; it must be a number of at least 0."
    assert message({"update_most": True}) == "`update_most` is True; it must be a number of at least 0."
    assert message({"dead": 0.1}) == (
        "`dead` is 0.1, but it is a rule; False leaves it out, and its thresholds are `dead_active`, `dead_share`."
    )


def test_no_step_is_no_health():
    found = judge(signals({}, []))
    assert found == ()
    assert found.notes == ("There is no step to look at.",)


def test_healthy_says_what_was_looked_at():
    found = judge(signals({"a": {"delta_l2": 1.0}}, weights={"w": {"gradient_l2": 1.0}}))
    assert repr(found).startswith("healthy: 10 rules, 1 point, 1 array of the params, 60 steps.")
    assert "`initialisation` was not looked for: no point has `output_std`; `keep=jw.stats.health` keeps it." in repr(
        found
    )


def test_the_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    found = judge(signals(stack([10.0**i for i in range(5)]), np.full(N, 2.0), knows_activations=False))
    assert repr(found) == TABLE
    assert max(map(len, repr(found).splitlines())) <= 80
    html = found._repr_html_()
    assert html.count("<tr") == 5
    assert "from `h/4/attn` to `h/0/attn`" in html
    assert pickle.loads(pickle.dumps(found)) == found
    assert repr(pickle.loads(pickle.dumps(found))) == repr(found)
    assert found.at("h/2/attn") == found.named("vanishing") == found[:1]


TABLE = """\
2 findings: 8 rules, 5 points, 60 steps
  finding    where        number  threshold  steps
  vanishing  h/0/attn +4   1e+04       1000  0…59
    ‖δ‖ falls by a factor of 10,000 on its way back from `h/4/attn` to
    `h/0/attn`, over 5 points, 10 at each: the first layers hardly learn.
    Try the initialisation of He or Glorot, residual connections, normalisation,
    or relu in the place of sigmoid and tanh; over time, gates (LSTM, GRU) or an
    orthogonal matrix.
  stalled                      0       0.01  0…59
    The loss has not moved over 60 steps: it was 2, and is 2.
    If it has not learned all there is: try a larger rate (or, where it jumps, a
    smaller one), and look at the labels, at `blocked`, `dead` and `vanishing`.
`blocked` was not looked for: what is computed from what is not known here, as
in an evaluation that was loaded.
`zero` was not looked for: no point has `output_zeros`; `keep=jw.stats.health`
keeps it.
`dead`, `saturated` were not looked for: nothing is known of activations and
their units; `keep=jw.stats.health` looks at them.
`update` was not looked for: `update_l2` of the params is not known.
`initialisation` was not looked for: no point has `output_std`;
`keep=jw.stats.health` keeps it."""


def test_a_slope_holds_with_a_quarter_of_its_values_anywhere():
    random = np.random.default_rng(0)
    rows = 0.5 * np.arange(200.0) + np.zeros((3, 1))
    rows[:, random.permutation(200)[:50]] = 1e9
    np.testing.assert_allclose(slope(rows), 0.5, rtol=0.15)
    assert np.isnan(slope(np.zeros((1, 2)))).all()


@pytest.mark.parametrize(
    ("gradient", "said", "advice"),
    [
        (3.0, "there is no rate, or rounding takes them away: it is not", "Look at the rate"),
        (3e3, "or, in float16, the squares of a gradient of norm 3e+03 are beyond", "Try to clip"),
        (3e20, "a gradient: the squares of a gradient of norm 3e+20 are beyond", "Try to clip"),
    ],
)
def test_no_update_where_the_second_moment_is_infinite(gradient, said, advice):
    sizes = {"weight_l2": 1.0, "gradient_l2": gradient, "update_l2": 0.0}
    (finding,) = judge(signals({"a": {"delta_l2": 1.0}}, weights={"w": sizes}), {}).named("update")
    assert said in finding.meaning
    assert finding.advice.startswith(advice)
