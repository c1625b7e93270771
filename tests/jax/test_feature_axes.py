"""The axes that features are on, followed through what keeps, moves, divides and loses them. Nothing is computed."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxwalk._jax.feature_axes import feature_axes
from jaxwalk._jax.jaxpr.jaxprs import trace

IMAGE, KERNEL = (3, 8, 8), (6, 3, 3, 3)  # channels first
TOKENS, MATRIX = (5, 4), (4, 6)


def axes_of(fun, *shapes, is_parameter=None):
    """The axes of the result of `fun`, of arrays of these shapes."""
    closed, _ = trace(fun, *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes))
    found = feature_axes(closed, is_parameter)[(), len(closed.jaxpr.eqns) - 1][0]
    return None if found is None else sorted(found)


def convolved(w, x, layout="CHW"):
    kernel = {"CHW": "OIHW", "HWC": "HWIO"}[layout]
    return lax.conv_general_dilated(x[None], w, (1, 1), "SAME", dimension_numbers=("N" + layout, kernel, "N" + layout))[
        0
    ]


@pytest.mark.parametrize(
    ("then", "axes"),
    [
        (lambda h: h, [0]),
        (lambda h: jax.nn.relu(h) + 1, [0]),
        (lambda h: jnp.moveaxis(h, 0, 2), [2]),
        (lambda h: lax.reduce_window(h, -jnp.inf, lax.max, (1, 2, 2), (1, 2, 2), "VALID"), [0]),
        (lambda h: jnp.mean(h, (1, 2)), [0]),
        (lambda h: jnp.mean(h, 2), [0]),
        (lambda h: h - jnp.mean(h, 0, keepdims=True), [0]),
        (lambda h: jnp.mean(h, 0), []),
        (lambda h: h.reshape(2, 3, 8, 8), [0, 1]),
        (lambda h: h.reshape(2, 3, 8, 8).reshape(6, 8, 8), [0]),
        (lambda h: h.reshape(6, 64).T, [1]),
        (lambda h: h.reshape(48, 8), []),  # channels and rows on one axis
        (lambda h: jax.checkpoint(jax.jit(lambda h: h.T))(h), [2]),
        (lambda h: lax.scan(lambda c, _: (c * 2, c.T), h, None, length=2)[0], [0]),
        (lambda h: lax.scan(lambda c, _: (c * 2, c.T), h, None, length=2)[1], [3]),
        (lambda h: lax.scan(lambda c, row: (c, row), 0.0, h.T)[1], [2]),
        (lambda h: lax.cond(h[0, 0, 0] > 0, lambda h: h * 2, lambda h: h, h), [0]),
        (lambda h: lax.while_loop(lambda h: h[0, 0, 0] > 0, lambda h: h - 1, h), [0]),
        (lambda h: jnp.concatenate([h, h]), [0]),
        (lambda h: jax.vmap(jax.vmap(lambda row: jnp.sin(row)))(h), [0]),
    ],
)
def test_the_channels_of_a_convolution(then, axes):
    # What comes last reads all of it, so that the last equation is of the whole.
    last = lambda w, x: jax.tree.leaves(then(convolved(w, x)))[0]
    closed, _ = trace(lambda w, x: lax.optimization_barrier(last(w, x)), *map(jnp.zeros, (KERNEL, IMAGE)))
    assert sorted(feature_axes(closed)[(), len(closed.jaxpr.eqns) - 1][0]) == axes


def test_the_layout_of_a_convolution_and_what_it_is_mapped_over():
    assert axes_of(convolved, KERNEL, IMAGE) == [0]
    assert axes_of(functools.partial(convolved, layout="HWC"), (3, 3, 3, 6), (8, 8, 3)) == [2]
    assert axes_of(lambda w, x: jnp.tanh(jax.vmap(convolved, (None, 0))(w, x)), KERNEL, (5, *IMAGE)) == [1]


@pytest.mark.parametrize(
    ("fun", "shapes", "axes"),
    [
        (lambda w, x: jnp.sin(x) @ w, (MATRIX, TOKENS), [1]),
        (lambda w, x: w @ jnp.sin(x), ((6, 5), TOKENS), [0]),
        (lambda w, x: jax.vmap(lambda x: w @ x)(jnp.sin(x)), ((6, 4), TOKENS), [1]),
        (lambda w, x: jax.vmap(lambda x: w.T @ x)(jnp.sin(x)), (MATRIX, TOKENS), [1]),
        (lambda w, x: jnp.einsum("ti,ihd->thd", jnp.sin(x), w), ((4, 2, 3), TOKENS), [1, 2]),
        (lambda w, x: jnp.einsum("ti,ihd->thd", jnp.sin(x), w).reshape(5, 6), ((4, 2, 3), TOKENS), [1]),
        (lambda w, x: w[jnp.argmax(x, 1)], (MATRIX, TOKENS), [1]),
        (lambda w, x: x @ w, (MATRIX, TOKENS), None),  # which of the two is the parameter?
        (lambda w, x: jnp.sin(x) * 2, (MATRIX, TOKENS), None),
    ],
)
def test_the_columns_of_a_matrix_and_the_rows_of_a_table(fun, shapes, axes):
    assert axes_of(fun, *shapes) == axes


def test_an_argument_that_is_no_parameter():
    assert axes_of(lambda w, x: x @ w, MATRIX, TOKENS, is_parameter=[True, False]) == [1]


def test_heads_are_units_of_what_attention_looks_at():
    def scores(w, x):
        q, k = (jnp.einsum("ti,ihd->thd", jnp.sin(x), w) for _ in range(2))
        return jnp.einsum("thd,shd->hts", q, k)

    assert axes_of(scores, (4, 2, 3), TOKENS) == [0]
