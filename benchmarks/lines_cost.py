"""What it costs to find points: tracing alone beside `jw.points`, by tags, by scopes, by lines, and by None.

    python benchmarks/lines_cost.py [--rounds N] [--layers N ...]

The function is a Python loop of layers of a dozen operations each, on four lines, half of them in the body of a scan:
it has neither tags nor scopes, so that None comes to lines. What is linear takes twice as long with twice the layers.
The time is that of the process; each run begins with empty caches, as the first call of a function does.

Where Python watches a function by `sys.settrace`, as it does before 3.12, every call of every function of JAX costs
more: a watch that does nothing at all takes 1.7 to 2.2 times the trace, and that is the row `watched`. From Python 3.12
on lines are watched by `sys.monitoring`, of which JAX's own functions tell nothing, and that row is no lower bound.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import lax

import jaxwalk as jw

X = jnp.linspace(0.0, 1.0, 8)


def layer(x: jax.Array, i: int) -> jax.Array:
    h = jnp.tanh(x * i + 1) - x
    gate = jnp.where(h > 0, h, 0.1 * h)
    x = x + gate * jax.nn.sigmoid(h)
    return x / jnp.sqrt(1 + jnp.mean(x**2))


def net(layers: int, x: jax.Array) -> jax.Array:
    for i in range(layers // 2):
        x = layer(x, i)

    def body(x: jax.Array, _: None) -> tuple[jax.Array, None]:
        for i in range(layers // 2):
            x = layer(x, i)
        return x, None

    x, _ = lax.scan(body, x, None, length=2)
    return jnp.sum(x)


def traced(fun: Callable) -> None:
    jax.make_jaxpr(fun)(X)


def watched(fun: Callable) -> None:
    sys.settrace(lambda frame, event, arg: None)
    try:
        jax.make_jaxpr(fun)(X)
    finally:
        sys.settrace(None)


def ways() -> Mapping[str, Callable[[Callable], object]]:
    by = {f"by {by}": lambda fun, by=by: jw.points(fun, X, by=by) for by in ("tags", "scopes", "lines", None)}
    return {"trace": traced, "watched": watched} | by


def seconds(way: Callable, layers: int) -> float:
    jax.clear_caches()
    start = time.process_time()
    way(functools.partial(net, layers))
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, nargs="+", default=[50, 100, 200])
    args = parser.parse_args()
    print(f"{'layers':>6}  " + "  ".join(f"{name:>10}" for name in ways()))
    for layers in args.layers:
        for way in ways().values():  # once for what JAX and jaxwalk look at only once
            way(functools.partial(net, 2))
        rounds = [{name: seconds(way, layers) for name, way in ways().items()} for _ in range(args.rounds)]
        medians = {name: statistics.median(each[name] for each in rounds) for name in ways()}
        print(f"{layers:6}  " + "  ".join(f"{value:8.2f} s" for value in medians.values()), flush=True)
        print(f"{'':6}  " + "  ".join(f"{value / medians['trace']:8.1f} x" for value in medians.values()), flush=True)


if __name__ == "__main__":
    main()
