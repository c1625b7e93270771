"""What watching costs: `jw.watch` beside the plain step of optax, both compiled, run by turns.

    python benchmarks/learn_overhead.py [--model digits|transformer|nnx|all] [--size small|real] [--every K]
        [--rounds N] [--quick] [--json FILE]

The models:
    digits       the convolutional network of `examples/digits`, a batch of 64, every layer a point
    transformer  12 pre-norm blocks, scanned over stacked weights and rematerialised; points at the output of
                 attention, the hidden layer and the output of the MLP, the residual stream, the logits
    nnx          4 blocks of Flax NNX, not scanned, with the scopes of `jw.scoped`: every module a point

The small ones are for two cores: on a GPU their kernels are too short to hide anything behind. With `--size real` the
transformers are 1024 wide, of 512 words, in a batch of 8; the scanned one has activations in bfloat16, as people train
them, and a table of 32768 words. That is for a GPU.

The ways, of each of which one step is measured:
    step     `jax.value_and_grad`, `optimizer.update`, `optax.apply_updates`
    again    the same, compiled a second time: what the machine's noise makes of a ratio of 1
    nothing  `jw.watch(keep=None)`: the same program, says XLA's analysis of its cost
    health   `jw.watch`: `jw.stats.health` at every point, and the sizes of all weights
    every K  the same with `every=K`, in a step that is not looked at; and `at K` in one that is

Ways run interleaved, in random order within a round; of the ratios within each round the quartiles are shown. The bars
are 1.03 in time (its median) and in temp memory as XLA plans it. Time is that of the clock, and of all processors
together, which on a shared machine says more.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import walk_cost
from flax import nnx
from jax import lax

import jaxwalk as jw

BAR = 1.03
OPTIMIZER = optax.adam(1e-4)
Loss = Callable[..., jax.Array]


class Model(NamedTuple):
    """A loss of (params, x, y), these, where its points come from, and how far gradients of two ways may be apart."""

    loss: Loss
    params: Any
    batch: tuple[Any, Any]
    by: str
    apart: float = 1e-3  # of the norm of all: a GPU may multiply in TF32, which has ten bits


# Models --------------------------------------------------------------------------------------------------


def digits(batch: int) -> Model:
    sys.path.append(str(pathlib.Path(__file__).parents[1] / "examples" / "digits"))
    data, network = importlib.import_module("data"), importlib.import_module("network")

    def loss(params, x, y):
        return jnp.mean(jax.vmap(network.objective, (None, 0, 0))(params, x, y))

    x, y = data.digits(held_out=False)
    return Model(loss, network.initial(jax.random.key(0)), (x[:batch], y[:batch]), "tags")


def transformer(
    blocks: int, width: int, heads: int, length: int, batch: int, words: int = 512, dtype: str = "float32"
) -> Model:
    def normalised(x):
        return jax.nn.standardize(x.astype(jnp.float32)).astype(dtype)

    def attention(weights: Mapping[str, Any], x):
        query, key, value = jnp.split((x @ weights["qkv"]).reshape(batch, length, 3 * heads, -1), 3, axis=2)
        mixed = jax.nn.dot_product_attention(query, key, value, is_causal=True)
        return mixed.reshape(batch, length, width) @ weights["out"]

    @functools.partial(jax.checkpoint, prevent_cse=False)  # within a scan nothing needs preventing
    def block(x, weights):
        weights = jax.tree.map(lambda array: array.astype(dtype), weights)
        x = x + jw.tag(attention(weights, normalised(x)), "attention")
        hidden = jw.tag(jax.nn.gelu(normalised(x) @ weights["up"]), "hidden")
        x = x + jw.tag(hidden @ weights["down"], "mlp")
        return jw.tag(x, "block"), None

    def loss(params, x, y):
        x, _ = lax.scan(block, params["table"].astype(dtype)[x], params["blocks"])
        logits = jw.tag((normalised(x) @ params["head"].astype(dtype)).astype(jnp.float32), "logits")
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))

    sides = {"qkv": (width, 3 * width), "out": (width, width), "up": (width, 4 * width), "down": (4 * width, width)}
    numbers = np.random.default_rng(0)
    normal = lambda *shape: jnp.asarray(numbers.standard_normal(shape, np.float32) / shape[-2] ** 0.5)
    params = {"blocks": {name: normal(blocks, *side) for name, side in sides.items()}}
    params |= {"table": normal(words, width) * words**0.5, "head": normal(width, words)}
    x, y = numbers.integers(words, size=(2, batch, length))
    return Model(loss, params, (x, y), "tags", 1e-3 if dtype == "float32" else 1e-2)


class Block(nnx.Module):
    def __init__(self, width: int, heads: int, rngs: nnx.Rngs):
        self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in range(2)])
        self.attention = nnx.MultiHeadAttention(heads, width, rngs=rngs, decode=False)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.down(nnx.gelu(self.up(self.norms[1](x))))


class Transformer(nnx.Module):
    def __init__(self, blocks: int, width: int, heads: int, words: int, rngs: nnx.Rngs):
        self.table = nnx.Embed(words, width, rngs=rngs)
        self.blocks = nnx.List([Block(width, heads, rngs) for _ in range(blocks)])
        self.head = nnx.Linear(width, words, rngs=rngs)

    def __call__(self, x):
        x = self.table(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def in_nnx(blocks: int, width: int, heads: int, length: int, batch: int, words: int = 512) -> Model:
    model = jw.scoped(Transformer(blocks, width, heads, words, nnx.Rngs(0)))
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params, x, y):
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(nnx.merge(graph, params, rest)(x), y))

    x, y = np.random.default_rng(0).integers(words, size=(2, batch, length))
    return Model(loss, params, (x, y), "scopes")


MODELS = {
    "digits": functools.partial(digits, batch=64),
    "transformer": functools.partial(transformer, blocks=12, width=256, heads=4, length=128, batch=8),
    "nnx": functools.partial(in_nnx, blocks=4, width=256, heads=4, length=128, batch=8),
}
REAL = {
    "transformer": functools.partial(
        transformer, blocks=12, width=1024, heads=16, length=512, batch=8, words=1 << 15, dtype="bfloat16"
    ),
    "nnx": functools.partial(in_nnx, blocks=4, width=1024, heads=16, length=512, batch=8),
}
QUICK = {
    "digits": functools.partial(digits, batch=4),
    "transformer": functools.partial(transformer, blocks=2, width=16, heads=2, length=8, batch=2),
    "nnx": functools.partial(in_nnx, blocks=1, width=16, heads=2, length=8, batch=2),
}
ROUNDS = {"digits": 200, "transformer": 20, "nnx": 30}


# Ways ----------------------------------------------------------------------------------------------------


def ways(model: Model, every: int | None) -> dict[str, Callable]:
    def step(params, opt_state, *batch):
        loss, grads = jax.value_and_grad(model.loss)(params, *batch)
        updates, opt_state = OPTIMIZER.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    watch = functools.partial(jw.watch, model.loss, OPTIMIZER, by=model.by)
    found = {"step": step, "again": lambda *args: step(*args), "nothing": watch(keep=None), "health": watch()}
    return found | ({} if every is None else {f"every {every}": watch(every=every), f"at {every}": watch(every=every)})


def arguments(model: Model, way: str) -> tuple[Any, ...]:
    """The arguments of a step: the first that the optimizer counts, or where some are not looked at, the second."""
    state = OPTIMIZER.init(model.params)
    if way.startswith("every"):
        state = jax.tree.map(lambda x: x + 1 if x.dtype == jnp.int32 else x, state)
    return model.params, state, *model.batch


def measure(model: Model, rounds: int, every: int | None) -> dict[str, dict[str, Any]]:
    args = {way: arguments(model, way) for way in ways(model, every)}
    built = {way: walk_cost.build([fun], args[way]) for way, fun in ways(model, every).items()}
    check({way: walk_cost.results_of(one, args[way])[0][1] for way, one in built.items()}, model.apart)
    tasks = {way: functools.partial(run, one, args[way]) for way, one in built.items()}
    runs = walk_cost.interleaved(rounds, tasks)
    figures = {way: figure(one, *zip(*runs[way], strict=True)) for way, one in built.items()}
    for one in figures.values():
        for clock in ("wall", "cpu"):
            one[f"{clock}_ratio"] = walk_cost.ratios(one[f"{clock}_s"], figures["step"][f"{clock}_s"])
        one["temp_ratio"] = one["temp_bytes"] / figures["step"]["temp_bytes"]
        one["same_program"] = one["analysis"] == figures["step"]["analysis"]
        one["within"] = one["wall_ratio"][1] <= BAR and one["temp_ratio"] <= BAR
    return figures


def run(built: walk_cost.Built, args: tuple) -> tuple[float, float]:
    """Seconds on the clock, and of all processors together."""
    processors = time.process_time()
    return walk_cost.seconds(built, args), time.process_time() - processors


def figure(built: walk_cost.Built, wall: tuple[float, ...], cpu: tuple[float, ...]) -> dict[str, Any]:
    times = {"wall_s": wall, "cpu_s": cpu, "trace_s": built.trace, "compile_s": built.compile}
    (compiled,) = built.compiled
    return times | walk_cost.memory(built) | {"analysis": compiled.cost_analysis()}


def check(states: Mapping[str, Any], apart: float) -> None:
    """End the program if a watched step does not go where the plain one does. Adam's first moments, a tenth of the
    gradients, are compared, and not the params: of a gradient that is nothing but rounding, as that of the bias of
    keys, it makes a step of the whole rate, up or down."""
    moments = {way: jax.tree.leaves(optax.tree_utils.tree_get(state, "mu")) for way, state in states.items()}
    size = optax.global_norm(moments["step"])
    for way, found in moments.items():
        if not optax.global_norm(jax.tree.map(jnp.subtract, found, moments["step"])) <= apart * size:
            sys.exit(f"`{way}` and `step` have different gradients.")


def show(figures: Mapping[str, dict[str, Any]]) -> None:
    print(f"{'':10}{'ms':>8}{'× step':>8}{'quartiles':>14}{'cpu ms':>8}{'× step':>8}{'quartiles':>14}", end="")
    print(f"{'temp MiB':>10}{'× step':>8}{'trace s':>9}{'compile s':>10}")
    for way, one in figures.items():
        line = f"{way:10}"
        for clock in ("wall", "cpu"):
            lower, median, upper = one[f"{clock}_ratio"]
            line += f"{1e3 * np.median(one[f'{clock}_s']):8.1f}{median:8.3f}{f'{lower:.3f}-{upper:.3f}':>14}"
        line += (
            f"{one['temp_bytes'] / 2**20:10.2f}{one['temp_ratio']:8.3f}{one['trace_s']:9.2f}{one['compile_s']:10.2f}"
        )
        print(line + ("  same program" if one["same_program"] else "") + ("" if one["within"] else "  over"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", choices=[*MODELS, "all"], default="all")
    parser.add_argument("--size", choices=["small", "real"], default="small", help="real: for a GPU")
    parser.add_argument("--every", type=walk_cost.positive, help="also with `every=K`")
    parser.add_argument("--rounds", type=walk_cost.positive, help="rounds of runs (with --quick 3)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--json", metavar="FILE", help="write every figure there")
    options = parser.parse_args()

    jax.config.update("jax_enable_compilation_cache", False)  # else a second run would measure the disk
    print(", ".join(f"{key} {value}" for key, value in walk_cost.machine().items()))
    makers = QUICK if options.quick else {"small": MODELS, "real": REAL}[options.size]
    report: dict[str, Any] = walk_cost.machine() | {"models": {}}
    for name in makers if options.model == "all" else [options.model]:
        if name not in makers:
            sys.exit(f"`{name}` has no other size.")
        rounds = options.rounds or (3 if options.quick else ROUNDS[name])
        figures = measure(makers[name](), rounds, options.every)
        report["models"][name] = {"sizes": makers[name].keywords, "ways": figures}
        print(f"\n{name}: {', '.join(f'{value} {key}' for key, value in makers[name].keywords.items())}")
        show(figures)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
