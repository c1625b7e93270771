"""The width check against sizes by hand, without jaxwalk: which points it finds, in which parametrization."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxwalk as jw

WIDTHS, STEPS, FEATURES, CLASSES = [32, 64, 128], 2, 8, 4
X = jax.random.normal(jax.random.key(1), (16, FEATURES))
Y = jax.nn.one_hot(jax.random.randint(jax.random.key(2), (16,), 0, CLASSES), CLASSES)
POINTS = ["pre1", "h1", "pre2", "h2", "logits"]


@pytest.fixture(autouse=True)
def promotion_of_optax():
    """Optax's Adam raises a float to an integer."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def layers(tag, params, x):
    h1 = tag(jax.nn.relu(tag(x @ params["w1"], "pre1")), "h1")
    h2 = tag(jax.nn.relu(tag(h1 @ params["w2"], "pre2")), "h2")
    return tag(h2 @ params["w3"], "logits")


def loss(params, x, y):
    return jnp.mean((layers(jw.tag, params, x) - y) ** 2)


def init(width, seed, out):
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = [(FEATURES, width, FEATURES**-0.5), (width, width, (2 / width) ** 0.5), (width, CLASSES, out)]
    arrays = [jax.random.normal(key, (i, o)) * size for key, (i, o, size) in zip(keys, shapes, strict=True)]
    return dict(zip(("w1", "w2", "w3"), arrays, strict=True))


def standard(width, seed=0):
    return loss, init(width, seed, width**-0.5)


def mup(width, seed=0):
    return loss, init(width, seed, 4 / width)


def mup_rates(optimizer, rate, exponents):
    """Arguments: rates of the three matrices, as powers of the width."""
    names = ("w1", "w2", "w3")
    of = lambda width, k: optimizer(rate * (width / 32) ** k)
    return lambda width: optax.multi_transform(
        {n: of(width, k) for n, k in zip(names, exponents, strict=True)}, {n: n for n in names}
    )


def by_hand(params, optimizer):
    """Sizes of outputs, changes, deltas and updates, with δ by added ε."""

    def added(epsilons, params, x, y):
        found = {}

        def tag(value, name):
            found[name] = value + epsilons[name]
            return found[name]

        logits = layers(tag, params, x)
        return jnp.mean((logits - y) ** 2), found

    size = lambda values: float(np.mean(np.abs(np.asarray(values, np.float64))))
    width = params["w1"].shape[1]
    epsilons = {name: jnp.zeros((16, CLASSES if name == "logits" else width)) for name in POINTS}
    initial, state, seen = params, optimizer.init(params), []
    gradients = jax.jit(jax.grad(added, (0, 1), has_aux=True))
    for _ in range(STEPS + 1):
        (deltas, grads), found = gradients(epsilons, params, X, Y)
        before = gradients(epsilons, initial, X, Y)[1]
        updates, state = optimizer.update(grads, state, params)
        seen.append(
            {
                "output": [size(found[n]) for n in POINTS],
                "change": [size(found[n] - before[n]) for n in POINTS],
                "delta": [size(deltas[n]) for n in POINTS],
                "update": [size(updates[n]) for n in ("w1", "w2", "w3")],
            }
        )
        params = optax.apply_updates(params, updates)
    return seen


@functools.cache
def check_of(make, name):
    optimizer = optax.adam(0.01) if name == "adam" else mup_rates(optax.sgd, 0.5, (1, 0, -1))
    return jw.coordinate_check(make, WIDTHS, [(X, Y)], optimizer, STEPS, seeds=2), optimizer


@pytest.mark.parametrize(("make", "name"), [(standard, "adam"), (mup, "mup sgd")])
def test_sizes_and_slopes_are_those_by_hand(make, name):
    check, optimizer = check_of(make, name)
    assert [*check.sizes["output"]] == POINTS
    each = lambda width: optimizer(width) if make is mup else optimizer
    seen = [[by_hand(make(width, seed)[1], each(width)) for seed in (0, 1)] for width in WIDTHS]
    for kind, names in {**dict.fromkeys(("output", "change", "delta"), POINTS), "update": ["w1", "w2", "w3"]}.items():
        times = STEPS + (kind != "update")
        for i, point in enumerate(names):
            sizes = np.array([[[step[kind][i] for step in run[:times]] for run in runs] for runs in seen])
            np.testing.assert_allclose(check.sizes[kind][point], sizes.mean(1), rtol=2e-3, atol=1e-9)
            for step in range(kind == "change", times):
                logs = np.log(sizes[:, :, step])
                fitted, covariance = np.polyfit(np.repeat(np.log(WIDTHS), 2), logs.ravel(), 1, cov=True)
                assert check.slopes[kind][point][step] == pytest.approx(fitted[0], abs=2e-3)
                assert check.errors[kind][point][step] == pytest.approx(covariance[0, 0] ** 0.5, abs=2e-3)


def test_standard_parametrization_blows_up_by_adam():
    """A hidden layer's change is a sum over its inputs of updates that all are as large as the rate: Θ(n)."""
    check, _ = check_of(standard, "adam")
    assert [(f.name, f.point) for f in check.findings] == [("blows up", p) for p in ("pre2", "h2", "logits")]
    assert check.slopes["change"]["pre1"][1] == pytest.approx(0, abs=0.1)
    assert check.slopes["change"]["pre2"][1] > 0.7
    assert check.slopes["update"]["w2"][0] == pytest.approx(0, abs=0.1)


def test_mup_is_silent():
    check, _ = check_of(mup, "mup sgd")
    assert check.findings == ()
    assert "all as muP wants" in repr(check)
    for point in POINTS:
        assert check.slopes["change"][point][-1] == pytest.approx(0, abs=0.2)
    assert check.slopes["output"]["logits"][0] < -0.25  # it may shrink there
    assert check.slopes["delta"]["pre1"][-1] == pytest.approx(-1, abs=0.15)
    assert check.slopes["update"]["w2"][-1] == pytest.approx(-1, abs=0.15)


def test_the_table_says_what_was_found():
    check, _ = check_of(standard, "adam")
    lines = repr(check).splitlines()
    assert lines[0] == "Width check of 5 points, widths 32, 64, 128, 2 updates, 2 seeds: 3 points not as muP wants"
    assert lines[1].split() == ["X", "point", "init", "change", "δ", "verdict"]
    assert lines[4].split()[:2] == ["3", "pre2"]
    assert lines[4].endswith("blows up with width")
    assert "Updates of 3 parameters, slope of the last (told, not judged)" in lines
    finding = check.findings.at("logits")[0]
    assert finding.steps == (2, 2)
    assert finding.threshold == 0.25
    assert f"goes as width^{finding.number:.2f} (± {check.errors['change']['logits'][2]:.2f})" in finding.meaning
    assert "<table" in check._repr_html_()
