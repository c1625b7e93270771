"""`kinks`: the decisions that rounding makes, exact ties, and the silence on everything else."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw

X = np.float32([1.0, 0.1, 0.0, -0.5])
R = np.random.default_rng(0)


def only(fun, *args, **options):
    (kink,) = jw.kinks(fun, *args, **options)
    return kink


# The third patient: the whole table of the worked example's figures.

W2 = [1 / 200, -3000 / 11600000, 1 / 5800]
L3 = {"where": lambda x: jnp.where(x >= 0, x, 0), "relu": jax.nn.relu, "max": lambda x: jnp.maximum(x, 0)}
L2 = {"dot": jnp.dot, "written out": lambda w, x: w[0] * x[0] + w[1] * x[1] + w[2] * x[2]}


@pytest.mark.parametrize("l2", L2)
@pytest.mark.parametrize("l3", L3)
@pytest.mark.parametrize("inputs", ["rounded", "exact"])
@pytest.mark.parametrize("bits", [32, 64])
def test_the_third_patient(l2, l3, inputs, bits):
    with jax.enable_x64(bits == 64):
        dtype, on_cpu = f"float{bits}", jax.default_backend() == "cpu"
        fun = lambda w, x, y: 0.5 * (L3[l3](L2[l2](w, x)) - y) ** 2
        for x, on_kink in (
            ([0, 2000, 3000], True),
            ([100, 2000, 100], True),
            ([200, 0, 0], False),
            ([0, 2000, 100], False),
        ):
            arguments = np.array(W2, dtype), np.array(x, dtype), np.ones((), dtype)
            for run in (fun, jax.jit(fun)):
                found = jw.kinks(run, *arguments, inputs=inputs)
                assert [k.operation for k in found] == [l3] * on_kink
                for kink in found:
                    assert kink.margin[0] <= kink.bound[0] < (1e-14 if bits == 64 else 1e-6 if on_cpu else 1e-2)
                    assert (kink.left[0], kink.right[0]) == (0, 1)
                    assert kink.used[0] in (0, 0.5, 1)


# The derivative on either side, and the one JAX uses: against JAX.

SIDES = {
    "relu": (jax.nn.relu, 0, 0, 1),
    "leaky_relu": (jax.nn.leaky_relu, 0, 0.01, 1),
    "abs": (jnp.abs, 0, -1, 1),
    "where": (lambda x: jnp.where(x >= 0, x, 0), 0, 0, 1),
    "less": (lambda x: jnp.where(x < 0, -2 * x, x), 0, -2, 1),
    "second": (lambda x: jnp.where(x < 0, 3 * x, x), 0, 3, 1),
    "max": (lambda x: jnp.maximum(x, 0), 0, 0, 1),
    "min": (lambda x: jnp.minimum(x, 1), 1, 1, 0),
    "max of constant": (lambda x: jnp.maximum(0, x), 0, 0, 1),
    "clip": (lambda x: jnp.clip(x, 0, 5), 0, 0, 1),
    "clamp": (lambda x: lax.clamp(-1.0, x, 1.0), 1, 1, 0),
    "curved": (lambda x: jnp.where(x > 1, x**3, jnp.sin(x)), 1, np.cos(1), 3),
    "nested where": (lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1) + 4), 0), 0, 0, 0.25),
}


@pytest.mark.parametrize("name", SIDES)
def test_sides(name):
    fun, at, left, right = SIDES[name]
    kink = only(fun, np.float32(at))
    assert kink.kind == "tie"
    np.testing.assert_allclose([kink.left[0], kink.right[0]], [left, right], rtol=1e-4)
    np.testing.assert_allclose(kink.used[0], jax.grad(fun)(np.float32(at)), rtol=1e-4)
    step = np.float32(1e-3)
    np.testing.assert_allclose(jax.grad(fun)(np.float32(at) - step), left, atol=1e-2)
    np.testing.assert_allclose(jax.grad(fun)(np.float32(at) + step), right, atol=1e-2)


def test_jax_halves_a_tie_of_maximum_and_gives_relu_nothing():
    assert only(lambda x: jnp.maximum(x, 0), np.float32(0)).used[0] == 0.5
    assert only(jax.nn.relu, np.float32(0)).used[0] == 0


def test_a_case_that_moves_but_not_with_what_is_compared_has_no_known_side():
    fun = lambda x, y: jnp.where(x > y, x * 2, jnp.where(y >= x, y * 2, 0))
    found = jw.kinks(fun, X, np.float32([0, 0.1, 5, 5]))
    assert [(k.operation, k.kind, k.entries.tolist()) for k in found] == [("where", "tie", [[1]])] * 2
    assert found[0].left is None
    assert found[0].right is None
    assert (found[1].left[0], found[1].right[0]) == (0, 2)


# Ties and near ones


def test_near_is_within_the_rounding_error():
    fun = lambda x: jax.nn.relu(x + 1.1 - 0.7 - 0.4)
    kink = only(fun, np.float32([1e-8, 0.5, 1e-3]))
    assert (kink.kind, kink.entries.tolist(), kink.size) == ("near", [[0]], 3)
    assert 0 < kink.margin[0] <= kink.bound[0] < 1e-6


def test_a_layer_of_zeros_gives_ties_and_no_bound():
    fun = lambda w, x: jnp.sum(jax.nn.relu(x @ w))
    kink = only(fun, np.zeros((3, 2), np.float32), R.normal(size=(4, 3)).astype(np.float32))
    assert (kink.kind, len(kink), kink.size) == ("tie", 8, 8)
    assert np.all(kink.bound == 0)


def test_inputs_may_be_what_they_are():
    """The next float32 after 0.3 is not 0.3, or both stand for real numbers."""
    x = np.nextafter(np.float32(0.3), np.float32(1))
    fun = lambda x, threshold: jnp.where(x > threshold, x, 0)
    assert not jw.kinks(fun, x, np.float32(0.3), inputs="exact")
    assert only(fun, x, np.float32(0.3)).kind == "near"


# Silence

SMOOTH = {
    "tanh": jnp.tanh,
    "softmax": jax.nn.softmax,
    "log_softmax": jax.nn.log_softmax,
    "logsumexp": jax.nn.logsumexp,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "logaddexp": lambda x: jnp.logaddexp(x, x),
    "elu": jax.nn.elu,
    "standardize": jax.nn.standardize,
    "sigmoid": jax.nn.sigmoid,
    "mean": jnp.mean,
    "log_sigmoid": jax.nn.log_sigmoid,
    "huber by where": lambda x: jnp.where(jnp.abs(x + 3) < 3.5, 0.5 * x**2, 0.5 * x**2),
    "straight through": lambda x: x + lax.stop_gradient(jnp.round(x) - x),
    "stopped": lambda x: x * lax.stop_gradient(jnp.max(x)),
    "integers": lambda x: jnp.where(jnp.arange(4) >= 2, x, 0),
    "nan test": lambda x: jnp.where(jnp.isnan(x), 0, x),
    "infinite": lambda x: jnp.maximum(x, -jnp.inf),
    "mask": lambda x: jax.nn.softmax(jnp.where(jnp.tri(4)[1] > 0.5, x, -jnp.inf)),
    "dropout": lambda x: jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, x.shape), x, 0),
    "unused": lambda x: (jax.nn.relu(x), x)[1],
    "attention": lambda x: jax.nn.dot_product_attention(
        *[jnp.ones((1, 3, 1, 4), x.dtype) * x[None, None, None]] * 3, is_causal=True
    ),
    "fast square": jax.custom_jvp(lambda x: jnp.abs(x) * jnp.abs(x)),
}
SMOOTH["fast square"].defjvps(lambda t, _, x: 2 * x * t)


@pytest.mark.parametrize("name", SMOOTH)
def test_silence_on_what_is_smooth(name):
    for x in (X, np.zeros(4, np.float32), np.ones(4, np.float32)):
        if name != "standardize" or x is X:  # the variance of equal numbers is 0, where it is clipped
            assert not jw.kinks(SMOOTH[name], x), name


def network(weights, x):
    for w in weights:
        x = jax.nn.relu(x @ w)
    return jnp.sum(x)


def test_a_network_at_random_data_has_none_in_float64(float64):
    weights = [R.normal(size=(64, 64)) / 8 for _ in range(4)]
    found = jw.kinks(jax.jit(network), weights, R.normal(size=(32, 64)))
    assert not found
    assert found.decisions == 4
    assert repr(found) == "No kinks: 4 choices, and rounding decides none of them."


# What else chooses


@pytest.mark.parametrize(
    ("fun", "name", "entries"),
    [
        (lambda x: jnp.max(x), "max", [[0], [2]]),
        (lambda x: jnp.min(-x), "min", [[0], [2]]),
        (lambda x: x[jnp.argmax(x)], "argmax", [[0], [2]]),
        (lambda x: jnp.sort(x)[1], "sort", [[2]]),
        (lambda x: lax.top_k(x, 1)[0], "top_k", [[0]]),
        (lambda x: lax.cummax(x), "cummax", [[2]]),
        (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (3,), (1,), "VALID"), "max_pool", [[0]]),
        (lambda x: jnp.sum(x * jnp.floor(x[3] + 1)), "floor", [[]]),
        (lambda x: lax.cond(x[1] > 0.25, jnp.sin, jnp.cos, x), "cond", [[]]),
        (lambda x: x[x[3].astype(int) * 1], "truncation", [[]]),
        (lambda x: jnp.sum(x * jnp.sign(x[1] - 0.25)), "sign", [[]]),
        (lambda x: jnp.sum(x * (x[1] > 0.25).astype(x.dtype)), "comparison", [[]]),
    ],
)
def test_what_chooses(fun, name, entries):
    kink = only(fun, np.float32([2, 0.25, 2, -1]))
    assert (kink.operation, kink.kind, kink.entries.tolist()) == (name, "tie", entries)
    if name in ("max", "min") and kink.used is not None:
        np.testing.assert_array_equal(
            kink.used, jax.grad(fun)(np.float32([2, 0.25, 2, -1]))[np.array([0, 2])] * (-1) ** (name == "min")
        )


def test_a_rule_of_its_own_is_what_decides():
    @jax.custom_vjp
    def surrogate(x):
        return jnp.maximum(x, 0)

    surrogate.defvjp(lambda x: (surrogate(x), x), lambda x, ct: (jnp.where(x > 1, ct, 0.5 * ct),))
    assert not jw.kinks(surrogate, np.float32([0.0, 2.0]))
    kink = only(surrogate, np.float32([0.0, 1.0]))
    assert (kink.entries.tolist(), kink.left[0], kink.right[0], kink.used[0]) == ([[1]], 0.5, 1, 0.5)


def test_a_rule_sees_only_operands_that_move():
    """As JAX calls it: Equinox's rules refuse a tangent of what is constant."""

    @jax.custom_vjp
    def scaled(x, factor):
        return x * factor

    def backward(saved, ct):
        return ct * saved[0], jax.nn.relu(ct * saved[1])

    scaled.defvjp(lambda x, factor: (x * factor, (factor, x)), backward)
    assert not jw.kinks(lambda x: scaled(x, np.float32([0, 1, 2, 3])), X)
    assert [k.operation for k in jw.kinks(lambda x, factor: scaled(x, factor), X, X)] == ["relu"]


# Through transforms


AROUND = {
    "jit": jax.jit,
    "vmap": jax.vmap,
    "jit of vmap": lambda f: jax.jit(jax.vmap(f)),
    "vmap of jit": lambda f: jax.vmap(jax.jit(f)),
}


@pytest.mark.parametrize("transform", AROUND.values(), ids=AROUND)
def test_jitted_and_batched(transform):
    xs = np.float32([[1.0, 0.0], [0.5, -1.0], [0.0, 0.0]])

    def fun(x):
        act = jw.tag(jax.nn.relu(x), "act")
        return jnp.sum(act * jnp.abs(act - 0.5))

    found = jw.kinks(transform(fun), xs)
    assert [(k.operation, k.point, k.entries.tolist()) for k in found] == [
        ("relu", "act", [[0, 1], [2, 0], [2, 1]]),
        ("abs", "act", [[1, 0]]),
    ]


def test_through_scan_checkpoint_cond_and_while():
    layer = jax.checkpoint(lambda x, w: (jax.nn.relu(x * w), None))
    kink = only(lambda x: lax.scan(layer, x, jnp.float32([1, 0, 2]))[0], np.float32([1, 2]))
    assert kink.entries.tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]
    assert kink.axes == (jw.Axis("scan", 3),)
    assert kink.note == "axis 0: scan of 3"
    taken = lambda x: lax.cond(x[0] > 5, jax.nn.relu, jnp.sin, x)
    assert not jw.kinks(taken, np.float32([1, 0]))
    kink = only(taken, np.float32([6, 0]))
    assert (kink.operation, kink.note, kink.entries.tolist()) == ("relu", "conditional", [[1]])
    looped = lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, jax.nn.relu(c[1] - 1)), (0, x))[1]
    kink = only(looped, np.float32([2, 9.5]))
    assert (kink.operation, kink.entries.tolist()) == ("relu", [[0]])


def test_a_batch_names_its_data():
    fun = jax.vmap(lambda x: jnp.sum(jnp.abs(x - 0.5)))
    kink = only(fun, np.float32([[1, 2], [0.5, 3], [4, 0.5]]))
    assert kink.entries.tolist() == [[1, 0], [2, 1]]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "complex64"])
def test_every_precision(dtype):
    fun = lambda x: jnp.sum(jnp.abs(x - x[0]))
    x = np.array([1, 1, 3]).astype(dtype)
    assert only(fun, x).entries.tolist()[-1] == [1]


def test_points_are_named():
    def fun(x):
        x = jw.tag(x * 2, "before")
        x = jax.nn.relu(x)
        x = jw.tag(x, "act")
        return jnp.sum(jnp.abs(x))

    found = jw.kinks(fun, X)
    assert [(k.operation, k.point) for k in found] == [("relu", "act"), ("abs", "act")]
    assert [k.operation for k in found.at("act")] == ["relu", "abs"]
    assert found[0].where.startswith("test_kinks.py:")
    model = jw.objective(jw.chain(lambda x: x - 0.1, jax.nn.relu), lambda out, y: jnp.sum(out) - y)
    assert only(model, {}, X, np.float32(0)).point == "L2"


def layer(w, x):
    h = x * w
    return jax.nn.relu(h)


def net(weights, x):
    a = layer(weights[0], x)
    for w in weights[1:]:
        a = layer(w, a)
    b = jnp.maximum(a, 0.5) * 2
    return jnp.sum(b)


@pytest.mark.parametrize("around", [lambda f: f, jax.jit, jax.checkpoint])
def test_lines_are_named(around):
    """Where there are neither tags nor scopes, as of a walk."""
    for by in (None, "lines"):
        found = jw.kinks(around(net), np.ones((2, 3), np.float32), np.float32([1, 0, 0.5]), by=by)
        assert [(k.operation, k.point) for k in found] == [
            ("relu", "net/a/layer/return"),
            ("relu", "net/a#2/layer/return"),
            ("max", "net/b"),
        ]
    assert [k.point for k in found.at("net/a#2")] == ["net/a#2/layer/return"]  # two names of one value
    assert not found.at("net/a/layer/h")
    assert list(found.points) == list(jw.points(net, np.ones((2, 3), np.float32), X[:3]))


def test_scopes_are_named():
    def fun(x):
        with jax.named_scope("outer"):
            x = x * 2
            with jax.named_scope("act"):
                x = jax.nn.relu(x)
            x = jnp.abs(x) + 1
        return jnp.sum(jnp.maximum(x, 1))

    found = jw.kinks(fun, X)
    assert [(k.operation, k.point) for k in found] == [("relu", "outer/act"), ("abs", "outer"), ("max", "outer")]
    assert [k.point for k in jw.kinks(fun, X, by="tags")] == [None] * 3
    assert [k.operation for k in found.at("outer")] == ["abs", "max"]


def test_points_in_loops_and_branches_are_named():
    def step(x, w):
        with jax.named_scope("step"):
            x = jnp.abs(x * w)
        return lax.cond(x[0] > 0.5, lambda x: jw.tag(jax.nn.relu(x - 1), "taken"), jnp.sin, x), None

    found = jw.kinks(lambda ws, x: jnp.sum(lax.scan(step, x, ws)[0]), np.ones(1, np.float32), np.float32([1, 0]))
    assert [(k.operation, k.point) for k in found] == [("abs", "step"), ("relu", "taken")]


def test_a_point_inside_a_while_loop_names_nothing():
    def fun(x):
        return jw.tag(lax.while_loop(lambda c: c[0] < 2.5, lambda c: jw.tag(jnp.abs(c) + 1, "in"), x), "out")

    found = jw.kinks(fun, np.float32([1, 0]))
    assert [(k.operation, k.point) for k in found] == [("abs", "out")]
    assert not found.at("in")


# What it says


def test_nothing_is_decided_by_nan_and_it_says_so():
    found = jw.kinks(lambda x: jax.nn.relu(x), np.float32([np.nan, 1, np.nan]))
    assert not found
    assert "2 entries of the `relu` at test_kinks.py" in found.notes[0]
    assert "NaN: nothing is decided there." in repr(found)


def test_an_estimate_is_called_one():
    found = jw.kinks(lambda x: jax.nn.relu(jnp.linalg.cholesky(jnp.diag(x))), np.float32([1, 2]))
    assert any("`cholesky` at test_kinks.py" in note and "is estimated, not bounded" in note for note in found.notes)


def test_table():
    found = jw.kinks(lambda x: jw.tag(jax.nn.relu(x), "act"), np.zeros(6, np.float32))
    lines = repr(found).splitlines()
    assert lines[0] == "1 kink"
    columns = "where point choice kind entries of margin bound left right used"
    assert " ".join(lines[1].split()) == columns
    assert "act    relu    tie   [0], [1], [2], … 3 more   6       0      0     0      1     0" in lines[2]
    assert "<table" in found._repr_html_()
    assert repr(jw.kinks(jnp.tanh, X)) == "No kinks: nothing here chooses."
    assert len(found[0].entries) == 6


def test_messages():
    with pytest.raises(jw.ArgumentError, match='`inputs` is \'float\'; it must be "rounded" or "exact"'):
        jw.kinks(jnp.abs, X, inputs="float")
    with pytest.raises(jw.ArgumentError, match="`kinks` needs numbers, and its arguments are being traced"):
        jax.jit(lambda x: len(jw.kinks(jnp.abs, x)))(X)
    with pytest.raises(jw.ArgumentError, match="`fun` is 3, which cannot be called"):
        jw.kinks(3, X)
    with pytest.raises(jw.ArgumentError, match="`by` is 'line'; points come from"):
        jw.kinks(jnp.abs, X, by="line")
    with pytest.raises(jw.ArgumentError, match='`source` says whose lines are points, but `by` is "tags"'):
        jw.kinks(jnp.abs, X, by="tags", source="*")
    with pytest.raises(jw.PointError, match=r"There is no point `act`. Near it: `act2`."):
        jw.kinks(lambda x: jw.tag(jnp.abs(x), "act2"), X).at("act")


def test_a_batch_in_a_while_loop_ends_datum_by_datum():
    def fun(x):
        return lax.while_loop(lambda c: c < 3, lambda c: jnp.abs(c - 0.5) * 2 + 1, x)

    batch = np.float32([0.5, 4.0])
    np.testing.assert_array_equal(jax.vmap(fun)(batch), [fun(x) for x in batch])
    kink = only(jax.vmap(fun), batch)
    assert (kink.operation, kink.entries.tolist()) == ("abs", [[0]])


def test_the_survey_counts_them(capsys, tmp_path):
    import json

    from jaxwalk.__main__ import main

    (tmp_path / "model.py").write_text(
        "import jax, jax.numpy as jnp, jaxwalk as jw\nparams = {'w': jnp.zeros(())}\n"
        "def objective(params, x, y):\n"
        "    act = jw.tag(jax.nn.relu(x), 'act')\n"
        "    return jnp.sum(act) * jw.tag(jnp.sin(params['w']), 'sin')\n"
    )
    x = np.tile(np.float32([[0, 1], [0, 0], [1, 2]]), (100, 1))
    np.savez(tmp_path / "data.npz", x=x, y=np.zeros(300, np.float32))
    arguments = ["walk", str(tmp_path / "model.py"), "--data", str(tmp_path / "data.npz")]
    main([*arguments, "--json"])
    data = json.loads(capsys.readouterr()[0])
    assert [p["kinks"] for p in data["points"]] == [300, 0]
    assert data["notes"][0].startswith("Kinks: 300 entries of a relu, a max")
    main(arguments)
    lines = [" ".join(line.split()) for line in capsys.readouterr()[0].splitlines()]
    assert any(line.startswith("1 act (2,)") and line.endswith(" 300") for line in lines)


# Called again


@pytest.fixture
def compilations():
    """A list that grows by one entry with each compilation."""
    seen = []
    listen = lambda name, seconds, **_: seen.append(name) if name.endswith("backend_compile_duration") else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


def test_a_second_call_compiles_nothing(compilations):
    def fun(w, x):
        keep = jax.random.bernoulli(jax.random.key(0), 0.5, x.shape)
        return lax.scan(lambda c, _: (jax.nn.relu(c * w + x), None), jnp.where(keep, x, x), None, length=2)[0].sum()

    first = jw.kinks(fun, np.float32(1), np.float32([1, 0]))
    assert compilations
    compilations.clear()
    second = jw.kinks(fun, np.float32(1), np.float32([0, 3]))
    assert not compilations
    assert [k.entries[:, 1].tolist() for k in (*first, *second)] == [[1, 1], [0, 0]]
    jw.kinks(fun, np.float32(1), np.float32([1, 0]), inputs="exact")
    jw.kinks(fun, np.float32(1), np.float32([1, 0, 2]))
    assert len(compilations) >= 2


def test_a_second_call_sees_what_has_changed_since(compilations):
    captured = [jnp.float32([1, 5]), 0.0]

    def fun(x):
        return jnp.sum(jnp.maximum(x, captured[0]) + jnp.maximum(x, captured[1]))

    x = np.float32([1, 0])
    entries = lambda: [k.entries.tolist() for k in jw.kinks(fun, x)]
    assert entries() == [[[0]], [[1]]]
    captured[0] = jnp.float32([5, 0])
    compilations.clear()
    assert entries() == [[[1]], [[1]]]
    assert not compilations  # an array is an argument of what was compiled
    captured[1] = 1.0
    assert entries() == [[[1]], [[0]]]


def test_a_rule_that_has_changed_since_is_seen():
    def fun(threshold):
        @jax.custom_jvp
        def step(x):
            return x

        step.defjvp(lambda xs, ts: (xs[0], jnp.where(xs[0] > threshold, ts[0], 0)))
        return lambda x: jnp.sum(step(x))

    for threshold, entry in ((0.0, 1), (1.0, 0)):
        assert only(fun(threshold), np.float32([1, 0])).entries.tolist() == [[entry]]


def test_what_was_compiled_holds_nothing_of_the_function():
    import gc
    import weakref

    def make():
        weights = jnp.float32([1, 2])

        @jax.custom_jvp
        def scaled(x):
            return x * weights

        scaled.defjvp(lambda xs, ts: (scaled(*xs), ts[0] * jnp.where(xs[0] > 0, weights, 0)))
        return (lambda x: jnp.sum(scaled(x))), weakref.ref(weights)

    fun, weights = make()
    assert len(jw.kinks(fun, np.float32([1, 0]))) == 1
    del fun
    gc.collect()
    assert weights() is None


# A rule that calls itself


def test_a_derivative_rule_that_calls_its_own_function():
    @jax.custom_jvp
    def solve(a, b):
        return b / a

    @solve.defjvp
    def _(primals, tangents):
        (a, b), (da, db) = primals, tangents
        y = solve(a, b)
        return y, solve(a, db - da * y)

    kink = only(lambda x: jnp.sum(jax.nn.relu(solve(x, x - 2))), np.float32([1, 2, 3]))
    assert (kink.operation, kink.entries.tolist()) == ("relu", [[1]])


# Values that have no bound, or are complex


WITHOUT_ERROR = {
    "real": lambda x: jnp.fft.fft(x).real,
    "rfft": lambda x: jnp.fft.irfft(jnp.fft.rfft(x) * 0.5, n=3),
    "angle": lambda x: jnp.angle(lax.complex(x, jnp.ones_like(x))),
    "abs": lambda x: jnp.abs(jnp.exp(lax.complex(jnp.zeros_like(x), x))) - 1,
    "imag": lambda x: jnp.imag(jnp.exp(lax.complex(jnp.zeros_like(x), x))),
    "eigvals": lambda x: jnp.linalg.eigvals(jnp.outer(x, x) + jnp.diag(x)).real,
    "float8": lambda x: (x.astype(jnp.float8_e4m3fn) @ x.astype(jnp.float8_e4m3fn)).astype(jnp.float32)[None],
    "segment_sum": lambda x: jax.ops.segment_sum(x.astype(jnp.bfloat16) * 2, np.int32([0, 1, 0]), 2),
    "at add": lambda x: x.astype(jnp.bfloat16).at[jnp.array([0])].add(jnp.tanh(x[:1]).astype(jnp.bfloat16)),
    "at set": lambda x: x.astype(jnp.bfloat16).at[jnp.array([0])].set(jnp.tanh(x[:1]).astype(jnp.bfloat16)),
}


@pytest.mark.parametrize("name", WITHOUT_ERROR)
def test_no_raw_error(name):
    found = jw.kinks(lambda x: jnp.sum(jax.nn.relu(WITHOUT_ERROR[name](x))), np.float32([0.3, -1.0, 2.0]))
    assert found.decisions
    assert all("is estimated, not bounded" in note for note in found.notes)


def test_a_long_program_is_compiled_operation_by_operation(monkeypatch):
    """With the same kinks."""

    def residual(weights, x):
        for w in weights:
            x = x + 0.1 * jax.nn.relu(x @ w)
        return jnp.sum(x)

    weights = np.random.default_rng(0).normal(size=(4, 6, 6)).astype(np.float32)
    weights[1, :, 2] = 0
    whole = jw.kinks(residual, weights, np.ones(6, np.float32))
    module = importlib.import_module("jaxwalk._kinks.kinks")
    monkeypatch.setattr(module, "LONG", 10)
    each = jw.kinks(residual, weights, np.ones(6, np.float32))
    assert len(whole) == 1
    assert repr(each) == repr(whole)


@pytest.mark.parametrize(("k", "x", "entry"), [(2, [9, 8, 8, 1], 1), (2, [9, 9, 5, 1], 0), (3, [1, 8, 7, 7, 9], 2)])
def test_places_of_a_top_k_are_counted_downwards(k, x, entry):
    (kink,) = jw.kinks(lambda x: jnp.sum(lax.top_k(x, k)[0] ** 2), np.float32(x))
    assert kink.entries.tolist() == [[entry]]
