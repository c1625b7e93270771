"""A function that returns something else than one real number: each method says so in its own name, with a fix that
works."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

X, OTHER, KEY = np.array([1.0, 0.5], np.float32), np.array([0.5, 2.0], np.float32), jax.random.key(0)
OPTIONS = {
    "concept": {"vectors": np.ones(2, np.float32)},
    "edges": {"other": OTHER},
    "expected_gradients": {"baselines": OTHER[None], "key": KEY, "samples": 1},
    "patching": {"other": OTHER},
    "relevance_patching": {"other": OTHER},
    "smooth_grad": {"key": KEY, "samples": 1},
}
PLAIN = ("saliency", "gradient_times_output", "grad_cam", "conductance", "internal_influence", "integrated_gradients")
PLAIN += ("deep_lift", "guided_backprop", "deconvolution", "lrp")
METHODS = [*OPTIONS, *PLAIN]


def hidden(x):
    return jw.tag(jax.nn.relu(2 * x), "hidden")


def a_pair(x):
    return jnp.sum(hidden(x)), x


def called(method, fun, *args, **options):
    return getattr(attribute, method)(fun, **OPTIONS.get(method, {}), **options)(*args)


@pytest.mark.parametrize("method", METHODS)
def test_a_pair_is_refused_in_the_methods_own_words(method):
    with pytest.raises(jw.ArgumentError) as caught:
        called(method, a_pair, X)
    said = f"For `{method}`, `fun` must return a real scalar, and it returns a tuple of 2; give one part of it, as"
    assert str(caught.value) == f"{said} `lambda *args: fun(*args)[0]`."


@pytest.mark.parametrize("method", METHODS)
def test_arguments_by_name_and_others_than_there_are(method):
    with pytest.raises(
        jw.ArgumentError, match=f"What `{method}` returns takes the arguments of `fun` by position, and"
    ):
        getattr(attribute, method)(a_pair, **OPTIONS.get(method, {}))(x=X)
    if method in ("concept", "grad_cam"):
        return
    with pytest.raises(
        jw.ArgumentError, match=f"what `{method}` returns was called with 1 argument; name one of those"
    ):
        called(method, a_pair, X, argnums=1)
    with pytest.raises(jw.ArgumentError, match="`argnums` is 'x'; it must be an integer or several"):
        called(method, a_pair, X, argnums="x")


RETURNED = {
    "a dict": (lambda x: {"n": jnp.int32(2), "score": jnp.sum(hidden(x))}, "a dict of 2; give one part of it, as"),
    "nested": (lambda x: (x, {"a": (jnp.sum(hidden(x)),)}), "a tuple of 2; give one part of it, as"),
    "vector": (hidden, "an array of shape (2,); give one entry of it, as"),
    "matrix": (lambda x: hidden(x)[None], "an array of shape (1, 2); give one entry of it, as"),
    "complex": (
        lambda x: jax.lax.complex(jnp.sum(hidden(x)), jnp.float32(1)),
        "a number of complex64; give its real part or its modulus, as",
    ),
}


@pytest.mark.parametrize("which", RETURNED)
def test_the_fix_that_is_named_works(which):
    fun, said = RETURNED[which]
    with pytest.raises(
        jw.ArgumentError, match=re.escape(f"`fun` must return a real scalar, and it returns {said}")
    ) as e:
        called("lrp", fun, X)
    fix = re.search(r"`(lambda \*args: .*?)`", str(e.value)).group(1)
    mended = eval(fix, {"fun": fun, "jnp": jnp})
    assert called("saliency", mended, X).scores["hidden"].shape == (2,)


@pytest.mark.parametrize(
    ("fun", "said"),
    [
        (lambda x: None, "it returns None; return one float, or an array of no axes."),
        (lambda x: (hidden(x), x), "it returns a tuple of 2; return one float, or an array of no axes."),
        (
            lambda x: jnp.argmax(hidden(x)),
            "it returns a number of int32; give what it is made of, a float: no derivative",
        ),
        (lambda x: hidden(x[:0]), "it returns an array of shape (0,); give its sum;"),
    ],
)
def test_what_has_no_part_that_can_be_explained(fun, said):
    with pytest.raises(jw.ArgumentError, match=re.escape(f"`fun` must return a real scalar, and {said}")):
        called("deep_lift", fun, X)


def test_measures_say_it_too():
    score = lambda x: jnp.sum(hidden(x))
    found = attribute.gradient_times_output(score)(X)
    measures = {
        "infidelity": functools.partial(attribute.infidelity, key=KEY),
        "faithfulness": functools.partial(attribute.faithfulness, at="hidden"),
        **{name: getattr(attribute, name) for name in ("completeness", "deletion", "insertion")},
    }
    for name, measure in measures.items():
        with pytest.raises(
            jw.ArgumentError, match=f"For `{name}`, `fun` must return a real scalar, and it returns a tup"
        ):
            measure(found, a_pair)(X)


def test_integers_have_no_noise_and_nothing_has_no_range():
    fun = lambda x: jnp.sum(jw.tag(jnp.ones(4)[x.astype(int)] * 2, "embed"))
    with pytest.raises(
        jw.ArgumentError, match="holds integers, and between them there is no noise; make the embedding the argument"
    ):
        called("smooth_grad", fun, np.array([1, 2]))
    assert called("smooth_grad", lambda x: jnp.sum(hidden(x)), X[:0]).scores["hidden"].shape == (0,)
