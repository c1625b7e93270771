"""What statistics cost in a training step: `jw.walk(keep=...)` beside `jax.value_and_grad`, both compiled.

    python benchmarks/stats_cost.py [--rounds N] [--only WAY ...] [--quick] [--json FILE]

The model is `walk_cost`'s transformer: pre-norm blocks, scanned over stacked weights, each rematerialised. The step is
the loss and the gradient of all weights. The ways run interleaved, in random order within a round; of the ratios within
each round, the quartiles are shown. The bars are 1.03 in time (its median) and 1.03 in temp memory as XLA plans it.

    step       `jax.value_and_grad`
    again      the same, compiled a second time: what the machine's noise makes of a ratio of 1
    δ ...      `of_delta` of a statistic, at the output of every layer
    both ...   a statistic of output and δ, at the output of every layer, inside the rematerialised block
    each ...   the same at three points inside every block: beyond the bars

Wall time on a shared machine is that of its other users too; the time of its processors, summed, is less so.

What a statistic makes of the output alone is computed in the forward pass. What looks at output and δ together, as
`blocked`, needs the output in the backward pass: at the end of a rematerialised block that is one more product of
matrices, which nothing else there needs; at a point outside the block, it would be saved.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import walk_cost

import jaxwalk as jw
from jaxwalk import stats

BAR = 1.03
INSIDE = ["attention", "mlp", "block"]
SIZES = {"blocks": 12, "width": 256, "heads": 4, "length": 128, "batch": 8}
QUICK = {"blocks": 2, "width": 16, "heads": 2, "length": 8, "batch": 2}
OF_DELTA = ["norms", "moments", "magnitudes", "summary"]
OF_BOTH = ["norms", "moments", "blocked", "summary"]
OF_EACH = ["norms", "summary"]


def ways(model: walk_cost.Model) -> dict[str, Callable]:
    loss = walk_cost.plain_loss(model, walk_cost.tagged)
    step = jax.value_and_grad(loss)
    watched = functools.partial(jw.walk, loss, by="tags", argnums=0)
    of_delta = {f"δ {name}": watched("block", keep=stats.of_delta(getattr(stats, name))) for name in OF_DELTA}
    of_both = {f"both {name}": watched("block", keep=getattr(stats, name)) for name in OF_BOTH}
    of_each = {f"each {name}": watched(INSIDE, keep=getattr(stats, name)) for name in OF_EACH}
    return {"step": step, "again": lambda *args: step(*args)} | of_delta | of_both | of_each


def check(results: dict[str, Any]) -> None:
    """Ends the program if a walk's gradients are not those of the step."""
    value, grads = results["step"]
    for way, walked in results.items():
        if way not in ("step", "again"):
            walk_cost.agree(way, {"the loss": walked.value} | walked.grads, {"the loss": value} | grads)


def measure(model: walk_cost.Model, rounds: int, only: list[str] | None) -> dict[str, dict[str, Any]]:
    chosen = {way: fun for way, fun in ways(model).items() if only is None or way in ["step", *only]}
    built = {way: walk_cost.build([fun], model.args) for way, fun in chosen.items()}
    check({way: jax.tree.map(np.asarray, walk_cost.results_of(one, model.args)[0]) for way, one in built.items()})
    runs = walk_cost.interleaved(rounds, {way: functools.partial(run, one, model.args) for way, one in built.items()})
    times = {way: dict(zip(("wall_s", "cpu_s"), zip(*runs[way], strict=True), strict=True)) for way in built}
    figures: dict[str, dict[str, Any]] = {way: times[way] | walk_cost.memory(built[way]) for way in built}
    for figure in figures.values():
        figure["time_ratio"] = walk_cost.ratios(figure["wall_s"], figures["step"]["wall_s"])
        figure["cpu_ratio"] = walk_cost.ratios(figure["cpu_s"], figures["step"]["cpu_s"])
        figure["temp_ratio"] = figure["temp_bytes"] / figures["step"]["temp_bytes"]
        figure["within"] = figure["time_ratio"][1] <= BAR and figure["temp_ratio"] <= BAR
    return figures


def run(built: walk_cost.Built, args: tuple) -> tuple[float, float]:
    """Seconds on the clock, and of all processors together."""
    processors = time.process_time()
    return walk_cost.seconds(built, args), time.process_time() - processors


def show(figures: dict[str, dict[str, Any]]) -> None:
    print(f"{'':16}{'ms':>8}{'× step':>8}{'quartiles':>14}{'cpu ms':>8}{'× step':>8}{'quartiles':>14}", end="")
    print(f"{'temp MiB':>10}{'× step':>8}")
    for way, figure in figures.items():
        line = f"{way:16}"
        for clock, ratio in (("wall_s", "time_ratio"), ("cpu_s", "cpu_ratio")):
            lower, median, upper = figure[ratio]
            line += f"{1e3 * np.median(figure[clock]):8.1f}{median:8.3f}{f'{lower:.3f}-{upper:.3f}':>14}"
        line += f"{figure['temp_bytes'] / 2**20:10.2f}{figure['temp_ratio']:8.3f}"
        print(line + ("" if figure["within"] else "  over"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=walk_cost.positive, help="rounds of runs (default 40; with --quick 3)")
    parser.add_argument("--only", nargs="+", metavar="WAY", help="these ways, and the step")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--json", metavar="FILE", help="write every figure there")
    options = parser.parse_args()

    sizes = QUICK if options.quick else SIZES
    print(", ".join(f"{key} {value}" for key, value in (walk_cost.machine() | sizes).items()))
    figures = measure(walk_cost.transformer(**sizes), options.rounds or (3 if options.quick else 40), options.only)
    show(figures)
    if options.json:
        report = walk_cost.machine() | {"sizes": sizes, "ways": figures}
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
