"""The width check against sizes by hand, without jaxwalk: which points it finds, in which parametrization."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import jaxwalk as jw

pytestmark = pytest.mark.once

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
    return loss, init(width, seed, 1 / width)


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
    update = jax.jit(optimizer.update)
    gradients = jax.jit(jax.grad(added, (0, 1), has_aux=True))
    for _ in range(STEPS + 1):
        (deltas, grads), found = gradients(epsilons, params, X, Y)
        before = gradients(epsilons, initial, X, Y)[1]
        updates, state = update(grads, state, params)
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
    optimizer = optax.adam(0.01) if name == "adam" else mup_rates(optax.sgd, 0.1, (1, 0, -1))
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
    assert [(f.name, f.points) for f in check.findings] == [("blows up", ("pre2", "h2", "logits"))]
    assert check.slopes["change"]["pre1"][1] == pytest.approx(0, abs=0.1)
    assert check.slopes["change"]["pre2"][1] > 0.7
    assert check.slopes["update"]["w2"][0] == pytest.approx(0, abs=0.1)


def test_mup_is_silent():
    check, _ = check_of(mup, "mup sgd")
    assert check.findings == ()
    assert "all as muP wants" in repr(check)
    for point in POINTS:
        assert check.slopes["change"][point][-1] == pytest.approx(0, abs=0.3)
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
    (finding,) = check.findings.at("logits")
    assert (finding.point, finding.steps, finding.threshold) == ("pre2", (2, 2), 0.25)
    slope, error = (of["change"]["logits"][2] for of in (check.slopes, check.errors))
    assert finding.number == slope
    said = f"`logits`, the worst of 3 points: its change since initialisation goes as width^{slope:.2f} (± {error:.2f})"
    assert finding.meaning.startswith(said)
    assert repr(check.findings).startswith("1 finding: 5 points, widths 32, 64, 128, 2 updates")
    assert {**check.verdicts} == dict.fromkeys(POINTS, "") | dict.fromkeys(finding.points, "blows up with width")
    assert "<table" in check._repr_html_()


def scanned(params, x, tokens):
    """Layers in a scan, and a point of each kind that is not judged."""
    jw.tag(jnp.max(params["layers"], axis=-1), "weights")
    jw.tag(tokens, "tokens")
    h = jw.tag(x @ params["in"], "h")
    h = jax.lax.scan(lambda h, w: (jw.tag(h @ w, "layer"), None), h, params["layers"])[0]
    jw.tag(h[:0], "empty")
    mean = jw.tag(jnp.mean(h, axis=-1), "mean")
    h = jw.tag(h - mean[:, None], "centred")
    return jnp.mean((jw.tag(h @ params["out"], "output") - 1) ** 2)


def scanned_of(width):
    """The last of three layers starts with a variance of 1, and the output with zeros."""
    first, last = jax.random.split(jax.random.key(0))
    scales = jnp.array([width**-0.5, width**-0.5, 1])[:, None, None]
    arrays = {"in": jax.random.normal(first, (FEATURES, width)), "out": jnp.zeros((width, 1))}
    return scanned, {**arrays, "layers": scales * jax.random.normal(last, (3, width, width))}


def test_layers_of_a_scan_and_what_is_not_judged():
    check = jw.coordinate_check(scanned_of, [64, 16], [(X, jnp.arange(4))], optax.sgd(1e-6), 2)
    assert check.widths == (16, 64)
    assert check.sizes["output"]["layer"].shape == (2, 3, 3)
    assert check.slopes["output"]["layer"].shape == (3, 3)
    np.testing.assert_allclose(check.slopes["output"]["layer"][0], [0, 0, 0.5], atol=0.24)
    assert {**check.not_judged} == {"weights": "of weights alone", "tokens": "int32", "empty": "no entries"}
    assert "tokens" not in check.slopes["change"]
    assert np.isnan(check.slopes["output"]["output"][0])
    assert np.all(check.sizes["output"]["output"][:, 0] == 0)
    assert np.all(check.sizes["change"]["h"][:, :2] == 0)  # no δ comes there before the output has learned
    (at_init,) = check.findings.named("grows at init")
    assert at_init.points == ("layer", "centred")
    assert ", the worst of 2 points: its output goes" in at_init.meaning
    assert np.isnan(check.errors["output"]["layer"]).all()  # of two widths and one seed
    row = next(line for line in repr(check).splitlines() if " weights " in line)
    assert row.endswith("of weights alone")
    assert "Of a point in a scan, that of the layer where it is furthest from 0." in repr(check)


def line(params, x):
    return jnp.sum(jw.tag(jw.tag(x @ params["in"], "h") @ params["out"], "out"))


def line_of(width):
    return line, {"in": jnp.ones((FEATURES, width)), "out": jnp.ones((width, 1)) / width}


def test_what_is_not_finite_is_said_and_not_fitted():
    check = jw.coordinate_check(line_of, [8, 16], [X], lambda width: optax.sgd(1e30 if width == 16 else 0.0), 2)
    assert [(f.name, f.points, f.steps) for f in check.findings] == [("not finite", ("h", "out"), (1, 2))]
    assert check.verdicts["out"] == "not finite, after 1 update"
    assert check.verdicts["h"] == "not finite"
    said = "`out`, the worst of 2 points is not finite after 1 update at width 16: there is a NaN or an Inf."
    assert check.findings[0].meaning == said
    assert np.isnan(check.slopes["output"]["out"][1])
    assert np.isfinite(check.slopes["output"]["out"][0])


def test_batches_are_used_again_and_one_array_is_one_argument():
    made = [X, 2 * X, X]
    sizes = [
        jw.coordinate_check(line_of, [8, 16], given, optax.sgd(1e-3), 2, at="h").sizes["output"]["h"]
        for given in ((x for x in made), iter([X, 2 * X]), made)
    ]
    np.testing.assert_array_equal(sizes[0], sizes[1])
    np.testing.assert_array_equal(sizes[0], sizes[2])
    assert sizes[0][0, 1] > 1.5 * sizes[0][0, 0]


class Model(NamedTuple):
    """Params with a function among them, which is not trained."""

    weights: dict
    activation: object


def test_a_model_with_functions_a_second_result_and_an_optimizer_that_asks_for_the_loss():
    def fun(model, x):
        loss = jnp.mean(jw.tag(model.activation(x @ model.weights["in"]), "h") @ model.weights["out"])
        return loss, {"h": loss}

    make = lambda width, seed: (fun, Model(line_of(width)[1], jnp.tanh))
    optimizer = optax.chain(optax.sgd(1e-3), optax.contrib.reduce_on_plateau())
    check = jw.coordinate_check(make, [8, 16], [X], optimizer, 1, seeds=2, has_aux=True)
    assert [*check.sizes["update"]] == ["weights/in", "weights/out"]
    np.testing.assert_allclose(check.sizes["output"]["h"][1, 0], np.mean(np.abs(np.tanh(np.sum(X, 1)))), rtol=1e-5)


def renamed(width):
    def fun(params, x):
        return jnp.sum(jw.tag(jw.tag(x @ params["in"], f"h{width}") @ params["out"], "out"))

    return fun, line_of(width)[1]


def deeper(width):
    def fun(params, x):
        h = jax.lax.scan(lambda h, _: (jw.tag(h * 2, "h"), None), x @ params["in"], None, length=width)[0]
        return jnp.sum(h @ params["out"])

    return fun, line_of(width)[1]


def check(make=line_of, widths=(8, 16), batches=(X,), optimizer=None, steps=1, **options):
    optimizer = optax.sgd(1e-3) if optimizer is None else optimizer
    return jw.coordinate_check(make, widths, batches, optimizer, steps, **options)


REFUSED = {
    "`make` is 3; give a function of the width that returns (fun, params).": {"make": 3},
    "`make` must take (width), and what it takes is (); give a function of this one.": {"make": lambda: None},
    "`make` must take (width, seed), and what it takes is (width); give a function of these two.": {"seeds": 2},
    "`make` returned 3 at width 8; it must return a pair (fun, params), of which fun(params, *batch) is the loss.": {
        "make": lambda width: 3
    },
    "`make` returned parameters of the same sizes at the widths 8 and 16; make those of the hidden layers as wide as it"
    " is told.": {"make": lambda width: line_of(8)},
    "`widths` is (8,); give two or more positive integers, no two the same, such as [64, 128, 256].": {"widths": (8,)},
    "`widths` is (8, 8); give two or more positive integers, no two the same, such as [64, 128, 256].": {
        "widths": (8, 8)
    },
    "`widths` is (True, 8.5); give two or more positive integers, no two the same, such as [64, 128, 256].": {
        "widths": (True, 8.5)
    },
    "`batches` has no batch; give at least one, such as [(x, y)].": {"batches": ()},
    "`batches` is an array of shape (16, 8); give an iterable of batches, such as [(x, y)].": {"batches": X},
    "`batches` is a tuple of arrays, which is one batch; give a list of batches, as [(x, y)].": {"batches": (X, X)},
    "`fun` takes (params, x), and was given 3 arguments; give it what it takes.": {"batches": [(X, X)]},
    "`optimizer` is 3; give an optax transformation, as `optax.adam(1e-3)`, or a function of the width that returns"
    " one.": {"optimizer": 3},
    "`optimizer` is `adam` itself, which would take the width for its learning rate; give an optax transformation, as"
    " `optax.adam(1e-3)`, or a function of the width that returns one.": {"optimizer": optax.adam},
    "`optimizer` returned 0.5 for width 8; give an optax transformation, as `optax.adam(1e-3)`, or a function of the"
    " width that returns one.": {"optimizer": lambda width: 0.5},
    "`steps` is 0; it must be an integer of at least 1.": {"steps": 0},
    "`seeds` is True; it must be an integer of at least 1, or None.": {"seeds": True},
    "The points differ between widths: `h8` at width 8 alone and `h16` at width 16 alone; name them alike at every"
    " width, or choose by `at`.": {"make": renamed},
    "The point `h` is in loops of [8] steps at width 8 and of [16] at width 16; change the width alone.": {
        "make": deeper
    },
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_is_refused(said):
    with pytest.raises(jw.ArgumentError) as caught:
        check(**REFUSED[said])
    assert str(caught.value) == said


def test_it_is_not_traced():
    with pytest.raises(jw.ArgumentError, match=r"`coordinate_check` trains now and cannot be traced; call it outside"):
        jax.jit(lambda x: check(batches=(x,)))(X)
