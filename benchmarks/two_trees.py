"""This tree against another checkout of jaxwalk, in one run: importing, tracing, compiling, running, evaluating.

    python benchmarks/two_trees.py PATH_OF_THE_OTHER [--rounds 10] [--only import walk ...] [--quick] [--json FILE]

Each tree has a process of its own, of one Python and one jax; the tasks are done by turns, so that a slow moment of the
machine meets both. Ratios are this tree's over the other's, taken within each round; under 1 is better.

    import            `import jaxwalk; jaxwalk.walk` after `import jax`, in a new process
    points, ... lines `jw.points` of the 24-layer MLP of walk_cost.py, by tags and by lines: tracing, and the search
    trace             tracing and lowering a jitted `jw.walk` of it
    compile           compiling that
    walk, keep        running it; with every δ, and keeping norms alone
    first evaluate    `jw.evaluate` of one batch, less what JAX took to lower and to compile: tracing and searching
    ... lines         the same of points by line
    evaluate          the same call over 20 batches more, less that of one: gone through, nothing compiled
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

HERE = pathlib.Path(__file__).resolve().parent
IMPORT = (
    "import jax, time; start = time.perf_counter(); import jaxwalk; jaxwalk.walk; print(time.perf_counter() - start)"
)


# In the process of one tree -------------------------------------------------------------------------------


def serve(is_quick: bool) -> None:
    """Does the tasks whose names come in, line by line, and answers each with its seconds."""
    sys.path.append(str(HERE))
    tasks = tasks_of(is_quick)
    for line in sys.stdin:
        print(f"seconds {tasks[line.strip()]()}", flush=True)


def tasks_of(is_quick: bool) -> dict[str, Callable[[], float]]:
    import jax
    import walk_cost

    import jaxwalk as jw

    model = (walk_cost.QUICK if is_quick else walk_cost.MODELS)["mlp"]()
    loss = {
        "tags": walk_cost.plain_loss(model, walk_cost.tagged),
        "lines": walk_cost.plain_loss(model, walk_cost.untagged),
    }
    walks = {"walk": jw.walk(loss["tags"], by="tags"), "keep": jw.walk(loss["tags"], by="tags", keep=walk_cost.keep)}
    built = {name: walk_cost.build([walk], model.args) for name, walk in walks.items()}

    def points(by: str) -> float:
        jax.clear_caches()
        return timed(lambda: jw.points(loss[by], *model.args, by=by))

    return {
        "points": lambda: points("tags"),
        "points lines": lambda: points("lines"),
        "trace": lambda: walk_cost.build([walks["walk"]], model.args).trace,
        "compile": lambda: walk_cost.build([walks["walk"]], model.args).compile,
        "walk": lambda: walk_cost.seconds(built["walk"], model.args),
        "keep": lambda: walk_cost.seconds(built["keep"], model.args),
        "first evaluate": functools.partial(first_evaluate, loss["tags"], model, "tags"),
        "first evaluate lines": functools.partial(first_evaluate, loss["lines"], model, "lines"),
        "evaluate": functools.partial(next_batches, loss["tags"], model),
    }


def timed(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def evaluated(loss: Callable, model, by: str, batches: int) -> float:
    """The seconds of `jw.evaluate` with norms, a fresh function of one datum each time."""
    import jaxwalk as jw

    weights, x, y = model.args
    fun = lambda weights, x, y: loss(weights, x, y)
    return timed(lambda: jw.evaluate(fun, weights, [(x, y)] * batches, by=by, keep=jw.stats.norms, progress=False))


def first_evaluate(loss: Callable, model, by: str) -> float:
    import jax

    others: list[float] = []

    def listen(event: str, duration_secs: float, **_) -> None:
        if "backend_compile" in event or "to_mlir" in event:
            others.append(duration_secs)

    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        return evaluated(loss, model, by, 1) - sum(others)
    finally:
        jax.monitoring.clear_event_listeners()


def next_batches(loss: Callable, model) -> float:
    import jax

    others: list[float] = []

    def listen(event: str, duration_secs: float, **_) -> None:
        if event.startswith("/jax/core/compile"):
            others.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        whole = evaluated(loss, model, "tags", 21) - sum(others)
        others.clear()
        return whole - (evaluated(loss, model, "tags", 1) - sum(others))
    finally:
        jax.monitoring.clear_event_listeners()


# In the process that compares -----------------------------------------------------------------------------


class Tree:
    """A checkout, and the process that does tasks in it."""

    def __init__(self, path: pathlib.Path, is_quick: bool) -> None:
        self._environment = os.environ | {"PYTHONPATH": str(path)}
        command = [sys.executable, __file__, str(path), "--serve", *(["--quick"] if is_quick else [])]
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": self._environment}
        self._process = subprocess.Popen(command, **options)

    def seconds(self, task: str) -> float:
        if task == "import":
            command = [sys.executable, "-c", IMPORT]
            return float(subprocess.run(command, env=self._environment, capture_output=True, check=True).stdout)
        print(task, file=self._process.stdin, flush=True)
        for line in self._process.stdout or ():
            if line.startswith("seconds "):
                return float(line.split()[1])
        raise SystemExit(f"The process of {self._environment['PYTHONPATH']} ended at `{task}`.")

    def end(self) -> None:
        self._process.communicate()


TASKS = [
    "import", "points", "points lines", "trace", "compile", "walk", "keep",
    "first evaluate", "first evaluate lines", "evaluate",
]  # fmt: skip


def compare(other: pathlib.Path, tasks: list[str], rounds: int, is_quick: bool) -> dict[str, list[list[float]]]:
    """For each task the seconds of both trees, round by round; the tree that begins changes."""
    trees = [Tree(HERE.parent, is_quick), Tree(other.resolve(), is_quick)]
    found: dict[str, list[list[float]]] = {task: [] for task in tasks}
    for number in range(rounds + 1):
        for task in tasks:
            both = dict.fromkeys(trees, 0.0)
            for tree in trees if number % 2 else trees[::-1]:
                both[tree] = tree.seconds(task)
            if number:  # the first round warms up
                found[task].append(list(both.values()))
    for tree in trees:
        tree.end()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("other", type=pathlib.Path, help="the root of the other checkout")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=TASKS, metavar="TASK")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--json", metavar="FILE", help="write every figure there")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.quick)
        return
    import numpy as np

    found = compare(options.other, options.only, options.rounds, options.quick)
    print(f"{'':22}{'this ms':>10}{'other ms':>10}{'ratio':>8}  quartiles")
    for task, both in found.items():
        this, other = np.transpose(both)
        low, middle, high = np.quantile(this / other, [0.25, 0.5, 0.75])
        times = f"{1e3 * np.median(this):10.1f}{1e3 * np.median(other):10.1f}"
        print(f"{task:22}{times}{middle:8.3f}  {low:.2f}-{high:.2f}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
