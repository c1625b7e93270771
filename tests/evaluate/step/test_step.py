"""Where the statistics of a batch are merged does not matter to them, and matters to memory."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxwalk as jw
from dataset import assert_same, batches, evaluate
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
