"""Completeness: what adds up, what all goes through, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("float64")]

RANDOM = np.random.default_rng(0)
W, LAYERS = RANDOM.normal(size=(4, 6)), RANDOM.normal(size=(3, 6, 6)) / 2
X, B = RANDOM.normal(size=4), RANDOM.normal(size=4)


def fun(x):
    h = jw.tag(jnp.tanh(x @ W), "h")
    half = jw.tag(h[:3] ** 2, "half")
    h, _ = jax.lax.scan(lambda h, w: (jw.tag(jnp.tanh(h @ w), "layer"), None), h, LAYERS)
    return jw.tag(jnp.sum(h**2) + jnp.sum(half), "sum")


def test_conductance_adds_up_where_all_goes_through():
    found = attribute.conductance(fun, baseline=B, steps=40, rule="gauss-legendre")(X)
    measure = jax.jit(attribute.completeness(found, fun, baseline=B))(X)
    change = fun(X) - fun(B)
    np.testing.assert_allclose(measure.change, change)
    np.testing.assert_allclose(measure.inputs, found.gap, atol=1e-12)
    np.testing.assert_allclose(measure.by_point["h"], 0, atol=1e-8)
    np.testing.assert_allclose(measure.by_point["sum"], 0, atol=1e-8)
    np.testing.assert_allclose(measure.by_point["half"], found.totals["half"] - change)
    np.testing.assert_allclose(measure.by_point["layer"], found.scores["layer"].sum(-1) - change)
    assert measure.through == {"h": True, "half": False, "layer": False, "sum": True}
    shown = repr(measure)
    assert shown.startswith("completeness of conductance at 4 points; of the inputs ")
    assert "all goes through" in shown


def test_what_is_told_of_loops_and_of_arguments():
    deep = lambda x: jnp.sum(jax.lax.scan(lambda h, w: (jw.tag(jnp.tanh(h @ w), "layer"), None), x @ W, LAYERS)[0])
    found = attribute.conductance(deep, steps=40, rule="gauss-legendre")(X)
    measure = attribute.completeness(found, deep)(X)
    np.testing.assert_allclose(measure.by_point["layer"], np.zeros(3), atol=1e-6)
    assert measure.through == {"layer": None}
    two = lambda x, y: jnp.sum(jw.tag(x * 2, "twice") * y)
    found = attribute.gradient_times_output(two)(X, B)
    assert attribute.completeness(found, two)(X, B).through == {"twice": True}
    assert attribute.completeness(found, two, argnums=1)(X, B).through == {"twice": False}
    many = lambda *args: two(*args)
    found = attribute.gradient_times_output(many)(X, B)
    assert attribute.completeness(found, many)(X, B).through == {"twice": None}
    assert attribute.completeness(found, many, argnums=(0, 1))(X, B).through == {"twice": False}


def test_of_tokens_there_are_scores_at_points_alone():
    table = RANDOM.normal(size=(7, 4))
    score = lambda tokens: fun(jw.tag(jnp.asarray(table)[tokens], "embed").sum(0))
    tokens, other = np.array([1, 2]), np.array([3, 5])
    own = attribute.integrated_gradients(score, "embed", along="own", baseline=other, steps=40)(tokens)
    measure = attribute.completeness(own, score, baseline=other)(tokens)
    assert measure.inputs is None
    np.testing.assert_allclose(measure.by_point["embed"], 0, atol=1e-6)
    assert measure.through == {"embed": True}


def test_two_names_of_one_value_and_a_branch():
    def both(x):
        with jax.named_scope("layer"):
            x = jw.tag(jnp.sin(x), "sine")
        return jax.lax.cond(jnp.sum(x) > 99, lambda x: jw.tag(jnp.sum(2 * x), "taken"), jnp.sum, x)

    found = attribute.gradient_times_output(both)(X)
    measure = jax.jit(jax.vmap(lambda a, x: attribute.completeness(a, both)(x)))(
        jax.tree.map(lambda a: a[None], found), X[None]
    )
    assert measure.through["layer"] is True
    assert measure.through["taken"] is False
    np.testing.assert_allclose(measure.by_point["taken"], [-both(X)])


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda: attribute.completeness(X, fun), "`attribution` is an array of shape (4,); give the `Attribution`"),
        (
            lambda: attribute.completeness(jax.vmap(attribute.saliency(fun))(X[None]), fun)(X),
            "`attribution` has scores of shape (1, 6) at `h`, where the value has (6,)",
        ),
        (lambda: attribute.completeness(attribute.saliency(fun)(X), fun, baseline=B[:2])(X), "`baseline` has an array"),
    ],
)
def test_refused(of, said):
    with pytest.raises(jw.JaxwalkError) as caught:
        of()
    assert said in str(caught.value)


def test_an_attribution_of_something_else_is_refused():
    fun = lambda x: jnp.sum(jw.tag(jnp.tanh(x), "tanh") ** 2)
    x, other = jnp.array([1.0, 2.0, -1.0]), jnp.array([-0.2, 0.1, 3.0])
    found = jw.attribute.conductance(fun)(x)
    measures = (
        jw.attribute.completeness(found, fun),
        jw.attribute.infidelity(found, fun, key=jax.random.key(0), samples=1),
        jw.attribute.faithfulness(found, fun, at="tanh"),
        jw.attribute.deletion(found, fun),
    )
    for measure in measures:
        with pytest.raises(jw.ArgumentError, match=r"explains a result of 2\.089, and here it is 1\.039; give the fun"):
            measure(other)
    with pytest.raises(jw.ArgumentError, match=r"is of a change of the result by 1\.05, .*; give the `baseline`"):
        jw.attribute.completeness(jw.attribute.conductance(fun, baseline=other)(x), fun)(x)


@pytest.mark.parametrize("method", [attribute.patching, attribute.relevance_patching])
def test_patching_adds_up_to_the_way_to_the_other_run(method):
    linear = lambda x: 3 * jw.tag(x, "y")
    measure = attribute.completeness(method(linear, other=5.0)(1.0), linear, baseline=5.0)(1.0)
    assert (measure.inputs, measure.by_point["y"], measure.change) == (0, 0, 12)


def test_an_attribution_of_other_arguments_is_refused():
    two = lambda a, b: jnp.sum(jw.tag(a + b**2, "y"))
    found = attribute.conductance(two, argnums=1)(X, B)
    measures = [
        attribute.deletion(found, two),
        attribute.infidelity(found, two, key=jax.random.key(0)),
    ]
    for measure in measures:
        with pytest.raises(jw.ArgumentError, match=r"has scores of the arguments [(]1,[)], and `argnums` is 0; give"):
            measure(X, B)
    assert attribute.deletion(found, two, argnums=-1)(X, B).values.shape == (5,)
