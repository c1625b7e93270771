"""One of two processes, for test_processes: python two_processes.py PORT PROCESS WHAT prints what `evaluate` found."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np

import jaxwalk as jw

HALVES, SIZE = (slice(0, 9), slice(9, 26)), 4


def problem():
    """(weights, x, y)."""
    random = np.random.default_rng(0)
    normal = lambda *shape: random.normal(size=shape).astype(np.float32)
    return normal(3, 4), normal(26, 3), normal(26)


def fun(weights, x, y):
    hidden = jw.tag(jax.nn.relu(x @ weights), "hidden")
    return (jnp.sum(hidden) - y) ** 2


def batches(process, fails_at=None):
    """One process has more data than the other; an empty batch comes between."""
    _, x, y = problem()
    x, y = x[HALVES[process]], y[HALVES[process]]
    for start in range(0, len(x), SIZE):
        if start == fails_at:
            raise RuntimeError("this half is gone")
        yield x[start : start + SIZE], y[start : start + SIZE]
        yield x[:0], y[:0]


def said(found):
    kept = {name: {key: value.tolist() for key, value in kept.items()} for name, kept in found.kept.items()}
    culprits = [[d.index, d.loss, float(d.norms["hidden"])] for d in found.culprits]
    return {"count": found.count, "loss": found.loss, "kept": kept, "culprits": culprits}


def main(port, process, what):
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=process)
    fails, _, out = what.partition("=")
    options = {"keep": jw.stats.combine(jw.stats.norms, jw.stats.dead), "progress": False, "top": 26}
    options |= {"out": out, "resume": True} if out else {}
    data = batches(process, fails_at=8 if fails == "fails" and process == 1 else None)
    try:
        print(json.dumps(said(jw.evaluate(fun, problem()[0], data, **options))))
    except Exception as error:
        done = said(error.evaluation) if hasattr(error, "evaluation") else {}
        print(json.dumps({"error": f"{type(error).__name__}: {error}", **done}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
