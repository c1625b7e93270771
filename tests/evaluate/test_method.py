"""Attribution of a whole dataset, against a loop of `jax.vmap` of the method; stopped and resumed; divided; refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet
import pytest
from jax import lax

import jaxwalk as jw
from dataset import PARAMS, POINTS, X, Y, assert_same, batches, fun

CONDUCTANCE = functools.partial(jw.attribute.conductance, steps=4)
PRODUCT = jw.attribute.gradient_times_output


def evaluate(data=None, method=PRODUCT, fun=fun, params=PARAMS, **options):
    return jw.evaluate(fun, params, batches() if data is None else data, method=method, progress=False, **options)


def each(method, fun=fun, params=PARAMS, *data):
    return jax.jit(jax.vmap(method(fun, argnums=1), (None, *[0] * len(data))))(params, *data)


def assert_means(found, each, names=POINTS):
    """The means and the largest of an evaluation are those of these attributions, a row each."""
    for name in names:
        scores, totals = (np.asarray(a[name], np.float64) for a in (each.scores, each.totals))
        kept = found.kept[name]
        assert list(kept) == ["total_mean", "score_abs_mean", "score_abs_max"]
        np.testing.assert_allclose(kept["total_mean"], totals.mean(), rtol=1e-5)
        np.testing.assert_allclose(kept["score_abs_mean"], np.abs(scores).mean(), rtol=1e-5)
        np.testing.assert_allclose(kept["score_abs_max"], np.abs(scores).max(), rtol=1e-5)


def test_totals_of_each_datum_and_means_by_point(tmp_path):
    found, by_hand = evaluate(method=CONDUCTANCE, out=tmp_path / "out", top=4), each(CONDUCTANCE, fun, PARAMS, X, Y)
    assert_means(found, by_hand)
    assert tuple(found.kept) == POINTS
    assert (found.method, found.count) == ("conductance", 23)
    np.testing.assert_allclose(found.loss, np.mean(by_hand.value), rtol=1e-5)
    np.testing.assert_allclose(found.gap, (np.mean(by_hand.gap), np.max(np.abs(by_hand.gap))), rtol=1e-4)
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "rows")
    assert rows.column_names == ["index", "loss", *(f"total/{name}" for name in POINTS), "gap"]
    np.testing.assert_allclose(rows["loss"], by_hand.value, rtol=1e-5)
    np.testing.assert_allclose(rows["gap"], by_hand.gap, rtol=1e-4, atol=1e-6)
    for name in POINTS:
        np.testing.assert_allclose(rows[f"total/{name}"], by_hand.totals[name], rtol=1e-5, atol=1e-6)
    for datum in found.culprits:
        assert tuple(datum.totals) == POINTS
        np.testing.assert_allclose(datum.totals["act"], by_hand.totals["act"][datum.index], rtol=1e-5)
    with pytest.raises(jw.PointError, match="Of `conductance` there are `totals`, of scores"):
        found.culprits[0].norms["act"]
    title = str(found).splitlines()[0]
    assert title.startswith("conductance of 23 data through 3 points, mean result 5.757; gap ")
    assert list(found.culprits.to_pandas()) == ["index", "loss", *(f"total/{name}" for name in POINTS)]
    found.save(tmp_path / "saved.npz")
    loaded = jw.Evaluation.load(tmp_path / "saved.npz")
    assert (str(loaded), loaded.gap, loaded.culprits[0].totals["act"]) == (
        str(found),
        found.gap,
        found.culprits[0].totals["act"],
    )


@pytest.mark.once
def test_what_was_stopped_goes_on_and_another_method_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxwalk._evaluate.programs.GROUP", 10)
    whole = evaluate(method=CONDUCTANCE, out=tmp_path / "whole")

    def failing():
        yield from batches()[:3]
        raise ValueError("gone")

    with pytest.raises(ValueError, match="gone"):
        evaluate(failing(), method=CONDUCTANCE, out=tmp_path / "out")
    refused = r"`function and method` was conductance \(\w+\) and is {} \(\w+\); give what it began with"
    with pytest.raises(jw.StoreError, match=refused.format("gradient_times_output")):
        evaluate(method=PRODUCT, out=tmp_path / "out", resume=True)
    others = {"steps": 5, "rule": "midpoint", "baseline": X[0], "batch_size": 2}
    told = ["was 4 and is 5", "was 'trapezoid' and is 'midpoint'", "has changed", "was 1 and is 2"]
    for (name, value), said in zip(others.items(), told, strict=True):
        other = functools.partial(jw.attribute.conductance, **{"steps": 4, name: value})
        with pytest.raises(jw.StoreError, match=f"be resumed, since `{name} of the method` {said}; give what it"):
            evaluate(method=other, out=tmp_path / "out", resume=True)
    with pytest.raises(jw.StoreError, match=r"`function and method` was conductance \(\w+\) and is not there"):
        jw.evaluate(fun, PARAMS, batches(), out=tmp_path / "out", resume=True, progress=False)
    resumed = evaluate(method=CONDUCTANCE, out=tmp_path / "out", resume=True)
    assert_same(resumed, whole)
    np.testing.assert_allclose(resumed.gap, whole.gap, rtol=1e-5)
    tables = [pyarrow.parquet.read_table(tmp_path / name / "rows") for name in ("out", "whole")]
    assert tables[0].equals(tables[1])


def test_divided_among_devices():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    alone, divided = (evaluate(batches(8), method=CONDUCTANCE, at="act", mesh=one) for one in (None, mesh))
    assert_same(divided, alone)
    np.testing.assert_allclose(divided.gap, alone.gap, rtol=1e-4, atol=1e-6)


def tokens_and_loops(params, tokens, y):
    """Integers, a point in a loop, one in a branch."""
    x = jw.tag(params["table"][tokens], "embedded")
    x, _ = lax.scan(lambda x, w: (jw.tag(jnp.tanh(x @ w), "layer"), None), x, params["layers"])
    x = lax.cond(y > 0, lambda x: jw.tag(2 * x, "taken"), lambda x: x, x)
    return jnp.sum(x**2)


def test_tokens_and_points_in_loops_and_branches():
    random = np.random.default_rng(0)
    params = {"table": random.normal(size=(7, 3)), "layers": random.normal(size=(2, 3, 3))}
    params = {name: value.astype(np.float32) for name, value in params.items()}
    tokens, y = random.integers(7, size=(9, 4)), np.where(np.arange(9) % 3, 1.0, -1.0).astype(np.float32)
    found = evaluate([(tokens[i : i + 5], y[i : i + 5]) for i in (0, 5)], fun=tokens_and_loops, params=params)
    by_hand = each(PRODUCT, tokens_and_loops, params, tokens, y)
    assert tuple(found.kept) == ("embedded", "layer", "taken")
    assert_means(found, by_hand, ("embedded", "taken"))
    totals = np.asarray(by_hand.scores["layer"]).sum((2, 3))  # by datum and step
    np.testing.assert_allclose(found.kept["layer"]["total_mean"], totals.mean(0), rtol=1e-5)
    assert found.seen["layer"].tolist() == [9, 9]
    assert found.gap is None
    refused = r"`args\[1\]` holds integers, and a path between them has no values; name the point that embeds them"
    with pytest.raises(jw.ArgumentError, match=refused):
        evaluate([(tokens, y)], method=CONDUCTANCE, fun=tokens_and_loops, params=params)


def test_pairs_of_a_datum_and_a_method_of_ones_own():
    """A datum may have parts that the function does not take: here the one that values are taken from."""

    def patched(fun, at, **where):
        return lambda params, x, y, other: jw.attribute.patching(fun, at, other=other, **where)(params, x, y)

    data = [(x, y, x[::-1]) for x, y in batches()]
    found = evaluate(data, method=patched, at="act")
    act = lambda x: np.maximum(x @ PARAMS["in"], 0)
    others = np.concatenate([x for _, _, x in data])
    error = act(X) @ PARAMS["out"] - Y
    np.testing.assert_allclose(
        found.kept["act"]["total_mean"], np.mean(error * ((act(others) - act(X)) @ PARAMS["out"])), rtol=1e-5
    )


def test_a_nan_leads_and_is_left_out():
    x = X.copy()
    x[3, 0] = np.nan
    found = evaluate(batches(x=x), top=2)
    assert (found.nonfinite, found.culprits[0].index, found.culprits[0].inputs) == (1, 3, "NaN")
    assert np.isfinite(found.kept["act"]["total_mean"])


@pytest.mark.once
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"method": 5},
            "`method` is 5; give one of `jw.attribute` that is not called yet, as `jw.attribute.cond",
        ),
        (
            {"method": CONDUCTANCE(fun)},
            r"`method` is called with \(fun, at, by=, source=\), and takes \(args\); give one",
        ),
        ({"method": lambda fun, at: None}, r"`method` is called with .*, and takes \(fun, at\); give one of"),
        (
            {"method": lambda fun, at, **where: None},
            "`method` returned None, which cannot be called with a datum; give",
        ),
        ({"method": lambda fun, at, **where: fun}, "`method` returned .* which is no attribution at points; give"),
        (
            {"method": functools.partial(CONDUCTANCE, at="act"), "at": "hidden"},
            "`method` has `at` already, and `evaluate` is given it too; leave one out",
        ),
        ({"keep": jw.stats.norms}, "`keep` is of outputs and δ, and a `method` gives scores, .*; give one of the two"),
        (
            {"method": jw.attribute.integrated_gradients},
            "`integrated_gradients` has no scores at points, which are summed here. Integrated gradients along",
        ),
        (
            {"method": functools.partial(jw.attribute.edges, other=np.zeros(2))},
            "`method` is `edges`, whose scores are of pairs of points, none of a point; give `patching` with the same",
        ),
        *(
            (
                {"method": getattr(jw.attribute, name)},
                f"`method` is `{name}`, which gives no scores at points; give one",
            )
            for name in ("completeness", "infidelity", "deletion", "concept_test", "Attribution")
        ),
        (
            {"method": jw.attribute.patching},
            r"and `patching` needs `other` too; give `functools.partial\(jw.attribute.patching, other=...\)`.",
        ),
        (
            {"fun": lambda p, x, y: jw.tag(x, "a")},
            r"The result of one datum must be a real scalar, but it has shape \(3,\); `evaluate` gives `fun`",
        ),
    ],
)
def test_refused(options, text):
    with pytest.raises(jw.JaxwalkError, match=text):
        evaluate(**options)


def test_it_is_said_that_totals_are_of_all_steps_and_that_results_are_results():
    def score(w, x, y):
        x, _ = lax.scan(lambda x, _: (jw.tag(x * w, "layer"), None), x, None, length=3)
        return jnp.dot(jw.tag(x, "last"), y)

    data = [(np.float32([[1.0, 2.0], [3.0, 4.0]]), np.ones((2, 2), np.float32))]
    found = evaluate(data, fun=score, params=np.float32(2.0), top=1)
    title, *_, culprits, columns, row, note = repr(found).splitlines()
    assert title == "gradient_times_output of 2 data through 2 points, mean result 40"
    assert (culprits, columns.split()) == (
        "The datum of largest result",
        ["datum", "result", "total", "layer", "total", "last"],
    )
    assert row.split() == ["1", "56", "168", "56"]  # three steps, of 56 each
    assert note == "The total of a point in a loop, as `layer`, is that of all its steps together."
    assert repr(found.culprits).endswith(note)
    assert jw.plot.culprits(found).get_title(loc="left") == "The 1 datum of largest result"


def test_totals_that_are_the_same_but_for_rounding_are_told_once():
    def score(w, x, y):
        for i in range(8):
            x = jw.tag(x * w, f"layer{i}")
        return jnp.dot(x, y)

    found = evaluate(fun=score, params=np.float32(1.1), top=2, data=[(np.eye(3, dtype=np.float32),) * 2])
    *_, row, note = repr(found.culprits).splitlines()
    assert row.split(maxsplit=2)[2] == "layer0 = layer1 = … 2.144"
    assert note == "“a = b”: the shown totals at `a` and at `b` are equal."
