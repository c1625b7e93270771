"""What is written for any function, run with NumPy, gives what JAX gives; and the signs that a reader sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxwalk._as_numpy import NAMESPACE, numpy_style
from jaxwalk._as_text import TEXT
from jaxwalk._compat import close
from jaxwalk._notation import written
from jaxwalk._read_terms import read_terms
from jaxwalk._signs import Name
from jaxwalk._terms import Terms

pytestmark = pytest.mark.usefixtures("float64")


def drawn(*shape):
    return np.random.default_rng(sum(shape) + 7 * len(shape)).normal(size=shape) * 0.7


@pytest.mark.parametrize("seed", range(40))
def test_products_over_any_axes(seed):
    """Matrices, vectors, batches and their transposes: whatever is written for a product is that product."""
    rng = np.random.default_rng(seed)
    shared, batch = int(rng.integers(0, 3)), int(rng.integers(0, 2))
    own = [int(n) for n in rng.integers(0, 3, 2)]
    ranks = [own[i] + shared + batch for i in range(2)]
    axes = [list(map(int, rng.permutation(r))) for r in ranks]
    sizes = [[0] * r for r in ranks]
    for i in range(2):
        for j, axis in enumerate(axes[i]):
            sizes[i][axis] = 2 + j if j < shared + batch else 5 + int(rng.integers(0, 2)) + i
    over = tuple(tuple(axes[i][:shared]) for i in range(2))
    along = tuple(tuple(axes[i][shared : shared + batch]) for i in range(2))
    rank = len(own) and own[0] + own[1] + batch
    turned = [tuple(map(int, rng.permutation(r))) for r in (*ranks, rank)]
    inverse = [tuple(map(int, np.argsort(t))) for t in turned]

    def fun(a, b):
        a, b = (lax.transpose(lax.transpose(v, turned[i]), inverse[i]) for i, v in enumerate((a, b)))
        return lax.transpose(lax.dot_general(a, b, (over, along)), turned[2])

    check_terms(fun, rng.normal(size=sizes[0]), rng.normal(size=sizes[1]))


def check_terms(fun, *args):
    """The formula of a function, as it is written in NumPy, against JAX."""
    closed = jax.make_jaxpr(fun)(*args)
    terms, steps = Terms(), []
    variables = [terms.variable(Name(f"v{i}"), np.shape(a)) for i, a in enumerate(args)]
    results = read_terms(terms, close(closed), variables)
    lines = written(results, numpy_style(steps))
    values = {**NAMESPACE, "step": steps, "constant": terms.constants} | {
        f"v{i}": np.asarray(a) for i, a in enumerate(args)
    }
    for name, line in lines.parts.items():
        values[name] = eval(line, values)
    for (line, _), expected in zip(lines.wholes, jax.tree.leaves(fun(*args)), strict=True):
        found = eval(line, values)
        assert np.shape(found) == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    return [text for text, _ in written(results, TEXT).wholes]


NOTATION = {
    "sum": (lambda x: (x.sum(), x.sum(0), x.sum(1, keepdims=True) * x, jnp.ones_like(x).sum(0)), drawn(2, 3)),
    "moments": (lambda x: (x.mean(0), x.var(1), x.std()), drawn(2, 3)),
    "max": (lambda x: (x.max(0), x.min(), x / x.max(1, keepdims=True), jnp.prod(x, 0)), drawn(2, 3)),
    "softmax": (lambda x: (jax.nn.softmax(x), jax.nn.softmax(x, 0), jax.nn.softmax(x, (0, 1))), drawn(2, 3)),
    "log softmax": (lambda x: (jax.nn.log_softmax(x), jax.nn.logsumexp(x, 0)), drawn(2, 3)),
    "functions": (
        lambda x: [
            f(x)
            for f in (
                jnp.exp,
                jnp.tanh,
                jnp.abs,
                jnp.sign,
                jnp.floor,
                lax.erf,
                jax.nn.sigmoid,
                jnp.sin,
                jnp.arctan,
                jnp.cbrt,
                jnp.expm1,
            )
        ],
        drawn(4),
    ),
    "roots": (lambda x: (jnp.sqrt(x**2 + 1), lax.rsqrt(x**2 + 1), (x**2) ** 0.7, x**-3), drawn(4)),
    "signs": (
        lambda x: (-x - (-x) * 2 - (x - 1), -(x + 1) * x, x - (x - x * 2), x / x / (x / 3), (-x) ** 2 - x**2),
        drawn(4),
    ),
    "numbers": (
        lambda x: (x * 0.3 - 1 / 7, x * 0.123456789 / 0.37, 0 * x + 2, x * 1 + 0, -0.5 * x * 4, 1e-30 * x),
        drawn(3),
    ),
    "conditions": (
        lambda x: (jnp.where(x > 0, x, 0), jnp.where(x <= 0, 0, x), jnp.where((x > 0) & ~(x > 1) | (x < -1), x, 2)),
        drawn(6),
    ),
    "truth": (lambda x: ((x > 0).astype(float) * x, (x == x).astype(int), x > 0), drawn(3)),
    "broadcasts": (
        lambda x: (
            x[:, None] + x[None],
            x[None] * jnp.ones((2, 3)),
            jnp.broadcast_to(x, (2, 3)).sum(1),
            jnp.broadcast_to(x[:, None], (3, 2)) @ x[:2],
        ),
        drawn(3),
    ),
    "shapes": (
        lambda x: (
            x.T,
            x.reshape(3, 2) @ x,
            x[None],
            x.ravel()[1:5:2],
            jnp.squeeze(x[:1]),
            x.reshape(2, 1, 3),
            x[::-1],
        ),
        drawn(2, 3),
    ),
    "transposes": (
        lambda x: (x.transpose(1, 2, 0), x.swapaxes(1, 2) @ x, (x @ x.swapaxes(1, 2)).swapaxes(1, 2), x.T.T),
        drawn(2, 3, 3),
    ),
    "joined": (
        lambda x: (
            jnp.concatenate([x, x * 2], 1),
            jnp.stack([x, x]),
            jnp.pad(x, 1),
            jnp.cumsum(x, 0),
            lax.cumsum(x, 1, True),
        ),
        drawn(2, 3),
    ),
    "masks": (
        lambda x: (jnp.tril(x), jnp.where(jnp.eye(3, dtype=bool), -jnp.inf, x), x * jnp.arange(3.0)[None]),
        drawn(3, 3),
    ),
    "integers": (lambda x: (x * 3 // 2, x % 3, x**2 - x, x > 1, jnp.where(x > 1, x, 0), x / 2), np.array([1, 5, -4])),
    "outer": (lambda x: (jnp.outer(x, x * 2), x @ x, jnp.vdot(x, x) * x, 2 * (x @ x) - x), drawn(3)),
    "control": (
        lambda x: (
            lax.cond(x[0] > 0, jnp.sin, jnp.cos, x),
            lax.fori_loop(0, 3, lambda i, c: c * x, x),
            jax.jit(jnp.exp)(x),
        ),
        drawn(3),
    ),
    "gelu": (lambda x: jax.nn.gelu(x, approximate=False), drawn(3)),
    "custom": (lambda x: (jax.nn.relu(x), jax.nn.silu(x), jax.nn.relu6(x), jax.checkpoint(jnp.sin)(x)), drawn(3)),
    "others": (
        lambda x: (
            jnp.sort(x),
            x[jnp.argmax(x)],
            lax.top_k(x, 2)[0],
            jnp.linalg.norm(x),
            jnp.asarray(x).at[1].set(0.0),
        ),
        drawn(4),
    ),
}


@pytest.mark.parametrize("name", NOTATION)
def test_notation(name):
    fun, x = NOTATION[name]
    check_terms(fun, x)
    floats = [i for i, leaf in enumerate(jax.tree.leaves(fun(x))) if leaf.dtype == np.float64]
    if x.dtype == np.float64:
        total = lambda x: sum(jnp.sum(jnp.sin(jnp.nan_to_num(jax.tree.leaves(fun(x))[i], neginf=0.0))) for i in floats)
        check_terms(jax.grad(total), x)


def test_signs():
    """The signs that a reader sees."""
    texts = lambda fun, *args: check_terms(fun, *args)
    a, b, v = drawn(2, 3), drawn(3, 4), drawn(3)
    assert texts(lambda a, b: (a @ b, b.T @ a.T, (a @ b).T, a.T), a, b) == ["v0 v1", "v1ᵀ v0ᵀ", "v1ᵀ v0ᵀ", "v0ᵀ"]
    assert texts(lambda a, v: (a @ v, v @ a.T, jnp.tensordot(v, v, 0), v @ v), a, v) == [
        "v0 v1",
        "v1 v0ᵀ",
        "v1 ⊗ v1",
        "v1 · v1",
    ]
    assert texts(lambda v: (v * v, 2 * v, -v * 3, v - -v, v / 2, v**2 * (v + 1)), v) == [
        "v0 ⊙ v0", "2 · v0", "−3 · v0", "v0 + v0", "v0 / 2", "v0² ⊙ (v0 + 1)"]  # fmt: skip
    assert texts(lambda v: (jnp.where(v > 0, v, 0), v.sum() * v, jax.nn.softmax(v)), v) == [
        "v0 ⊙ 1[v0 > 0]", "Σ(v0) · v0", "softmax₀(v0)"]  # fmt: skip
