"""The equation that makes a NaN or an Inf is the one on the line that a comment marks."""

import functools
import linecache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw

MARK = "# here"
X = np.float32([1, 0, 4])
ONES = np.ones(3, np.float32)


def is_marked(found):
    return MARK in linecache.getline(found.file, found.line)


def f32(*values):
    return np.asarray(values, np.float32)


# Where-guards: the loss is finite, its gradient is not ------------------------------------------------------


def guarded_sqrt(x):
    return jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0))  # here


def guarded_log(x):
    y = jnp.log(x)  # here
    return jnp.sum(jnp.where(x > 0, y, 0.0))


def guarded_division(x):
    y = jnp.divide(1.0, x)  # here
    return jnp.sum(jnp.where(x != 0, y, 0.0))


def guarded_power(x):
    root = x**0.5  # here
    return jnp.sum(jnp.where(x > 0, root, 0.0))


def guarded_arctan2(x):
    angle = jnp.arctan2(x - 1, x - 1)  # here
    return jnp.sum(jnp.where(x != 1, angle, 0.0))


def guarded_exp(x):
    y = jnp.exp(100 * x)  # here
    return jnp.sum(jnp.where(x < 0.5, y, 0.0))


def norm_at_zero(x):
    return jnp.sqrt(jnp.sum((x - x) ** 2 + 0 * x))  # here


def linalg_norm(x):
    return jnp.linalg.norm(x - x[0])  # here


def arccos_of_one(x):
    return jnp.sum(jnp.arccos(x))  # here


def zero_to_the_half(x):
    return jnp.sum(x**0.5)  # here


def zero_to_a_power(y):
    return jnp.sum(jnp.power(jnp.zeros(3, y.dtype) * y, y))  # here


def degenerate_eigh(x):
    matrix = jnp.diag(x * 0 + 2)
    values, vectors = jnp.linalg.eigh(matrix)  # here
    return jnp.sum(values) + jnp.sum(vectors * jnp.arange(9, dtype=x.dtype).reshape(3, 3))


def degenerate_svd(x):
    return jnp.sum(jnp.linalg.svd(jnp.diag(x * 0 + 2))[0] ** 3)  # here


def layer_norm_without_eps(x):
    centred = x - jnp.mean(x)
    return jnp.sum(centred * jnp.sqrt(jnp.mean(centred**2)))  # here


@jax.custom_vjp
def wrong_rule(x):
    return x * 2


wrong_rule.defvjp(lambda x: (x * 2, x), lambda x, ct: (ct / (x - x),))


def custom_vjp_with_a_bad_rule(x):
    return jnp.sum(wrong_rule(x))  # here


@jax.custom_jvp
def wrong_jvp(x):
    return x * 2


wrong_jvp.defjvps(lambda dx, _, x: dx * jnp.log(x))


def custom_jvp_with_a_bad_rule(x):
    return jnp.sum(wrong_jvp(x))  # here


def inf_of_before_the_gradient_needs(x):
    y = jnp.log(x)  # here
    return jnp.sum(jnp.where(x > 0, y * y, 0.0))


def sqrt_in_a_scan(x):
    def step(carry, i):
        root = jnp.sqrt(carry - 1 + jnp.where(i < 7, 1.0, 0.0))  # here
        return carry, jnp.where(i < 7, root, 0.0)

    return jnp.sum(lax.scan(step, x[0], jnp.arange(12))[1])


def in_a_checkpoint(x):
    @jax.checkpoint
    def block(x):
        return jnp.where(x > 0, jnp.sqrt(x), 0.0)  # here

    return jnp.sum(block(x))


def in_a_jit(x):
    @jax.jit
    def block(x):
        return jnp.where(x > 0, jnp.sqrt(x), 0.0)  # here

    return jnp.sum(block(x))


def in_a_branch(x):
    return lax.cond(
        x[0] > 0,
        lambda x: jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0)),  # here
        lambda x: jnp.sum(x),
        x,
    )


def over_a_batch(x):
    return jnp.sum(jax.vmap(lambda row: jnp.linalg.norm(row - row[0]))(x[:, None] * jnp.ones((1, 2), x.dtype)))  # here


def layers_rematerialised(x):
    @jax.checkpoint
    def layer(x, w):
        x = jnp.tanh(w * x)
        return x + jnp.where(x > 0, jnp.sqrt(x), 0.0), None  # here

    return jnp.sum(lax.scan(layer, x, jnp.ones(4, x.dtype))[0])


BACKWARD = {
    guarded_sqrt: ("sqrt", X, (1,)),
    guarded_log: ("log", X, (1,)),
    guarded_division: ("div", X, (1,)),
    guarded_power: ("pow", X, (1,)),
    guarded_arctan2: ("atan2", X, (0,)),
    guarded_exp: ("exp", X, (0,)),
    norm_at_zero: ("sqrt", X, ()),
    linalg_norm: ("sqrt", ONES, ()),
    arccos_of_one: ("acos", X[:1], (0,)),
    zero_to_the_half: ("pow", X, (1,)),
    degenerate_eigh: ("eigh", X, (0, 0)),
    degenerate_svd: ("svd", X, (0, 0)),
    layer_norm_without_eps: ("sqrt", ONES, ()),
    custom_vjp_with_a_bad_rule: ("wrong_rule", X, (0,)),
    custom_jvp_with_a_bad_rule: ("wrong_jvp", X, (1,)),
    sqrt_in_a_scan: ("sqrt", f32(1), ()),
    in_a_checkpoint: ("sqrt", X, (1,)),
    in_a_jit: ("sqrt", X, (1,)),
    in_a_branch: ("sqrt", X, (1,)),
    over_a_batch: ("sqrt", X, (0,)),
    layers_rematerialised: ("sqrt", X, (1,)),
}


@pytest.mark.parametrize("fun", BACKWARD, ids=lambda fun: fun.__name__)
def test_a_finite_loss_with_a_gradient_that_is_not(fun):
    name, x, index = BACKWARD[fun]
    assert np.isfinite(fun(x))
    assert not np.isfinite(jax.grad(fun)(x)).all()
    found = jw.bisect_nonfinite(fun, x)
    assert found.is_backward
    assert is_marked(found), found
    assert (found.equation, found.index) == (name, index)
    assert found.seen_in == "the gradient of `args[0]`"
    assert found.cotangents


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.checkpoint], ids=["", "jit", "checkpoint"])
def test_a_gradient_that_is_spoiled_by_what_is_made_forward(wrap):
    found = jw.bisect_nonfinite(wrap(wrap(inf_of_before_the_gradient_needs)), X)
    assert (found.equation, found.is_backward, found.index) == ("log", False, (1,))
    assert (found.seen_in, found.harmless) == ("the gradient of `args[0]`", 0)
    assert is_marked(found)


# The result itself is NaN or Inf ----------------------------------------------------------------------------


def masked_softmax(x):
    masked = jnp.where(jnp.arange(3) > 4, x, -jnp.inf)
    return jnp.sum(jax.nn.softmax(masked))  # here


def cross_entropy(x):
    p = x / jnp.sum(x)
    return -jnp.sum(jnp.log(p))  # here


def zero_norm(x):
    x = x - x
    return jnp.sum(x / jnp.linalg.norm(x))  # here


def overflow(x):
    h = jnp.exp(100 * x)  # here
    return jnp.sum(h)


def half_precision_squares(x):
    x = jnp.asarray(x * 200, jnp.float16)
    square = x * x  # here
    return jnp.sum(square).astype(jnp.float32)


def bfloat16_overflow(x):
    h = jnp.asarray(x, jnp.bfloat16) * 5e37
    return jnp.sum(h * 2).astype(jnp.float32)  # here


def in_the_step_of_a_scan(x):
    def step(carry, i):
        return carry + jnp.log(jnp.abs(i - 7.0)), None  # here

    return lax.scan(step, x[0], jnp.arange(12.0))[0]


def in_a_reversed_scan(x):
    def step(carry, i):
        return carry + jnp.log(i - 7.0), None  # here

    return lax.scan(step, x[0], jnp.arange(12.0), reverse=True)[0]


def in_a_pass(x):
    def body(state):
        i, y = state
        return i + 1, y + 1 / (3.0 - i)  # here

    return lax.while_loop(lambda state: state[0] < 6, body, (0.0, x[0]))[1]


def in_a_taken_branch(x):
    return lax.switch(
        1,
        [
            lambda x: jnp.sum(x),
            lambda x: jnp.sum(jnp.log(x - x)),  # here
        ],
        x,
    )


def in_a_rematerialised_layer(x):
    return jnp.sum(
        jax.checkpoint(
            lambda x: jnp.log(x)  # here
        )(x)
    )


def in_a_custom_function(x):
    @jax.custom_jvp
    def safe(x):
        return jnp.log(x)  # here

    safe.defjvps(lambda dx, _, x: dx)
    return jnp.sum(safe(x))


def behind_a_harmless_one(x):
    y = jnp.where(x > 0, jnp.log(x), 0.0)
    z = jnp.sqrt(y - 10)  # here
    return jnp.sum(z)


def of_two_the_first(x):
    a = jnp.log(x)  # here
    b = jnp.divide(1, x)
    return jnp.sum(a) + jnp.sum(b)


def overflow_and_then_a_difference(x):
    h = jnp.exp(100 * x)  # here
    return jnp.sum(h - h)


def sliced_away(x):
    y = jnp.log(jnp.stack([x[1], x[1] - 1]))  # here
    return jnp.sum(y[1:])


def complex_division(x):
    z = lax.complex(x, x) / lax.complex(x - x, x - x)  # here
    return jnp.sum(jnp.abs(z))


FORWARD = {
    masked_softmax: ("sub", X, (0,)),
    cross_entropy: ("log", X, (1,)),
    zero_norm: ("div", X, (0,)),
    overflow: ("exp", X, (0,)),
    half_precision_squares: ("mul", X, (2,)),
    bfloat16_overflow: ("mul", X, (2,)),
    in_the_step_of_a_scan: ("log", X, ()),
    in_a_reversed_scan: ("log", X, ()),
    in_a_pass: ("div", X, ()),
    in_a_taken_branch: ("log", X, (0,)),
    in_a_rematerialised_layer: ("log", X, (1,)),
    in_a_custom_function: ("log", X, (1,)),
    behind_a_harmless_one: ("sqrt", X, (0,)),
    of_two_the_first: ("log", X, (1,)),
    overflow_and_then_a_difference: ("exp", X, (0,)),
    sliced_away: ("log", X, (1,)),
    complex_division: ("div", X, (0,)),
}


@pytest.mark.parametrize("fun", FORWARD, ids=lambda fun: fun.__name__)
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["", "jit"])
def test_a_result_that_is_not_finite(fun, wrap):
    name, x, index = FORWARD[fun]
    fun_here = wrap(fun)
    assert not np.isfinite(fun(x))
    found = jw.bisect_nonfinite(fun_here, x)
    assert not found.is_backward
    assert is_marked(found), found
    assert (found.equation, found.index, found.seen_in) == (name, index, "the loss")


# Healthy ----------------------------------------------------------------------------------------------------


def causal_attention(x):
    scores = x[:, None] * x[None]
    scores = jnp.where(jnp.tril(jnp.ones((3, 3), bool)), scores, -jnp.inf)
    return jnp.sum(jax.nn.softmax(scores) @ x)


def double_where(x):
    safe = jnp.where(x > 0, x, 1.0)
    return jnp.sum(jnp.where(x > 0, jnp.sqrt(safe), 0.0))


def harmless_log(x):
    return jnp.sum(jnp.where(x > 0, lax.stop_gradient(jnp.log(x)), 0.0) * x)


def running_maximum(x):
    step = lambda m, x: (jnp.maximum(m, x), None)
    return lax.scan(step, jnp.float32(-jnp.inf), x)[0]


def by_floor(x):
    return jnp.sum(jnp.floor(jnp.sqrt(x)) * x)


@pytest.mark.parametrize(
    "fun", [causal_attention, double_where, harmless_log, running_maximum, by_floor], ids=lambda fun: fun.__name__
)
def test_healthy_functions_have_none(fun):
    assert jw.bisect_nonfinite(fun, X) is None
    assert jw.bisect_nonfinite(jax.jit(fun), X) is None
    assert functools.reduce(np.logical_and, np.isfinite(jax.grad(fun)(X)))


def test_an_array_of_keys_and_steps_of_them():
    def loss(x, key):
        def step(carry, key):
            drawn = jax.random.uniform(key, x.shape) * jax.random.bernoulli(key, 1.0, x.shape).astype(x.dtype)
            return carry + jnp.where(x > 0, jnp.sqrt(x), 0.0) * drawn, None  # here

        return jnp.sum(lax.scan(step, x, jax.random.split(key, 3))[0])

    found = jw.bisect_nonfinite(loss, X, jax.random.key(0))
    assert found.equation == "sqrt"
    assert is_marked(found)
    assert found.steps == (("scan", 2, 3),)


def test_steps_and_passes_are_told():
    assert jw.bisect_nonfinite(in_the_step_of_a_scan, X).steps == (("scan", 7, 12),)
    assert jw.bisect_nonfinite(in_a_reversed_scan, X).steps == (("scan", 7, 12),)
    assert jw.bisect_nonfinite(in_a_pass, X).steps == (("while", 3, None),)
    assert jw.bisect_nonfinite(sqrt_in_a_scan, f32(1)).steps == (("scan", 11, 12),)
    assert jw.bisect_nonfinite(layers_rematerialised, X).steps == (("scan", 3, 4),)


def test_operands_and_cotangents_have_their_numbers_at_the_entry():
    found = jw.bisect_nonfinite(lambda x, w: jnp.sum(x / w), X, f32(2, 0, 0))
    assert [float(x.value) for x in found.operands] == [0, 0]
    assert [(x.shape, x.dtype, float(x.low), float(x.high)) for x in found.operands] == [
        ((3,), np.float32, 0, 4),
        ((3,), np.float32, 0, 2),
    ]
    assert (found.index, found.cotangents) == ((1,), ())
    assert np.isnan(found.value)
    backward = jw.bisect_nonfinite(lambda x: 3 * jnp.sum(jnp.sqrt(x)), X)
    assert [float(x.value) for x in (*backward.operands, *backward.cotangents)] == [0, 3]
    assert backward.value == np.inf


def test_the_point_before_is_the_last_that_feeds_it():
    def loss(w, x):
        h = jw.tag(x * w, "h")
        other = jw.tag(x + 1, "other")
        root = jnp.sqrt(jw.tag(h - h, "centred"))
        return jnp.sum(root * other) + jnp.sum(jw.tag(x, "later"))

    found = jw.bisect_nonfinite(loss, X, ONES)
    assert (found.equation, found.is_backward, found.point) == ("sqrt", True, "centred")
    assert jw.bisect_nonfinite(lambda x: jnp.log(x) * 1, f32(0)[0]).point is None


def test_scopes_are_told():
    def loss(x):
        with jax.named_scope("net"):
            h = jax.jit(jax.named_scope("block")(lambda x: jnp.tanh(x) * 2))(x)
            with jax.named_scope("last"):
                return jnp.sum(jnp.log(h))

    found = jw.bisect_nonfinite(loss, X)
    assert (found.scopes, found.point) == (("net", "last"), "net/block")


def test_what_came_in_is_told():
    loss = lambda w, x: jnp.sum(w["a"] * x["b"])
    nan, inf = f32(1, np.nan, 1), f32(1, np.inf, 1)
    found = jw.bisect_nonfinite(loss, {"a": ONES}, {"b": nan})
    assert (found.equation, found.inputs, found.array) == ("", ("args[1]['b']",), "loss")
    assert np.isnan(found.value)
    assert "came in  a NaN or Inf with `args[1]['b']`" in repr(found)
    assert jw.bisect_nonfinite(loss, {"a": inf}, {"b": ONES}).inputs == ("args[0]['a']",)
    assert jw.bisect_nonfinite(lambda x, *, mask: jnp.sum(x * mask), ONES, mask=nan).inputs == ("mask",)
    assert jw.bisect_nonfinite(lambda x: jnp.sum(jnp.where(jnp.isnan(x), 0.0, x)), nan) is None


def test_a_new_one_is_found_beside_what_came_in():
    def loss(w, x):
        h = jnp.log(w)  # here
        return jnp.sum(h) + jnp.sum(jnp.sqrt(x * 2))

    found = jw.bisect_nonfinite(loss, X, f32(1, np.nan, -np.inf))
    assert (found.equation, found.index, found.inputs) == ("log", (1,), ("args[1]",))
    assert is_marked(found)


def test_harmless_ones_are_counted():
    assert jw.bisect_nonfinite(behind_a_harmless_one, X).harmless == 1
    assert jw.bisect_nonfinite(of_two_the_first, X).harmless == 0
    assert jw.bisect_nonfinite(guarded_log, X).harmless == 1  # log itself, forward


def test_of_many_harmless_ones_the_one_to_blame_is_found():
    def loss(x):
        for _ in range(20):
            x = jnp.where(x > 0, jnp.log(x), x)
        for _ in range(3):
            x = x + jnp.where(x > 9, x, jnp.log(x - x))  # here
        return jnp.sum(x)

    found = jw.bisect_nonfinite(loss, f32(0))
    assert (found.harmless, is_marked(found)) == (20, True)


@pytest.mark.parametrize("fun", [lambda x: jnp.exp(100 * x), lambda x: {"a": x, "b": jnp.exp(100 * x)}])
def test_other_results_are_searched_forward(fun):
    found = jw.bisect_nonfinite(fun, X)
    assert found.equation == "exp"
    assert found.seen_in in ("the result", "`result['b']`")
    assert found.notes == (FORWARD_ONLY,)


FORWARD_ONLY = (
    "Only the run forward was searched: the result is no real scalar; give a function that returns the loss alone to"
    " search the way back."
)


def test_what_was_not_searched_is_warned_of():
    with pytest.warns(UserWarning, match="found nothing") as told:
        assert jw.bisect_nonfinite(jnp.sin, X) is None
    assert [str(w.message) for w in told] == [f"`bisect_nonfinite` found nothing. {FORWARD_ONLY}"]
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match="depends on no argument that is an array of floats"):
        assert jw.bisect_nonfinite(lambda n: jnp.sum(n).astype(jnp.float32), np.int32([1, 2])) is None
    halved = lambda x: lax.while_loop(lambda x: x[0] > 1, lambda x: x / 2, x)
    with pytest.warns(UserWarning, match=r"δ before that was not searched: `while` \(ValueError, Reverse-mode"):
        assert jw.bisect_nonfinite(lambda x: jnp.sum(halved(x)), X + 1) is None
    found = jw.bisect_nonfinite(lambda x: jnp.sum(halved(x)) + jnp.sum(jnp.sqrt(x)), X)
    assert (found.equation, len(found.notes)) == ("sqrt", 1)


def test_a_number_of_python_is_an_argument():
    assert jw.bisect_nonfinite(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0), 0.0).equation == "sqrt"
    assert jw.bisect_nonfinite(lambda x, rate: jnp.sum(x) if rate > 0 else jnp.sum(1 / x), X, 0.5) is None


def test_numbers_of_a_callback_are_those_of_the_run():
    """What differs from run to run stands for what XLA computes otherwise when it compiles."""
    numbers = iter([np.nan, 1, 1])
    shape = jax.ShapeDtypeStruct((), np.float32)
    ask = lambda x: jax.pure_callback(lambda x: np.float32(next(numbers)), shape, x)
    found = jw.bisect_nonfinite(jax.jit(lambda x: ask(x) * 2), f32(1)[0])
    assert found.equation == "<lambda>"
    assert "None of the equations that it calls makes it when run by itself" in found.notes[0]
    numbers = iter([1, np.nan])
    found = jw.bisect_nonfinite(lambda x: ask(x) * 2, f32(1)[0])
    assert (found.equation, found.seen_in) == ("", "the loss")
    assert "Run op by op it is finite: compiled as one by `jax.jit`, XLA computes it in" in found.notes[0]


@pytest.mark.parametrize("dtype", [np.float64, np.float16, jnp.bfloat16])
def test_other_dtypes(float64, dtype):
    x = jnp.asarray(X, dtype)
    found = jw.bisect_nonfinite(lambda x: jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0)), x)
    assert (found.equation, found.operands[0].dtype) == ("sqrt", dtype)
    assert jw.bisect_nonfinite(lambda x: jnp.sum(jnp.sqrt(x + 1)), x) is None


def test_what_is_not_entered_says_so():
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    logs = jax.shard_map(jnp.log, mesh=mesh, in_specs=jax.P("d"), out_specs=jax.P("d"))
    found = jw.bisect_nonfinite(lambda x: jnp.sum(logs(x)), X)
    assert (found.equation, found.index, found.try_) == ("shard_map", (1,), "")
    assert found.notes == ("It was looked at as a whole: what it runs inside cannot be run by itself.",)


def test_a_reading_twice_that_overflows():
    def loss(x):
        return jnp.sum(x * 1e30) * jnp.float32(1e8) - jnp.sum(x * 3e38) * 1.0 - jnp.sum(x * 3e38)

    found = jw.bisect_nonfinite(loss, np.zeros(2, np.float32))
    assert found.is_backward
    assert "It is the sum of two cotangents" in found.notes[0]


def test_it_refuses_what_it_cannot_search():
    with pytest.raises(jw.ArgumentError, match="needs numbers, and its arguments are being traced; call it outside"):
        jax.jit(lambda x: jw.bisect_nonfinite(jnp.sum, x))(X)
    with pytest.raises(jw.ArgumentError, match=r"`fun` takes \(x\), and was given 2 arguments"):
        jw.bisect_nonfinite(lambda x: x, X, X)

    def mutable(x):
        ref = jax.new_ref(x)
        ref[...] = x * 2
        return jnp.sum(ref[...])

    with pytest.raises(jw.ArgumentError, match=r"cannot follow a mutable array \(`jax.new_ref`\), which `fun` reads"):
        jw.bisect_nonfinite(mutable, X)


def test_how_it_looks(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = repr(jw.bisect_nonfinite(in_the_step_of_a_scan, X)).splitlines()
    place = f"test_bisect.py:{in_the_step_of_a_scan.__code__.co_firstlineno + 2}"
    assert lines == [
        "-inf made by `log`",
        f"  line     {place}, in `step`",
        "           return carry + jnp.log(jnp.abs(i - 7.0)), None  # here",
        "  operand  float32[] 0",
        "  result   -inf",
        "  seen in  the loss",
        "  step     7, counted from 0, of 12, of the scan",
        "  try      its argument is 0 or less: use `jax.nn.log_softmax` on the logits, or",
        "           add an eps to it",
    ]
    assert max(map(len, repr(jw.bisect_nonfinite(guarded_division, X)).splitlines())) <= 80


def test_a_step_of_a_scan_that_makes_none_when_it_is_compiled_alone():
    """XLA takes a `where` out of the quotient in the step alone, and not in the scan."""
    ws = jnp.asarray(np.random.default_rng(0).normal(size=(6, 8, 8)), jnp.float32)

    def layer(x, w):
        h = jnp.tanh(x @ w)
        n = jnp.sqrt(jnp.sum((h * (h > 0.97).astype(h.dtype)) ** 2, -1, keepdims=True))
        return x + 0.5 * h + jnp.where(n > 0, n, 0.0), None

    def loss(ws, x):
        return jnp.mean(jax.lax.scan(layer, x, ws)[0] ** 2)

    x = jnp.asarray(np.random.default_rng(1).normal(size=(4, 8)), jnp.float32)
    for of in (loss, jax.jit(loss)):
        assert not np.isfinite(jax.grad(loss)(ws, x)).all()
        found = jw.bisect_nonfinite(of, ws, x)
        assert (found.equation, found.is_backward) == ("sqrt", True)
        assert "jnp.sqrt(jnp.sum" in found.text
        assert found.steps


def test_a_text_is_refused():
    with pytest.raises(jw.ArgumentError) as error:
        jw.bisect_nonfinite(lambda x, mode: jnp.sum(x), jnp.ones(2), "train")
    assert str(error.value) == (
        "`bisect_nonfinite` was given 'train', which is no array; give `fun` arrays alone, and let it close over the"
        " rest."
    )
