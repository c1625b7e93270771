"""Points of one type have their statistics in a loop over them: the same numbers, compiled once, in bounded memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from dataset import assert_same, batches, evaluate
from jaxwalk._evaluate.step import alike
from jaxwalk._points.find import find

random = np.random.default_rng(2)
WEIGHTS = random.normal(size=(9, 3, 3)).astype(np.float32)


def deep(weights, x, y):
    """Six layers of one type, in calls and out of them; of others, fewer."""
    for i, w in enumerate(weights[:6]):
        layer = lambda h, w=w, i=i: jw.tag(jnp.tanh(h @ w), f"layer{i}")
        x = (layer, jax.jit(layer), jax.checkpoint(layer))[i % 3](x)
    both = jax.lax.cond(y > 0, lambda x: jw.tag(x * 2, "yes"), lambda x: jw.tag(-x, "no"), x)
    return jnp.sum(jw.tag(jnp.sum(both**2), "sum") * y)


def divided(rows=5):
    staged, points = find(deep, (WEIGHTS, np.ones(3, np.float32), np.float32(1)), {}, None, None)
    found = alike.divide(staged.closed, list(points.values()), dict.fromkeys(points), rows)
    return [[p.name for p in many] for many in found]


KEEPS = {
    "none": None,
    "norms": jw.stats.norms,
    "dead": jw.stats.combine(jw.stats.dead, jw.stats.delta_output),
    "large": jw.stats.magnitudes,
    "of δ": jw.stats.of_delta(jw.stats.zeros),
    "plain": lambda output, delta: {"both": output * delta, "output": output},
}


@pytest.mark.parametrize("keep", KEEPS.values(), ids=KEEPS)
def test_a_loop_finds_the_same(keep, monkeypatch):
    monkeypatch.setattr(alike, "FEWEST", 2)
    looped = evaluate(fun=deep, params=WEIGHTS, keep=keep)
    monkeypatch.setattr(alike, "FEWEST", 10**9)
    alone = evaluate(fun=lambda weights, x, y: deep(weights, x, y), params=WEIGHTS, keep=keep)
    assert_same(looped, alone, rtol=2e-6)
    for a, b in zip(looped.culprits, alone.culprits, strict=True):
        np.testing.assert_allclose([*a.norms.values()], [*b.norms.values()], rtol=2e-6)


def test_divided_among_devices(monkeypatch):
    monkeypatch.setattr(alike, "FEWEST", 2)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    over_mesh = evaluate(batches(8), fun=deep, params=WEIGHTS, keep=jw.stats.norms, mesh=mesh)
    assert_same(over_mesh, evaluate(batches(8), fun=deep, params=WEIGHTS, keep=jw.stats.norms))


@pytest.mark.once
def test_which_points_are_in_a_loop(monkeypatch):
    assert divided() == [["layer0", "layer1", "layer3", "layer4"]]  # those in a checkpoint are too few
    monkeypatch.setattr(alike, "FEWEST", 2)
    assert divided() == [["layer0", "layer1", "layer3", "layer4"], ["layer2", "layer5"]]
    monkeypatch.setattr(alike, "ROOM", 2 * 3 * 4 * 5)  # two values of three floats of five rows
    assert divided() == [["layer0", "layer1"], ["layer3", "layer4"], ["layer2", "layer5"]]
    monkeypatch.setattr(alike, "ROOM", 0)
    assert divided() == []


@pytest.mark.once
def test_a_body_is_traced_once_for_all_points():
    traced = []

    def keep(output, delta):
        traced.append(output)
        return jnp.sum(output)

    def loss(weights, x, y):
        for i in range(30):
            x = jw.tag(jnp.sin(x), f"layer{i}")
        return jnp.sum(x) * y

    evaluate(fun=loss, params=np.float32(0), keep=keep)
    assert len(traced) <= 4
