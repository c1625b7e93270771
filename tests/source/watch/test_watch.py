"""What is told of a run by `sys.monitoring` is what `sys.settrace` tells; and nothing is left behind by either."""

import sys
import threading

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import jaxwalk as jw
from jaxwalk._source.watch import by_monitoring, observer

has_monitoring = pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="Python 3.12 and later have it")
X = jnp.linspace(0.1, 1.0, 4)


def twice(x):
    y = jnp.sin(x)
    y = y * 2
    return y


def recursive(x, depth):
    x = x * 1.5
    if depth:
        x = recursive(x, depth - 1)
    return x + 1


def several(x):
    for _ in range(3):
        y = x * 2; y = y + x  # fmt: skip # noqa: E702
        x = jnp.tanh(y)
        while jnp.ndim(x) > 1:
            break
    for factor in (2, 3):
        x = x * factor
    x = sum([twice(x) * i for i in range(1, 3)])
    for part in (x * i for i in range(1, 3)):
        x = x + part
    try:
        x = x * 3
        raise ValueError
    except ValueError:
        x = x - 1
    finally:
        x = x / 2

    def step(carry, _):
        carry = carry * 1.1
        for _ in range(2):
            carry = jnp.sin(carry)
        return carry, None

    x, _ = lax.scan(step, x, None, length=2)
    x = jax.jit(lambda v: v * 4)(x)
    return jnp.sum(recursive(x, 2))


def told(fun=several):
    """The points of lines: names, types, whether passes are told apart, and the values in a walk."""
    points = jw.points(fun, X, by="lines")
    outputs = jw.outputs(fun, by="lines")(X)[1]
    return [(p.name, str(p.type), p.alike, str(outputs.get(p.name))) for p in points.values()]


@pytest.fixture
def by_settrace(monkeypatch):
    monkeypatch.setattr(by_monitoring.ByMonitoring, "begin", lambda self: False)
    jax.clear_caches()


def nothing_is_left():
    left = [] if not hasattr(sys, "monitoring") else [sys.monitoring.get_tool(tool) for tool in (3, 4)]
    return sys.gettrace() is None and not any(left) and not observer._observers


@has_monitoring
def test_both_tell_the_same(monkeypatch):
    by_one = told()
    assert nothing_is_left()
    jax.clear_caches()
    monkeypatch.setattr(by_monitoring.ByMonitoring, "begin", lambda self: False)
    assert told() == by_one
    assert not any(alike for _, _, alike, _ in by_one)
    assert len(by_one) > 25


def test_settrace_ends(by_settrace):
    assert told()
    assert nothing_is_left()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_after_an_error(error):
    def failing(x):
        x = x * 2
        raise error("here")

    with pytest.raises(error, match="here"):
        jw.points(failing, X, by="lines")
    assert nothing_is_left()


@has_monitoring
def test_a_debugger_is_not_in_the_way(monkeypatch):
    plain = told()
    jax.clear_caches()
    seen = []
    sys.settrace(lambda *event: seen.append(event))
    try:
        debugged = told()
    finally:
        sys.settrace(None)
    assert seen
    assert debugged == plain


@has_monitoring
def test_other_tools_keep_what_they_have(monkeypatch):
    plain = told()
    jax.clear_caches()
    lines = []
    sys.monitoring.use_tool_id(4, "another")
    sys.monitoring.register_callback(4, sys.monitoring.events.LINE, lambda code, line: lines.append(line))
    sys.monitoring.set_local_events(4, twice.__code__, sys.monitoring.events.LINE)
    try:
        assert told() == plain
        assert lines
        assert sys.monitoring.get_tool(4) == "another"
        jax.clear_caches()
        sys.monitoring.use_tool_id(3, "a third")
        try:
            assert told() == plain  # by `sys.settrace`
        finally:
            sys.monitoring.free_tool_id(3)
    finally:
        sys.monitoring.set_local_events(4, twice.__code__, 0)
        sys.monitoring.free_tool_id(4)
    assert nothing_is_left()


def test_threads_at_once():
    """Two functions that share lines, watched at once: each is told its own passes."""

    def of(turns):
        def fun(x):
            for _ in range(turns):
                x = jnp.sin(x)
                meet.wait(timeout=60)
                x = twice(x)
            return jnp.sum(x)

        return fun

    meet, found = threading.Barrier(2), {}

    def run(number):
        found[number] = list(jw.points(of(3), X * number, by="lines"))

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meet.abort()

    def alone(x):
        for _ in range(3):
            x = jnp.sin(x)
            x = twice(x)
        return jnp.sum(x)

    want = [name.replace("alone", "of.fun") for name in jw.points(alone, X, by="lines")]
    tail = lambda names: [name.rpartition("fun/")[2] for name in names]
    assert tail(found[1]) == tail(found[2]) == tail(want)
    assert nothing_is_left()


def test_a_walk_inside_a_function_that_is_watched():
    def inner(x):
        for _ in range(2):
            x = jnp.sin(x)
        return jnp.sum(x)

    def outer(x):
        for _ in range(2):
            x = x * 2
            names.append(list(jw.points(inner, x, by="lines")))
        return jnp.sum(x)

    names = []
    points = list(jw.points(outer, X, by="lines"))
    assert names[0] == names[1] == list(jw.points(inner, X, by="lines"))
    assert len([name for name in points if name.endswith(("x", "x#1", "x#2"))]) == 2
    assert nothing_is_left()
