"""The formulas of a chain: what is printed is run, and gives what a walk gives."""

import re
import time

import jax
import jax.numpy as jnp
import matplotlib.figure
import numpy as np
import pytest
import sympy
from jax import lax

import jaxwalk as jw
from helpers import evaluated
from jaxwalk._cli.example import walkthrough as worked

pytestmark = pytest.mark.usefixtures("float64")
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
squares = lambda o, y: 0.5 * jnp.sum((o - y) ** 2)
cross_entropy = lambda o, y: -jnp.mean(jnp.sum(y * jax.nn.log_softmax(o, -1), -1))


def drawn(*shape):
    return np.random.default_rng(sum(shape) + 7 * len(shape)).normal(size=shape) * 0.7


def norm(p, x):
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * p["g"][None] + p["b"][None]


def attention(p, x):
    weights = jax.nn.softmax((x @ p["q"]) @ (x @ p["k"]).T / 2, axis=-1)
    return x + weights @ (x @ p["v"]) @ p["o"]


def heads(p, x):
    """Causal, of two heads."""
    q, k, v = (jnp.moveaxis((x @ p[name]).reshape(3, 2, 2), 1, 0) for name in "qkv")
    scores = jnp.where(jnp.tril(jnp.ones((1, 3, 3), bool)), q @ k.swapaxes(1, 2) / np.sqrt(2), -1e9)
    return jnp.moveaxis(jax.nn.softmax(scores, -1) @ v, 0, 1).reshape(3, 4)


def conv(p, x):
    image = lax.conv_general_dilated(x[None, None], p["k"], (1, 1), "SAME")[0]
    return image + p["c"][:, None, None]


def pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2), (1, 2, 2), "VALID")


def mean_pool(x):
    return lax.reduce_window(x, 0.0, lax.add, (1, 2, 2), (1, 2, 2), "VALID") / 4


mlp = lambda p, x: jax.nn.gelu(x @ p["w"] + p["b"][None]) @ p["v"] + x
square = {name: drawn(4, 4) * (i + 1) / 2 for i, name in enumerate("qkvo")}

# name: model, params, x, y, loss
MODELS = {
    "dense": (
        jw.chain(dense=lambda p, x: x @ p["w"] + p["b"][None], act=jnp.tanh, L3=lambda w, x: x @ w),
        {"dense": {"w": drawn(4, 5), "b": drawn(5)}, "L3": drawn(5, 2)},
        drawn(3, 4),
        drawn(3, 2),
        squares,
    ),
    "transformer": (
        jw.chain(norm=norm, attention=attention, heads=heads, mlp=mlp, out=lambda w, x: x @ w),
        {
            "norm": {"g": drawn(4), "b": drawn(4)},
            "attention": square,
            "heads": {n: square[n] for n in "qkv"},
            "mlp": {"w": drawn(4, 6), "b": drawn(6), "v": drawn(6, 4)},
            "out": drawn(4, 5),
        },
        drawn(3, 4),
        np.eye(5)[:3],
        cross_entropy,
    ),
    "cnn": (
        jw.chain(conv=conv, act=jax.nn.relu, pool=pool, flat=jnp.ravel, dense=lambda p, x: p["w"] @ x + p["b"]),
        {"conv": {"k": drawn(2, 1, 3, 3), "c": drawn(2)}, "dense": {"w": drawn(3, 8), "b": drawn(3)}},
        drawn(4, 4),
        drawn(3),
        squares,
    ),
    "mean pool": (
        jw.chain(lambda x: x[None] * 2, mean_pool, jax.nn.leaky_relu),
        {},
        drawn(4, 4),
        drawn(1, 2, 2),
        squares,
    ),
    "nested": (
        jw.chain(enc=jw.chain(jw.chain(lambda w, x: w * x), jnp.sin), out=lambda w, x: w @ x),
        {"enc": {"L1": {"L1": drawn(3)}}, "out": drawn(2, 3)},
        drawn(3),
        drawn(2),
        squares,
    ),
    "batches": (
        jw.chain(
            lambda w, x: jnp.einsum("btd,de->bte", x, w),
            lambda x: 2 * jax.nn.sigmoid(x),
            lambda w, x: x * w[None, None],
        ),
        {"L1": drawn(4, 5), "L3": drawn(5)},
        drawn(2, 3, 4),
        drawn(2, 3, 5),
        squares,
    ),
    "scan": (
        jw.chain(lambda w, x: lax.scan(lambda c, w: (jnp.tanh(w @ c), None), x, w)[0]),
        {"L1": drawn(2, 4, 4)},
        drawn(4),
        drawn(4),
        squares,
    ),
    "trees": (
        jw.chain(lambda x: {"a": x[0] * 2, "b": jnp.exp(x[1])}, lambda w, x: (w[0] * x["a"] - w[1] / x["b"],)),
        {"L2": [drawn(3), drawn(3)]},
        (drawn(3), drawn(3) + 2),
        drawn(3),
        lambda o, y: squares(o[0], y),
    ),
    "maximum": (
        jw.chain(lambda x: jnp.maximum(x, 0.0), lambda x: jnp.max(x, 1), lambda x: jnp.clip(x, 0.1, 0.9)),
        {},
        drawn(3, 4),
        drawn(3),
        squares,
    ),
    "embedding": (
        jw.chain(lambda w, x: w[x], lambda x: jnp.cumsum(x, 0) + jnp.concatenate([x[1:], x[:1] ** 3])),
        {"L1": drawn(5, 3)},
        np.array([0, 3, 0]),
        drawn(3, 3),
        squares,
    ),
}


def indexed(kind, number):
    return kind + str(number).translate(SUPERSCRIPTS)


@pytest.mark.parametrize("name", MODELS)
def test_the_recipe_gives_what_a_walk_gives(name):
    model, params, x, y, loss = MODELS[name]
    found = jw.formulas(model, loss, params, x, y, grain="tensors")
    values = found.evaluate(params, x, y)
    assert list(values) == [e.name for e in found]
    fun = jw.objective(model, loss)
    walk = jw.walk(fun, argnums=0)(params, x, y)
    np.testing.assert_allclose(values["Loss"], walk.value, rtol=1e-6)
    points = [p for p in walk.points.values() if p.name not in ("enc", "enc/L1")]  # a chain's last layer again
    close = lambda key, expected: np.testing.assert_allclose(values[key], expected, rtol=1e-6, atol=1e-9, err_msg=key)
    if name != "trees":
        for i, point in enumerate(points, 1):
            if point.has_delta:
                close(indexed("δ", i), walk.deltas[point.name])
            if i > 1:
                close(indexed("X", i), walk.outputs[point.name])
    grads = jax.tree.leaves(walk.grads)
    weights = [k for k in values if k.startswith("δ") and not re.fullmatch("δ[⁰¹²³⁴⁵⁶⁷⁸⁹]+(\\.[a-z0-9])?", k)]
    assert len(weights) == len(grads)
    remaining = [values[k] for k in weights]
    for grad in grads:  # each is one of these
        fits = [
            i for i, v in enumerate(remaining) if v.shape == grad.shape and np.allclose(v, grad, rtol=1e-6, atol=1e-9)
        ]
        assert fits
        remaining.pop(fits[0])


def test_what_is_printed():
    model, params, x, y, loss = MODELS["dense"]
    text = repr(jw.formulas(model, loss, params, x, y))
    forward = ("X² = X¹ w¹ + b¹", "X³ = tanh(X²)", "X⁴ = X³ W³", "Loss = 1/2 · Σ((X⁴ − Y)²)", "δ⁴ = X⁴ − Y")
    backward = ("δ³ = δ⁴ W³ᵀ", "δW³ = X³ᵀ δ⁴", "δ² = δ³ ⊙ (1 − (X³)²)", "δ¹ = δ² w¹ᵀ", "δb¹ = Σ₀(δ²)")
    for line in (*forward, *backward, "δw¹ = X¹ᵀ δ²"):
        assert re.search(rf"(^|\s){re.escape(line)}$", text, re.M), line
    text = repr(jw.formulas(*(MODELS["transformer"][i] for i in (0, 4, 1, 2, 3))))
    for line in (
        "softmax₁((X² q²) (X² k²)ᵀ / 2)",
        "(d − Σ₁(d ⊙ a)[:, None])",
        "δo² = (a (X² v²))ᵀ δ³",
        "C₁ is a constant",
        "max₁",
    ):
        assert line in text
    text = repr(jw.formulas(*(MODELS["cnn"][i] for i in (0, 4, 1, 2, 3))))
    for line in (
        "X² = reshape(conv(X¹[None, None], k¹; nchw,ochw→nohw; padding 1), (2, 4, 4)) + c¹[:, None, None]",
        "X⁴ = maxpool₁,₂(X³; 2×2)",
        "δ³ = maxunpool₁,₂(δ⁴, X³; 2×2)",
        "δk¹ = conv(X¹[None, None], δ²[None]; nchw,nohw→ochw; padding 1)",
        "conv(A, B; a,b→c) slides B as it is",
        "padding p: p zeros on either side",
        "δ² = δ³ ⊙ 1[X² > 0]",
        "δc¹ = Σ₁,₂(δ²)",
        "δw⁵ = δ⁶ ⊗ X⁵",
    ):
        assert line in text


def test_the_worked_example_entry_by_entry():
    found = jw.formulas(worked.model, worked.loss, worked.params, np.zeros(3, np.float32), np.float32(0))
    assert found.grain == "entries"
    lines = {e.name: e.text for e in found}
    assert lines == {
        "X²": "X¹", "X³": "W²₁·X²₁ + W²₂·X²₂ + W²₃·X²₃", "X⁴": "X³ if X³ ≥ 0 else 0", "Loss": "(X⁴ − Y)²/2",
        "δ⁴": "X⁴ − Y", "δ³": "δ⁴ if X³ ≥ 0 else 0", "δ²": "(δ³·W²₁, δ³·W²₂, δ³·W²₃)",
        "δW²": "(δ³·X²₁, δ³·X²₂, δ³·X²₃)", "δ¹": "δ²",
    }  # fmt: skip
    tensors = jw.formulas(
        worked.model, worked.loss, worked.params, np.zeros(3, np.float32), np.float32(0), grain="tensors"
    )
    assert (tensors["δ²"].text, tensors["δW²"].text, tensors["X³"].text) == ("δ³ · W²", "δ³ · X²", "W² · X²")
    assert tensors["δ³"].text == "δ⁴ if X³ ≥ 0 else 0"


def test_entries_give_what_a_walk_gives():
    model = jw.chain(dense=lambda p, x: p["w"] @ x + p["b"], act=jax.nn.relu, out=lambda w, x: jnp.tanh(w @ x))
    params = {"dense": {"w": drawn(3, 2), "b": drawn(3)}, "out": drawn(2, 3)}
    x, y = drawn(2), drawn(2) + 1
    found = jw.formulas(model, squares, params, x, y, grain="entries")
    walk = jw.walk(jw.objective(model, squares), argnums=0)(params, x, y)
    numbers = {}

    def put(name, array):
        for index in np.ndindex(np.shape(array)):
            numbers["_".join([name, *(str(i + 1) for i in index)])] = sympy.Float(float(array[index]), 17)

    put("X__1", x), put("w__1", params["dense"]["w"]), put("b__1", params["dense"]["b"]), put("W__3", params["out"])
    for name, leaf in (("Y", y), *((f"X__{i}", walk.outputs[n]) for i, n in enumerate(walk.points, 1))):
        put(name, np.asarray(leaf))
    for i, n in enumerate(walk.points, 1):
        put(f"delta__{i}", np.asarray(walk.deltas[n]))
    for i, n in enumerate(walk.points, 1):
        np.testing.assert_allclose(evaluated(found[indexed("δ", i)].expression, numbers), walk.deltas[n], rtol=1e-9)
    np.testing.assert_allclose(evaluated(found["δw¹"].expression, numbers), walk.grads["dense"]["w"], rtol=1e-9)
    np.testing.assert_allclose(evaluated(found["δW³"].expression, numbers), walk.grads["out"], rtol=1e-9)


def test_large_layers_and_their_speed():
    start = time.perf_counter()
    model = jw.chain(*(lambda w, x: jax.nn.relu(x @ w) for _ in range(12)))
    params = {f"L{i}": jax.ShapeDtypeStruct((4096, 4096), "float32") for i in range(1, 13)}
    x = jax.ShapeDtypeStruct((256, 4096), "float32")
    found = jw.formulas(model, squares, params, x, x)
    assert found.grain == "tensors"
    assert found["δ¹²"].text == "a W¹²ᵀ"
    assert [(n, t) for n, t, _ in found["δ¹²"].where] == [("a", "δ¹³ ⊙ 1[X¹² W¹² > 0]")]
    assert time.perf_counter() - start < 10
    with pytest.raises(jw.FormulaError, match="goes tensor by tensor for layers of any size"):
        jw.formulas(model, squares, params, x, x, grain="entries")


@pytest.mark.parametrize("name", ["dense", "transformer", "cnn", "maximum"])
@pytest.mark.parametrize("grain", ["tensors", "entries"])
def test_latex(name, grain):
    """That it can be set: by matplotlib, which knows much of LaTeX, but no `aligned`."""
    if grain == "entries" and name != "maximum":
        model, params, x, y, loss = worked.model, worked.params, np.zeros(3, np.float32), np.float32(0), worked.loss
    else:
        model, params, x, y, loss = MODELS[name]
    found = jw.formulas(model, loss, params, x, y, grain=grain)
    assert found._repr_latex_().startswith("$$\\begin{aligned}")
    figure = matplotlib.figure.Figure()
    for e in found:
        for latex in (f"{e.name_latex} = {e.latex}", *(w[2] for w in e.where)):
            if r"\begin" not in latex:
                figure.text(0, 0, f"${latex}$".replace(r"\mathrm{if}", "if"))
    figure.savefig(__import__("io").BytesIO())


def test_a_function_that_is_no_chain():
    found = jw.formulas(lambda p, x: jnp.sin(p * x), squares, np.float64(2.0), drawn(3), drawn(3), grain="tensors")
    assert found["X²"].text == "sin(W¹ · X¹)"
    values = found.evaluate(np.float64(2.0), drawn(3), drawn(3))
    grads = jax.grad(lambda p, x, y: squares(jnp.sin(p * x), y), (0, 1))(2.0, drawn(3), drawn(3))
    np.testing.assert_allclose(values["δW¹"], grads[0], rtol=1e-9)
    np.testing.assert_allclose(values["δ¹"], grads[1], rtol=1e-9)


def test_a_layer_that_is_called_loss():
    found = jw.formulas(jw.chain(loss=jax.nn.relu), squares, {}, drawn(2), drawn(2), grain="tensors")
    assert found["δ¹"].text == "δ² ⊙ 1[X¹ > 0]"


def test_letters_of_parts_are_not_those_of_weights():
    model = jw.chain(lambda p, x: jnp.sin(p["a"] * x + p["c"]) * (p["a"] * x + p["c"]) ** 2)
    params = {"L1": {"a": drawn(3), "c": drawn(3)}}
    found = jw.formulas(model, squares, params, drawn(3), drawn(3), grain="tensors")
    assert [n for n, _, _ in found["X²"].where] == ["b"]


def test_arguments_that_do_not_fit():
    model, params, x, y, loss = MODELS["dense"]
    entries = jw.formulas(model, loss, params, x, y, grain="entries")
    for attempt, text in (
        (lambda: jw.formulas(3, loss, params, x, y), "`model` is 3, which cannot be called"),
        (lambda: jw.formulas(model, loss, params, x), "holds 2; give three: params, x, y"),
        (lambda: jw.formulas(model, loss, params, x, y, grain="fine"), "`grain` is 'fine'; it must be"),
        (lambda: jw.formulas(model, lambda o, y: o - y, params, x, y), "must be a real scalar, but it is an array"),
        (lambda: jw.formulas(model, loss, {}, x, y), "lacks the weights of `dense`"),
        (lambda: jw.formulas(model, loss, params, "x", y), "`*shapes` holds 'x'; give arrays"),
        (lambda: entries.evaluate(params, x, y), "ask for them with `grain='tensors'`"),
    ):
        with pytest.raises(jw.ArgumentError, match=re.escape(text)):
            attempt()
