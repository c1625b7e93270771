"""One of two processes: python two_processes.py PORT PROCESS WHAT. Prints what an evaluation of its half of the data found."""

import json
import sys

import jax
import numpy as np

port, process, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=process)

import jax.numpy as jnp  # noqa: E402

import jaxwalk as jw  # noqa: E402

random = np.random.default_rng(0)
WEIGHTS = random.normal(size=(3, 4)).astype(np.float32)
X, Y = random.normal(size=(26, 3)).astype(np.float32), random.normal(size=26).astype(np.float32)


def fun(weights, x, y):
    hidden = jw.tag(jax.nn.relu(x @ weights), "hidden")
    return (jnp.sum(hidden) - y) ** 2


def batches(size=4):
    """One process has more data than the other, and they come by other batches."""
    mine = [slice(0, 9), slice(9, 26)][process]
    x, y = X[mine], Y[mine]
    for start in range(0, len(x), size):
        if what == "error" and process == 1 and start == 8:
            raise RuntimeError("this half is gone")
        yield x[start : start + size], y[start : start + size]


def said(found):
    kept = {name: {key: value.tolist() for key, value in kept.items()} for name, kept in found.kept.items()}
    culprits = [[d.index, d.loss, float(d.norms["hidden"])] for d in found.culprits]
    return {"count": found.count, "loss": found.loss, "kept": kept, "culprits": culprits}


options = {"keep": jw.stats.combine(jw.stats.norms, jw.stats.dead), "progress": False, "top": 5}
if what.startswith("out="):
    options |= {"out": what.removeprefix("out="), "resume": True}
try:
    print(json.dumps(said(jw.evaluate(fun, WEIGHTS, batches(), **options))))
except Exception as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}", **said(error.evaluation)}))
