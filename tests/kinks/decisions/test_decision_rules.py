"""What decides by a jump is found wherever it counts: in an index, an order, a remainder, the bits of a number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw

TIE, Y = np.float32([1.0, 2.0, 2.0, 0.5]), np.float32([1.0, 2.0, 3.0, 4.0])
TABLE = np.float32([3.0, 1.0, 7.0])


def straight_through(x, y):
    p = jax.nn.softmax(x)
    return jnp.sum((jax.nn.one_hot(jnp.argmax(p), 4) - lax.stop_gradient(p) + p) * y)


JUMPS = {
    "argsort": (lambda x, y: jnp.sum(y[jnp.argsort(x)] * jnp.arange(4.0)), TIE, Y),
    "lexsort": (lambda x, y: jnp.sum(y[jnp.lexsort((y, x))] * jnp.arange(4.0)), TIE, Y),
    "one_hot": (lambda x, y: jnp.sum(jax.nn.one_hot(jnp.argmax(x), 4) * y), TIE, Y),
    "straight through": (straight_through, TIE, Y),
    "experts": (lambda x, y: jnp.sum(jax.nn.one_hot(lax.top_k(x, 2)[1][1], 4) * y * x), TIE, Y),
    "cond": (lambda x, y: lax.cond(jnp.argmax(x) == 1, lambda y: y[0], lambda y: y[1], y), TIE, Y),
    "floor": (lambda x, y: jnp.sum(jnp.where(jnp.floor(x).astype(int) == 2, y, -y)), TIE, Y),
    "interp": (lambda x: jnp.sum(jnp.interp(x, jnp.arange(3.0), jnp.float32([0, 1, 0]))), np.float32([1])),
    "searchsorted": (
        lambda x: jnp.sum(jnp.asarray(TABLE)[jnp.searchsorted(jnp.arange(2.0), x, side="right")] * x),
        np.float32([1]),
    ),
    "histogram": (lambda x: jnp.sum(jnp.histogram(x, bins=3, range=(0.0, 3.0))[0] * x[0]), np.float32([1, 2.5])),
    "fmod": (lambda x: jnp.sum(jnp.fmod(x, 1.0)), np.float32([2])),
    "floor_divide": (lambda x: jnp.sum(x // 0.5 * x), np.float32([2])),
    "bool": (lambda x: jnp.sum(x.astype(bool).astype(x.dtype) * (x + 1)), np.float32([0, 0.3])),
    "copysign": (lambda x: jnp.sum(jnp.copysign(2.0, x)), np.float32([0])),
    "approx_max_k": (lambda x: jnp.sum(lax.approx_max_k(x, 2)[0]), np.float32([1, 2, 2, 2.5])),
    "frexp": (lambda x: jnp.sum(jnp.frexp(x)[0]), np.float32([1])),
}


OPAQUE = ("frexp",)  # since jax 0.12 it is made of operations on bits, of which it is not told which count


def is_told(found):
    return any(note.endswith("decides was not looked at.") for note in found.notes)


@pytest.mark.parametrize("name", JUMPS)
def test_a_tie_is_found(name):
    fun, *args = JUMPS[name]
    found = jw.kinks(fun, *args)
    assert [kink.kind for kink in found].count("tie") or (name in OPAQUE and is_told(found))


def test_where_the_loss_itself_jumps_it_is_not_said_that_delta_is_one_of_two():
    def routed(x, y):
        expert = lax.top_k(jw.tag(x * 1, "score"), 1)[1][0]
        return jnp.sum(jax.nn.one_hot(expert, 4) * y * x)

    def said(fun, *args):
        found = jw.kinks(fun, *args)
        return [kink.jumps for kink in found], repr(jw.walk(fun)(*args).with_kinks(found)).splitlines()[-1]

    tie, zero = np.float32([1, 2, 2, 0.5]), np.zeros(1, np.float32)
    assert said(routed, tie, Y) == (
        [True],
        "1 kink: there the loss itself may jump, of which δ does not tell; see `Walk.kinks`.",
    )
    assert "the value jumps" in jw.kinks(routed, tie, Y)[0].note
    bends = lambda x: jnp.sum(jax.nn.relu(jw.tag(x * 1, "x")))
    assert said(bends, zero)[1] == "1 kink: there δ is one of two; see `Walk.kinks`."
    unknown = lambda x: jnp.sum(jnp.where(jw.tag(x * 1, "x") > 0, x, 1))
    assert said(unknown, zero) == (
        [None],
        "1 kink: there δ is one of two, or the loss itself jumps, of which it does not tell, or, where no `left` is"
        " told, both sides may meet and nothing jumps; see `Walk.kinks`.",
    )


AWAY = {
    "argsort": np.float32([1.0, 2.0, 3.0, 0.5]),
    "experts": np.float32([1.0, 2.0, 3.0, 0.5]),
    "interp": np.float32([1.2]),
    "searchsorted": np.float32([0.7]),
    "fmod": np.float32([2.3]),
    "bool": np.float32([-0.2, 0.3]),
    "copysign": np.float32([-0.5]),
    "frexp": np.float32([1.2]),
}


@pytest.mark.parametrize("name", AWAY)
def test_and_nothing_away_from_it(name):
    fun, _, *args = JUMPS[name]
    found = jw.kinks(fun, AWAY[name], *args)
    assert not found
    assert found.decisions or is_told(found)


def test_a_jump_counts_behind_a_stop_gradient_if_the_derivative_sees_its_value():
    x = np.float32([1.5, 0.2])
    rounded = lambda x: x + lax.stop_gradient(jnp.round(x) - x)
    assert not jw.kinks(lambda x: jnp.sum(rounded(x)), x).decisions
    (kink,) = jw.kinks(lambda x: jnp.sum(rounded(x) ** 2), x)
    assert (kink.operation, kink.entries.tolist()) == ("round", [[0]])


def test_equal_integers_are_put_in_order_by_the_next_key():
    group = np.int32([0, 1, 1, 2])
    order = lambda x: jnp.sum(jnp.asarray(Y)[jnp.lexsort((x, group))] * x[0])
    (kink,) = jw.kinks(order, np.float32([1, 2, 2, 1]))
    assert kink.entries.tolist() == [[1]]
    assert not jw.kinks(order, np.float32([1, 1, 2, 2]))


UNSEEN = {
    "pure_callback": lambda x: jnp.sum(x * jax.pure_callback(np.floor, x, x, vmap_method="sequential")),
    "scatter-max": lambda x: jnp.sum(jax.ops.segment_max(x, jnp.array([0, 0, 1]), 2)),
    "reduce": lambda x: lax.reduce(x, jnp.float32(0), lambda a, b: jnp.maximum(a, jnp.abs(b)), (0,)),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_is_not_looked_at_is_told(name):
    found = jw.kinks(UNSEEN[name], np.float32([1, 1, 2]))
    assert found.notes[0].startswith(f"What the `{name}` at test_decision_rules.py:")
    assert found.notes[0].endswith("decides was not looked at.")
    assert repr(found).startswith("No kinks: nothing that was looked at chooses.")


def test_a_sum_of_its_own_decides_nothing():
    found = jw.kinks(lambda x: lax.reduce(x, jnp.float32(0), lambda a, b: a + b * 2, (0,)), np.float32([1, 1]))
    assert [note.startswith("The rounding error") for note in found.notes] == [True]


def test_a_mutable_array_is_refused():
    def fun(x):
        ref = jax.new_ref(x)
        ref[0] = x[1]
        return jnp.sum(jax.nn.relu(ref[...]))

    with pytest.raises(jw.ArgumentError, match=r"`kinks` cannot follow a mutable array \(`jax.new_ref`\), which `fun`"):
        jw.kinks(fun, np.float32([1, 1]))
