"""What `kinks` costs, beside the forward pass, both compiled.

    python benchmarks/kinks_cost.py [--model mlp|cnn|transformer|all] [--rounds N] [--json FILE]

The ways run interleaved, in random order within a round; of the ratios within each round, the quartiles are shown.
    forward    the function itself
    kinks      the analysis that `jw.kinks` compiles: every value's bound, every choice's margin
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxwalk as jw
from jaxwalk._jax.compiled import compiled
from jaxwalk._kinks.kinks import LONG, analyse, measure_margins


class Model(NamedTuple):
    fun: Callable
    args: tuple[Any, ...]


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))


def mlp(layers: int, width: int, batch: int) -> Model:
    def fun(weights, x):
        for w in weights:
            x = jax.nn.relu(x @ w)
        return jnp.mean(x**2)

    return Model(fun, ([normal(width, width) / width**0.5] * layers, normal(batch, width)))


def cnn(channels: int, side: int, batch: int) -> Model:
    convolve = functools.partial(
        lax.conv_general_dilated, window_strides=(1, 1), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def fun(weights, x):
        x = pool(jax.nn.relu(convolve(x, weights["first"])))
        x = pool(jax.nn.relu(convolve(x, weights["second"])))
        return jax.nn.logsumexp(x.reshape(batch, -1) @ weights["last"], axis=1).mean()

    weights = {
        "first": normal(3, 3, 3, channels) / 5,
        "second": normal(3, 3, channels, 2 * channels) / (3 * channels**0.5),
        "last": normal((side // 4) ** 2 * 2 * channels, 10) / side,
    }
    return Model(fun, (weights, normal(batch, side, side, 3)))


def transformer(width: int, heads: int, length: int, batch: int) -> Model:
    def fun(weights, x):
        split = lambda y: y.reshape(batch, length, heads, -1)
        query, key, value = (split(jax.nn.standardize(x) @ weights[name]) for name in ("q", "k", "v"))
        x = x + jax.nn.dot_product_attention(query, key, value, is_causal=True).reshape(x.shape) @ weights["o"]
        return jnp.mean((x + jax.nn.relu(jax.nn.standardize(x) @ weights["up"]) @ weights["down"]) ** 2)

    sides = dict.fromkeys("qkvo", (width, width)) | {"up": (width, 4 * width), "down": (4 * width, width)}
    weights = {name: normal(*side) / side[0] ** 0.5 for name, side in sides.items()}
    return Model(fun, (weights, normal(batch, length, width)))


MODELS = {
    "mlp": functools.partial(mlp, layers=8, width=512, batch=128),
    "cnn": functools.partial(cnn, channels=16, side=32, batch=16),
    "transformer": functools.partial(transformer, width=256, heads=4, length=128, batch=4),
}


def analysis(model: Model) -> Any:
    """What `jw.kinks` runs, compiled, and its arguments."""
    found, values, _ = analyse(model.fun, *model.args)
    is_long = found.operations > LONG
    return compiled(None, lambda values: measure_margins(found, values, "rounded"), values, is_long=is_long), values


def seconds(compiled: Any, args: Sequence[Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(compiled(*args))
    return time.perf_counter() - start


def measure(model: Model, rounds: int) -> dict[str, Any]:
    forward = jax.jit(model.fun).lower(*model.args).compile()
    kinks, values = analysis(model)
    tasks = {"forward": lambda: seconds(forward, model.args), "kinks": lambda: seconds(kinks, [values])}
    times: dict[str, list[float]] = {name: [] for name in tasks}
    shuffled = random.Random(0)
    for task in tasks.values():
        task()
    for _ in range(rounds):
        for name in shuffled.sample(list(tasks), len(tasks)):
            times[name].append(tasks[name]())
    ratio = np.quantile(np.divide(times["kinks"], times["forward"]), [0.25, 0.5, 0.75]).tolist()
    return {"seconds": times, "kinks_to_forward": ratio}


def machine() -> dict[str, Any]:
    device = jax.devices()[0]
    return {
        "jax": jax.__version__,
        "jaxwalk": jw.__version__,
        "platform": device.platform,
        "device_kind": device.device_kind,
        "cpu_count": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", choices=[*MODELS, "all"], default="all")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", metavar="FILE", help="write every figure there")
    options = parser.parse_args()
    report: dict[str, Any] = machine() | {"models": {}}
    for name in MODELS if options.model == "all" else [options.model]:
        found = report["models"][name] = measure(MODELS[name](), options.rounds)
        low, median, high = found["kinks_to_forward"]
        forward = 1e3 * np.median(found["seconds"]["forward"])
        print(f"{name:12} forward {forward:7.2f} ms   kinks {median:.2f} times that (quartiles {low:.2f}-{high:.2f})")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
