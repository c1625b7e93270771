"""One of two processes, for test_processes: python two_processes.py PORT PROCESS WHAT [OUT] prints what was found.

WHAT is one way to evaluate, or several, divided by commas: whole, and how one of the two fails.
"""

import errno
import functools
import json
import os
import signal
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import jaxwalk as jw
from jaxwalk._evaluate import programs
from jaxwalk._evaluate.store import disk

HALVES, SIZE, PART = (slice(0, 9), slice(9, 26)), 4, 16


def problem():
    """(weights, x, y)."""
    random = np.random.default_rng(0)
    normal = lambda *shape: random.normal(size=shape).astype(np.float32)
    return normal(3, 4), normal(26, 3), normal(26)


def fun(weights, x, y):
    hidden = jw.tag(jax.nn.relu(x @ weights), "hidden")
    return (jnp.sum(hidden) - y) ** 2


def batches(process, at=None, then=None, size=SIZE):
    """One process has more data than the other; an empty batch comes between; `then` is called before a batch."""
    _, x, y = problem()
    x, y = x[HALVES[process]], y[HALVES[process]]
    for start in range(0, len(x), size):
        if start == at:
            then()
        yield x[start : start + size], y[start : start + size]
        yield x[:0], y[:0]


def forever(process):
    while True:
        yield from batches(process)
        time.sleep(0.01)


def fail():
    raise RuntimeError("this half is gone")


def signalled(number):
    return lambda: os.kill(os.getpid(), number)


def full(name):
    """From now on the file of this name cannot be written."""
    real = disk.write

    def write(path, data):
        if path.name == name:
            disk.write = real
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, data)

    disk.write = write


def data_of(what, process):
    """The batches of this process, which fail, or do something to it."""
    if what == "full" and process == 0:
        full("part-00001.parquet")
    if what == "full at the end" and process == 0:
        full("manifest.json")
    if what == "stopped":
        if process == 0:
            signalled(signal.SIGTERM)()
        return forever(process)
    if what == "killed":
        return forever(process)
    then = {"fails": (8, fail), "fails at once": (0, fail), "ctrl-c": (8, signalled(signal.SIGINT))}
    at, then = then.get(what, (None, None)) if process == 1 else (None, None)
    return batches(process, at, then, size=3 if what == "unlike" and process == 1 else SIZE)


def said(found):
    kept = {name: {key: value.tolist() for key, value in kept.items()} for name, kept in found.kept.items()}
    culprits = [[d.index, d.loss, float((d.totals if found.method else d.norms)["hidden"])] for d in found.culprits]
    return {"count": found.count, "loss": found.loss, "kept": kept, "culprits": culprits}


def options(what):
    """What is asked of each point."""
    if what == "method":
        return {"method": functools.partial(jw.attribute.conductance, steps=5, batch_size=2)}
    return {"keep": jw.stats.combine(jw.stats.norms, jw.stats.dead)}


def evaluated(what, process, out):
    given = options(what) | {"progress": False, "top": 26} | ({"out": out, "resume": True} if out else {})
    begin = time.monotonic()
    try:
        found = said(jw.evaluate(fun, problem()[0], data_of(what, process), **given))
    except BaseException as error:
        done = said(error.evaluation) if hasattr(error, "evaluation") else {}
        found = {"error": f"{type(error).__name__}: {error}", "notes": getattr(error, "__notes__", []), **done}
    return found | {"seconds": time.monotonic() - begin}


def main(port, process, what, out=None):
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=process, shutdown_timeout_seconds=10)
    programs.GROUP = PART
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore it
    for one in what.split(","):
        place = {"stopped": None, "whole elsewhere": f"{out}-elsewhere"}.get(one, out)
        print(json.dumps(evaluated(one, process, place)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
