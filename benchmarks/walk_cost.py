"""What a walk costs, beside the other ways to the same numbers: time, memory, and time to compile.

    python benchmarks/walk_cost.py [--model mlp|transformer|all] [--quick] [--json FILE]

The ways:
    grad       `jax.grad` with respect to the input and nothing else: the bar
    untagged   the same, of the model without its tags
    epsilon    zeros added by hand at every point, one `jax.value_and_grad` with respect to all of them
    walk       `jw.walk`: like epsilon it returns the loss, all outputs and all δ
    keep       `jw.walk` that keeps the norm of each δ and no array
    lines      the same walk of the model without its tags, by="lines": δ at every line of its source
    lines keep the norms of these alone
    per layer  one gradient call per point (of a scan: all its steps at once); times are sums, temp is the largest

The input is a point too, so that `grad` and the rest do the same arithmetic. All but `grad`, `untagged` and the two
that keep norms return much more than `grad`: hence the column temp+output.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TextIO, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxwalk as jw

T = TypeVar("T")
Arrays = Mapping[str, Any]
TINY = 1e-30
TOLERANCE = {"cpu": 1e-4, "gpu": 1e-2}  # of the largest entry: float32, fused differently; TF32
ROUNDS = {"mlp": (30, 9), "transformer": (16, 4)}  # of runs, of compilations: under four minutes on two idle cores


# Marking: what a model does at its points ----------------------------------------------------------------
# A marking takes the epsilons, and gives the function called at every point and the outputs it has met.

Marking = Callable[[Arrays], tuple[Callable[[Any, str], Any], dict[str, Any]]]


def untagged(eps: Arrays):
    return lambda x, name: x, {}


def tagged(eps: Arrays):
    return jw.tag, {}


def shifted(eps: Arrays):
    """Points without an epsilon pass as they are."""
    outputs = {}

    def mark(x: Any, name: str) -> Any:
        if name not in eps:
            return x
        outputs[name] = x + eps[name]
        return outputs[name]

    return mark, outputs


# Models --------------------------------------------------------------------------------------------------


class Model(NamedTuple):
    """A loss, written once for every marking, and what it is called with.

    Attributes:
        loss: (marking, eps, *args) -> (loss, outputs met by the marking).
        args: weights, input, expectation.
        points: the shape at each point.
        lines: for some of the points, the line of source that has the same value.
    """

    loss: Callable[..., tuple[Any, Arrays]]
    args: tuple[Any, Any, Any]
    points: Mapping[str, tuple[int, ...]]
    lines: Mapping[str, str]


def mlp(layers: int, width: int, batch: int) -> Model:
    names = [f"layer{i}" for i in range(1, layers + 1)]

    def loss(marking: Marking, eps: Arrays, weights, x, y):
        mark, outputs = marking(eps)
        x = mark(x, "input")
        for name, (kernel, bias) in zip(names, weights, strict=True):
            x = mark(jnp.tanh(x @ kernel + bias), name)
        return jnp.mean((x - y) ** 2), outputs

    x, y, *kernels = _normal((batch, width), (batch, width), *[(width, width)] * layers)
    weights = [(kernel / width**0.5, jnp.zeros(width)) for kernel in kernels]
    lines = {name: f"loss/x#{i}" if i > 1 else "loss/x" for i, name in enumerate(names, 1)}
    return Model(loss, (weights, x, y), dict.fromkeys(["input", *names], x.shape), lines)


def transformer(blocks: int, width: int, heads: int, length: int, batch: int) -> Model:
    """Pre-norm blocks with causal attention, scanned over stacked weights and rematerialised."""
    inside = ["attention", "mlp", "block"]

    def attention(weights: Arrays, x):
        query, key, value = jnp.split((x @ weights["qkv"]).reshape(batch, length, 3 * heads, -1), 3, axis=2)
        mixed = jax.nn.dot_product_attention(query, key, value, is_causal=True)
        return mixed.reshape(batch, length, width) @ weights["out"]

    def loss(marking: Marking, eps: Arrays, weights, x, y):
        @functools.partial(jax.checkpoint, prevent_cse=False)  # within a scan nothing needs preventing
        def block(x, inputs):
            weights, eps = inputs
            mark, outputs = marking(eps)
            x = x + mark(attention(weights, jax.nn.standardize(x)), "attention")
            x = x + mark(jax.nn.gelu(jax.nn.standardize(x) @ weights["up"]) @ weights["down"], "mlp")
            return mark(x, "block"), outputs

        mark, outputs = marking(eps)
        x = mark(x, "input")
        x, stacked = lax.scan(block, x, (weights, {name: eps[name] for name in inside if name in eps}))
        return jnp.mean((x - y) ** 2), outputs | stacked

    sides = {"qkv": (width, 3 * width), "out": (width, width), "up": (width, 4 * width), "down": (4 * width, width)}
    x, y, *kernels = _normal(*[(batch, length, width)] * 2, *[(blocks, *side) for side in sides.values()])
    weights = {name: kernel / kernel.shape[1] ** 0.5 for name, kernel in zip(sides, kernels, strict=True)}
    points = {"input": x.shape} | dict.fromkeys(inside, (blocks, *x.shape))
    return Model(loss, (weights, x, y), points, {"block": "loss/x,stacked/block/x#2"})


def _normal(*shapes: tuple[int, ...]) -> list[jax.Array]:
    numbers = np.random.default_rng(0)
    return [jnp.asarray(numbers.standard_normal(shape, np.float32)) for shape in shapes]


MODELS = {
    "mlp": functools.partial(mlp, layers=24, width=512, batch=128),
    "transformer": functools.partial(transformer, blocks=12, width=256, heads=4, length=128, batch=4),
}
QUICK = {
    "mlp": functools.partial(mlp, layers=3, width=16, batch=4),
    "transformer": functools.partial(transformer, blocks=2, width=16, heads=2, length=8, batch=2),
}


# Ways: each a list of functions of the model's arguments, called one after the other ---------------------


def ways(model: Model) -> dict[str, list[Callable]]:
    return {
        "grad": [gradient(model, tagged)],
        "untagged": [gradient(model, untagged)],
        "epsilon": [epsilon(model, model.points, jax.value_and_grad)],
        "walk": [jw.walk(plain_loss(model, tagged), by="tags")],
        "keep": [jw.walk(plain_loss(model, tagged), by="tags", keep=keep)],
        "lines": [jw.walk(plain_loss(model, untagged), by="lines")],
        "lines keep": [jw.walk(plain_loss(model, untagged), by="lines", keep=keep)],
        "per layer": [epsilon(model, [name], jax.grad) for name in model.points],
    }


def plain_loss(model: Model, marking: Marking) -> Callable:
    return lambda *args: model.loss(marking, {}, *args)[0]


def gradient(model: Model, marking: Marking) -> Callable:
    return jax.grad(plain_loss(model, marking), argnums=1)


def epsilon(model: Model, names: Iterable[str], derivative: Callable) -> Callable:
    """The derivative with respect to epsilons at the named points, and their outputs."""

    def differentiated(*args):
        # Made in here, so that XLA sees that they are zeros.
        eps = {name: jnp.zeros(model.points[name]) for name in names}
        return derivative(lambda eps: model.loss(shifted, eps, *args), has_aux=True)(eps)

    return differentiated


def keep(output: Any, delta: Any) -> Any:
    return jnp.sqrt(jnp.sum(jnp.square(delta)))


def check(model: Model, results: Mapping[str, list[Any]]) -> None:
    """Ends the program if two ways disagree."""
    results = jax.tree.map(np.asarray, dict(results))
    (((value, outputs), deltas),) = results["epsilon"]
    (walked,), (kept,) = results["walk"], results["keep"]
    for way in ("grad", "untagged"):
        agree(way, {"input": results[way][0]}, {"input": deltas["input"]})
    agree("walk", {"the loss": walked.value}, {"the loss": value})
    agree("walk", walked.deltas, deltas)
    agree("walk", walked.outputs, outputs)
    agree("keep", kept.kept, {name: norms(delta, kept.kept[name].ndim) for name, delta in deltas.items()})
    (lines,), (lines_kept,) = results["lines"], results["lines keep"]
    agree("lines", {"the loss": lines.value}, {"the loss": value})
    agree("lines", {n: lines.deltas[line] for n, line in model.lines.items()}, {n: deltas[n] for n in model.lines})
    of_lines = {n: norms(delta, lines_kept.kept[n].ndim) for n, delta in lines.deltas.items()}
    agree("lines keep", lines_kept.kept, of_lines)
    agree("per layer", merged(delta for delta, _ in results["per layer"]), deltas)
    agree("per layer", merged(output for _, output in results["per layer"]), outputs)


def agree(way: str, found: Arrays, expected: Arrays) -> None:
    if set(found) != set(expected):
        sys.exit(f"`{way}` has the points {sorted(found)}, and `epsilon` {sorted(expected)}.")
    for name in expected:
        error = np.max(np.abs(found[name] - expected[name])) / max(np.max(np.abs(expected[name])), TINY)
        if not error <= TOLERANCE[jax.default_backend()]:
            sys.exit(f"`{way}` and `epsilon` disagree at `{name}`: by {error:.1e} of the largest entry.")


def norms(delta: np.ndarray, leading: int) -> np.ndarray:
    """One norm for each place on the leading axes, those of the scans."""
    return np.sqrt(np.sum(np.square(delta), axis=tuple(range(leading, delta.ndim))))


def merged(parts: Iterable[Arrays]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


# Measuring -----------------------------------------------------------------------------------------------


class Built(NamedTuple):
    """Compiled functions, and the seconds spent on tracing and lowering them, and on compiling them."""

    compiled: list[Any]
    trace: float
    compile: float


def build(functions: Sequence[Callable], args: tuple) -> Built:
    jax.clear_caches()
    start = time.perf_counter()
    lowered = [jax.jit(function).lower(*args) for function in functions]
    traced = time.perf_counter()
    compiled = [one.compile() for one in lowered]
    return Built(compiled, traced - start, time.perf_counter() - traced)


def results_of(built: Built, args: tuple) -> list[Any]:
    return [jax.block_until_ready(compiled(*args)) for compiled in built.compiled]


def seconds(built: Built, args: tuple) -> float:
    start = time.perf_counter()
    results_of(built, args)
    return time.perf_counter() - start


def interleaved(rounds: int, tasks: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Every task once a round, so that a slow moment of the machine meets all of them alike.

    In random order: what runs always after the same neighbour finds the caches always in the same bad state.
    """
    shuffled = random.Random(0)
    found: dict[str, list[T]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name in shuffled.sample(list(tasks), len(tasks)):
            found[name].append(tasks[name]())
    return found


def measure(model: Model, repeats: int, compile_repeats: int) -> dict[str, dict[str, Any]]:
    """For each way its figures; of the ratios of times, taken within each round, the quartiles."""
    tasks = {way: functools.partial(build, functions, model.args) for way, functions in ways(model).items()}
    builds = interleaved(compile_repeats, tasks)
    last = {way: built[-1] for way, built in builds.items()}
    check(model, {way: results_of(built, model.args) for way, built in last.items()})
    runs = interleaved(repeats, {way: functools.partial(seconds, built, model.args) for way, built in last.items()})
    figures: dict[str, dict[str, Any]] = {way: timings(runs[way], builds[way]) | memory(last[way]) for way in last}
    for figure in figures.values():
        figure["run_to_grad"] = ratios(figure["run_s"], figures["grad"]["run_s"])
        figure["build_to_epsilon"] = ratios(figure["build_s"], figures["epsilon"]["build_s"])
        for kind in ("temp", "total"):
            figure[f"{kind}_to_grad"] = figure[f"{kind}_bytes"] / figures["grad"][f"{kind}_bytes"]
    return figures


def timings(runs: list[float], builds: Sequence[Built]) -> dict[str, Any]:
    return {
        "run_s": runs,
        "trace_s": [built.trace for built in builds],
        "compile_s": [built.compile for built in builds],
        "build_s": [built.trace + built.compile for built in builds],
    }


def memory(built: Built) -> dict[str, Any]:
    """Bytes as XLA plans them. The total too: a function may keep in its output buffer what another keeps apart."""
    analyses = [compiled.memory_analysis() for compiled in built.compiled]
    temp = max(analysis.temp_size_in_bytes for analysis in analyses)
    output = sum(analysis.output_size_in_bytes for analysis in analyses)
    return {"temp_bytes": temp, "output_bytes": output, "total_bytes": temp + output}


def ratios(values: Sequence[float], bar: Sequence[float]) -> list[float]:
    """The lower quartile, the median and the upper quartile."""
    return np.quantile(np.divide(values, bar), [0.25, 0.5, 0.75]).tolist()


# Showing -------------------------------------------------------------------------------------------------

COLUMNS: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
    ("run ms", lambda f: f"{1e3 * np.median(f['run_s']):.1f}"),
    ("× grad", lambda f: f"{f['run_to_grad'][1]:.3f}"),
    ("quartiles", lambda f: f"{f['run_to_grad'][0]:.2f}-{f['run_to_grad'][2]:.2f}"),
    ("temp MiB", lambda f: f"{f['temp_bytes'] / 2**20:.2f}"),
    ("× grad", lambda f: f"{f['temp_to_grad']:.3f}"),
    ("output MiB", lambda f: f"{f['output_bytes'] / 2**20:.2f}"),
    ("temp+output", lambda f: f"{f['total_bytes'] / 2**20:.2f}"),
    ("× grad", lambda f: f"{f['total_to_grad']:.3f}"),
    ("trace ms", lambda f: f"{1e3 * np.median(f['trace_s']):.0f}"),
    ("compile ms", lambda f: f"{1e3 * np.median(f['compile_s']):.0f}"),
    ("sum × epsilon", lambda f: f"{f['build_to_epsilon'][1]:.3f}"),
    ("quartiles", lambda f: f"{f['build_to_epsilon'][0]:.2f}-{f['build_to_epsilon'][2]:.2f}"),
]


def show(title: str, figures: Mapping[str, dict[str, Any]], file: TextIO) -> None:
    rows = [[way, *(cell(figure) for _, cell in COLUMNS)] for way, figure in figures.items()]
    rows = [["", *(heading for heading, _ in COLUMNS)], *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"\n{title}", file=file)
    for way, *cells in rows:
        line = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        print("  ".join([way.ljust(widths[0]), *line]), file=file)


def machine() -> dict[str, Any]:
    device = jax.devices()[0]
    return {
        "jax": jax.__version__,
        "jaxwalk": jw.__version__,
        "python": sys.version.split()[0],
        "platform": device.platform,
        "device_kind": device.device_kind,
        "cpu_count": os.cpu_count(),
    }


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", choices=[*MODELS, "all"], default="all")
    parser.add_argument("--repeats", type=positive, help="rounds of runs (default 30 and 16; with --quick 3)")
    parser.add_argument(
        "--compile-repeats", type=positive, help="rounds of compilations (default 9 and 4; with --quick 1)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--json", metavar="FILE", help="write every figure there; - is standard output")
    options = parser.parse_args()

    jax.config.update("jax_enable_compilation_cache", False)  # else a second run would measure the disk
    file = sys.stderr if options.json == "-" else sys.stdout
    report: dict[str, Any] = machine() | {"models": {}}
    print(", ".join(f"{key} {value}" for key, value in machine().items()), file=file)
    makers = QUICK if options.quick else MODELS
    for name in makers if options.model == "all" else [options.model]:
        repeats, compile_repeats = (3, 1) if options.quick else ROUNDS[name]
        rounds = options.repeats or repeats, options.compile_repeats or compile_repeats
        figures = measure(makers[name](), *rounds)
        sizes = makers[name].keywords
        report["models"][name] = {"sizes": sizes, "ways": figures}
        show(f"{name}: {', '.join(f'{value} {key}' for key, value in sizes.items())}", figures, file)
    if options.json == "-":
        print(json.dumps(report, indent=1))
    elif options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
