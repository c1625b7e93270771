"""What is written for any function, run with NumPy, gives what JAX gives; and the signs that a reader sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxwalk._formulas.notation.common_subexpressions import written
from jaxwalk._formulas.notation.names import Name
from jaxwalk._formulas.notation.numpy import numpy_style
from jaxwalk._formulas.notation.numpy_functions import NAMESPACE
from jaxwalk._formulas.notation.text import TEXT
from jaxwalk._formulas.tensors.builder import TermBuilder
from jaxwalk._formulas.tensors.read_jaxpr import read_terms
from jaxwalk._jax.jaxpr.jaxprs import close

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
    terms, steps = TermBuilder(), []
    variables = [terms.variable(Name(f"v{i}"), jax.typeof(jnp.asarray(a))) for i, a in enumerate(args)]
    results = read_terms(terms, close(closed), variables)
    lines = written(results, numpy_style(steps))
    values = {**NAMESPACE, "step": steps, "constant": terms.constants} | {
        f"v{i}": np.asarray(a) for i, a in enumerate(args)
    }
    for name, line in lines.parts.items():
        values[name] = eval(line, values)
    for (line, _), expected in zip(lines.wholes, jax.tree.leaves(jax.jit(fun)(*args)), strict=True):
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
    floats = [i for i, leaf in enumerate(jax.tree.leaves(jax.eval_shape(fun, x))) if leaf.dtype == np.float64]
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


NHWC, NCHW = ("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NCHW")
ODD = lax.ConvDimensionNumbers((0, 3, 2, 1), (1, 3, 2, 0), (3, 0, 2, 1))  # h behind w


def conv(layout=NHWC, stride=(1, 1), padding="SAME", **options):
    return lambda x, w: lax.conv_general_dilated(x, w, stride, padding, dimension_numbers=layout, **options)


def pooled(reduce, start, sizes, stride, padding="VALID", **options):
    return lambda x: lax.reduce_window(x, np.float64(start), reduce, sizes, stride, padding, **options)


def mean_pooled(x):
    return pooled(lax.add, 0, (1, 2, 2, 1), (1, 2, 2, 1))(x) / 4


image, kernel = drawn(2, 7, 6, 4), drawn(3, 2, 4, 6)
channels_first = np.moveaxis(image, 3, 1), kernel.transpose(3, 2, 0, 1)
ties = np.round(image)
side, square = (1, 2, 2, 1), (1, 3, 3, 1)
# what is computed, at what, what is written for it and for its derivatives
WINDOWS = [
    (conv(), (image, kernel), "conv(v0, v1; nhwc,hwco→nhwo; padding 1×(0,1))",
     "conv(v2, flip₀,₁(v1); nhwo,hwco→nhwc; padding 1×(1,0))", "conv(v0, v2; nhwc,nhwo→hwco; padding 1×(0,1))"),
    (conv(NCHW, (2, 2), "VALID"), channels_first, "conv(v0, v1; nchw,ochw→nohw; stride 2)",
     "conv(v2, flip₂,₃(v1); nohw,ochw→nchw; padding 2×1, input dilation 2)",
     "conv(v0, v2; nchw,nohw→ochw; dilation 2)"),
    (conv(stride=(2, 1), padding=((1, 0), (2, 2))), (image, kernel),
     "conv(v0, v1; nhwc,hwco→nhwo; stride 2×1, padding (1,0)×2)",
     "conv(v2, flip₀,₁(v1); nhwo,hwco→nhwc; padding (1,3)×−1, input dilation 2×1)",
     "conv(v0, v2; nhwc,nhwo→hwco; padding (1,−1)×2, dilation 2×1)"),
    (conv(padding="VALID", rhs_dilation=(2, 1)), (image, kernel), "conv(v0, v1; nhwc,hwco→nhwo; dilation 2×1)",
     "conv(v2, flip₀,₁(v1); nhwo,hwco→nhwc; padding 4×1, dilation 2×1)",
     "conv(v0, v2; nhwc,nhwo→hwco; stride 2×1)"),
    (conv(NCHW, padding=((0, 1), (-1, 3)), lhs_dilation=(1, 2)), channels_first,
     "conv(v0, v1; nchw,ochw→nohw; padding (0,1)×(−1,3), input dilation 1×2)",
     "conv(v2, flip₂,₃(v1); nohw,ochw→nchw; stride 1×2, padding (2,1)×(2,−2))",
     "conv(v0, v2; nchw,nohw→ochw; padding (0,1)×(−1,3), input dilation 1×2)"),
    (conv(stride=(3, 2), feature_group_count=2), (image, kernel[:, :, :2]),
     "conv(v0, v1; nhwc,hwco→nhwo; stride 3×2, padding 1×0, 2 groups of c and o)",
     "conv(v2, flip₀,₁(v1); nhwo,hwco→nhwc; padding 1, input dilation 3×2, 2 groups of o)",
     "conv(v0, v2; nhwc,nhwo→hwco; padding 1×0, dilation 3×2, 2 groups of c and o)"),
    (conv(NCHW, feature_group_count=4), (channels_first[0], drawn(4, 1, 3, 3)),
     "conv(v0, v1; nchw,ochw→nohw; padding 1, 4 groups of c and o)",
     "conv(v2, flip₂,₃(v1); nohw,ochw→nchw; padding 1, 4 groups of o)",
     "conv(v0, v2; nchw,nohw→ochw; padding 1, 4 groups of c and o)"),
    (conv(NCHW, batch_group_count=2), channels_first,
     "conv(v0, v1; nchw,ochw→nohw; padding 1×(0,1), 2 groups of n and o)", None,
     "conv(v0, v2; nchw,nohw→ochw; padding 1×(0,1), 2 groups of n and o)"),
    (conv(ODD, (1, 2)), (image, drawn(3, 5, 2, 4)), "conv(v0, v1; nwhc,wohc→owhn; stride 1×2, padding (0,1)×1)",
     None, None),
    (lambda x, w: conv(NCHW)(x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1)).transpose(0, 2, 3, 1), (image, kernel),
     "conv(v0, v1; nhwc,hwco→nhwo; padding 1×(0,1))", "conv(v2, flip₀,₁(v1); nhwo,hwco→nhwc; padding 1×(1,0))", None),
    (lambda x, w: lax.conv_general_dilated(x, w, (2,), "SAME"), (drawn(2, 3, 5), drawn(4, 3, 3)),
     "conv(v0, v1; ncw,ocw→now; stride 2, padding 1)",
     "conv(v2, flip₂(v1); now,ocw→ncw; padding 1, input dilation 2)",
     "conv(v0, v2; ncw,now→ocw; padding 1, dilation 2)"),
    (lambda x, w: lax.conv_general_dilated(x, w, (1, 2, 1), "VALID"), (drawn(1, 2, 3, 4, 3), drawn(3, 2, 1, 2, 2)),
     "conv(v0, v1; ncdhw,ocdhw→nodhw; stride 1×2×1)", None, None),
    (pooled(lax.max, -np.inf, side, side), (ties,), "maxpool₁,₂(v0; 2×2)", "maxunpool₁,₂(v1, v0; 2×2)"),
    (pooled(lax.max, -np.inf, square, side, "SAME"), (ties,), "maxpool₁,₂(v0; 3×3, stride 2, padding 1×(0,1))",
     "maxunpool₁,₂(v1, v0; 3×3, stride 2, padding 1×(0,1))"),
    (pooled(lax.min, np.inf, (1, 1, 3, 2), (1, 1, 1, 2)), (ties,), "minpool₂,₃(v0; 3×2, stride 1×2)",
     "minunpool₂,₃(v1, v0; 3×2, stride 1×2)"),
    (pooled(lax.add, 0, side, side), (image,), "sumpool₁,₂(v0; 2×2)", "sumunpool₁,₂(v1; 2×2, padding (0,−1)×0)"),
    (pooled(lax.add, 0, square, side, "SAME"), (image,), "sumpool₁,₂(v0; 3×3, stride 2, padding 1×(0,1))",
     "sumunpool₁,₂(v1; 3×3, stride 2, padding 1×(0,1))"),
    (pooled(lax.add, 0, square, (1, 1, 1, 1), "SAME", window_dilation=(1, 2, 1, 1)), (image,),
     "sumpool₁,₂(v0; 3×3, stride 1, padding 2×1, dilation 2×1)",
     "sumpool₁,₂(v1; 3×3, stride 1, padding 2×1, dilation 2×1)"),
    (pooled(lax.add, 0, (1, 7, 6, 1), (1, 1, 1, 1)), (image,), "sumpool₁,₂(v0; 7×6)", "sumunpool₁,₂(v1; 7×6)"),
    (mean_pooled, (image,), "avgpool₁,₂(v0; 2×2)", "avgunpool₁,₂(v1; 2×2, padding (0,−1)×0)"),
    (jax.vmap(lambda x: mean_pooled(x.transpose(1, 2, 0)[None])[0].transpose(2, 0, 1)), (image,),
     "avgpool₂,₃(v0; 2×2)", "avgunpool₂,₃(v1; 2×2)"),
    (pooled(lax.max, -np.inf, (9, 9), (1, 1)), (drawn(3, 4),), "maxpool₀,₁(v0; 9×9, stride 1)", None),
    (lambda x: lax.pad(x, 2.5, ((1, 0, 1), (-1, 2, 0))), (drawn(3, 4),),
     "pad₀,₁(v0; (1,0)×(−1,2), input dilation 2×1, value 5/2)", None),
    (lambda x: lax.pad(x, -np.inf, ((1, 1, 0), (0, 0, 0))), (drawn(3, 4),), "pad₀(v0; 1, value −∞)", "pad₀(v1; −1)"),
    (lambda x: lax.rev(x, (0, 1)), (drawn(3, 4),), "flip₀,₁(v0)", "flip₀,₁(v1)"),
    (lambda x: lax.reshape(x, (4, 3), (1, 0)), (drawn(3, 4),), "v0ᵀ", "v1ᵀ"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(WINDOWS)))
def test_windows(case):
    """Convolutions and pools, and what flows back through them."""
    fun, args, forward, *backward = WINDOWS[case]
    assert check_terms(fun, *args) == [forward]
    back = check_terms(lambda *a: jax.vjp(fun, *a[:-1])[1](a[-1]), *args, drawn(*jax.eval_shape(fun, *args).shape))
    assert len(back) == len(backward)
    assert all(text == expected for text, expected in zip(back, backward) if expected is not None)


@pytest.mark.parametrize("x", [[np.nan, 1, 2, 3], [1, np.nan, 2, np.nan], [-np.inf] * 4, [1, 1, 1, 1]])
def test_where_the_largest_entry_is_not_a_number(x):
    pool = lambda x: lax.reduce_window(x, -np.inf, lax.max, (2,), (2,), ((1, 1),))
    check_terms(lambda x, d: jax.vjp(pool, x)[1](d), np.array(x, float), drawn(3))


def test_other_layouts_are_written_differently():
    x, w = drawn(4, 4, 4, 4), drawn(4, 4, 4, 4)
    layouts = [NHWC, NCHW, ("NHWC", "OIHW", "NHWC"), ("NHWC", "HWOI", "NHWC"), ("CHWN", "HWIO", "NHWC")]
    layouts += [("NHWC", "HWIO", "NCHW"), ("NHWC", "WHIO", "NHWC"), ("NHWC", "HWIO", "CHWN")]
    assert len({check_terms(conv(layout), x, w)[0] for layout in layouts}) == len(layouts)


def test_what_has_no_notation_has_its_parameters():
    x, w = np.arange(9).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2), int)
    texts = check_terms(lambda x, w: lax.conv(x, w, (2, 1), "VALID"), x, w)  # of integers
    assert texts[0].startswith("conv_general_dilated(v0, v1; window_strides=(2,1), padding=((0,0),(0,0)), ")
    assert check_terms(lambda x: lax.sort(x, dimension=0), x)[0].startswith("sort(v0; dimension=0, ")
