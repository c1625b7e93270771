"""A whole dataset, against NumPy in float64 on derivatives by added epsilons; and what must not change the result."""

import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet
import pytest
from jax import lax

import jaxwalk as jw
from dataset import PARAMS, POINTS, X, Y, assert_same, batches, evaluate, fun

random = np.random.default_rng(0)


def by_hand(x=X, y=Y):
    """Losses, outputs and δ by formulas of NumPy, in float64."""
    x, y, into, out = (np.asarray(a, np.float64) for a in (x, y, PARAMS["in"], PARAMS["out"]))
    hidden = x @ into
    act = np.maximum(hidden, 0)
    result = act @ out
    error = result - y
    deltas = {"result": error, "act": error[:, None] * out, "hidden": error[:, None] * out * (hidden > 0)}
    return 0.5 * error**2, {"hidden": hidden, "act": act, "result": result}, deltas


def norm(values):
    return np.sqrt((values.reshape(len(values), -1) ** 2).sum(1))


def test_the_numbers_are_those_of_numpy():
    found, (losses, outputs, deltas) = evaluate(top=4, keep=jw.stats.summary), by_hand()
    assert found.count == 23
    np.testing.assert_allclose(found.loss, losses.mean(), rtol=1e-6)
    assert tuple(found.kept) == tuple(found.points) == POINTS
    for name, kept in found.kept.items():
        for side, values in (("output", outputs[name]), ("delta", deltas[name])):
            np.testing.assert_allclose(kept[f"{side}_l2"], norm(values).mean(), rtol=1e-5)
            np.testing.assert_allclose(kept[f"{side}_max"], np.abs(values).max(), rtol=1e-5)
            np.testing.assert_allclose(kept[f"{side}_mean"], values.mean(), rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(kept[f"{side}_variance"], values.var(), rtol=1e-5)
            np.testing.assert_allclose(kept[f"{side}_zeros"], (values == 0).mean(), rtol=1e-6)


def test_the_culprits_are_those_of_largest_loss():
    found, (losses, _, deltas) = evaluate(top=4).culprits, by_hand()
    assert [datum.index for datum in found] == list(np.argsort(-losses)[:4])
    for datum in found:
        np.testing.assert_allclose(datum.loss, losses[datum.index], rtol=1e-5)
        assert tuple(datum.norms) == POINTS
        for name, value in datum.norms.items():
            np.testing.assert_allclose(value, norm(deltas[name])[datum.index], rtol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize("size", [1, 4, 23, 40])
def test_the_size_of_a_batch_does_not_matter(size):
    assert_same(evaluate(batches(size)), evaluate(batches(5)))


@pytest.mark.once
def test_more_data_than_a_group_holds(monkeypatch):
    whole = evaluate(top=7)
    monkeypatch.setattr("jaxwalk._evaluate.programs.GROUP", 10)
    assert_same(evaluate(top=7), whole)
    monkeypatch.setattr("jaxwalk._evaluate.programs.GROUP", 1)
    assert_same(evaluate(top=7), whole)


def test_all_batches_are_one_program():
    traced = []

    def counted(params, x, y):
        traced.append(1)
        return fun(params, x, y)

    evaluate(batches(5)[:1], fun=counted)
    once = len(traced)
    evaluate(batches(5), fun=counted)  # the last is short
    assert len(traced) == 2 * once


@pytest.mark.once
def test_a_short_batch_may_come_anywhere():
    data = [
        (X[:5], Y[:5]),
        (X[5:7], Y[5:7]),
        (X[7:7], Y[7:7]),
        (X[7:12], Y[7:12]),
        (X[12:13], Y[12:13]),
        *batches(5, X[13:], Y[13:]),
    ]
    assert_same(evaluate(data), evaluate())


@pytest.mark.once
def test_batches_of_one_row_are_joined(tmp_path):
    def single():
        x, y = np.empty((1, 3), np.float32), np.empty(1, np.float32)
        for x[:], y[:] in batches(1):
            yield x, y

    found = evaluate(single(), out=tmp_path)
    assert_same(found, evaluate(batches(23)))
    assert pyarrow.parquet.read_table(tmp_path / "rows")["index"].to_pylist() == list(range(23))


@pytest.mark.once
@pytest.mark.parametrize("top", [1, 23, 30, 10**9, 2**31, 2**63])
def test_top(top):
    assert len(evaluate(top=top).culprits) == min(top, 23)


# What batches may be -------------------------------------------------------------------------------------


def test_a_generator_that_fills_one_buffer_again_and_again():
    def buffered():
        x, y = np.empty((5, 3), np.float32), np.empty(5, np.float32)
        for mine, other in batches(5, X[:20], Y[:20]):
            x[:], y[:] = mine, other
            yield x, y

    assert_same(evaluate(buffered()), evaluate(batches(5, X[:20], Y[:20])))


def test_lists_dicts_arrays_and_jax_arrays():
    whole = evaluate()
    assert_same(evaluate([list(batch) for batch in batches()]), whole)
    assert_same(evaluate([tuple(map(jnp.asarray, batch)) for batch in batches()]), whole)
    as_dict = [{"x": x, "y": y} for x, y in batches()]
    assert_same(evaluate(as_dict, fun=lambda p, datum: fun(p, datum["x"], datum["y"])), whole)
    alone = evaluate([x for x, _ in batches()], fun=lambda p, x: fun(p, x, 0.0))
    assert_same(alone, evaluate(batches(y=np.zeros_like(Y))))


@pytest.mark.once
def test_wider_numbers_are_narrowed_as_by_jax():
    with np.errstate(all="ignore"):
        assert_same(evaluate(batches(x=X.astype(np.float64), y=Y.astype(np.float64))), evaluate())


def test_params_may_hold_what_is_no_array():
    def named(params, x, y):
        return fun(params["weights"], x, params["scale"] * y) if params["name"] == "mine" else 0.0

    assert_same(evaluate(fun=named, params={"weights": PARAMS, "name": "mine", "scale": 1.0}), evaluate())


def test_random_keys_are_data_too():
    keys = jax.random.split(jax.random.key(0), 23)
    noisy = lambda p, key, x, y: fun(p, x + 0 * jax.random.normal(key, (3,)), y)
    data = [(keys[i : i + 5], X[i : i + 5], Y[i : i + 5]) for i in range(0, 23, 5)]
    assert_same(evaluate(data, fun=noisy), evaluate())


# What functions may be -----------------------------------------------------------------------------------


def test_scan_checkpoint_cond_and_jit():
    weights = random.normal(size=(3, 4, 4)).astype(np.float32)

    def deep(params, x, y):
        step = lambda h, w: (jnp.tanh(jw.tag(h @ w, "step")), None)
        h, _ = lax.scan(jax.checkpoint(step), x @ PARAMS["in"], params)
        h = jax.jit(lambda h: jw.tag(h * 2, "jit"))(h)
        h = lax.cond(y > 0, lambda h: jw.tag(jnp.sin(h), "yes"), lambda h: jw.tag(-h, "no"), h)
        return jnp.sum(h**2)

    found = evaluate(fun=deep, params=weights, keep=jw.stats.norms)
    walks = jax.jit(jax.vmap(jw.walk(deep), (None, 0, 0)))(weights, X, Y)
    assert found.kept["step"]["delta_l2"].shape == (3,)
    for name in ("step", "jit"):
        delta = np.asarray(walks.deltas[name], np.float64)
        expected = np.sqrt((delta**2).sum(-1)).mean(0)
        np.testing.assert_allclose(found.kept[name]["delta_l2"], expected, rtol=1e-5)
    for name, taken in (("yes", Y > 0), ("no", Y <= 0)):  # of the data that went that way alone
        assert found.seen[name] == taken.sum()
        delta = np.asarray(walks.deltas[name], np.float64)[taken]
        np.testing.assert_allclose(found.kept[name]["delta_rms"], np.sqrt((delta**2).mean()), rtol=1e-5)
        np.testing.assert_allclose(found.kept[name]["output_max"], np.abs(walks.outputs[name][taken]).max(), rtol=1e-5)
    for datum in found.culprits:
        delta = walks.deltas["step"][datum.index]
        np.testing.assert_allclose(datum.norms["step"], np.linalg.norm(np.ravel(delta)), rtol=1e-5)


def test_how_many_data_took_a_branch(float64):
    def branching(w, x):
        branch = lambda h, i: lax.cond(h > i, lambda h: jw.tag(h / 2, "yes"), lambda h: jw.tag(h, "no"), h)
        h, _ = lax.scan(lambda h, i: (branch(h, i), None), jw.tag(w * x, "x"), jnp.arange(2.0))
        return h

    found = evaluate([np.array([-1.0, 1, 2]), np.array([5.0])], fun=branching, params=1.0)
    assert {name: found.seen[name].tolist() for name in found.seen} == {"x": 4, "no": [1, 3], "yes": [3, 1]}
    assert [line.split()[-3] for line in repr(found).splitlines() if "[1]" in line] == ["()", "()"]
    assert found.to_pandas()["data"].tolist() == [4, 1, 3, 3, 1]
    assert "data" not in evaluate().to_pandas()
    with pytest.raises(jw.PointError, match="keep=None"):
        evaluate(keep=None).seen["act"]


def test_a_branch_that_is_never_taken():
    branching = lambda p, x, y: lax.cond(y > 99, lambda v: jw.tag(v * 2, "never"), lambda v: v, jw.tag(x[0], "x"))
    found = evaluate(fun=branching, keep=jw.stats.combine(jw.stats.norms, jw.stats.nonfinite))
    assert (found.seen["never"], found.seen["x"]) == (0, 23)
    assert np.isnan(found.kept["never"]["delta_rms"])
    assert np.isnan(found.kept["never"]["output_max"])
    assert found.kept["never"]["delta_nan"] == 0
    assert found.kept["x"]["delta_rms"] == 1


def test_points_by_line_and_by_name():
    def lined(params, x, y):
        hidden = x @ params["in"]
        return jnp.sum(jnp.tanh(hidden)) - y

    assert list(evaluate(fun=lined).kept) == ["lined/hidden", "lined/return"]
    assert list(evaluate(at=["act", "hidden"]).kept) == ["hidden", "act"]


def test_integers_and_what_has_no_delta_say_why():
    def counting(params, x, y):
        jw.tag(jnp.argmax(x), "which")
        return fun(params, x, y)

    found = evaluate(fun=counting)
    assert "which" not in found.kept
    with pytest.raises(jw.PointError, match="int32: it has an output and no δ"):
        found.kept["which"]


def test_bfloat16():
    half = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), PARAMS)
    data = [(x.astype(jnp.bfloat16), y.astype(jnp.bfloat16)) for x, y in batches()]
    found = evaluate(data, params=half, keep=jw.stats.of_delta(jw.stats.norms))
    np.testing.assert_allclose(found.loss, by_hand()[0].mean(), rtol=0.05)
    assert found.kept["act"]["delta_l2"].dtype == np.float64


# What is kept --------------------------------------------------------------------------------------------


@pytest.mark.once
def test_a_plain_function_is_averaged():
    found = evaluate(keep=lambda output, delta: {"product": jnp.sum(output * delta)})
    _, outputs, deltas = by_hand()
    expected = (outputs["act"] * deltas["act"]).sum(1).mean()
    np.testing.assert_allclose(found.kept["act"]["product"], expected, rtol=1e-4)


def test_complex_numbers_are_kept():
    found = evaluate(keep=lambda output, delta: lax.complex(jnp.zeros_like(output), output))
    assert found.kept["act"]["kept"].dtype == np.complex128
    np.testing.assert_allclose(found.kept["act"]["kept"], by_hand()[1]["act"].mean(0) * 1j, rtol=1e-5)


@pytest.mark.once
def test_nothing_but_norms():
    found = evaluate(keep=None)
    norms = [datum.norms["act"] for datum in found.culprits]
    np.testing.assert_allclose(norms, [d.norms["act"] for d in evaluate().culprits], rtol=1e-5)
    assert len(found.kept) == 0
    with pytest.raises(jw.PointError, match="`evaluate` was called with `keep=None`"):
        found.kept["act"]


@pytest.mark.once
def test_units_and_a_statistic_without_merge_all():
    span = jw.stats.Statistic(
        "span",
        lambda output, delta: {"low": jnp.min(output), "high": jnp.max(output)},
        lambda a, b: {
            "low": jw.stats.numpy_of(a).minimum(a["low"], b["low"]),
            "high": jw.stats.numpy_of(a).maximum(a["high"], b["high"]),
        },
        lambda state: state,
    )
    found, (_, outputs, _) = evaluate(keep=jw.stats.combine(jw.stats.dead, span)), by_hand()
    for name in POINTS:
        np.testing.assert_allclose(found.kept[name]["low"], outputs[name].min(), rtol=1e-5)
        np.testing.assert_allclose(found.kept[name]["high"], outputs[name].max(), rtol=1e-5)
    np.testing.assert_array_equal(found.kept["act"]["dead"], (outputs["act"] == 0).all(0))


# What is not finite --------------------------------------------------------------------------------------


def test_data_that_are_not_finite_are_counted_and_named():
    x = X.copy()
    x[[3, 17], 0] = np.nan, np.inf
    found = evaluate(batches(x=x), top=5, keep=jw.stats.of_output(jw.stats.norms))
    fine = np.delete(np.arange(23), [3, 17])
    assert (found.count, found.nonfinite) == (23, 2)
    assert {datum.index for datum in found.culprits[:2]} == {3, 17}
    losses, outputs, _ = by_hand(x[fine], Y[fine])
    np.testing.assert_allclose(found.loss, losses.mean(), rtol=1e-6)
    np.testing.assert_allclose(found.kept["hidden"]["output_l2"], norm(outputs["hidden"]).mean(), rtol=1e-5)
    assert "2 with a NaN or Inf, left out of it" in repr(found)


@pytest.mark.once
def test_nothing_but_nan():
    found = evaluate(batches(x=np.full_like(X, np.nan)))
    assert (found.count, found.nonfinite) == (23, 23)
    assert np.isnan(found.loss)


@pytest.mark.parametrize(
    "data",
    [np.full(4, 1e38), np.full(256, 2e36), np.full((3, 1), 2e38), np.array([[3e38, -3e38], [3e38, 2e38], [np.inf, 0]])],
    ids=["4", "256", "3 batches", "mixed"],
)
def test_losses_whose_sum_is_no_float32(data):
    rows = np.atleast_2d(data).astype(np.float32)
    found = evaluate(rows, fun=lambda p, x: jw.tag(x, "x"), keep=jw.stats.delta_output)
    finite = data[np.isfinite(data)]
    np.testing.assert_allclose(found.loss, finite.mean(), rtol=1e-6)
    kept = found.kept["x"]  # of a datum with nothing finite the sum is 0
    np.testing.assert_allclose([kept["delta_output"], *kept["unit_delta_output"]], finite.sum() / data.size, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-28, 1e28])
def test_norms_whose_squares_are_no_float32(scale):
    tiny = lambda p, x, y: jnp.sum(jw.tag(x, "x")) * scale
    found = evaluate(fun=tiny, keep=jw.stats.norms)
    np.testing.assert_allclose(found.culprits[0].norms["x"], scale * np.sqrt(3), rtol=1e-5)
    np.testing.assert_allclose(found.kept["x"]["delta_l2"], scale * np.sqrt(3), rtol=1e-5)


# What fails ----------------------------------------------------------------------------------------------


@pytest.mark.once
def test_an_error_midway_comes_through_and_what_was_done_is_kept():
    def failing():
        yield from batches(5)[:3]
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone") as caught:
        evaluate(failing())
    assert_same(caught.value.evaluation, evaluate(batches(5)[:3]))
    assert "`evaluate` had done 15 data" in caught.value.__notes__[0]


def test_a_batch_that_does_not_fit_midway():
    with pytest.raises(jw.ArgumentError, match="Batch 2") as caught:
        evaluate([*batches(5)[:2], (X[:6], Y[:6])])
    assert caught.value.evaluation.count == 10


def test_nothing_is_held_on_to():
    """Batches go as they come: of many, no more than a few are in memory."""
    brought, alive = [], []

    class Rows(np.ndarray):
        pass

    def many():
        for _ in range(50):
            x = X[:5].copy().view(Rows)
            brought.append(weakref.ref(x))
            alive.append(sum(reference() is not None for reference in brought))
            yield x, Y[:5]

    evaluate(many(), keep=None)
    assert max(alive) <= 4


@pytest.mark.once
def test_no_more_entries_to_a_group_than_can_be_counted(monkeypatch):
    whole = evaluate(keep=jw.stats.zeros)
    monkeypatch.setattr(
        "jaxwalk._evaluate.programs.COUNTED", 40
    )  # batches of 5 data, a point of 4 entries: two batches
    assert_same(evaluate(keep=jw.stats.zeros), whole)
    with pytest.raises(jw.ArgumentError, match="`batches` have 23 rows, and a point has 4 entries for each"):
        evaluate(batches(23), keep=jw.stats.zeros)
    assert evaluate(batches(23), keep=None).count == 23


TAKES = {
    "Batch 0 of `batches` is one array, so `fun` is given 1 argument after `params`, and takes 2; give an iterable of"
    " (x, y), such as [(x, y)].": (fun, (X, Y)),
    "Batch 0 of `batches` is a dict, so `fun` is given 1 argument after `params`, and takes 2; give an iterable of"
    " (x, y), such as [(x, y)].": (fun, [{"x": X, "y": Y}]),
    "Batch 0 of `batches` is a tuple of 3, so `fun` is given 3 arguments after `params`, and takes 1 to 2; give an"
    " iterable of (x, y), such as [(x, y)].": (lambda params, x, y=0: 0.0, [(X, Y, Y)]),
    "Batch 0 of `batches` is a list of 2, so `fun` is given 2 arguments after `params`, and takes 1; give an iterable"
    " of x, such as [x].": (jax.jit(lambda params, x: 0.0), [[X, Y]]),
    "Batch 0 of `batches` is one array, so `fun` is given 1 argument after `params`, and takes at least 2; give an"
    " iterable of (x, y), such as [(x, y)].": (lambda params, x, y, *more: 0.0, X),
}


@pytest.mark.parametrize("said", TAKES, ids=range(len(TAKES)))
def test_another_number_of_arguments(said):
    other, data = TAKES[said]
    with pytest.raises(jw.ArgumentError) as caught:
        evaluate(data, fun=other)
    assert str(caught.value) == said


@pytest.mark.parametrize("is_inside", [True, False])
def test_what_the_function_raises_of_its_arguments_comes_through(is_inside):
    inner = lambda params, x, y, z: 0.0
    other = (lambda params, x, y: inner(params, x, y)) if is_inside else (lambda params, x, y, *, key: 0.0)
    with pytest.raises(TypeError, match="missing 1 required") as caught:
        evaluate(fun=other)
    assert not isinstance(caught.value, jw.JaxwalkError)


@pytest.mark.parametrize(
    "traced",
    [
        lambda: jax.jit(lambda p: evaluate(params=p).loss)(PARAMS),
        lambda: jax.jit(lambda x: evaluate([(x, Y)]).loss)(X),
        lambda: jax.jit(lambda p: p + evaluate().loss)(1.0),
        lambda: jax.grad(lambda p: evaluate(params=p).loss)(PARAMS),
        lambda: jax.vmap(lambda x: evaluate([(x, Y)]).loss)(X[None]),
    ],
)
def test_it_cannot_be_traced(traced):
    with pytest.raises(jw.ArgumentError, match=r"^`evaluate` goes through data now and cannot be traced; call it outs"):
        traced()


def test_several_statistics_are_joined():
    said = r"^`keep` is a list of 2; give one of `jw.stats` \(to join several: `jw.stats.combine`\), a function "
    with pytest.raises(jw.ArgumentError, match=said):
        evaluate(keep=[jw.stats.norms, jw.stats.dead])


# Saving --------------------------------------------------------------------------------------------------


@pytest.mark.once
def test_save_and_load(tmp_path):
    def with_names(params, x, y):
        jw.tag(jnp.argmax(x), "which")
        return fun(params, x, y)

    found = evaluate(fun=with_names, keep=jw.stats.combine(jw.stats.norms, jw.stats.dead))
    found.save(tmp_path / "found.npz")
    loaded = jw.Evaluation.load(tmp_path / "found.npz")
    assert_same(loaded, found, rtol=0)
    assert repr(loaded) == repr(found)
    assert [d.norms["act"] for d in loaded.culprits] == [d.norms["act"] for d in found.culprits]
    with pytest.raises(jw.PointError, match="int32"):
        loaded.kept["which"]


@pytest.mark.once
def test_what_cannot_be_loaded(tmp_path):
    (tmp_path / "text").write_text("hello")
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    for name in ("text", "other.npz", "absent"):
        with pytest.raises(jw.DataError, match=name):
            jw.Evaluation.load(tmp_path / name)
    with pytest.raises(jw.StoreError, match="cannot be written"):
        evaluate().save(tmp_path / "no" / "such")
    (tmp_path / "link").symlink_to(tmp_path / "text")
    with pytest.raises(jw.StoreError, match="link` is a symbolic link, which is not replaced; give the path of a file"):
        evaluate().save(tmp_path / "link")
    assert (tmp_path / "text").read_text() == "hello"


def test_shown_in_a_narrow_terminal(monkeypatch):
    found = evaluate(keep=jw.stats.norms)
    columns = set(found.tables()[0].columns) - {"health", "note"}
    for width in (80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = repr(found).splitlines()
        assert max(map(len, lines)) <= width
        assert columns <= set(repr(found).split())
        assert sum(line.split()[:2] == ["X", "point"] for line in lines) == (1 if width == 200 else 2)
    assert found._repr_html_().count("<table ") == 2


def test_a_datum_shows_its_norms():
    (datum,) = evaluate([(X[:1], Y[:1])]).culprits
    shown = ", ".join(f"{name!r}: {datum.norms[name]:.4g}" for name in POINTS)
    assert repr(datum) == f"Datum(index=0, loss={datum.loss:.4g}, norms={{{shown}}})"
    many = jw.Named({str(i): 1.0 for i in range(9)})
    assert repr(jw.Datum(3, 0.5, many)).endswith("'4': 1, '5': 1, … 3 more})")


def test_to_pandas_of_what_kept_nothing():
    frame = evaluate(keep=None).to_pandas()
    assert frame.values.tolist() == [
        ["hidden", None, (4,), "float32"], ["act", None, (4,), "float32"], ["result", None, (), "float32"]
    ]  # fmt: skip


@pytest.mark.once
def test_to_pandas():
    found = evaluate(top=3)
    frame = found.to_pandas()
    assert list(frame["point"]) == list(POINTS)
    assert list(frame.columns) == ["point", "step", "shape", "dtype", "product"]
    np.testing.assert_allclose(frame["product"], [found.kept[name]["product"] for name in POINTS])
    assert list(found.culprits.to_pandas()["index"]) == [datum.index for datum in found.culprits]
