"""Methods against oracles that do not use jaxwalk, through JAX's transforms, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

RANDOM = np.random.default_rng(0)
W1, W2, W3 = (RANDOM.normal(size=s) / 2 for s in ((4, 6), (6, 5), (5,)))
X, B = RANDOM.normal(size=4), RANDOM.normal(size=4)
NODES, WEIGHTS = (a / 2 + s for a, s in zip(np.polynomial.legendre.leggauss(30), (0.5, 0)))


@pytest.fixture(autouse=True)
def _in_float64():
    with jax.enable_x64(True):
        yield


def first(x):
    return jnp.tanh(x @ W1)


def second(h):
    return jax.nn.softplus(h @ W2)


def last(h):
    return jnp.sum(h**2 * W3)


def fun(x):
    return last(jw.tag(second(jw.tag(first(x), "h1")), "h2"))


def on_path(of):
    """Return the mean over the path of what a function makes of (point of the path), by hand."""
    return sum(w * of(B + a * (X - B)) for a, w in zip(NODES, WEIGHTS))


PARTS = {"h1": (first, lambda h: last(second(h))), "h2": (lambda x: second(first(x)), last)}
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def test_conductance_is_that_of_each_layer_by_hand():
    found = jax.jit(attribute.conductance(fun, baseline=B, steps=30, rule="gauss-legendre"))(X)
    for name, (before, after) in PARTS.items():
        flowing = lambda x, before=before, after=after: jax.grad(after)(before(x)) * jax.jvp(before, (x,), (X - B,))[1]
        by_hand = on_path(flowing)
        np.testing.assert_allclose(found.scores[name], by_hand, **CLOSE)
        np.testing.assert_allclose(found.totals[name], fun(X) - fun(B), rtol=1e-6)
    np.testing.assert_allclose(found.inputs, (X - B) * on_path(jax.grad(lambda x: last(second(first(x))))), **CLOSE)
    assert abs(found.gap) < 1e-8
    cheap = jax.jit(attribute.conductance(fun, baseline=B, steps=200))(X)
    for name, scores in cheap.scores.items():
        np.testing.assert_allclose(scores, found.scores[name], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(cheap.inputs, found.inputs, rtol=1e-3, atol=1e-4)
    ig = attribute.integrated_gradients(fun, baseline=lambda x: 0 * x + B, steps=30)(X)
    np.testing.assert_allclose(ig.inputs, found.inputs, **CLOSE)


def test_internal_influence_and_the_own_path_by_hand():
    influence = attribute.internal_influence(fun, baseline=B, steps=30)(X)
    own = attribute.integrated_gradients(fun, baseline=B, steps=30, along="own")(X)
    for name, (before, after) in PARTS.items():
        delta = lambda x, before=before, after=after: jax.grad(after)(before(x))
        np.testing.assert_allclose(influence.scores[name], on_path(delta), **CLOSE)
        start, end = before(B), before(X)
        mean = sum(w * jax.grad(after)(start + a * (end - start)) for a, w in zip(NODES, WEIGHTS))
        np.testing.assert_allclose(own.scores[name], (end - start) * mean, **CLOSE)


def test_one_walk_methods_by_hand():
    size, product = attribute.saliency(fun)(X), attribute.gradient_times_output(fun)(X)
    for name, (before, after) in PARTS.items():
        delta = jax.grad(after)(before(X))
        np.testing.assert_allclose(size.scores[name], abs(delta), **CLOSE)
        np.testing.assert_allclose(product.scores[name], delta * before(X), **CLOSE)
    np.testing.assert_allclose(product.inputs, X * jax.grad(lambda x: last(second(first(x))))(X), **CLOSE)


def test_patching_is_first_order_and_exact_where_what_follows_is_linear():
    linear = lambda x: jnp.sum(jw.tag(first(x), "h1") @ W2)
    found = attribute.patching(linear, other=B)(X)
    real = jw.intervene(linear, {"h1": first(B)})(X) - linear(X)
    np.testing.assert_allclose(found.totals["h1"], real, **CLOSE)
    delta = {"this": jax.grad(PARTS["h1"][1])(first(X)), "other": jax.grad(PARTS["h1"][1])(first(B))}
    for delta_of in delta:
        found = attribute.patching(fun, other=B, delta_of=delta_of)(X)
        np.testing.assert_allclose(found.scores["h1"], (first(B) - first(X)) * delta[delta_of], **CLOSE)
    several = attribute.patching(fun, other=B, steps=4)(X)
    middle = np.mean([jax.grad(PARTS["h1"][1])(first(X + (k + 0.5) / 4 * (B - X))) for k in range(4)], 0)
    np.testing.assert_allclose(several.scores["h1"], (first(B) - first(X)) * middle, **CLOSE)


def test_noise_and_drawn_baselines():
    key = jax.random.key(0)
    quadratic = lambda x: jnp.sum(jw.tag(3 * x, "thrice") ** 2)
    smooth = attribute.smooth_grad(quadratic, key=key, samples=4000, noise=0.2)(X)
    np.testing.assert_allclose(smooth.scores["thrice"], 6 * X, atol=0.2)
    none = attribute.smooth_grad(quadratic, key=key, samples=2, noise=0.0)(X)
    np.testing.assert_allclose(none.inputs, 18 * X, **CLOSE)
    data = np.stack([B, -B])
    expected = attribute.expected_gradients(quadratic, baselines=data, key=key, samples=4000)(X)
    np.testing.assert_allclose(expected.totals["thrice"], 9 * np.sum(X**2) - 9 * np.sum(B**2), rtol=0.1)
    np.testing.assert_allclose(expected.inputs.sum(), expected.totals["thrice"], **CLOSE)
    assert abs(expected.gap) < 0.1 * abs(expected.totals["thrice"])


def test_points_in_a_scan_and_a_branch_and_through_vmap():
    def deep(x):
        layers = RANDOM_LAYERS
        x, _ = jax.lax.scan(lambda h, w: (jw.tag(jnp.tanh(w @ h), "layer"), None), x, layers)
        x = jax.lax.cond(x[0] > -9, lambda x: jw.tag(2 * x, "taken"), lambda x: x, x)
        return jnp.sum(x**2)

    one = jax.jit(attribute.conductance(deep, steps=40, baseline=B, rule="gauss-legendre"))(X)
    assert one.scores["layer"].shape == (3, 4)
    np.testing.assert_allclose(one.scores["layer"].sum(-1), [deep(X) - deep(B)] * 3, rtol=1e-6)
    np.testing.assert_allclose(one.totals["taken"], deep(X) - deep(B), rtol=1e-6)
    both = jax.vmap(attribute.conductance(deep, steps=40, baseline=B, rule="gauss-legendre"))(np.stack([X, -X]))
    np.testing.assert_allclose(both.scores["layer"][0], one.scores["layer"], **CLOSE)
    assert both.gap.shape == (2,)
    own = attribute.integrated_gradients(deep, "layer", along="own", steps=10, baseline=B)(X)
    assert own.scores["layer"].shape == (3, 4)


RANDOM_LAYERS = RANDOM.normal(size=(3, 4, 4))


def test_tokens_have_scores_at_their_embedding_and_none_of_their_own():
    table = RANDOM.normal(size=(7, 4))
    score = lambda tokens: fun(jw.tag(jnp.asarray(table)[tokens], "embed").sum(0))
    tokens, other = jnp.array([1, 2]), jnp.array([1, 5])
    found = attribute.gradient_times_output(score)(tokens)
    assert found.inputs is None
    own = attribute.integrated_gradients(score, "embed", along="own", baseline=other, steps=30)(tokens)
    np.testing.assert_allclose(own.totals["embed"], score(tokens) - score(other), rtol=1e-6)
    patched = attribute.patching(score, "embed", other=other)(tokens)
    np.testing.assert_array_equal(patched.scores["embed"][0], 0)
    with pytest.raises(jw.ArgumentError, match="holds integers, and a path between them has no values; name the point"):
        attribute.conductance(score)(tokens)


def test_several_arguments_and_pytrees():
    two = lambda w, x: jnp.sum(jw.tag(w["a"] * x, "product") ** 2)
    args = {"a": X}, B
    found = attribute.conductance(two, argnums=(0, 1), steps=10, rule="gauss-legendre")(*args)
    np.testing.assert_allclose(found.inputs[0]["a"] + found.inputs[1], found.scores["product"], **CLOSE)
    np.testing.assert_allclose(found.totals["product"], two(*args), **CLOSE)
    one = attribute.conductance(two, argnums=1, steps=10, baseline=X, rule="gauss-legendre")(*args)
    np.testing.assert_allclose(one.totals["product"], two({"a": X}, B) - two({"a": X}, X), **CLOSE)


def test_what_it_shows_and_ranks():
    found = attribute.conductance(fun, baseline=B)(X)
    shown = repr(found)
    assert shown.startswith("conductance at 2 points of the result")
    assert "|score| max" in shown
    largest = found.ranked(1)[0]
    size = max(np.abs(scores).max() for scores in found.scores.values())
    assert abs(largest.value) == size
    np.testing.assert_allclose(found.scores[largest.point][largest.index], largest.value)
    assert "conductance at 2 points" in repr(jax.vmap(attribute.conductance(fun))(np.stack([X, B])))


OK = {"key": jax.random.key(0)}


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda: attribute.conductance(fun, steps=0), "`steps` is 0; it must be an integer of at least 1."),
        (lambda: attribute.conductance(fun, rule="simpson"), "`rule` is 'simpson'; it is one of 'gauss-legendre',"),
        (lambda: attribute.conductance(fun, steps=1, rule="trapezoid"), "the trapezoid rule takes both ends"),
        (lambda: attribute.conductance(fun, baseline=np.zeros(3))(X), "`baseline` has an array of shape (3,), and the"),
        (lambda: attribute.conductance(fun, baseline=1j * X)(X), "`baseline` has an array of complex128, and the"),
        (lambda: attribute.conductance(fun, argnums=()), "`argnums` is (); it must be an integer or several"),
        (lambda: attribute.conductance(fun, argnums=(0, -1))(X), "`argnums` is (0, -1), which names one twice"),
        (lambda: attribute.conductance(fun, baseline=[X])(X), "`baseline` has the structure PyTreeDef([*])"),
        (
            lambda: attribute.conductance(fun, argnums=1)(X),
            "`argnums` is 1, and what `conductance` returns was called with 1 argument;",
        ),
        (
            lambda: attribute.conductance(first)(X),
            "`conductance`, `fun` must return a real scalar, and it returns an array of shape (6,); give one entry of",
        ),
        (lambda: attribute.conductance(fun, "nowhere")(X), "`at='nowhere'` matches no point."),
        (
            lambda: attribute.conductance(fun)("abc"),
            "`args[0]` is 'abc', no array of numbers to attribute to, and `argnums` is 0: give an array of floats",
        ),
        (
            lambda: attribute.saliency(fun)({"a": X, "b": None, "c": len}),
            "`args[0]['c']` is <built-in function len>, no",
        ),
        (
            lambda: attribute.lrp(fun)(np.array(["a"])),
            "`args[0]` is an array of shape (1,), no array of numbers to attribute to",
        ),
        (lambda: attribute.edges(fun, other=B)(None), "`args[0]` is None, without arrays to attribute to"),
        (
            lambda: attribute.conductance(fun, baseline="zeros")(X[0]),
            "`baseline` has 'zeros', which is no array, where",
        ),
        (lambda: attribute.saliency(fun)(), "What `saliency` returns takes the arguments of `fun`, and was given none"),
        (lambda: attribute.conductance(fun, baseline=lambda a, b: a)(X), "`baseline` must take (inputs), and what it"),
        (lambda: attribute.patching(fun, other=None), "`other` is None; give the arguments of the other run, or a"),
        (lambda: attribute.edges(fun, other=None), "`other` is None; give the arguments of the other run, or a"),
        (
            lambda: attribute.smooth_grad(fun, key=jax.random.split(jax.random.key(0), 3)),
            "`key` is an array of shape (3,) of key<fry>, which is no single key; give one of",
        ),
        (
            lambda: attribute.smooth_grad(fun, key=np.zeros(2, int)),
            "`key` is an array of shape (2,) of int64, which is",
        ),
        (
            lambda: attribute.expected_gradients(fun, **OK, baselines=1j * np.ones((3, 4)))(X),
            "`baselines` is complex where the argument is real; give real numbers.",
        ),
        (lambda: attribute.expected_gradients(fun, **OK, baselines="a")(X), "`baselines` has 'a', which is no array"),
        (lambda: attribute.integrated_gradients(fun, along="theirs"), "`along` is 'theirs'; it is"),
        (lambda: attribute.patching(fun, other=B, delta_of="both"), "`delta_of` is 'both'; it is"),
        (lambda: attribute.patching(fun, other=np.zeros(5))(X), "has an array of shape (5,)"),
        (lambda: attribute.smooth_grad(fun, key=3), "`key` is 3; give one of `jax.random.key`."),
        (lambda: attribute.smooth_grad(fun, **OK, noise=-1), "`noise` is -1; it is a share of the range"),
        (lambda: attribute.expected_gradients(fun, **OK, baselines=B)(X), "`baselines` has the shapes [(4,)], and"),
        (lambda: attribute.grad_cam(fun)(X), "`h1` has the shape (6,), in which axis -1 and others are sought"),
        (lambda: attribute.saliency(fun)(X).ranked(0), "`k` is 0; it must be an integer of at least 1."),
        (lambda: attribute.saliency(fun, "h1", X), "`jw.attribute.saliency` was given 3 positional arguments"),
    ],
)
def test_refused(of, said):
    with pytest.raises(jw.JaxwalkError) as caught:
        of()
    assert said in str(caught.value)


def test_floats_are_no_baseline_of_integers():
    score = lambda tokens: fun(jw.tag(jnp.ones((7, 4))[tokens], "embed").sum(0))
    with pytest.raises(jw.ArgumentError, match="`other` has an array of float64, and the argument there one of int"):
        attribute.patching(score, "embed", other=np.array([1.5, 2.0]))(jnp.array([1, 2]))


def test_a_path_between_tokens_is_that_of_their_embeddings():
    table, this, others = RANDOM.normal(size=(5, 4)), jnp.array([1, 2]), jnp.array([3, 0])
    score = lambda tokens: fun(jw.tag(jnp.asarray(table)[tokens], "embed").sum(0))
    said = "`args[0]` holds integers, and a path between them has no values; take that between their embeddings, at the"
    for method in (attribute.patching, attribute.edges):
        with pytest.raises(jw.ArgumentError) as caught:
            method(score, other=others, steps=3)(this)
        assert said in str(caught.value)
        assert f'`{method.__name__}(lambda e: jw.intervene(fun, {{"embed": e}})(*args), other=...)(e)`' in str(
            caught.value
        )
    start, end = (jw.outputs(score, "embed")(tokens)[1]["embed"] for tokens in (this, others))
    found = attribute.patching(lambda e: jw.intervene(score, {"embed": e})(this), other=end, steps=3)(start)
    nodes = [end + (i + 0.5) / 3 * (start - end) for i in range(3)]
    delta = np.mean([jax.grad(lambda h: last(second(h)))(first(e.sum(0))) for e in nodes], 0)
    np.testing.assert_allclose(found.scores["h1"], delta * (first(end.sum(0)) - first(start.sum(0))), **CLOSE)
    assert "embed" in found.scores


def test_numbers_of_numpy_count_too():
    found = attribute.conductance(fun, steps=np.int64(5), batch_size=np.int32(2))(X)
    np.testing.assert_array_equal(found.inputs, attribute.conductance(fun, steps=5, batch_size=2)(X).inputs)
