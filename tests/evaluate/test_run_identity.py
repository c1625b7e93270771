"""What tells two evaluations apart, and what does not."""

import dataclasses
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.custom_batching import custom_vmap

import jaxwalk as jw
from jaxwalk._evaluate.run_identity import _statistic_text, program
from jaxwalk._jax.jaxpr import jaxprs
from jaxwalk._jax.settings import settings

ARRAY, OTHER = np.arange(3, dtype=np.float32), np.array([0, 1, 2.0000002], np.float32)
X = [np.ones((2, 3), np.float32)]


def run(out, resume=False, **options):
    fun = lambda params, x: jnp.sum(jw.tag(x * 2, "a") * 3)
    given = {"fun": fun, "params": None, "batches": X, "keep": None} | options
    return jw.evaluate(**given, out=out, resume=resume, progress=False)


def told_apart(out, one, other):
    """What the store says has changed from one evaluation to the other; [] if nothing."""
    run(out, **one)
    try:
        run(out, True, **other)
    except jw.StoreError as error:
        return re.findall(r"`([a-z ]+)` (?:was|has changed)", str(error))
    return []


# Functions -----------------------------------------------------------------------------------------------


def traced(fun):
    return program(jaxprs.trace(fun, ARRAY)[0])


CLOSURES = {
    "plain": lambda a: lambda x: x * a,
    "jit": lambda a: jax.jit(lambda x: x * a),
    "jit in a jit": lambda a: jax.jit(lambda x: jax.jit(lambda x: x + a)(x) * 2),
    "checkpoint": lambda a: jax.checkpoint(lambda x: x * a),
    "scan": lambda a: lambda x: lax.scan(lambda h, _: (h * a, None), x, None, 2)[0],
    "cond": lambda a: lambda x: lax.cond(x[0] > 0, lambda x: x * a, lambda x: x, x),
    "while": lambda a: lambda x: lax.while_loop(lambda h: h[0] < 9, lambda h: h + jax.jit(lambda h: h + a)(h), x),
    "jit of JAX's array": lambda a: jax.jit(lambda x: x * jnp.asarray(a)),
    "vmap": lambda a: jax.vmap(lambda x: jnp.sum(x * a)),
    "a number": lambda a: lambda x: x * float(a[2]),
    "a number in a jit": lambda a: jax.jit(lambda x: x * np.float32(a[2])),
    "a static": lambda a: lambda x: x[: int(a[2] > 2) + 1],
}


@pytest.mark.parametrize("closure", CLOSURES)
def test_what_a_function_closes_over(closure):
    make = CLOSURES[closure]
    assert traced(make(ARRAY)) == traced(make(ARRAY.copy()))
    assert traced(make(ARRAY)) != traced(make(OTHER))


def test_order_operands_and_numbers_matter():
    different = [
        lambda x: x - x[0],
        lambda x: x[0] - x,
        lambda x: jnp.sin(x) * jnp.cos(x),
        lambda x: jnp.cos(x) * jnp.sin(x),
        lambda x: x * 0.0,
        lambda x: x * -0.0,
        lambda x: jnp.stack([x[0], x[1]]),
        lambda x: jnp.stack([x[1], x[0]]),
        lambda x: (x, x),
        lambda x: (x, -x),
        lambda x: jax.jit(lambda a, b: a - b)(x, 2 * x),
        lambda x: jax.jit(lambda b, a: a - b)(x, 2 * x),
        lambda x: x.astype(jnp.bfloat16),
        lambda x: x.astype(jnp.float16),
    ]
    assert len(set(map(traced, different))) == len(different)


def test_names_lines_and_earlier_traces_do_not():
    def one(x):
        y = helper(x) + helper(2 * x)
        return jax.nn.relu(y) * callback(y)

    def other(x):

        z = helper(x) + helper(2 * x)
        return jax.nn.relu(z) * callback(z)

    helper = jax.jit(lambda x: jnp.sin(x))
    callback = lambda x: jax.pure_callback(lambda x: x, x, x)
    first = traced(one)
    assert first == traced(one) == traced(other)
    jax.clear_caches()
    assert first == traced(other)


def test_it_is_the_same_in_another_process():
    """Sets of strings, and addresses, come otherwise in each."""
    script = """
import jax, jax.numpy as jnp, numpy as np
from jaxwalk._jax.jaxpr import jaxprs
from jaxwalk._evaluate import run_identity
mesh = jax.make_mesh((1, 1, 1), ("alpha", "beta", "gamma"), axis_types=(jax.sharding.AxisType.Auto,) * 3)
spec = jax.sharding.PartitionSpec()
fun = jax.shard_map(lambda x: jax.nn.silu(x), mesh=mesh, in_specs=spec, out_specs=spec)
policy = jax.checkpoint_policies.save_only_these_names("a", "b", "c")
loss = jax.grad(lambda x: jnp.sum(jax.checkpoint(fun, policy=policy)(x)))
print(run_identity.program(jaxprs.trace(loss, np.ones(3, np.float32))[0]))
"""

    def run(seed):
        options = os.environ | {"PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.check_output([sys.executable, "-c", script], env=options, text=True)

    assert len(run("1")) == 65
    assert run("1") == run("2")


@pytest.mark.parametrize("kind", ["custom_jvp", "custom_vjp"])
def test_a_rule_for_the_derivative_alone(tmp_path, kind):
    def ruled(factor):
        if kind == "custom_jvp":
            twice = jax.custom_jvp(lambda x: 2 * x)
            twice.defjvps(lambda dx, _, x: factor * dx)
        else:
            twice = jax.custom_vjp(lambda x: 2 * x)
            twice.defvjp(lambda x: (2 * x, None), lambda _, ct: (factor * ct,))
        return {"fun": lambda params, x: jnp.sum(twice(jw.tag(x * 2, "a")))}

    assert told_apart(tmp_path / "same", ruled(2), ruled(2)) == []
    assert told_apart(tmp_path / "other", ruled(2), ruled(3)) == ["walk of a batch"]


def test_a_rule_for_a_batch_alone(tmp_path):
    def scaled(factor):
        scale = custom_vmap(lambda x: 2 * x)
        scale.def_vmap(lambda size, batched, x: (factor * x, batched[0]))
        fixed = lambda x: lax.stop_gradient(scale(lax.stop_gradient(x)))
        return {"fun": lambda params, x: jnp.sum(jw.tag(x * 2, "a") + fixed(x))}

    assert told_apart(tmp_path / "same", scaled(2), scaled(2)) == []
    assert told_apart(tmp_path / "other", scaled(2), scaled(7)) == ["walk of a batch"]


def test_where_it_runs_does_not_matter(tmp_path):
    fun = lambda params, x: jnp.sum(jax.nn.softmax(jw.tag(jax.nn.relu(x), "a"))) * jnp.max(x)
    mesh = lambda devices: {"fun": fun, "mesh": jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("data",))}
    for i, (one, other) in enumerate([({"fun": fun}, mesh(1)), (mesh(1), mesh(2)), (mesh(2), {"fun": fun})]):
        assert told_apart(tmp_path / str(i), one, other) == []


def test_on_how_many_devices_a_function_divides_itself_does(tmp_path):
    def divided(devices):
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("i",))
        spec = jax.sharding.PartitionSpec("i")
        return jax.shard_map(lambda x: x - jnp.max(x), mesh=mesh, in_specs=spec, out_specs=spec)

    digests = [program(jaxprs.trace(divided(devices), np.arange(4.0))[0]) for devices in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_a_closure_within(tmp_path):
    closing = lambda a: {"fun": lambda params, x: jnp.sum(jax.jit(lambda x: jw.tag(x * a, "a"))(x))}
    assert told_apart(tmp_path / "same", closing(ARRAY), closing(ARRAY.copy())) == []
    assert "function" in told_apart(tmp_path / "other", closing(ARRAY), closing(OTHER))


def test_arrays_that_are_attributes_of_a_foreign_function():
    """NumPy's `repr` shortens them, and rounds their numbers."""

    def calling(table):
        call = jax.ffi.ffi_call("target", jax.ShapeDtypeStruct((3,), jnp.float32))
        return lambda x: call(x, table=table)

    long, other = np.zeros(2000, np.float32), np.eye(1, 2000, 1000, np.float32)[0]
    assert traced(calling(long)) == traced(calling(long.copy())) != traced(calling(other))
    tables = [np.array([1.0]), np.array([1 + 1e-12]), np.array([1.0], np.float32), np.array([[1.0]])]
    assert len({traced(calling(table)) for table in tables}) == len(tables)


# Settings ------------------------------------------------------------------------------------------------

NOISY = {"fun": lambda params, x: jnp.sum(jw.tag(x * 2, "a")) + jax.random.normal(jax.random.key(0), (3,))[1]}


def test_settings_that_change_numbers(tmp_path, monkeypatch):
    run(tmp_path, **NOISY)
    refused = lambda said: pytest.raises(jw.StoreError, match=f"cannot be resumed, since {said};")
    with jax.threefry_partitionable(False), refused("`jax_threefry_partitionable` was True and is False"):
        run(tmp_path, True, **NOISY)
    with jax.default_matmul_precision("float32"), refused("`jax_default_matmul_precision` was None and is float32"):
        run(tmp_path, True, **NOISY)
    before = os.environ.get("XLA_FLAGS", "")
    monkeypatch.setenv("XLA_FLAGS", f"{before} --xla_cpu_enable_fast_math=true")
    with refused(".*`XLA_FLAGS` (was none and is --xla_cpu_enable_fast_math=true|has changed).*"):
        run(tmp_path, True, **NOISY)
    monkeypatch.setenv("XLA_FLAGS", f"--xla_force_host_platform_device_count=7 {before} --xla_dump_to=/tmp/dump")
    assert run(tmp_path, True, **NOISY).count == 2


def test_the_version_of_jaxwalk_is_told(tmp_path, monkeypatch):
    run(tmp_path)
    monkeypatch.setattr("jaxwalk._evaluate.run_identity.__version__", "9.9")
    monkeypatch.setattr("jaxwalk._evaluate.run_identity.settings", lambda: settings() | {"jax_newly_looked_at": "True"})
    with pytest.raises(jw.StoreError, match=r"since `jaxwalk` was \d[\d.]* and is 9\.9;"):
        run(tmp_path, True)


# Parameters and data -------------------------------------------------------------------------------------


def test_params_and_data(tmp_path):
    fun = lambda params, x, *more: jnp.sum(jw.tag(x * params["w"] * params.get("scale", 1), "a"))
    one = {"fun": fun, "params": {"w": ARRAY}, "batches": X}
    others = [
        ([], {"params": {"w": jnp.asarray(ARRAY)}, "batches": [jnp.asarray(X[0])]}),
        (["params"], {"params": {"w": OTHER}}),
        (["function"], {"params": {"w": ARRAY, "scale": 2}}),
        (["first batch"], {"batches": [np.nextafter(X[0], np.float32(2))]}),
    ]
    for i, (changed, other) in enumerate(others):
        assert told_apart(tmp_path / str(i), one, one | other) == changed


def test_random_keys(tmp_path):
    fun = lambda key, x: jnp.sum(jw.tag(x * jax.random.normal(key, (3,)), "a"))
    keyed = lambda seed, **options: {"fun": fun, "params": jax.random.key(seed, **options)}
    assert told_apart(tmp_path / "same", keyed(1), keyed(1)) == []
    assert told_apart(tmp_path / "other", keyed(1), keyed(2)) == ["params"]
    assert "params" in told_apart(tmp_path / "kind", keyed(1), keyed(1, impl="rbg"))


# Statistics ----------------------------------------------------------------------------------------------


def span(low, merged="minimum", name="span", finish=lambda state: state):
    of = lambda output, delta: {"low": low(output)}
    merge = lambda a, b: {"low": getattr(jw.stats.numpy_of(a), merged)(a["low"], b["low"])}
    return jw.stats.Statistic(name, of, merge, finish)


def test_two_statistics_of_one_name():
    points = jw.points(lambda x: jw.tag(x, "a"), ARRAY)
    statistic = lambda keep: keep if isinstance(keep, jw.stats.Statistic) else jw.stats.averaged(keep)
    said = lambda keep: _statistic_text(statistic(keep), points)
    output, delta = lambda output, delta: jnp.sum(output), lambda output, delta: jnp.sum(delta)
    assert said(output) == said(lambda output, delta: jnp.sum(output))
    different = [
        output,
        delta,
        lambda output, delta: output * ARRAY,
        lambda output, delta: output * OTHER,
        jw.stats.summed(output),
        jw.stats.largest(output),
        span(jnp.min),
        span(jnp.max),
        span(jnp.min, "add"),
        span(jnp.min, name="other"),
        jw.stats.with_units(jw.stats.dead),
        jw.stats.with_units(jw.stats.dead, ()),
        dataclasses.replace(jw.stats.dead, merge_all=lambda states, which: jax.tree.map(lambda x: x[0], states)),
    ]
    assert len(set(map(said, different))) == len(different)
    assert said(span(jnp.min, finish=lambda state: {"lowest": state["low"]})) == said(span(jnp.min))


def test_how_they_are_told_apart_is_said(tmp_path):
    run(tmp_path, keep=lambda output, delta: output)
    with pytest.raises(
        jw.StoreError, match=r"since `statistics` was kept \([0-9a-f]{12}\) and is kept \([0-9a-f]{12}\);"
    ):
        run(tmp_path, True, keep=lambda output, delta: delta)


def test_what_is_made_of_the_states_may_change(tmp_path):
    assert run(tmp_path, keep=span(jnp.min)).kept["a"] == {"low": 2}
    again = run(tmp_path, True, keep=span(jnp.min, finish=lambda state: {"twice": 2 * state["low"]}))
    assert again.kept["a"] == {"twice": 4}
