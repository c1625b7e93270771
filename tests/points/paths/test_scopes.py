"""Points by scope: what leaves a `jax.named_scope`, at every depth, each opening of a scope apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw

X = np.array([0.3, -0.7, 1.1], np.float32)
scope = jax.named_scope


def names(fun, *args, by="scopes"):
    return list(jw.points(fun, *(args or (X,)), by=by))


def test_scopes_nest_and_are_numbered_when_entered_again():
    def fun(x):
        for _ in range(2):
            with scope("h"):
                x = x * 2
                with scope("attn"):
                    x = jnp.sin(x)
                x = x + 1
        with scope("h"), scope("attn"):
            return jnp.sum(x)

    assert names(fun) == ["h/attn", "h", "h#2/attn", "h#2", "h#3/attn", "h#3"]


def test_two_openings_side_by_side_are_two():
    @jax.jit
    def dense(x):
        with scope("dense"):
            return x * 2

    def fun(x):
        for _ in range(2):
            with scope("a"):
                x = jnp.sin(x)
        with scope("calls"):
            x = dense(dense(x))
        return jnp.sum(dense(x))

    assert names(fun) == ["a", "a#2", "calls/dense", "calls/dense#2", "calls", "dense"]
    walk = jw.walk(fun, by="scopes")(X)
    np.testing.assert_allclose(walk.deltas["a"], 8 * np.cos(np.sin(X)), rtol=1e-6)
    np.testing.assert_array_equal(walk.deltas["calls/dense"], [4, 4, 4])
    np.testing.assert_array_equal(walk.deltas["calls/dense#2"], [2, 2, 2])


def test_several_values_leave_one_scope():
    def fun(x):
        with scope("split"):
            inner = x + 1
            a, b = jnp.sin(inner), jnp.cos(inner)
        return jnp.sum(a * b)

    walk = jw.walk(fun, by="scopes")(X)
    assert list(walk.deltas) == ["split:0", "split:1"]
    np.testing.assert_allclose(walk.deltas["split:0"], np.cos(X + 1), rtol=1e-6)
    np.testing.assert_allclose(walk.deltas["split:1"], np.sin(X + 1), rtol=1e-6)


def test_two_scopes_left_at_once_are_two_names_of_one_value():
    def fun(x):
        with scope("outer"), scope("inner"):
            x = jnp.sin(x)
        return jnp.sum(x**2)

    walk = jax.jit(jw.walk(fun, by="scopes"))(X)
    assert list(walk.deltas) == ["outer/inner", "outer"]
    assert walk.deltas["outer"] is walk.deltas["outer/inner"]
    assert len(jax.tree.leaves(walk.deltas)) == 1
    assert len(walk.culprits(10)) == 3
    assert "is `outer` too" in repr(walk.points)
    assert jax.tree.map(jnp.shape, walk.outputs)["outer/inner"] == (3,)


def test_who_reads_a_value_inside_its_scope_counts_for_what_leaves_it():
    """`mu` leaves "encode/mu", and later "encode": one value, whose δ is that of all its readers."""

    def fun(x, moved=0.0):
        with scope("encode"):
            with scope("mu"):
                mu = jnp.sin(x) + moved
            spread = mu * mu
        return jnp.sum(spread) + jnp.sum(3 * mu)

    walk = jw.walk(fun, by="scopes", argnums=0)(X)
    assert list(walk.deltas) == ["encode/mu", "encode:0", "encode:1"]
    np.testing.assert_allclose(walk.deltas["encode:0"], jax.grad(fun, 1)(X, jnp.zeros(3)), rtol=1e-6)
    np.testing.assert_allclose(walk.deltas["encode:1"], [1, 1, 1])
    assert walk.deltas["encode/mu"] is walk.deltas["encode:0"]
    np.testing.assert_array_equal(walk.grads, jax.grad(fun)(X))


def test_through_the_structures():
    def fun(x):
        def body(carry, w):
            with scope("layer"):
                carry = jnp.tanh(carry * w)
            return carry, carry

        with scope("stack"):
            x, _ = lax.scan(jax.checkpoint(body), x, jnp.arange(1.0, 5.0))

        def branch(x):
            with scope("taken"):
                return x * 2

        x = lax.cond(x[0] < 9, branch, lambda x: x, x)
        with scope("batched"):
            x = jax.vmap(branch)(x)
        return jnp.sum(x)

    points = jw.points(fun, X, by="scopes")
    assert list(points) == ["stack/layer", "stack", "taken", "batched/taken", "batched"]
    assert points["stack/layer"].axes == (jw.Axis("scan", 4),)
    assert points["taken"].conditional
    walk = jax.jit(jw.walk(fun, by="scopes"))(X)
    np.testing.assert_allclose(walk.deltas["stack"], [4, 4, 4])
    np.testing.assert_allclose(walk.deltas["stack/layer"][3], [4, 4, 4])


def test_tags_and_scopes_together():
    def fun(x):
        with scope("attn"):
            x = jw.tag(jnp.sin(x), "attn")
            x = x * 2
        return jnp.sum(x)

    points = jw.points(fun, X)
    assert [(p.name, p.kind) for p in points.values()] == [("attn", "tag"), ("attn#2", "scope")]
    assert names(fun, by="tags") == ["attn"]
    assert names(fun, by="scopes") == ["attn"]


def test_scopes_that_einsum_opens_are_points_only_when_scopes_are_asked_for():
    def fun(x):
        y = jnp.einsum("i,i->i", x, x)
        return jnp.sum(y)

    assert names(fun) == ["i,i->i"]
    assert names(fun, by=None) == ["fun/y", "fun/return"]


def test_a_rooted_scope_is_named_by_its_path_alone():
    def fun(x):
        with scope("actor"), scope(".Net"), scope(".blocks.0"):
            with scope(".blocks.0.mlp"):
                x = x * 2
            x = x + 1
        with scope(".Net"):
            x = x * 3
        return jnp.sum(x)

    assert names(fun) == ["actor/blocks.0.mlp", "actor/blocks.0", "actor/Net", "actor", "Net"]


def modules(x):
    """What `jw.scoped` makes of a model of Equinox, whose modules open a scope named by their class."""
    for i in range(2):
        with scope(f".blocks.{i}"):
            with scope(f".blocks.{i}.conv"), scope("eqx.nn.Conv"):
                x = jnp.sin(x)
            with scope(f".blocks.{i}.mix"):
                x = jw.tag(x + 1, "z")
                with scope("last"):
                    x = x * 2
    return jnp.sum(jw.tag(x, "out"))


def test_a_scope_that_is_all_of_a_module_is_an_alias_of_it():
    points = jw.points(modules, X, by="scopes")
    block = ["blocks.0.conv", "blocks.0.mix/last", "blocks.0.mix", "blocks.0"]
    assert list(points) == block + [name.replace("0", "1") for name in block]
    assert points["blocks.0.conv/eqx.nn.Conv"] is points["blocks.0.conv"]
    assert points["blocks.0.conv"].aliases == ("blocks/0/conv", "blocks.0.conv/eqx.nn.Conv")
    walk = jax.jit(jw.walk(modules, "blocks.0.conv/eqx.nn.Conv", by="scopes"))(X)
    assert list(walk.deltas) == ["blocks.0.conv"]
    assert walk.deltas["blocks.0.conv/eqx.nn.Conv"] is walk.deltas["blocks/0/conv"] is walk.deltas["blocks.0.conv"]
    np.testing.assert_allclose(walk.deltas["blocks.0.conv"], 4 * np.cos(2 * (np.sin(X) + 1)), rtol=1e-6)


def test_a_tag_in_a_module_carries_its_path():
    assert names(modules, by="tags") == ["blocks.0.mix/z", "blocks.1.mix/z", "out"]
    points = jw.points(modules, X)
    assert {"blocks.0.mix/z", "blocks.1.mix/z", "out"} < {*points}
    assert points["z#2"] is points["blocks.1.mix/z"]
    assert list(jw.walk(modules, ["z#2", "out"])(X).deltas) == ["blocks.1.mix/z", "out"]
    doubled = jw.intervene(modules, {"z": lambda z: 2 * z})(X)
    assert doubled == jw.intervene(modules, {"blocks.0.mix/z": lambda z: 2 * z})(X) != modules(X)
    with pytest.raises(jw.ArgumentError, match="`edits` names `z` and `blocks/0/mix/z`, which are two names of one"):
        jw.intervene(modules, {"z": 0.0, "blocks/0/mix/z": 1.0})(X)


def test_the_second_call_of_a_module_is_numbered_also_where_the_first_has_no_point():
    def fun(x):
        with scope(".mix"):
            x = jnp.sin(x)
        with scope(".mix"):
            x = jw.tag(jnp.sin(x), "z")
        return jnp.sum(x)

    assert names(fun, by="tags") == ["mix#2/z"]
    assert "mix#2/z" in names(fun, by=None)


def test_a_name_keeps_its_meaning_when_modules_get_theirs():
    """Where no module was named by its path, the tag in the module was `z`, and the one after it `z#2`."""

    def fun(x):
        with scope(".mix"):
            x = jw.tag(jnp.sin(x), "z")
        return jnp.sum(jw.tag(x * 2, "z"))

    points = jw.points(fun, X, by="tags")
    assert list(points) == ["mix/z", "z#2"]
    assert points["z"] is points["mix/z"]


def test_paths_of_modules_form_a_tree():
    points = jw.points(modules, X)
    assert [line.split()[:2] for line in repr(points).splitlines()[2:8]] == [
        ["blocks.", "10"],
        ["5", "0"],
        ["1", ".conv"],
        ["4", ".mix"],
        ["2", "z"],
        ["3", "last"],
    ]
    at = lambda glob: list(jw.walk(modules, glob)(X).deltas)
    assert at("blocks/*/conv") == at("blocks.*.conv") == at("**/conv") == ["blocks.0.conv", "blocks.1.conv"]
    assert at("blocks/1/**") == [name for name in points if name.startswith("blocks.1")]


def test_the_backward_pass_of_a_gradient_inside_goes_through_its_scopes_transposed():
    def fun(x):
        def energy(x):
            with scope("sin"):
                s = jnp.sin(x)
            return jnp.sum(s**3)

        return jnp.sum(jax.grad(energy)(x) ** 2)

    found = names(fun)
    assert found[0].startswith("sin")
    assert any(name.startswith("transpose(sin)") for name in found)
    walk = jw.walk(fun, by="scopes")(X)
    assert walk.value == fun(X)


def test_what_a_scan_does_not_need_at_each_step_does_not_leave_the_scope_it_is_in():
    """Flax takes it out of the loop: scope and loop then go on around each other. So does partial evaluation here."""

    def cell(w, c):
        with scope("cell"):
            return jnp.tanh(c * jnp.sin(w))

    def fun(x):
        _, linear = jax.linearize(lambda c: lax.scan(lambda c, _: (cell(x, c), None), c, None, length=3)[0], x)
        return jnp.sum(linear(x))

    walk = jw.walk(fun, by="scopes", argnums=0)(X)
    np.testing.assert_allclose(walk.grads, jax.grad(fun)(X), rtol=1e-5)


def test_a_scope_of_which_nothing_is_used_says_so():
    def fun(x):
        with scope("dead"):
            jnp.sin(x)
        return jnp.sum(x * 2)

    walk = jw.walk(fun, by="scopes")(X)
    assert walk.points["dead"].unused
    np.testing.assert_array_equal(walk.deltas["dead"], np.zeros(3))


def test_what_cannot_be_differentiated_backward_says_why_and_stops_nothing_else():
    def fun(x):
        with scope("a"):
            a = jnp.sin(x)
        with scope("start"):
            start = lax.stop_gradient(a) * 2
        n = lax.while_loop(lambda c: jnp.sum(c) < 9, lambda c: c + 1, start)
        with scope("b"):
            b = a * n
        return jnp.sum(b)

    walk = jw.walk(fun, by="scopes", argnums=0)(X)
    assert walk.points["start"].stuck
    assert list(walk.deltas) == ["a", "b"]
    assert "no delta: behind a while_loop or a callback" in repr(walk)
    with pytest.raises(jw.PointError, match="the way back from the loss leads through a `while_loop` or a callback"):
        walk.deltas["start"]
    np.testing.assert_array_equal(walk.grads, jax.grad(fun)(X))
    kept = jw.walk(fun, by="scopes", keep=lambda output, delta: jnp.sum(delta))(X).kept
    np.testing.assert_allclose(kept["a"], np.sum(walk.deltas["a"]), rtol=1e-6)


def test_a_callback_that_cannot_be_differentiated():
    def fun(x):
        with scope("a"):
            a = lax.stop_gradient(x) * 2
        b = jax.pure_callback(lambda a: np.asarray(a) + 1, jax.ShapeDtypeStruct((3,), np.float32), a)
        return jnp.sum(x * b)

    walk = jw.walk(fun, by="scopes", argnums=0)(X)
    assert walk.points["a"].stuck
    np.testing.assert_array_equal(walk.grads, jax.grad(fun)(X))


def test_keep_and_vjp_and_outputs_by_scope():
    def fun(x):
        with scope("a"):
            return jnp.sin(x)

    assert list(jw.outputs(fun, by="scopes")(X)[1]) == ["a"]
    _, outputs, pullback = jw.vjp(fun, X, by="scopes")
    deltas, _ = pullback(jnp.ones(3))
    np.testing.assert_array_equal(deltas["a"], [1, 1, 1])
    np.testing.assert_allclose(outputs["a"], np.sin(X), rtol=1e-6)
    kept = jw.walk(lambda x: jnp.sum(fun(x)), by="scopes", keep=lambda o, d: (jnp.sum(o), jnp.sum(d)))(X).kept
    np.testing.assert_allclose(kept["a"], (np.sum(np.sin(X)), 3), rtol=1e-6)
