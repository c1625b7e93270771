"""What `jw.evaluate` costs, beside a bare loop of `jit` and `vmap` written by hand: data per second, calls, memory.

    python benchmarks/evaluate_throughput.py [--quick] [--model NAME ...] [--keep NAME ...] [--rounds N]
        [--devices 1,2,4] [--rows 10000,100000,1000000] [--points 10,100,1000] [--json FILE]

The loop by hand adds epsilons, which are zeros, at the same points, differentiates with respect to them once per datum,
computes the same numbers, keeps two batches under way as `evaluate` does, and reads every result back. What is kept:
    none      per datum, the loss and the ℓ2 norm of δ at each point: the bar is 0.95 of the data per second by hand
    norms     besides, as `jw.stats.norms`: the means of ℓ1 and ℓ2, the max and the rms, of outputs and of δ
    summary   `jw.stats.summary`, beside the loop that keeps norms: to see what the rest of it costs
    again     the loop by hand beside itself: what the machine's noise makes of a ratio of 1

Throughput is in the steady state: both take blocks of batches in turns, within one call of `evaluate`, and the time of
a block is from the request for its fourth batch to that for the one after its last. So neither compiling nor the end of
the run counts. Before each block whatever was under way is waited for. Of the ratios within the rounds, the quartiles
are shown. In --devices, each number is that of virtual devices of the CPU, in a process of its own.

Calls are whole: the first, with tracing and compiling, and later ones over the same epoch of data, as a training loop
makes them, in turns with the loop by hand, whose program is compiled once. The bar is 1.05 of its time. (A text in a
loss, as the name of a tag, that is also the name of a global counts as a use of it: where it leads to what draws random
numbers, as the makers of models here do, every call compiles anew.)

Compile (`--only compile`) is the first call alone, of a chain of dense layers with a point at each, 16 wide, on 64
rows: tracing, lowering, compiling, and one batch, in processor time, since the compiler takes as many cores as there
are. By hand and by `evaluate` in turns, each in a process of its own, without a cache; the ratio is that of a turn, and
the median of them is shown, with the least and the most. Here `summary` is beside a loop by hand that computes the rest
of it too. The bar is 1.5 for 100 points and more. By hand, `norms` of 1,000 points take some minutes to compile.

Memory is the most that was resident in a process of its own, which does nothing else; `out` is `evaluate` that writes
its rows to a directory. There the seconds are those of the whole call, with tracing and compiling.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import itertools
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import walk_cost
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jaxwalk as jw
from jaxwalk import stats
from jaxwalk._evaluate.programs import GROUP

BAR, MEMORY_BAR, CALL_BAR, COMPILE_BAR = 0.95, 1.05, 1.05, 1.5
SETTLED = 3  # batches of a block, at its start, that are not timed
POOL = 64  # batches of random numbers, which come again and again
SECONDS = 0.15  # of one block, about
Batch = tuple[np.ndarray, np.ndarray]
Loop = Callable[[Iterable[Batch]], dict[str, Any]]
KEEPS = {"none": None, "norms": stats.norms, "summary": stats.summary}


# Models: of one datum ------------------------------------------------------------------------------------


class Model(NamedTuple):
    """A loss of one datum, written once for every marking of its points.

    Attributes:
        loss: (marking, eps, params, x, y) -> (loss, outputs met by the marking).
        params: of it.
        shapes: of x and of y.
        points: the shape at each point.
        batch: the number of data of one.
        loops: how many leading axes of each point are those of scans.
    """

    loss: Callable[..., tuple[Any, walk_cost.Arrays]]
    params: Any
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    points: Mapping[str, tuple[int, ...]]
    batch: int
    loops: int = 0


def dense(sizes: tuple[int, ...] = (64, 256, 256, 10), batch: int = 256) -> Model:
    names = [f"layer{i}" for i in range(1, len(sizes))]

    def loss(marking, eps, params, x, y):
        mark, outputs = marking(eps)
        for name, kernel in zip(names, params, strict=True):
            x = mark((jnp.tanh(x) if name != names[0] else x) @ kernel, name)
        return jnp.mean((x - y) ** 2), outputs

    points = {name: (size,) for name, size in zip(names, sizes[1:], strict=True)}
    return Model(loss, kernels(*itertools.pairwise(sizes)), (sizes[:1], sizes[-1:]), points, batch)


def cnn(side: int = 16, channels: tuple[int, ...] = (1, 16, 32), batch: int = 64) -> Model:
    """Convolutions of 3 by 3, each with a relu and halved by its stride, and a dense layer."""
    names = [f"conv{i}" for i in range(1, len(channels))]
    sides = [side // 2**i for i in range(1, len(channels))]

    def loss(marking, eps, params, x, y):
        mark, outputs = marking(eps)
        for name, kernel in zip(names, params[:-1], strict=True):
            layout = ("NHWC", "HWIO", "NHWC")
            x = lax.conv_general_dilated(x[None], kernel, (2, 2), "SAME", dimension_numbers=layout)[0]
            x = mark(jax.nn.relu(x), name)
        x = mark(x.reshape(-1) @ params[-1], "logits")
        return -jnp.sum(jax.nn.log_softmax(x) * y), outputs

    convolved = kernels(*((3, 3, *pair) for pair in itertools.pairwise(channels)))
    (dense,) = kernels((sides[-1] ** 2 * channels[-1], 10))
    points = {n: (s, s, c) for n, s, c in zip(names, sides, channels[1:], strict=True)} | {"logits": (10,)}
    return Model(loss, [*convolved, dense], ((side, side, channels[0]), (10,)), points, batch)


def transformer(blocks: int = 3, width: int = 64, length: int = 32, batch: int = 32) -> Model:
    """Attention of one head and two dense layers, scanned over stacked weights."""
    names = ["attention", "mlp", "block"]

    def loss(marking, eps, params, x, y):
        def block(x, inputs):
            (into, out, up, down), eps = inputs
            mark, outputs = marking(eps)
            query, key, value = jnp.split(jax.nn.standardize(x) @ into, 3, -1)
            mixed = jax.nn.softmax(query @ key.T / width**0.5) @ value
            x = x + mark(mixed @ out, "attention")
            x = x + mark(jax.nn.gelu(jax.nn.standardize(x) @ up) @ down, "mlp")
            return mark(x, "block"), outputs

        x, outputs = lax.scan(block, x, (params, {name: eps[name] for name in names if name in eps}))
        return jnp.mean((x - y) ** 2), outputs

    sides = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
    params = kernels(*((blocks, *side) for side in sides))
    points = dict.fromkeys(names, (blocks, length, width))
    return Model(loss, params, ((length, width), (length, width)), points, batch, 1)


def kernels(*shapes: tuple[int, ...]) -> list[jax.Array]:
    numbers = np.random.default_rng(0)
    return [jnp.asarray(numbers.standard_normal(s, np.float32) / np.prod(s[-2:-1]) ** 0.5) for s in shapes]


MODELS = {"mlp": dense, "cnn": cnn, "transformer": transformer}
QUICK = {
    "mlp": functools.partial(dense, (8, 16, 10), 16),
    "cnn": functools.partial(cnn, 8, (1, 2, 4), 8),
    "transformer": functools.partial(transformer, 2, 8, 4, 8),
}


def rows(model: Model) -> Iterator[Batch]:
    """Batches without end, of random numbers, at no cost that would hide another."""
    numbers = np.random.default_rng(1)
    x, y = (numbers.standard_normal((POOL * model.batch, *shape), np.float32) for shape in model.shapes)
    starts = itertools.cycle(range(0, len(x), model.batch))
    return ((x[i : i + model.batch], y[i : i + model.batch]) for i in starts)


# The loop by hand ----------------------------------------------------------------------------------------


def by_hand(model: Model, keep: str, mesh: Mesh | None) -> Loop:
    """The loop, compiled: it goes through batches and returns means over the data."""
    whole, divided = (None if mesh is None else NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
    params = jax.device_put(model.params, whole)
    step = jax.jit(functools.partial(_step, model, keep))
    step(params, *jax.device_put(next(rows(model)), divided))  # compiled here

    def loop(batches: Iterable[Batch]) -> dict[str, Any]:
        under_way: collections.deque[Any] = collections.deque()
        results = _Results()
        for batch in batches:
            under_way.append(step(params, *jax.device_put(batch, divided)))
            if len(under_way) > 2:
                results.add(under_way.popleft())
        while under_way:
            results.add(under_way.popleft())
        return results.means()

    return loop


def _step(model: Model, keep: str, params: Any, x: jax.Array, y: jax.Array) -> tuple[Any, Any, Any]:
    """Of a batch: losses, ℓ2 norms of δ by point, and what is kept of it."""

    def datum(x, y):
        zeros = {name: jnp.zeros(shape) for name, shape in model.points.items()}
        loss = lambda eps: model.loss(walk_cost.shifted, eps, params, x, y)
        (value, outputs), deltas = jax.value_and_grad(loss, has_aux=True)(zeros)
        if keep == "none":
            return value, jax.tree.map(_l2, deltas), {}
        return value, jax.tree.map(_l2, deltas), {"output": outputs, "delta": deltas}

    losses, norms, sides = jax.vmap(datum)(x, y)
    rest = _rest_of_summary if keep == "summary" else lambda x: {}
    kept = lambda x: _norms(1 + model.loops, x) | rest(x)
    return losses, norms, {side: jax.tree.map(kept, values) for side, values in sides.items()}


def _l2(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(x * x))


def _rest_of_summary(x: jax.Array) -> dict[str, jax.Array]:
    mean, of_datum = jnp.mean(x), tuple(range(1, x.ndim))
    return {
        "mean": mean,
        "variance": jnp.mean((x - mean) ** 2),
        "zeros": jnp.sum(x == 0),
        "nan": jnp.sum(jnp.isnan(x)),
        "inf": jnp.sum(jnp.isinf(x)),
        "nonfinite_data": jnp.sum(~jnp.all(jnp.isfinite(x), of_datum)),
    }


def _norms(leading: int, x: jax.Array) -> dict[str, jax.Array]:
    """Of a batch, per step of a scan, as `jw.stats.norms`."""
    axes = tuple(range(leading, x.ndim))
    size, squares = jnp.abs(x), jnp.sum(x * x, axes)
    return {
        "l1": jnp.mean(jnp.sum(size, axes), 0),
        "l2": jnp.mean(jnp.sqrt(squares), 0),
        "max": jnp.max(size, (0, *axes)),
        "squares": jnp.sum(squares, 0),
    }


class _Results:
    """What has come back, added up."""

    def __init__(self):
        self.losses: list[float] = []
        self.total: Any = None
        self.count = 0

    def add(self, found: Any) -> None:
        losses, _, kept = jax.tree.map(np.asarray, found)
        self.count += len(losses)
        self.losses.append(float(losses.sum()))
        self.total = kept if self.total is None else jax.tree.map_with_path(_added, self.total, kept)

    def means(self) -> dict[str, Any]:
        return {"loss": sum(self.losses) / self.count, "kept": self.total, "batches": len(self.losses)}


def _added(path: Any, a: Any, b: Any) -> Any:
    return np.maximum(a, b) if path[-1].key == "max" else a + b


def evaluated(model: Model, keep: str, mesh: Mesh | None, **options: Any) -> Callable[[Iterable[Batch]], Any]:
    loss = lambda *args: model.loss(walk_cost.tagged, {}, *args)[0]
    return lambda batches: jw.evaluate(
        loss, model.params, batches, at=list(model.points), keep=KEEPS[keep], mesh=mesh, progress=False, **options
    )


# Throughput ----------------------------------------------------------------------------------------------


def throughput(model: Model, keep: str, mesh: Mesh | None, rounds: int, block: int | None) -> dict[str, Any]:
    """The seconds of a batch, by hand and in `evaluate`, in each round."""
    hand, other = (by_hand(model, "norms" if keep == "summary" else keep, mesh) for _ in range(2))
    mine = other if keep == "again" else evaluated(model, keep, mesh)
    size = block or _block(model, hand)
    turns = _Turns(model, hand, size, rounds)
    with _compilations() as compiled:
        turns.compiled = compiled
        found = mine(turns)
    check(model, keep, mesh, hand)
    ratios = np.divide(turns.hand, turns.mine)
    return {
        "hand_s": turns.hand,
        "evaluate_s": turns.mine,
        "data_per_s": model.batch / float(np.median(turns.mine)),
        "ratio": np.quantile(ratios, [0.25, 0.5, 0.75]).tolist(),
        "cpu_ratio": float(np.median(np.divide(turns.hand_cpu, turns.mine_cpu))),
        "compiled": turns.compilations[0],
        "compiled_later": turns.compilations[-1] - turns.compilations[0],
        "advance": sum(name == "jit(advance)" for name, _ in compiled),
        "compile_s": sum(seconds for _, seconds in compiled),
        "count": getattr(found, "count", None),
    }


def _block(model: Model, loop: Loop) -> int:
    """Batches that take about `SECONDS`."""
    taken = 1.0
    for _ in range(2):
        start = time.perf_counter()
        loop(itertools.islice(rows(model), 20))
        taken = (time.perf_counter() - start) / 20
    return max(24, int(SECONDS / taken))


class _Turns:
    """Batches for `evaluate`; between its blocks the loop by hand takes one."""

    def __init__(self, model: Model, hand: Loop, size: int, rounds: int):
        self.model, self.by_hand, self.size, self.rounds = model, hand, size, rounds
        self.hand: list[float] = []
        self.mine: list[float] = []
        self.hand_cpu: list[float] = []
        self.mine_cpu: list[float] = []
        self.compilations: list[int] = []
        self.compiled: list[Any] = []

    def __iter__(self) -> Iterator[Batch]:
        data = rows(self.model)
        # After a first group of batches all is compiled: the step with the first, what ends a group with the last.
        yield from itertools.islice(data, GROUP // self.model.batch + SETTLED)
        self.by_hand(itertools.islice(data, SETTLED))  # compiled again where a mesh is set around it
        for _ in range(self.rounds):
            self._settle()
            self.compilations.append(len(self.compiled))
            self.by_hand(_timed(data, self.size, self.hand, self.hand_cpu))
            yield from _timed(data, self.size, self.mine, self.mine_cpu)
        self._settle()
        self.compilations.append(len(self.compiled))

    def _settle(self) -> None:
        for array in jax.live_arrays():
            with contextlib.suppress(RuntimeError):  # given away since
                array.block_until_ready()


def _timed(data: Iterator[Batch], size: int, seconds: list[float], cpu: list[float]) -> Iterator[Batch]:
    yield from itertools.islice(data, SETTLED)
    start, busy = time.perf_counter(), time.process_time()
    yield from itertools.islice(data, size)
    seconds.append((time.perf_counter() - start) / size)
    cpu.append((time.process_time() - busy) / size)


@contextlib.contextmanager
def _compilations() -> Iterator[list[tuple[str, float]]]:
    """The functions compiled meanwhile, and the seconds that each took."""
    found: list[tuple[str, float]] = []

    def listen(event: str, duration_secs: float, **about: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            found.append((str(about.get("fun_name")), duration_secs))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.clear_event_listeners()


def check(model: Model, keep: str, mesh: Mesh | None, hand: Loop) -> None:
    """Ends the program if the two disagree over a few batches."""
    if keep == "again":
        return
    expected: Any = hand(itertools.islice(rows(model), 5))
    found: Any = evaluated(model, keep, mesh)(itertools.islice(rows(model), 5))
    walk_cost.agree("evaluate", {"loss": found.loss}, {"loss": expected["loss"]})
    for side, points in expected["kept"].items():
        for name, want in points.items():
            entries = 5 * model.batch * np.prod(model.points[name]) / np.size(want["l1"])
            rms = np.sqrt(want["squares"] / entries)
            of = {key: found.kept[name][f"{side}_{key}"] for key in ("l1", "l2", "max", "rms")}
            want = {"l1": want["l1"] / 5, "l2": want["l2"] / 5, "max": want["max"], "rms": rms}
            walk_cost.agree(f"evaluate, {side} of {name}", of, want)


# Calls ---------------------------------------------------------------------------------------------------


def calls(model: Model, keep: str, rounds: int, block: int | None) -> dict[str, Any]:
    """The seconds of processor time of the first call, and those of later ones, by hand and by `evaluate`."""
    start = time.process_time()
    hand = by_hand(model, "norms" if keep == "summary" else keep, None)
    hand(itertools.islice(rows(model), 1))
    between = time.process_time()
    mine = evaluated(model, keep, None)
    mine(itertools.islice(rows(model), 1))
    first = {"hand": between - start, "evaluate": time.process_time() - between}
    epoch = list(itertools.islice(rows(model), block or 6 * _block(model, hand)))
    later: dict[str, list[float]] = {"hand": [], "evaluate": []}
    with _compilations() as compiled:
        for turn in range(2 * rounds):
            name, loop = [("hand", hand), ("evaluate", mine)][turn % 2]
            began = time.perf_counter()
            loop(epoch)
            later[name].append(time.perf_counter() - began)
    ratios = np.divide(later["evaluate"], later["hand"])
    return {"first_s": first, "later_s": later, "ratio": np.quantile(ratios, [0.25, 0.5, 0.75]).tolist()} | {
        "compiled_later": len(compiled)
    }


# Compile -------------------------------------------------------------------------------------------------


def chain_of(points: int, width: int = 16, batch: int = 64) -> Model:
    return dense((width,) * (points + 1), batch)


def compiled(points: int, way: str, keep: str) -> dict[str, Any]:
    """The seconds of processor time of the first call over one batch."""
    model = chain_of(points)
    jnp.zeros(3).block_until_ready()  # the backend has started
    start = time.process_time()
    loop = by_hand(model, keep, None) if way == "hand" else evaluated(model, keep, None)
    loop(itertools.islice(rows(model), 1))
    return {"first_s": time.process_time() - start}


# Memory --------------------------------------------------------------------------------------------------


def memory(model: Model, way: str, keep: str, number: int) -> dict[str, Any]:
    """The most that was resident, its growth since the third batch, and the seconds of the whole."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"out": pathlib.Path(folder, "rows")} if way == "out" else {}
        start = time.perf_counter()
        loop = by_hand(model, keep, None) if way == "hand" else evaluated(model, keep, None, **options)
        resident: list[float] = []
        loop(_watched(model, number, resident))
        taken = time.perf_counter() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    grown = max(resident) - resident[2] if len(resident) > 3 else 0.0
    return {"peak_mib": most, "grown_mib": grown, "seconds": taken}


def _watched(model: Model, number: int, resident: list[float]) -> Iterator[Batch]:
    for x, y in itertools.islice(rows(model), -(-number // model.batch)):
        resident.append(_resident())
        left = number - (len(resident) - 1) * model.batch
        yield x[:left], y[:left]
    resident.append(_resident())


def _resident() -> float:
    """MiB, where the system tells."""
    told = pathlib.Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * resource.getpagesize() / 2**20 if told.exists() else float("nan")


# Processes -----------------------------------------------------------------------------------------------


def apart(task: Mapping[str, Any]) -> Any:
    """What `task_of` says in a new process."""
    command = [sys.executable, __file__, "--task", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stderr}\nThe process of {dict(task)} failed.")
    return json.loads(done.stdout.splitlines()[-1])


def task_of(task: dict[str, Any]) -> Any:
    jax.config.update("jax_enable_compilation_cache", False)  # else a second run would measure the disk
    jax.config.update("jax_num_cpu_devices", task["devices"])
    model = (QUICK if task["quick"] else MODELS)[task["model"]]()
    if "points" in task:
        return compiled(task["points"], task["way"], task["keep"])
    if "rows" in task:
        return memory(model, task["way"], task["keep"], task["rows"])
    if task.get("calls"):
        return calls(model, task["keep"], task["rounds"], 8 if task["quick"] else None)
    mesh = None if task["devices"] == 1 else Mesh(np.array(jax.devices()), ("data",))
    return throughput(model, task["keep"], mesh, task["rounds"], 8 if task["quick"] else None)


# Showing -------------------------------------------------------------------------------------------------


def show_throughput(model: str, keep: str, devices: int, found: Mapping[str, Any]) -> None:
    lower, median, upper = found["ratio"]
    hand, mine = (1e3 * float(np.median(found[key])) for key in ("hand_s", "evaluate_s"))
    compiled = f"{found['advance']:6}{found['compiled_later']:7}{found['compile_s']:9.1f}" if keep != "again" else ""
    late = "  under" if median < BAR and keep in ("none", "norms") else ""
    print(
        f"{model:12}{keep:9}{devices:8}{found['data_per_s']:12,.0f}{hand:10.3f}{mine:10.3f}"
        f"{median:8.3f}{f'{lower:.3f}-{upper:.3f}':>14}{found['cpu_ratio']:8.3f}{compiled}{late}",
        flush=True,
    )


def show_calls(model: str, keep: str, found: Mapping[str, Any]) -> None:
    lower, median, upper = found["ratio"]
    hand, mine = found["first_s"]["hand"], found["first_s"]["evaluate"]
    again = 1e3 * float(np.median(found["later_s"]["hand"]))
    over = "  over" if median > CALL_BAR and keep in ("none", "norms") else ""
    print(
        f"{model:12}{keep:9}{hand:11.1f}{mine:11.1f}{mine / hand:8.2f}{again:14.1f}"
        f"{median:8.3f}{f'{lower:.3f}-{upper:.3f}':>14}{found['compiled_later']:10}{over}",
        flush=True,
    )


def show_memory(model: str, keep: str, way: str, number: int, found: Mapping[str, Any], before: float | None) -> None:
    ratio = "" if before is None else f"{found['peak_mib'] / before:10.3f}"
    over = "  over" if before is not None and found["peak_mib"] / before > MEMORY_BAR and number > 10**5 else ""
    print(
        f"{model:12}{keep:9}{way:>9}{number:10,}{found['peak_mib']:10.1f}{found['grown_mib']:10.1f}"
        f"{found['seconds']:9.1f}{ratio}{over}",
        flush=True,
    )


def numbers(text: str) -> list[int]:
    return [walk_cost.positive(part) for part in text.split(",")]


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", nargs="+", choices=[*MODELS], default=[*MODELS])
    parser.add_argument("--keep", nargs="+", choices=[*KEEPS, "again"], default=["again", *KEEPS])
    parser.add_argument("--rounds", type=walk_cost.positive, help="of two blocks (default 60; with --quick 3)")
    parser.add_argument("--devices", type=numbers, default=[1, 2, 4], help="virtual ones of the CPU")
    parser.add_argument("--rows", type=numbers, help="for memory (default 10000,100000,1000000; with --quick 100,1000)")
    parser.add_argument("--only", choices=["throughput", "calls", "compile", "memory"])
    parser.add_argument("--points", type=numbers, help="for compile (default 10,100,1000; with --quick 10)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--json", metavar="FILE", help="write every figure there")
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args()


def all_throughput(options: argparse.Namespace) -> list[dict[str, Any]]:
    print(f"\n{'':29}{'data/s':>12}{'hand ms':>10}{'eval. ms':>10}{'ratio':>8}{'quartiles':>14}{'cpu':>8}", end="")
    print(f"{'steps':>6}{'later':>7}{'build s':>9}")
    found = []
    for devices, model, keep in itertools.product(options.devices, options.model, options.keep):
        rounds = options.rounds or (3 if options.quick else 60)
        task = {"model": model, "keep": keep, "devices": devices, "rounds": rounds, "quick": options.quick}
        found.append(task | apart(task))
        show_throughput(model, keep, devices, found[-1])
    return found


def all_calls(options: argparse.Namespace) -> list[dict[str, Any]]:
    print(f"\n{'':21}{'first: hand':>11}{'evaluate':>11}{'ratio':>8}{'again: hand ms':>14}{'ratio':>8}", end="")
    print(f"{'quartiles':>14}{'compiled':>10}")
    found = []
    for model, keep in itertools.product(options.model, [keep for keep in options.keep if keep != "again"]):
        rounds = options.rounds or (2 if options.quick else 12)
        task = {"model": model, "keep": keep, "devices": 1, "rounds": rounds, "quick": options.quick, "calls": True}
        found.append(task | apart(task))
        show_calls(model, keep, found[-1])
    return found


def all_compile(options: argparse.Namespace) -> list[dict[str, Any]]:
    print(f"\n{'points':>8}  {'keep':9}{'hand s':>9}{'evaluate s':>12}{'ratio':>8}{'least-most':>14}")
    found = []
    keeps = [keep for keep in options.keep if keep != "again"]
    for points, keep in itertools.product(options.points or ([10] if options.quick else [10, 100, 1000]), keeps):
        task = {"points": points, "keep": keep, "devices": 1, "quick": options.quick, "model": "mlp"}
        turns = range(options.rounds or (1 if options.quick else 3))
        seconds = [[apart(task | {"way": way})["first_s"] for way in ("hand", "evaluate")] for _ in turns]
        hand, mine = np.array(seconds).T
        found.append(task | {"hand_s": hand.tolist(), "evaluate_s": mine.tolist()})
        ratios = mine / hand
        spread = f"{ratios.min():.2f}-{ratios.max():.2f}"
        over = "  over" if np.median(ratios) > COMPILE_BAR and points >= 100 else ""
        times = f"{np.median(hand):9.2f}{np.median(mine):12.2f}{np.median(ratios):8.2f}"
        print(f"{points:8,}  {keep:9}{times}{spread:>14}{over}", flush=True)
    return found


def all_memory(options: argparse.Namespace) -> list[dict[str, Any]]:
    print(f"\n{'':21}{'':>9}{'rows':>10}{'peak MiB':>10}{'grown':>10}{'seconds':>9}{'× fewer':>10}")
    found = []
    for keep, way in [("none", "hand"), ("none", "evaluate"), ("none", "out"), ("summary", "evaluate")]:
        before = None
        for number in options.rows or ([100, 1000] if options.quick else [10**4, 10**5, 10**6]):
            task = {"model": options.model[0], "keep": keep, "way": way, "rows": number, "devices": 1}
            found.append(task | apart(task | {"quick": options.quick}))
            show_memory(options.model[0], keep, way, number, found[-1], before)
            before = found[-1]["peak_mib"]
    return found


def main() -> None:
    options = options_of()
    if options.task:
        print(json.dumps(task_of(options.task)))
        return
    about = walk_cost.machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    report: dict[str, Any] = dict(about)
    parts = {"throughput": all_throughput, "calls": all_calls, "compile": all_compile, "memory": all_memory}
    for what, measured in parts.items():
        if options.only in (None, what):
            report[what] = measured(options)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
