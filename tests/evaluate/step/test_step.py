"""Where the statistics of a batch are merged does not matter to them, and matters to memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from dataset import assert_same, batches, evaluate
from jaxwalk._evaluate import loop
from jaxwalk._evaluate.placement import Placement
from jaxwalk._evaluate.step.step import step_of
from jaxwalk._evaluate.step.task import Task
from jaxwalk._points.find import find
from jaxwalk.stats._batched import of_batch

random = np.random.default_rng(1)
WEIGHTS = random.normal(size=(3, 3, 3)).astype(np.float32)
KEEP = jw.stats.combine(jw.stats.moments, jw.stats.dead)


def deep(weights, x, y):
    step = lambda h, w: (jax.nn.relu(jw.tag(h @ w, "step")), None)
    h, _ = lax.scan(jax.checkpoint(step), x, weights)
    h = jax.jit(lambda h: jw.tag(h * 2, "jit"))(h)
    h = jax.checkpoint(lambda h: jw.tag(jnp.sin(h), "checkpoint"))(h)
    h = lax.cond(y > 0, lambda h: jw.tag(jnp.sin(h), "yes"), lambda h: jw.tag(-h, "no"), h)
    fixed = jw.tag(weights[0, 0] * 2, "of params alone")
    return jnp.sum(h**2) + jnp.sum(fixed)


def test_the_function_is_traced_once(tmp_path):
    traced = []

    def fun(params, x, y):
        traced.append(x)
        return jnp.sum(jw.tag(params["in"].T @ x, "a")) * y

    evaluate(fun=fun, out=tmp_path / "out")
    assert len(traced) == 1


def test_inside_the_backward_pass_and_after_it(monkeypatch):
    after = evaluate(fun=deep, params=WEIGHTS, keep=KEEP)
    monkeypatch.setattr("jaxwalk._evaluate.step.step.SMALL", 0)
    assert_same(evaluate(fun=deep, params=WEIGHTS, keep=KEEP), after)


def test_a_statistic_that_merges_two_by_two_alone(monkeypatch):
    dead = jw.stats.dead
    pairs = jw.stats.Statistic("dead", dead.of, dead.merge, dead.finish, at=dead.at)
    whole = evaluate(fun=deep, params=WEIGHTS, keep=jw.stats.dead)
    assert_same(evaluate(fun=deep, params=WEIGHTS, keep=pairs), whole)
    monkeypatch.setattr("jaxwalk._evaluate.step.step.SMALL", 0)
    assert_same(evaluate(fun=deep, params=WEIGHTS, keep=pairs), whole)


def test_divided_among_devices_inside_the_backward_pass(monkeypatch):
    monkeypatch.setattr("jaxwalk._evaluate.step.step.SMALL", 0)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    divided = evaluate(batches(8), fun=deep, params=WEIGHTS, keep=jw.stats.dead, mesh=mesh)
    assert_same(divided, evaluate(batches(8), fun=deep, params=WEIGHTS, keep=jw.stats.dead))


def test_nothing_is_computed_again_for_what_looks_at_the_output_alone():
    """Of a batch, at the end of a rematerialised block: its last product is of no other use to the backward pass."""

    def loss(weights, x):
        block = jax.checkpoint(lambda x, w: (jw.tag(x + jnp.tanh(w @ x) @ w, "block"), None))
        return jnp.sum(lax.scan(block, x, weights)[0] ** 2)

    def products(keep):
        walk = jax.vmap(jw.walk(loss, keep=keep), in_axes=(None, 0))
        text = jax.jit(lambda *args: walk(*args).kept).lower(jnp.ones((3, 16, 16)), jnp.ones((4, 16))).compile()
        return text.as_text().count(" dot(") + text.as_text().count("custom-call(")

    plain = products(lambda output, delta: jnp.sum(delta))
    of_batch_of = lambda statistic: lambda output, delta: of_batch(statistic)(output, delta, jnp.bool_(True))[0]
    assert products(of_batch_of(jw.stats.moments)) == plain
    assert products(of_batch_of(jw.stats.delta_output)) == plain + 1


def temporary(small, monkeypatch):
    """Bytes that the step takes beside its arguments and results, for a scan of 16 steps of 256 units, 64 data."""
    monkeypatch.setattr("jaxwalk._evaluate.step.step.SMALL", small)

    def scanned(weights, x):
        step = lambda h, w: (jw.tag(jnp.tanh(h * w), "step"), None)
        return jnp.sum(lax.scan(jax.checkpoint(step), x, weights)[0])

    weights, row = jnp.ones((16, 256)), jax.ShapeDtypeStruct((256,), jnp.float32)
    staged, points = find(scanned, (weights, row), {}, None, None)
    statistic = jw.stats.of_delta(jw.stats.moments)
    step = step_of(Task(staged, [weights], [row], points, statistic, 1, 64, Placement()))
    lowered = step.update.lower([weights], [jnp.ones((64, 256))], jnp.ones(64, jnp.int8), step.init())
    return lowered.compile().memory_analysis().temp_size_in_bytes


def test_what_is_merged_inside_is_never_stacked(monkeypatch):
    # The forward pass itself stacks the carry of each step for the backward pass: 16 x 64 x 256 floats.
    after, inside = (temporary(small, monkeypatch) for small in (10**9, 0))
    assert inside < 0.5 * after


def through(params, x, c):
    """The output at the point is x, and δ is c."""
    return jnp.sum(jw.tag(x, "a") * c)


ORDINARY = random.normal(size=(4, 3)).astype(np.float32)
RARE = {
    "subnormal": np.float32(2e-41) * np.round(8 * ORDINARY),
    "tiny": np.float32(1e-25) * ORDINARY,
    "huge": np.float32(1e25) * ORDINARY,
    "zero": np.zeros_like(ORDINARY),
    "NaN": np.where(ORDINARY > 1, np.nan, ORDINARY),
    "Inf": np.where(ORDINARY > 1, np.inf, ORDINARY),
}


def again_counted(monkeypatch):
    """How often a batch is looked at again, counted."""
    found, asked = [], loop.may_be_wrong
    monkeypatch.setattr(loop, "may_be_wrong", lambda rows: found.append(bool(asked(rows))) or found[-1])
    return found


@pytest.mark.parametrize("rare", RARE)
@pytest.mark.parametrize("side", ["output", "delta"])
@pytest.mark.parametrize("numbers", [32, 0], ids=["merged by the host", "merged there"])
def test_a_batch_whose_numbers_need_care_is_taken_again(rare, side, numbers, monkeypatch):
    monkeypatch.setattr("jaxwalk._evaluate.step.totals.NUMBERS", numbers)
    again = again_counted(monkeypatch)
    unlike = np.stack([ORDINARY, RARE[rare], 2 * ORDINARY])
    same = np.stack([ORDINARY] * 3)
    x, c = (unlike, same) if side == "output" else (same, unlike)
    monkeypatch.setattr("jaxwalk._evaluate.programs.JOINED", 1)
    found = jw.evaluate(through, None, list(zip(x, c, strict=True)), at="a", progress=False)
    assert again == [False, rare not in ("zero",), False]
    kept = found.kept["a"]
    wide = unlike.reshape(-1, 3).astype(np.float64)
    finite, whole = wide[np.isfinite(wide)], wide[np.isfinite(wide).all(1)]
    # A processor may take subnormal numbers for zeros where δ is multiplied by 1.
    exact = rare != "subnormal" or side == "output"
    expected = {
        "l1": np.abs(whole).sum(1).mean(),
        "l2": np.sqrt((whole**2).sum(1)).mean(),
        "max": np.abs(finite).max(),
        "mean": finite.mean(),
        "std": finite.std(),
        "zeros": (finite == 0).mean(),
        "nonfinite_data": 12 - len(whole),
    }
    for name, want in expected.items():
        if exact or name != "zeros":
            np.testing.assert_allclose(kept[f"{side}_{name}"], want, rtol=2e-6, err_msg=name)


def test_a_nan_in_data_that_nothing_reads_is_told():
    x = np.where(np.arange(12).reshape(4, 3) == 4, np.nan, 1).astype(np.float32)
    found = jw.evaluate(lambda p, x, y: jnp.sum(jw.tag(y * p, "a")), jnp.ones(3), [(x, ORDINARY)], progress=False)
    assert [datum.index for datum in found.culprits if datum.inputs] == [1]


def test_what_prints_is_run_once(capfd, monkeypatch):
    def printing(params, x, c):
        jax.debug.print("run")
        return through(params, x, c)

    again = again_counted(monkeypatch)
    jw.evaluate(printing, None, [(RARE["NaN"], ORDINARY)], at="a", progress=False)
    jax.effects_barrier()
    assert not again
    assert capfd.readouterr().out.count("run") == 1


def test_interrupted_among_batches_that_need_care(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxwalk._evaluate.programs.GROUP", 8)
    monkeypatch.setattr("jaxwalk._evaluate.programs.JOINED", 1)
    data = [(one, ORDINARY) for one in (ORDINARY, *RARE.values(), ORDINARY)] * 2

    def interrupted():
        yield from data[:7]
        raise RuntimeError("no more")

    whole = jw.evaluate(through, None, data, at="a", progress=False)
    with pytest.raises(RuntimeError):
        jw.evaluate(through, None, interrupted(), at="a", progress=False, out=tmp_path / "out")
    resumed = jw.evaluate(through, None, data, at="a", progress=False, out=tmp_path / "out", resume=True)
    assert_same(resumed, whole)
