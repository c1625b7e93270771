"""What attribution at every point costs, beside captum's call for each layer, and beside JAX written by hand.

    python benchmarks/attribution.py [--model mlp|transformer|all] [--steps N] [--rounds N] [--quick] [--json FILE]

captum is no dependency of jaxwalk: install torch, captum, jax and optax in an environment of their own, and run this
there with jaxwalk's folder on PYTHONPATH. Without captum its ways are left out, which is said.

The models, of which the points are the outputs of all layers, and the score is entry 0 of the output, at each datum:
    mlp          24 layers: tanh of a product
    transformer  12 pre-norm blocks with causal attention

The ways:
    walks            `jw.walk`, compiled, called as many times as there are steps: the bar of conductance
    scanned          the same in one compiled scan, which adds their outputs and δ up
    conductance      `jw.attribute.conductance` at all layers: the trapezoid rule, of walks alone
    10 at a time     the same with `batch_size=10`: ten nodes are vmapped
    gauss-legendre   conductance by that rule, with a forward derivative at every node
    by hand          for each layer a compiled scan over the steps: the layers before it forward, those after it
                     forward and back, the trapezoid rule; one call after the other
    captum           `LayerConductance`, one call after the other
    one walk         `jw.walk`: the bar of gradient × output
    times output     `jw.attribute.gradient_times_output` at all layers
    times, by hand   for each layer the derivative of what follows, times its output
    times, captum    `LayerGradientXActivation`, one call after the other

They run interleaved, in random order within a round; of the ratios within each round the quartiles are shown, of the
time on the clock and of that of all processors together, which on a shared machine says more. Before that their numbers
are compared, in float32, and of small models in float64. captum's sum is Σ δ·(y' − y) over neighbours on the path, with
δ at the first of the two: the mean of its sums along the path and back, at equal steps, is the trapezoid rule.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import walk_cost

import jaxwalk as jw


def imported(name: str) -> Any:
    """The module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


torch, captum = imported("torch"), imported("captum.attr")
HAS_CAPTUM = torch is not None and captum is not None
BAR, CAPTUM_BAR = 1.3, 20
COMPLETE, COMPLETE_STEPS = 1e-3, 64  # of the change of the result, by Gauss and Legendre's rule
CLOSE = {"float32": 1e-4, "float64": 1e-6}  # of the largest entry at a layer
Layer = Callable[[Any, Any], Any]


class Model(NamedTuple):
    """A chain of layers of one kind, an input, and a baseline: not zeros, near which a layer norm is all but a jump.

    Attributes:
        layer: (weights, x) -> x, in JAX.
        torch_layer: the same of torch's tensors.
        weights: of each layer.
        x, baseline: a batch each.
    """

    layer: Layer
    torch_layer: Layer
    weights: list[Any]
    x: np.ndarray
    baseline: np.ndarray

    @property
    def names(self) -> list[str]:
        return [f"layer{i}" for i in range(1, len(self.weights) + 1)]


# Models --------------------------------------------------------------------------------------------------


def mlp(layers: int, width: int, batch: int, dtype: str = "float32") -> Model:
    numbers = np.random.default_rng(0)
    weights = [(numbers.standard_normal((width, width)) / width**0.5).astype(dtype) for _ in range(layers)]
    layer = lambda kernel, x: jnp.tanh(x @ kernel)
    torch_layer = lambda kernel, x: torch.tanh(x @ kernel)
    x, baseline = (numbers.standard_normal((batch, width)).astype(dtype) for _ in range(2))
    return Model(layer, torch_layer, weights, x, baseline)


def transformer(blocks: int, width: int, heads: int, length: int, batch: int, dtype: str = "float32") -> Model:
    def split(x):
        return x.reshape(batch_of(x), length, 3, heads, width // heads)

    def batch_of(x):
        return x.shape[0]

    def layer(weights: Mapping[str, Any], x):
        query, key, value = jnp.moveaxis(split(jax.nn.standardize(x) @ weights["qkv"]), 2, 0)
        mixed = jax.nn.dot_product_attention(query, key, value, is_causal=True).reshape(x.shape)
        x = x + mixed @ weights["out"]
        return x + jax.nn.gelu(jax.nn.standardize(x) @ weights["up"]) @ weights["down"]

    def torch_layer(weights: Mapping[str, Any], x):
        norm = functools.partial(torch.nn.functional.layer_norm, normalized_shape=(width,))
        query, key, value = split(norm(x) @ weights["qkv"]).permute(2, 0, 3, 1, 4)
        mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + mixed.transpose(1, 2).reshape(x.shape) @ weights["out"]
        return x + torch.nn.functional.gelu(norm(x) @ weights["up"], approximate="tanh") @ weights["down"]

    sides = {"qkv": (width, 3 * width), "out": (width, width), "up": (width, 4 * width), "down": (4 * width, width)}
    numbers = np.random.default_rng(0)
    normal = lambda *side: (numbers.standard_normal(side) / side[0] ** 0.5).astype(dtype)
    weights = [{name: normal(*side) for name, side in sides.items()} for _ in range(blocks)]
    x, baseline = (numbers.standard_normal((batch, length, width)).astype(dtype) for _ in range(2))
    return Model(layer, torch_layer, weights, x, baseline)


MODELS = {
    "mlp": functools.partial(mlp, layers=24, width=256, batch=32),
    "transformer": functools.partial(transformer, blocks=12, width=128, heads=4, length=64, batch=1),
}
QUICK = {
    "mlp": functools.partial(mlp, layers=3, width=16, batch=4),
    "transformer": functools.partial(transformer, blocks=2, width=16, heads=2, length=8, batch=2),
}


# In JAX --------------------------------------------------------------------------------------------------


def score(x: Any) -> Any:
    """The sum over the batch of what is explained of each datum: of one, no other's values matter."""
    return jnp.sum(x.reshape(len(x), -1)[:, 0])


def tagged(model: Model) -> Callable:
    def fun(weights, x):
        for name, one in zip(model.names, weights, strict=True):
            x = jw.tag(model.layer(one, x), name)
        return score(x)

    return fun


def through(model: Model, weights: Sequence[Any], x: Any) -> Any:
    for one in weights:
        x = model.layer(one, x)
    return x


def conductance_by_hand(model: Model, steps: int) -> list[Callable]:
    """For each layer its conductance, by the trapezoid rule."""

    baseline = model.baseline

    def at(count: int) -> Callable:
        def node(weights, x):
            y = through(model, weights[:count], x)
            return y, jax.grad(lambda y: score(through(model, weights[count:], y)))(y)

        def conductance(weights, x):
            def add(carry, alpha):
                total, (before, its) = carry
                here, delta = node(weights, baseline + alpha * (x - baseline))
                return (total + (its + delta) / 2 * (here - before), (here, delta)), None

            nodes = jnp.linspace(0, 1, steps, dtype=x.dtype)
            start = node(weights, baseline)
            return jax.lax.scan(add, (jnp.zeros_like(start[0]), start), nodes[1:])[0][0]

        return conductance

    return [at(i + 1) for i in range(len(model.weights))]


def times_by_hand(model: Model) -> list[Callable]:
    def at(count: int) -> Callable:
        def product(weights, x):
            y = through(model, weights[:count], x)
            return y * jax.grad(lambda y: score(through(model, weights[count:], y)))(y)

        return product

    return [at(i + 1) for i in range(len(model.weights))]


def ways_in_jax(model: Model, steps: int) -> dict[str, tuple[list[Callable], int]]:
    """The functions of each way, called one after the other, and how often."""
    fun = tagged(model)
    conductance = functools.partial(jw.attribute.conductance, fun, argnums=1, baseline=model.baseline, steps=steps)
    scores = lambda method: lambda *args: dict(method(*args).scores)
    walk = lambda *args: (lambda found: (dict(found.outputs), dict(found.deltas)))(jw.walk(fun, argnums=1)(*args))
    return {
        "walks": ([walk], steps),
        "scanned": ([scanned(walk, model, steps)], 1),
        "conductance": ([scores(conductance())], 1),
        "10 at a time": ([scores(conductance(batch_size=10))], 1),
        "gauss-legendre": ([scores(conductance(rule="gauss-legendre"))], 1),
        "by hand": (conductance_by_hand(model, steps), 1),
        "one walk": ([walk], 1),
        "times output": ([scores(jw.attribute.gradient_times_output(fun, argnums=1))], 1),
        "times, by hand": (times_by_hand(model), 1),
    }


def scanned(walk: Callable, model: Model, steps: int) -> Callable:
    def added(weights, x):
        def add(total, alpha):
            found = walk(weights, model.baseline + alpha * (x - model.baseline))
            return jax.tree.map(jnp.add, total, found), None

        nodes = jnp.linspace(0, 1, steps, dtype=x.dtype)
        return jax.lax.scan(add, walk(weights, model.baseline), nodes[1:])[0]

    return added


# In torch ------------------------------------------------------------------------------------------------


class InTorch:
    """The same model of torch's modules, one for each layer, and captum's calls."""

    def __init__(self, model: Model):
        class OfLayer(torch.nn.Module):
            def __init__(self, weights):
                super().__init__()
                self.weights = jax.tree.map(torch.from_numpy, weights)

            def forward(self, x):
                return model.torch_layer(self.weights, x)

        class Whole(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = torch.nn.ModuleList(map(OfLayer, model.weights))

            def forward(self, x):
                for layer in self.layers:
                    x = layer(x)
                return x.reshape(len(x), -1)

        self.names, self.whole = model.names, Whole()
        self.x, self.baseline = map(torch.from_numpy, (model.x, model.baseline))

    def conductance(self, steps: int, rule: str = "gausslegendre", back: bool = False) -> dict[str, np.ndarray]:
        inputs, baselines = (self.baseline, self.x) if back else (self.x, self.baseline)
        of = lambda layer: captum.LayerConductance(self.whole, layer).attribute(
            inputs, baselines=baselines, target=0, n_steps=steps, method=rule
        )
        return self._each(of)

    def times_output(self) -> dict[str, np.ndarray]:
        return self._each(lambda layer: captum.LayerGradientXActivation(self.whole, layer).attribute(self.x, target=0))

    def _each(self, of: Callable) -> dict[str, np.ndarray]:
        each = zip(self.names, self.whole.layers, strict=True)
        return {name: of(layer).detach().numpy() for name, layer in each}

    def trapezoid(self, nodes: int) -> dict[str, np.ndarray]:
        """The mean of the sums along the path and back."""
        there, back = (self.conductance(nodes - 1, "riemann_trapezoid", back) for back in (False, True))
        return {name: (there[name] - back[name]) / 2 for name in there}


# Whether they agree --------------------------------------------------------------------------------------


def check(model: Model, steps: int) -> dict[str, float]:
    """Ends the program if two ways disagree; how far they and captum's default rule are apart."""
    args = model.weights, model.x
    found = {}
    for way, (functions, _) in ways_in_jax(model, steps).items():
        results = [jax.tree.map(np.asarray, jax.jit(function)(*args)) for function in functions]
        found[way] = results[0] if len(results) == 1 else dict(zip(model.names, results, strict=True))
    close = CLOSE[str(model.x.dtype)]
    apart = {
        "10 at a time": agree("10 at a time", found["10 at a time"], found["conductance"], close),
        "conductance, by hand": agree("by hand", found["by hand"], found["conductance"], close),
        "times output, by hand": agree("times, by hand", found["times, by hand"], found["times output"], close),
    }
    if HAS_CAPTUM:
        other, exact = InTorch(model), found["gauss-legendre"]
        apart["conductance, captum there and back"] = agree(
            "captum", other.trapezoid(steps), found["conductance"], close
        )
        apart["times output, captum"] = agree("captum", other.times_output(), found["times output"], close)
        apart["error of captum's default rule"] = difference(other.conductance(steps), exact)
        apart["error of the trapezoid rule"] = difference(found["conductance"], exact)
    return apart


def agree(way: str, found: Mapping[str, Any], expected: Mapping[str, Any], close: float) -> float:
    if not (apart := difference(found, expected)) <= close:
        sys.exit(f"`{way}` and jaxwalk disagree by {apart:.1e} of the largest entry of a layer.")
    return apart


def difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> float:
    """The largest over the layers, each relative to its largest entry."""
    return max(float(np.max(np.abs(found[n] - expected[n])) / np.max(np.abs(expected[n]))) for n in expected)


def incompleteness(model: Model) -> float:
    """How far the scores of a layer are from adding up to the change of the result, relative to it: the worst."""
    fun, options = tagged(model), {"steps": COMPLETE_STEPS, "rule": "gauss-legendre"}
    found = jax.jit(jw.attribute.conductance(fun, argnums=1, baseline=model.baseline, **options))(
        model.weights, model.x
    )
    change = float(fun(model.weights, model.x) - fun(model.weights, model.baseline))
    return max(abs(float(total) - change) for total in found.totals.values()) / abs(change)


# Measuring -----------------------------------------------------------------------------------------------


def measure(model: Model, steps: int, rounds: int, only: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    args, tasks, figures = (model.weights, model.x), {}, {}
    for way, (functions, times) in ways_in_jax(model, steps).items():
        if only and way not in (*only, "walks", "one walk"):
            continue
        built = walk_cost.build(functions, args)
        walk_cost.results_of(built, args)
        figures[way] = {"build_s": built.trace + built.compile} | walk_cost.memory(built)
        tasks[way] = functools.partial(
            timed, lambda b=built, t=times: [walk_cost.results_of(b, args) for _ in range(t)]
        )
    if HAS_CAPTUM and not only:
        other = InTorch(model)
        tasks["captum"] = functools.partial(timed, lambda: other.conductance(steps))
        tasks["times, captum"] = functools.partial(timed, other.times_output)
    runs = walk_cost.interleaved(rounds, tasks)
    for way, pairs in runs.items():
        figures.setdefault(way, {}).update(zip(("wall_s", "cpu_s"), map(list, zip(*pairs, strict=True)), strict=True))
    for way, figure in figures.items():
        bar = figures["one walk" if way in OF_ONE else "walks"]
        for clock in ("wall", "cpu"):
            figure[f"{clock}_ratio"] = walk_cost.ratios(figure[f"{clock}_s"], bar[f"{clock}_s"])
    return figures


OF_ONE = ("one walk", "times output", "times, by hand", "times, captum")


def timed(task: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the clock, and of all processors together."""
    processors, start = time.process_time(), time.perf_counter()
    task()
    return time.perf_counter() - start, time.process_time() - processors


def memory_by_steps(model: Model, steps: Sequence[int]) -> dict[int, int]:
    """Bytes that the sweep takes for its work, as XLA plans them."""
    args = model.weights, model.x
    build = lambda n: walk_cost.build(ways_in_jax(model, n)["conductance"][0], args)
    return {n: walk_cost.memory(build(n))["temp_bytes"] for n in steps}


# Showing -------------------------------------------------------------------------------------------------


def show(figures: Mapping[str, dict[str, Any]]) -> None:
    print(f"{'':16}{'ms':>9}{'× walks':>9}{'quartiles':>14}{'cpu ms':>9}{'× walks':>9}{'quartiles':>14}", end="")
    print(f"{'temp MiB':>10}{'build s':>9}")
    for way, one in figures.items():
        line = f"{way:16}"
        for clock in ("wall", "cpu"):
            lower, median, upper = one[f"{clock}_ratio"]
            line += f"{1e3 * np.median(one[f'{clock}_s']):9.1f}{median:9.3f}{f'{lower:.2f}-{upper:.2f}':>14}"
        if "temp_bytes" in one:
            line += f"{one['temp_bytes'] / 2**20:10.2f}{one['build_s']:9.2f}"
        print(line)


def compared(figures: Mapping[str, dict[str, Any]]) -> None:
    """How many times as fast as the other ways, on the clock and of processors."""
    for way, ours in (("times, captum", "times output"), ("by hand", "conductance")):
        if way in figures:
            clock, processors = faster(figures, way, ours)
            print(f"{ours}: {clock:.1f} times as fast as `{way}` on the clock, {processors:.1f} of processors")
    scanned = figures["conductance"]["cpu_ratio"][1] / figures["scanned"]["cpu_ratio"][1]
    print(f"conductance at all layers is {scanned:.2f} times `steps` walks in a scan, of processors")


def bars(figures: Mapping[str, dict[str, Any]], memory: Mapping[int, int], missed: float) -> None:
    """What must hold, a line each, and whether it does: of the time of all processors together."""
    for way in ("conductance", "gauss-legendre"):
        ratio = figures[way]["cpu_ratio"][1]
        print(f"{_said(ratio <= BAR)} {way} at all layers at most {BAR} times `steps` walks: {ratio:.2f}")
    few, many = memory.values()
    print(f"{_said(many <= 1.01 * few)} memory flat in `steps`: {many / few:.2f} times as much at ten times as many")
    print(f"{_said(missed <= COMPLETE)} complete to {COMPLETE} at {COMPLETE_STEPS} Gauss-Legendre steps: {missed:.0e}")
    if "captum" not in figures:
        print(f"not measured: at least {CAPTUM_BAR} times as fast as captum layer by layer")
        return
    for way in ("conductance", "10 at a time"):
        clock, processors = faster(figures, "captum", way)
        print(f"{_said(processors >= CAPTUM_BAR)} {way} at least {CAPTUM_BAR} times as fast as captum: ", end="")
        print(f"{processors:.1f} of processors, {clock:.1f} on the clock")


def faster(figures: Mapping[str, dict[str, Any]], way: str, ours: str) -> list[float]:
    return [float(np.median(np.divide(figures[way][c], figures[ours][c]))) for c in ("wall_s", "cpu_s")]


def _said(holds: bool) -> str:
    return "holds:        " if holds else "does NOT hold:"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", choices=[*MODELS, "all"], default="all")
    parser.add_argument("--steps", type=walk_cost.positive, default=50)
    parser.add_argument("--rounds", type=walk_cost.positive, help="rounds of runs (default 5; with --quick 3)")
    parser.add_argument("--only", nargs="+", metavar="WAY", help="these ways, and the walks, without a check")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--json", metavar="FILE", help="write every figure there")
    options = parser.parse_args()

    jax.config.update("jax_enable_compilation_cache", False)  # else a second run would measure the disk
    print(", ".join(f"{key} {value}" for key, value in walk_cost.machine().items()))
    left_out = "captum is left out: torch or captum is not installed here; this file's first lines say how."
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads" if HAS_CAPTUM else left_out)
    makers = QUICK if options.quick else MODELS
    report: dict[str, Any] = walk_cost.machine() | {"steps": options.steps, "models": {}}
    for name in makers if options.model == "all" else [options.model]:
        print(f"\n{name}: {', '.join(f'{value} {key}' for key, value in makers[name].keywords.items())}")
        apart = {} if options.only else agreement(name, makers[name](), options.steps)
        model = makers[name]()
        figures = measure(model, options.steps, options.rounds or (3 if options.quick else 5), options.only)
        show(figures)
        memory = memory_by_steps(model, (options.steps, 10 * options.steps))
        print("temp memory of the sweep:", ", ".join(f"{n} steps {b / 2**20:.2f} MiB" for n, b in memory.items()))
        if not options.only:
            compared(figures)
            bars(figures, memory, incompleteness(model))
        report["models"][name] = {"sizes": makers[name].keywords, "apart": apart, "ways": figures, "memory": memory}
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1))


def agreement(name: str, model: Model, steps: int) -> dict[str, dict[str, float]]:
    apart = {"float32": check(model, steps)}
    with jax.enable_x64(True):
        apart["float64, small"] = check(QUICK[name](dtype="float64"), steps)
    for dtype, each in apart.items():
        print(f"{dtype}: " + ", ".join(f"{what} {value:.0e}" for what, value in each.items()))
    return apart


if __name__ == "__main__":
    main()
