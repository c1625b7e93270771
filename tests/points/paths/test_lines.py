"""Points by lines of source: each value that a variable really had is the output at the point of its name.

The functions log what they compute when they are run op by op; what they log is what a walk must find.
"""

import collections
import dataclasses
import functools
import linecache
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.example_libraries.stax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw

X = np.array([0.3, -0.7, 1.1], np.float32)


class Log:
    """Values by name; a second value of one name is `name#2`, unless its number is given."""

    def __init__(self):
        self.values = {}
        self._seen = collections.Counter()

    def __call__(self, name, value):
        self._seen[name] += 1
        self.values[name if self._seen[name] == 1 else f"{name}#{self._seen[name]}"] = value


def silent(name, value):
    pass


def check(fun, *args, **options):
    """What `fun` logs is found under those names; returns all the names there are."""
    log = Log()
    fun(*args, log)
    _, outputs = jw.outputs(functools.partial(fun, log=silent), by="lines", **options)(*args)
    assert log.values
    for name, value in log.values.items():
        assert name in outputs, (name, list(outputs))
        np.testing.assert_allclose(outputs[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    return list(outputs)


def assignments(x, log):
    a = x * 2
    log("assignments/a", a)
    b, c = jnp.sin(a), jnp.cos(a)
    log("assignments/b,c:0", b)
    log("assignments/b,c:1", c)
    b += c
    log("assignments/b", b)
    d: jax.Array = b * a
    log("assignments/d", d)
    pair = {}
    pair["e"] = d - 1
    log("assignments/pair['e']", pair["e"])
    f = g = pair["e"] + 2
    log("assignments/f=g", f)
    h = jnp.where(
        f > 0,
        g,
        -g,
    )
    log("assignments/h", h)
    i = h * 2
    j = i * 3
    log("assignments/i", i)
    log("assignments/j", j)
    return j + i


def test_assignments():
    names = check(assignments, X)
    assert names[-1] == "assignments/return"
    assert len(names) == 11


def loops(x, log):
    for i in range(2):
        x = jnp.sin(x) * (i + 1)
        log("loops/x", x)
        for _ in range(3):
            y = jnp.tanh(x)
            log("loops/y", y)
            x = x + y
            log("loops/x", x)
    n = 0
    while n < 3:
        x = jnp.cos(x)
        log("loops/x", x)
        n += 1
    return x


def test_loops():
    assert len(check(loops, X)) == 2 * (1 + 2 * 3) + 3


def choosing(x, log):
    for i in range(4):
        x = jnp.sin(x) if i % 2 else jnp.cos(x)
        log("choosing/x", x)
    for i in range(3):
        if i == 1:
            x = x * 2
            log("choosing/x", x)
        else:
            y = x + 1
            log("choosing/y", y)
            x = y
        if i == 1:
            continue
        x = x - 3
        log("choosing/x", x)
    return x


def test_a_line_that_goes_two_ways():
    check(choosing, X)


def guarded(x, log):
    for _ in range(3):
        with jax.named_scope("s"):
            x = jnp.sin(x)
            log("guarded/x", x)
        try:
            y = x * 2
            log("guarded/y", y)
        finally:
            x = x + 1
            log("guarded/x", x)
    z = jnp.sum(x)
    log("guarded/z", z)
    return z * 2


def test_with_and_try():
    check(guarded, X)


def layer(x, log, at):
    h = jnp.tanh(x)
    log(f"{at}/layer/h", h)
    return h * x


def inner_loop(x, log, at):
    for _ in range(2):
        x = jnp.sin(x)
        log(f"{at}/inner_loop/x", x)
    return x + 1


def calls(x, log):
    a = layer(x, log, "calls/a")
    log("calls/a", a)
    b = layer(a, log, "calls/b") + layer(a * 2, log, "calls/b")
    log("calls/b", b)
    for i in range(3):
        at = "calls/c" if i == 0 else f"calls/c#{i + 1}"
        c = layer(b, log, at)
        log("calls/c", c)
        b = c
    for i in range(2):
        at = "calls/d" if i == 0 else f"calls/d#{i + 1}"
        d = inner_loop(b, log, at)
        log("calls/d", d)
        b = d
    return b


def test_calls():
    names = check(calls, X)
    assert "calls/b/layer/h#2" in names
    assert "calls/d#2/inner_loop/x#2" in names


def countdown(x, n, log, at="countdown"):
    x = jnp.sin(x) + n
    log(f"{at}/x", x)
    return x if n == 0 else countdown(x, n - 1, log, f"{at}/return/countdown")


def test_recursion():
    names = check(countdown, X, 2)
    assert "countdown/return/countdown/return/countdown/x" in names


def comprehensions(x, log):
    rows = [jnp.sin(x) * i for i in range(3)]
    for i, row in enumerate(rows):
        log(f"comprehensions/rows:{i}", row)
    total = sum(row * row for row in rows)
    log("comprehensions/total", total)
    tree = jax.tree.map(lambda leaf: leaf * 2, {"a": total, "b": rows[0]})
    log("comprehensions/tree:0", tree["a"])
    log("comprehensions/tree:1", tree["b"])
    both = functools.reduce(lambda a, b: a * b, [tree["a"], tree["b"], x])
    log("comprehensions/both", both)
    return both


def test_a_comprehension_is_one_line():
    check(comprehensions, X)


class Net:
    def __init__(self, depth):
        self.blocks = [Block(i) for i in range(depth)]

    def __call__(self, x, log):
        for i, block in enumerate(self.blocks):
            at = "Net.__call__/x" if i == 0 else f"Net.__call__/x#{i + 1}"
            x = block(x, log, at)
            log("Net.__call__/x", x)
        return jnp.sum(x)


class Block:
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, x, log, at):
        h = self.dense(x)
        log(f"{at}/Block.__call__/h", h)
        return x + h

    def dense(self, x):
        return x * self.scale


def test_methods_nest():
    names = check(Net(3), X)
    assert "Net.__call__/x#3/Block.__call__/h/Block.dense/return" in names


def double(x, skip, log, at):
    if not skip:
        x = jnp.tanh(x)
        log(f"{at}/double/x", x)
    return x * 2


def sequential(x, log, at):
    for _ in range(2):
        x = jnp.tanh(x)
        log(f"{at}/sequential/x", x)
    return x


def alike(x, log):
    """Loops whose turns no position in the code can tell from those of what they call."""
    for i, skip in enumerate((False, True, True)):
        a = double(x, skip, log, "alike/a" if i == 0 else f"alike/a#{i + 1}")
        log("alike/a", a)
        x = a
    for i in range(3):
        b = sequential(x, log, "alike/b" if i == 0 else f"alike/b#{i + 1}")
        log("alike/b", b)
        x = b
    rows = [x]
    for _ in range(3):
        c = jnp.tanh(sum(rows))
        log("alike/c", c)
        rows.append(c)
    # fmt: off
    for n in (2, 0, 1): x = x + sum(jnp.sin(x) for _ in range(n)); log("alike/x", x)  # noqa: E701, E702
    n = 3
    while n: x = jnp.cos(x); log("alike/x", x); n -= 1  # noqa: E701, E702
    # fmt: on
    return x


def test_passes_that_look_alike_are_told_apart():
    names = check(alike, X)
    assert sum(name.endswith("sequential/x#2") for name in names) == 3
    assert not any(p.alike for p in jw.points(functools.partial(alike, log=silent), X, by="lines").values())


class Attention(eqx.Module):
    scale: jax.Array

    def __call__(self, x):
        q = x * self.scale
        z = self.mix(q)
        return z + x

    def mix(self, q):
        m = jnp.tanh(q)
        return m * 2


class Layers(eqx.Module):
    attentions: list

    def __init__(self):
        self.attentions = [Attention(jnp.float32(i)) for i in range(2)]

    def __call__(self, x):
        for attention in self.attentions:
            x = attention(x)
        x = jax.vmap(self.attentions[0])(x)
        x, _ = lax.scan(lambda x, _: (self.attentions[1](x), None), x, None, length=3)
        return jnp.sum(x)


def test_lines_of_modules_are_named_by_their_path_in_the_model():
    fun = lambda model, x: model(x)
    points = jw.points(fun, jw.scoped(Layers()), X, by="lines")
    paths = ["attentions.0", "attentions.1", "attentions.0#2", "attentions.1#2"]
    lines = ["q", "z/Attention.mix/m", "z/Attention.mix/return", "z", "return"]
    of_layers = ["Layers/x", "Layers/x#2", "Layers/x#3", "Layers/x,_", "Layers/return"]
    assert {*points} >= {f"{path}/{line}" for path in paths for line in lines}
    assert {*points} == {f"{path}/{line}" for path in paths for line in lines} | {*of_layers}
    plain = jw.points(fun, Layers(), X, by="lines")
    assert [(p.shape, p.line) for p in points.values()] == [(p.shape, p.line) for p in plain.values()]
    assert [points[name].line for name in plain] == [p.line for p in plain.values()]  # found by its lines too
    assert points["Layers.__call__/x#2/Attention.__call__/q"].name == "attentions.1/q"
    assert points["attentions.1#2/q"].shape == (3, 3)
    walk = jw.walk(fun, "attentions/*/q", by="lines")(jw.scoped(Layers()), X)
    by_lines = jw.walk(fun, "**/Attention.__call__/q", by="lines")(Layers(), X)
    assert list(walk.deltas) == [f"{path}/q" for path in paths]
    for delta, other in zip(walk.deltas.values(), by_lines.deltas.values(), strict=True):
        np.testing.assert_array_equal(delta, other)


def test_what_was_traced_unseen_merges_nothing_and_says_what_it_cannot_tell():
    def once_more(x):
        for _ in range(3):
            x = jnp.sin(x)
        return x

    @jax.jit
    def net(x):
        for _ in range(2):
            x = once_more(x)
        return jnp.sum(x)

    net(X)  # its trace is cached from here on
    points = jw.points(net, X, by="lines")
    assert sum(name.endswith("once_more/x") for name in points) == 6
    assert sum(p.alike for p in points.values()) > 0
    assert "unwatched: its pass is a guess" in repr(points)


def in_one_line(x, log):
    for _ in range(2):
        x = sum(a * b for a, b in zip([x, x], [0.5, 0.3], strict=True))
        log("in_one_line/x", x)
    return jnp.sum(x)


def in_a_library(x, log):
    rows = jax.tree.map(lambda a: helper(a, log), {"a": x, "b": 2 * x})
    total = sum(jax.tree.leaves(rows))
    return jnp.sum(total)


def helper(a, log):
    s = jnp.sin(a)
    return s * 2


@pytest.mark.parametrize("fun", [in_one_line, in_a_library, alike, "structures"])
def test_a_pass_that_is_told_wrong_while_a_debugger_watches_says_so(fun):
    import sys

    fun = functools.partial(globals()[fun] if isinstance(fun, str) else fun, log=silent)
    _, watched = jw.outputs(fun, by="lines")(X)
    sys.settrace(lambda *event: None)
    try:
        _, told = jw.outputs(fun, by="lines")(X)
        points = jw.points(fun, X, by="lines")
    finally:
        sys.settrace(None)
    for name, point in points.items():
        right = name in watched and np.array_equal(told[name], watched[name], equal_nan=True)
        assert right or point.alike, name
    assert fun.func is not structures or not any(point.alike for point in points.values())


def test_points_are_the_same_the_second_time():
    """Then the traces of what is jitted are cached."""

    @jax.jit
    def inner(x):
        for _ in range(2):
            x = sequential(x, silent, "")
        return x

    net = lambda x: jnp.sum(inner(inner(x)))
    first = list(jw.points(net, X, by="lines"))
    assert first == list(jw.points(net, X, by="lines")) == list(jax.jit(jw.walk(net, by="lines"))(X).points)
    assert len([name for name in first if name.endswith("sequential/x#2")]) == 4


def test_a_tracer_of_the_users_is_left_in_peace():
    import sys

    seen = []
    tracer = lambda frame, event, arg: seen.append(event)
    sys.settrace(tracer)
    try:
        points = jw.points(functools.partial(assignments, log=silent), X, by="lines")
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(None)
    assert len(points) == 11
    assert seen
    jw.points(functools.partial(assignments, log=silent), X, by="lines")
    assert sys.gettrace() is None


@jax.jit
def shared(y):
    z = jnp.sin(y)
    return z * 2


def structures(x, log):
    a = shared(x)
    log("structures/a/shared/z", jnp.sin(x))
    log("structures/a", a)
    b = shared(a) + shared(a + 1)
    log("structures/b/shared/z", jnp.sin(a))
    log("structures/b/shared/z", jnp.sin(a + 1))
    log("structures/b", b)

    def body(carry, _):
        carry = jnp.tanh(carry)
        return carry, None

    c, _ = lax.scan(body, b, None, length=3)
    log("structures/c,_", c)
    log("structures/c,_/body/carry", jnp.stack([jnp.tanh(b), jnp.tanh(jnp.tanh(b)), c]))
    d = jax.checkpoint(Block(2.0).dense)(c)
    log("structures/d", d)
    log("structures/d/Block.dense/return", d)
    e = lax.cond(d[0] > -9, plus, minus, d)
    log("structures/e/plus/p", d + 1)
    log("structures/e/minus/m", d * 0)
    f = jax.vmap(plus)(e)
    log("structures/f/plus/p", e + 1)
    g = jax.jit(Block(3.0).dense)(f)
    log("structures/g/Block.dense/return", g)
    return jnp.sum(g)


def plus(x):
    p = x + 1
    return p * 2


def minus(x):
    m = x - 1
    return m * 2


def test_through_jit_scan_checkpoint_cond_and_vmap():
    shared(jnp.ones(3))  # traced on another line than those on which it is called
    names = check(structures, X)
    assert names[-1] == "structures/return"


def test_a_gradient_inside_is_a_pass_of_its_own():
    def net(x):
        def energy(x):
            s = jnp.sin(x)
            return jnp.sum(s * s)

        g = jax.grad(energy)(x)
        return jnp.sum(g**2)

    points = jw.points(net, X, by="lines")
    assert {"net/g/energy/s:0", "net/g/energy/s:1"} <= {*points}  # the sine, and the cosine for its derivative
    walk = jw.walk(net, by="lines", argnums=0)(X)
    assert walk.value == net(X)
    # Not bit for bit: jax 0.12 does not linearize a function that is differentiated twice in the same order.
    np.testing.assert_allclose(walk.grads, jax.grad(net)(X), rtol=1e-6)
    np.testing.assert_allclose(walk.deltas["net/g"], 2 * jax.grad(lambda x: jnp.sum(jnp.sin(x) ** 2))(X), rtol=1e-6)


def test_a_lambda_belongs_to_the_line_it_stands_on():
    fun = lambda x: jnp.sum(jnp.sin(x) ** 2)
    assert list(jw.points(fun, X, by="lines")) == ["<lambda>/return"]
    wrapped = lambda x: plus(x).sum()
    assert list(jw.points(wrapped, X)) == ["plus/p", "plus/return", "<lambda>/return"]


def test_unused_lines_say_so():
    def net(x):
        dropped = jnp.sin(x)  # noqa: F841
        never = {"dead": jnp.cos(x) * 2}  # noqa: F841
        return jnp.sum(x * 2)

    walk = jw.walk(net, by="lines")(X)
    assert [p.name for p in walk.points.values() if p.unused] == ["net/dropped", "net/never"]
    np.testing.assert_array_equal(walk.deltas["net/dropped"], np.zeros(3))


def test_lines_without_a_name():
    namespace = {}
    text = (
        "def g(x):\n    print(end='') or [].append(x * 2) or h(x * 3)\n    return x\n\ndef h(x):\n    return x.sum()\n"
    )
    linecache.cache["<cell 7>"] = (len(text), None, text.splitlines(True), "<cell 7>")
    exec(compile(text, "<cell 7>", "exec"), namespace)
    points = jw.points(namespace["g"], X, by="lines")
    assert list(points) == ["g:2:0", "g:2/h/return", "g:2:1"]
    assert points["g:2/h/return"].text == "return x.sum()"
    assert (points["g:2:0"].file, points["g:2:0"].line) == ("<cell 7>", 2)


def test_source_that_cannot_be_read_still_walks():
    namespace = {"jnp": jnp}
    exec(
        compile(
            "def g(x):\n    a = x * 2\n    for i in range(2):\n        a = jnp.sin(a)\n    return a.sum()\n",
            "<gone>",
            "exec",
        ),
        namespace,
    )
    walk = jw.walk(namespace["g"], by="lines")(X)
    assert list(walk.deltas) == ["g:2", "g:4", "g:4#2", "g:5"]
    assert walk.points["g:2"].text == ""
    assert "<gone>" in repr(jw.listing(walk))


def test_installed_packages_are_no_source_unless_asked_for():
    init, apply = jax.example_libraries.stax.serial(
        jax.example_libraries.stax.Dense(4), jax.example_libraries.stax.Relu, jax.example_libraries.stax.Dense(2)
    )
    _, params = init(jax.random.key(0), (3,))

    def net(params, x):
        out = apply(params, x)
        return jnp.sum(out)

    assert list(jw.points(net, params, X, by="lines")) == ["net/out", "net/return"]
    for source in (
        jax.example_libraries.stax,
        "*/example_libraries/stax.py",
        ["*/stax.py", math.__class__("other")][:1],
    ):
        points = jw.points(net, params, X, by="lines", source=source)
        inputs = [name for name in points if name.rpartition("/")[2].startswith("inputs")]
        assert inputs == ["net/out/apply_fun/inputs", "net/out/apply_fun/inputs#2", "net/out/apply_fun/inputs#3"]
        assert [points[name].shape for name in inputs] == [(4,), (4,), (2,)]


class State(NamedTuple):
    obs: jax.Array
    info: dict


def step(s, log, at):
    s = State(jnp.sin(s.obs), {"r": jnp.cos(s.obs), "d": s.info["d"] * 2})
    log(f"{at}/step/s.obs", s.obs)
    log(f"{at}/step/s.info.r", s.info["r"])
    log(f"{at}/step/s.info.d", s.info["d"])
    return s, jnp.sum(s.obs)


def trees(x, log):
    s = State(x * 1, {"r": x * 2, "d": x * 3})
    log("trees/s.obs", s.obs)
    log("trees/s.info.d", s.info["d"])
    for i in range(2):
        s, loss = step(s, log, "trees/s,loss" if i == 0 else f"trees/s,loss#{i + 1}")
        log(f"trees/s#{i + 2}.obs", s.obs)
        log("trees/loss" if i == 0 else "trees/loss#2", loss)
        x = x * loss + s.info["r"] * s.info["d"]
    q, k = x * 2, jnp.sin(x)
    log("trees/q,k:0", q)
    log("trees/q,k:1", k)
    rows = [q + k, {"b": q * k, "a": k}]
    log("trees/rows.0", rows[0])
    log("trees/rows.1.b", rows[1]["b"])

    def body(s, w):
        s = s._replace(obs=s.obs * w, info={"d": s.info["r"], "r": s.obs})
        return s, s.info

    s, infos = lax.scan(body, s, np.ones((2, 3), np.float32))
    log("trees/s#4.obs", s.obs)
    log("trees/infos.r", infos["r"])
    return jnp.sum(rows[0]) + jnp.sum(rows[1]["b"]) + sum(map(jnp.sum, jax.tree.leaves((s, infos)))) + jnp.sum(x)


def test_the_leaves_of_a_tree_are_named_by_their_path_in_it():
    check(trees, X)
    fun = functools.partial(trees, log=silent)
    points = jw.points(fun, X, by="lines")
    assert points["trees/s:0"].name == "trees/s.obs"  # found by its number too
    assert points["trees/rows/1/b"] is points["trees/rows.1.b"] is points["trees/rows:1"]
    assert list(jw.outputs(fun, "trees/rows/**", by="lines")(X)[1]) == ["trees/rows.0", "trees/rows.1.b"]
    assert "rows." in repr(points)
    jitted = jax.jit(fun)
    first = list(jw.points(jitted, X, by="lines"))
    assert first == list(jw.points(jitted, X, by="lines"))
    assert any(name.endswith("trees/rows.1.b") for name in first)


def test_a_container_that_cannot_be_opened_keeps_its_numbers():
    @jax.tree_util.register_pytree_node_class
    class Shy(list):
        def tree_flatten(self):
            raise RuntimeError

        def tree_unflatten(self, _):
            raise RuntimeError

    def net(x):
        s = Shy([x * 2, x * 3])
        keys = {"a/b": x * 4, "c": x * 5}
        return jnp.sum(s[0] * s[1]) + jnp.sum(keys["a/b"] * keys["c"])

    assert list(jw.points(net, X, by="lines")) == ["net/s:0", "net/s:1", "net/keys:0", "net/keys.c", "net/return"]


def test_custom_rules_are_opaque_and_while_loops_have_no_delta():
    @jax.custom_jvp
    def cube(x):
        y = x * x
        return y * x

    cube.defjvps(lambda dx, _, x: 3 * x**2 * dx)

    def step(c):
        d = c + 1
        return d

    def net(x):
        a = cube(x)
        b = lax.while_loop(lambda c: jnp.sum(c) < 0, step, lax.stop_gradient(a))
        return jnp.sum(a * b)

    points = jw.points(net, X, by="lines")
    assert "custom_jvp" in points["net/a/cube/y"].opaque
    assert points["net/b/step/d"].in_while == "pass"
    walk = jw.walk(net, by="lines")(X)
    np.testing.assert_allclose(walk.deltas["net/a"], walk.outputs["net/b"], rtol=1e-6)
    with pytest.raises(jw.PointError, match=r"inside a `jax\.custom_jvp` function"):
        jw.walk(net, "net/a/cube/y", by="lines")(X)


@dataclasses.dataclass
class Doubled:
    value: jax.Array

    def __post_init__(self):
        self.value = self.value * 2


def test_methods_that_dataclass_generates_are_no_lines():
    def net(x):
        d = Doubled(x)
        return jnp.sum(d.value)

    assert list(jw.points(net, X, by="lines")) == ["net/d/Doubled.__post_init__/self.value", "net/d", "net/return"]


def test_a_source_that_is_nowhere_in_the_function():
    with pytest.raises(jw.ArgumentError, match=r"`source` is '\*/nothing/\*', but no line of such a file is in what"):
        jw.points(Net(1), X, silent, by="lines", source="*/nothing/*")


def test_many_lines_are_read_fast_enough_to_be_used():
    """Not timed here: 1000 layers must not take what is quadratic in them."""

    def net(x):
        for _ in range(1000):
            x = jnp.sin(x)
        return jnp.sum(x)

    points = jw.points(net, X, by="lines")
    assert len(points) == 1001
    assert "net/x#1000" in points
    assert len(jw.outputs(net, "net/x#9?", by="lines")(X)[1]) == 10


def test_leaves_keep_their_names_in_what_intervene_returns():
    def scanned(x):
        def step(carry, _):
            return {"h": carry["h"] * 2, "n": carry["n"] + 1.0}, None

        last, _ = lax.scan(step, {"h": x, "n": 0.0}, None, length=3)
        return last

    def net(x):
        both = {"obs": x * 2, "reward": jnp.sum(x)}
        last = scanned(both["obs"])
        return jnp.sum(both["obs"]) * both["reward"] + jnp.sum(last["h"]) * last["n"]

    names = list(jw.points(net, X, by="lines"))
    assert {"net/both.obs", "net/both.reward", "net/last.h", "net/last.n"} <= {*names}
    for name in ("net/both.obs", "net/both.reward"):
        edited = jw.intervene(net, {name: lambda value: value * 3}, by="lines")
        assert list(jw.points(edited, X, by="lines")) == names
        twice = jw.intervene(edited, {name: lambda value: value / 3}, by="lines")
        np.testing.assert_allclose(twice(X), net(X), rtol=1e-5)
    # Of one of several results of an equation it is not told which it is, and not guessed.
    edited = jw.intervene(net, {"net/last.n": lambda value: value * 3}, by="lines")
    assert {"net/both.obs", "net/both.reward", "net/last.h"} <= {*jw.points(edited, X, by="lines")}
