"""Edges against a transformer written out by hand, with an ε for each reader, and what they refuse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

RANDOM = np.random.default_rng(0)
LENGTH, WIDTH, LAYERS = 3, 4, 3
LAYER = {"q": (4, 4), "k": (4, 4), "v": (4, 4), "up": (4, 6), "down": (6, 4)}
WEIGHTS = {name: RANDOM.normal(size=(LAYERS, *shape)) / 2 for name, shape in LAYER.items()}
TABLE, HEAD = RANDOM.normal(size=(5, WIDTH)), RANDOM.normal(size=(WIDTH,))
TOKENS, OTHER = np.array([1, 2, 3]), np.array([4, 2, 0])
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
WHO = {"writers": ["embed", "**/attn", "**/mlp"], "readers": ["**/attn", "**/mlp", "head"]}


@pytest.fixture(autouse=True)
def _in_float64():
    with jax.enable_x64(True):
        yield


def norm(x):
    return x / jnp.sqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-3)


def attn(w, x):
    h = norm(x)
    pattern = jax.nn.softmax((h @ w["q"]) @ (h @ w["k"]).T)
    return pattern @ (h @ w["v"])


def mlp(w, x):
    return jax.nn.gelu(norm(x) @ w["up"]) @ w["down"]


def head(x):
    return jnp.sum(jnp.tanh(norm(x)[-1] * HEAD))


def of_layer(i):
    return {name: jnp.asarray(w)[i] for name, w in WEIGHTS.items()}


def by_hand(tokens, eps):
    """Return the score, and what each writer writes; each of the readers reads with an ε of its own."""
    wrote = [jnp.asarray(TABLE)[tokens]]
    for i in range(2 * LAYERS):
        block = (attn, mlp)[i % 2]
        wrote.append(block(of_layer(i // 2), sum(wrote) + eps[i]))
    return head(sum(wrote) + eps[2 * LAYERS]), jnp.stack(wrote)


EPS = np.zeros((2 * LAYERS + 1, LENGTH, WIDTH))


@functools.cache
def expected():
    """Return the scores by hand, 7 writers × 7 readers; those of readers before a writer are nonsense."""

    @jax.jit
    def by_tokens(this, other):
        moves = by_hand(other, EPS)[1] - by_hand(this, EPS)[1]
        return jnp.einsum("wtd,rtd->wr", moves, jax.grad(lambda eps: by_hand(this, eps)[0])(EPS))

    return np.asarray(by_tokens(TOKENS, OTHER))


UPSTREAM = np.triu(np.ones((7, 7), bool))


def scoped(name, fun, *args):
    with jax.named_scope(name):
        return fun(*args)


def unrolled(tokens):
    x = scoped("embed", lambda: jnp.asarray(TABLE)[tokens])
    for i in range(LAYERS):
        with jax.named_scope(f"block{i}"):
            x = x + scoped("attn", attn, of_layer(i), x)
            x = x + scoped("mlp", jax.jit(mlp), of_layer(i), x)
    return scoped("head", head, x)


@jax.jit
def scanned(tokens):
    @jax.checkpoint
    def block(x, w):
        x = x + scoped("attn", attn, w, x)
        return x + jax.jit(functools.partial(scoped, "mlp", mlp))(w, x), None

    x = scoped("embed", lambda: jnp.asarray(TABLE)[tokens])
    return scoped("head", head, jax.lax.scan(block, x, {name: jnp.asarray(w) for name, w in WEIGHTS.items()})[0])


@functools.cache
def of_scanned():
    return jax.jit(attribute.edges(scanned, **WHO, other=OTHER))(TOKENS)


def in_reverse(tokens):
    def block(x, w):
        x = scoped("attn", attn, w, x) + x
        return scoped("mlp", mlp, w, x) + x, None

    x = scoped("embed", lambda: jnp.asarray(TABLE)[tokens])
    weights = {name: jnp.asarray(w)[::-1] for name, w in WEIGHTS.items()}
    return scoped("head", head, jax.lax.scan(block, x, weights, reverse=True)[0])


def tagged(tokens):
    x = jw.tag(jnp.asarray(TABLE)[tokens], "embed")
    for i in range(LAYERS):
        x = x + jw.tag(attn(of_layer(i), jw.tag(x, f"{i}/attn_in")), f"{i}/attn")
        x = x + jw.tag(mlp(of_layer(i), jw.tag(x, f"{i}/mlp_in")), f"{i}/mlp")
    return head(jw.tag(x, "head"))


BY_TAGS = {"writers": WHO["writers"], "readers": ["*/*_in", "head"]}


@pytest.mark.parametrize(
    ("fun", "who"),
    [(unrolled, WHO), (scanned, WHO), (in_reverse, WHO), (tagged, BY_TAGS)],
    ids=["unrolled", "scanned", "in reverse", "tagged"],
)
def test_each_edge_is_that_of_an_epsilon_at_the_reader(fun, who):
    found = jax.jit(attribute.edges(fun, **who, other=OTHER))(TOKENS)
    matrix = found.matrix()
    np.testing.assert_array_equal(np.isfinite(matrix), UPSTREAM)
    np.testing.assert_allclose(matrix[UPSTREAM], expected()[UPSTREAM], **CLOSE)
    assert not found.left_out
    np.testing.assert_allclose(np.nansum(matrix, 1), list(found.totals.values()), **CLOSE)


def test_steps_of_a_scan_are_writers_and_readers_of_their_own():
    found = of_scanned()
    steps = [f"{name}[{i}]" for i in range(LAYERS) for name in ("attn", "mlp")]
    assert found.writers == ("embed", *steps)
    assert found.readers == (*steps, "head")
    np.testing.assert_allclose(found.scores["attn[0]", "mlp[2]"], expected()[1, 5], **CLOSE)
    patched = jax.jit(attribute.patching(scanned, ["embed", "mlp"], other=OTHER))(TOKENS)
    np.testing.assert_allclose(found.totals["embed"], patched.totals["embed"], **CLOSE)
    np.testing.assert_allclose(found.totals["mlp[1]"], patched.scores["mlp"][1].sum(), **CLOSE)
    np.testing.assert_allclose(found.value, patched.value, **CLOSE)
    assert len(found.scores) == 28 == len(list(found.scores))
    reverse = jax.eval_shape(attribute.edges(in_reverse, **WHO, other=OTHER), TOKENS)
    assert reverse.writers[:4] == ("embed", "attn[2]", "mlp[2]", "attn[1]")


def test_which_run_has_the_delta_and_the_path_between_them():
    with pytest.raises(jw.ArgumentError, match="holds integers, and a path between them has no values"):
        attribute.edges(scanned, **WHO, other=OTHER, steps=3)(TOKENS)

    def fun(x):
        wrote = scoped("first", jnp.tanh, x)
        return jnp.sum(scoped("second", jnp.exp, x + wrote))

    x, other = jnp.array([0.1, 0.4]), jnp.array([0.9, -0.3])
    move = jnp.tanh(other) - jnp.tanh(x)
    for delta_of, at in (("this", x), ("other", other)):
        found = attribute.edges(fun, writers="first", readers="second", other=other, delta_of=delta_of)(x)
        by_hand = move @ jnp.exp(at + jnp.tanh(at))
        np.testing.assert_allclose(found.scores["first", "second"], by_hand, **CLOSE)
    found = attribute.edges(fun, writers="first", readers="second", other=other, steps=4)(x)
    nodes = [x + (k + 0.5) / 4 * (other - x) for k in range(4)]
    mean = sum(jnp.exp(x + jnp.tanh(x)) for x in nodes) / 4
    np.testing.assert_allclose(found.scores["first", "second"], move @ mean, **CLOSE)


def test_in_a_linear_model_an_edge_is_the_patch_of_its_path():
    a, b, c = RANDOM.normal(size=(3, WIDTH, WIDTH))

    def fun(x):
        x = x + scoped("a", jnp.matmul, x, a)
        x = x + scoped("b", jnp.matmul, x, b)
        return scoped("c", lambda x: jnp.sum(x @ c), x)

    x, other = RANDOM.normal(size=(2, WIDTH))
    found = attribute.edges(fun, other=other)(x)
    move = (other - x) @ a
    assert set(found.scores) == {("a", "b"), ("a", "c"), ("b", "c")}
    np.testing.assert_allclose(found.scores["a", "b"], (move @ b @ c).sum(), **CLOSE)
    np.testing.assert_allclose(found.scores["a", "c"], (move @ c).sum(), **CLOSE)


def stream(x):
    wrote = scoped("write", jnp.tanh, x)
    read = scoped("read", jnp.sin, x + wrote)
    return jnp.sum(scoped("last", jnp.cos, x + wrote + read))


def first_edge(x):
    """Return the score of the edge from "write" to "read" by hand."""
    value = x + jnp.tanh(x)
    last = lambda read: jnp.sum(jnp.cos(value + jnp.sin(read)))
    return jax.jvp(last, (value,), (jnp.tanh(O) - jnp.tanh(x),))[1]


def test_through_transforms():
    of = attribute.edges(stream, writers="write", readers=["read", "last"], other=O)
    both = jax.jit(jax.vmap(of))(np.stack([X, O]))
    one = of(X)
    np.testing.assert_allclose(both.matrix(), [one.matrix(), 0 * one.matrix()], **CLOSE)
    assert "Scores of shape (2, 1, 2)" in repr(both)
    with pytest.raises(jw.ArgumentError, match="The edges are of a batch of shape"):
        both.ranked()
    assert jax.tree.map(lambda a: a[0], both).ranked(1)[0][:2] == one.ranked(1)[0][:2]
    slope = jax.grad(lambda x: of(x).scores["write", "read"])(X)
    np.testing.assert_allclose(slope, jax.grad(first_edge)(X), **CLOSE)


def small(middle, dtype=jnp.float64):
    """Return a stream with something between what is written and what is read."""

    def fun(x):
        wrote = scoped("write", lambda: jnp.tanh(x).astype(dtype))
        return jnp.sum(scoped("read", lambda x: jnp.sin(x).astype(jnp.float64), middle(wrote)))

    return fun


X, O = np.array([[0.1, 0.4, -0.3], [0.7, 0.2, 0.5]]), np.ones((2, 3)) / 3
MOVED = {
    "as it is": lambda x: x,
    "doubled by adding": lambda x: x + x,
    "scaled, less": lambda x: 1.0 - x * 3.0 / 2.0,
    "scaled by a root": lambda x: jax.jit(lambda x, s: x * s)(x * jnp.sqrt(16.0).astype(x.dtype), jnp.sqrt(2.0)),
    "reshaped, transposed": lambda x: x.reshape(3, 2).T[:, ::-1][None],
    "a part": lambda x: x[:, 1:] - x[:, :2],
    "a name": lambda x: jax.jit(lambda x: jw.tag(x, "name"))(x),
    "a sum, to each entry": lambda x: x + x.sum(),
    "summed": lambda x: x.sum(0),
    "carried, half at each step": lambda x: jax.lax.scan(lambda c, _: (c / 2 + 1, None), x, None, length=3)[0],
    "handed on late": lambda x: jax.lax.scan(lambda c, _: ((c[1], c[0]), None), (x, 3 * x), None, length=3)[0][0],
    "a branch that both take alike": lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: 2 * x, lambda x: x + x, x),
}


@pytest.mark.parametrize("middle", MOVED.values(), ids=MOVED)
def test_what_moves_on_the_way(middle):
    found = attribute.edges(small(middle), writers="write", readers="read", other=O)(X)
    move = jax.jvp(middle, (jnp.tanh(X),), (jnp.tanh(O) - jnp.tanh(X),))[1]
    np.testing.assert_allclose(found.scores["write", "read"], (jnp.cos(middle(jnp.tanh(X))) * move).sum(), **CLOSE)
    assert not found.left_out


BENT = {
    "an exponential": (jnp.exp, "`exp` at test_edges.py:"),
    "a norm": (lambda x: x * x.sum(), "`mul` at test_edges.py:"),
    "a branch": (lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: 2 * x, lambda x: x, x), "a `cond` in which branches"),
    "what is stacked": (lambda x: jax.lax.scan(lambda c, _: (c, c), x, None, length=2)[1], "what a scan stacks at"),
    "slices": (lambda x: jax.lax.scan(lambda c, y: (c + y, None), 0 * x[0], x)[0], "what a scan takes step by step"),
    "a long scan": (lambda x: jax.lax.fori_loop(0, 1025, lambda i, x: x / 2, x), "a scan of 1025 steps"),
    "a rule of its own": (jax.nn.relu, "custom_jvp"),
}


@pytest.mark.parametrize(("middle", "why"), BENT.values(), ids=BENT)
def test_what_is_no_sum_is_left_out_and_said(middle, why):
    said = "There is no edge: no reader reads the value of a writer, or a sum with it; between `write` and `read` is "
    with pytest.raises(jw.PointError) as caught:
        attribute.edges(small(middle), writers="write", readers="read", other=O)(X)
    assert said in str(caught.value)
    assert why in str(caught.value)
    both = small(lambda x: x + middle(x).sum())
    found = attribute.edges(both, writers="write", readers="read", other=O)(X)
    assert why in found.left_out["write", "read"]
    assert "Ways that are no sum are left out, between 1 pair of points: from `write` to `read`" in repr(found)
    delta = jnp.cos(jnp.tanh(X) + middle(jnp.tanh(X)).sum())
    np.testing.assert_allclose(found.scores["write", "read"], (delta * (jnp.tanh(O) - jnp.tanh(X))).sum(), **CLOSE)


def test_what_goes_by_way_of_another_reader_is_its_edge_alone():
    """No word of what reaches the end through the parts of a block: that is the edge of the part."""

    def fun(x):
        for i in range(2):
            with jax.named_scope(f"block{i}"):
                x = x + scoped("one", jnp.tanh, x)
                x = x + scoped("two", jnp.sin, x)
        return jnp.sum(scoped("last", jnp.cos, x))

    found = attribute.edges(fun, other=O)(X)  # blocks too, which are around their parts
    assert not found.left_out
    inner = sum(found.scores["block0", f"block1/{part}"] for part in ("one", "two"))
    whole = attribute.patching(fun, other=O)(X).totals["block0"]
    np.testing.assert_allclose(found.scores["block0", "block1"], whole, **CLOSE)  # it reads for its skip too
    np.testing.assert_allclose(inner + found.scores["block0", "last"], whole, **CLOSE)


def test_a_stream_in_bfloat16_is_summed_in_float32():
    found = attribute.edges(small(lambda x: x, jnp.bfloat16), writers="write", readers="read", other=O)(X)
    assert found.matrix().dtype == jnp.float32
    by_hand = jnp.cos(jnp.tanh(X)) * (jnp.tanh(O) - jnp.tanh(X))
    np.testing.assert_allclose(found.scores["write", "read"], by_hand.sum(), rtol=2e-2)


def test_a_nan_on_one_edge_stays_there():
    def fun(x):
        x = x + scoped("bad", lambda x: x / 0, x)
        y = x[1:] + scoped("good", jnp.tanh, x[1:])
        return jnp.sum(scoped("reads_good", jnp.sin, y)) + jnp.sum(scoped("reads_both", jnp.sin, x))

    found = attribute.edges(fun, writers=["bad", "good"], readers=["reads_*"], other=jnp.zeros(2))(jnp.ones(2))
    assert np.isnan(found.scores["bad", "reads_both"])
    assert ("good", "reads_both") not in found.scores
    assert found.ranked(1)[0].writer == "bad"


def test_it_shows_itself():
    found = of_scanned()
    shown = repr(found).splitlines()
    assert shown[0].startswith("28 edges from 7 writers to 7 readers, of the result ")
    assert shown[1].split() == ["writer", "reader", "score"]
    assert len(shown) == 23
    assert shown[-1] == "The 20 of largest |score|; `ranked(k)`, `scores` and `matrix()` have the others."
    assert repr(found.ranked(2)).startswith("2 edges\n")
    for pair, said in {
        ("attn[0]", "nobody"): "There is no reader `nobody` here. There are: `attn[0]`",
        ("attn[9]", "head"): "There is no writer `attn[9]` here. Near it: `attn[",
        ("mlp[1]", "attn[1]"): "no edge from `mlp[1]` to `attn[1]`: the reader reads no sum with what it writes.",
        "head": "There is no edge 'head'; name one as `scores[writer, reader]`.",
    }.items():
        with pytest.raises(jw.PointError) as caught:
            found.scores[pair]
        assert said in str(caught.value)


def in_a_shard(x):
    mesh = jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("i")
    body = jax.shard_map(lambda x: scoped("inside", jnp.tanh, x), mesh=mesh, in_specs=spec, out_specs=spec)
    return jnp.sum(scoped("read", jnp.sin, body(x)))


def in_many_steps(x):
    return jnp.sum(jax.lax.fori_loop(0, 2000, lambda i, x: scoped("step", jnp.tanh, x), x))


def with_a_reference(x):
    held = jax.new_ref(x)
    held[...] = scoped("write", jnp.tanh, x)
    return jnp.sum(scoped("read", jnp.sin, held[...]))


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda: attribute.edges(small(jnp.exp), other=O, delta_of="both"), "`delta_of` is 'both'; it is"),
        (lambda: attribute.edges(small(jnp.exp), other=O, steps=0), "`steps` is 0; it must be an integer of at"),
        (lambda: attribute.edges(small(jnp.exp), other=O, writers=3), "`writers` is 3; it must be a name"),
        (lambda: attribute.edges(small(jnp.exp), other=O, readers=[])(X), "`readers` is an empty list; leave it None"),
        (
            lambda: attribute.edges(scanned, other=OTHER, writers=["attn[0]"])(TOKENS),
            "`writers='attn[0]'` matches no point: one in a loop, as `attn`, is there once for all steps; name",
        ),
        (lambda: attribute.edges(unrolled, other=np.zeros(2, int))(TOKENS), "`other` has an array of shape (2,)"),
        (lambda: attribute.edges(unrolled, other=OTHER, writers="no")(TOKENS), "`writers='no'` matches no point."),
        (
            lambda: attribute.edges(unrolled, other=OTHER, readers=["embed", "head"])(TOKENS),
            "`readers` names `embed`, which reads nothing of any of the writers; name a scope that reads",
        ),
        (
            lambda: attribute.edges(unrolled, other=OTHER, writers=["head", "embed"])(TOKENS),
            "`writers` names `head`, of which no reader reads the value, or a sum with it; name what is added",
        ),
        (lambda: attribute.edges(attn, other=X[0])(X[0]), "`fun` takes (w, x), and was given 1 argument"),
        (
            lambda: attribute.edges(jnp.sin, other=X)(X),
            "For `edges`, `fun` must return a real scalar, and it returns an array of shape (2, 3); give one entry",
        ),
        (
            lambda: attribute.edges(in_a_shard, other=X)(X),
            "`inside` is in a `jax.shard_map`, where edges are not told apart; choose others by `at`,",
        ),
        (
            lambda: attribute.edges(in_many_steps, other=X)(X),
            "`step` has 2000 steps, each a writer and a reader of its own, and 1024 is the most; choose others by",
        ),
        (lambda: attribute.edges(with_a_reference, other=X)(X), "`fun` has a mutable array (`jax.new_ref`)"),
    ],
)
def test_refused(of, said):
    with pytest.raises(jw.JaxwalkError) as caught:
        of()
    assert said in str(caught.value)


def test_a_writer_that_is_read_elsewhere_too_says_so():
    def fun(x):
        stream = x + jw.tag(jnp.sin(x), "sine")
        return jnp.sum(jnp.tanh(jw.tag(stream, "read"))) + jnp.sum(stream**2)

    found = jw.attribute.edges(fun, other=jnp.ones(4))(jnp.arange(4.0))
    said = " ".join(repr(found).split())
    assert "The edges of `sine` add up to" in said
    assert "it is read elsewhere too" in said


def of_a_stream(x, norm=norm):
    with jax.named_scope("block"):
        x = x + scoped("attn", jnp.tanh, scoped("norm", norm, x + scoped("first", jnp.sin, x)))
    return scoped("head", lambda x: jnp.sum(x**2), x)


def test_a_reader_behind_a_norm_says_what_to_name_instead():
    options = {"writers": "block/first", "other": jnp.ones(4)}
    found = attribute.edges(of_a_stream, readers=["**/attn", "block/norm"], **options)(jnp.arange(4.0))
    assert list(found.scores) == [("block/first", "block/norm")]
    assert not found.instead  # what goes to `attn` goes by way of the norm, which reads
    with pytest.raises(jw.PointError) as caught:
        attribute.edges(of_a_stream, readers="**/attn", **options)(jnp.arange(4.0))
    said = "`block/attn` does not read the stream itself, but what is made of it, as by a norm: name what does,"
    assert str(caught.value).endswith(f"{said} `block/norm`, or name a scope that holds both.")


def test_a_table_of_edges_says_which_readers_have_none():
    options = {"writers": ["block0/attn", "block0/mlp"], "other": jnp.ones((3, 4))}

    def fun(x):
        with jax.named_scope("block0"):
            x = x + scoped("attn", jnp.tanh, x)
            x = x + scoped("mlp", jnp.tanh, scoped("norm", norm, x))
        return scoped("head", lambda x: jnp.sum(x**2), x)

    found = jax.jit(attribute.edges(fun, readers=["**/mlp", "head"], **options))(jnp.ones((3, 4)) / 2)
    assert dict(found.instead) == {"block0/mlp": "block0/norm"}
    assert "`block0/mlp` does not read the stream itself, but what is made of it, as by a norm: name" in repr(found)
    unnamed = attribute.edges(lambda x: fun(norm(x)), writers="block0/attn", readers="**/mlp", other=jnp.ones((3, 4)))
    with pytest.raises(jw.PointError, match="name what does, `block0/norm`, or name a scope that holds both"):
        unnamed(jnp.ones((3, 4)) / 2)
