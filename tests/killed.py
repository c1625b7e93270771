"""An evaluation that is killed, for test_resume: python killed.py KILLS [SEED] kills as many at random moments."""

import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS, SIZE, PART = 4_000, 20, 40  # of the data, of a batch, of a part


def evaluated(directory):
    """What is run, and killed: it goes on with what is in `directory`, and ends with a file beside it."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import jaxwalk as jw
    import jaxwalk._evaluate.programs

    jaxwalk._evaluate.programs.GROUP = PART
    numbers = np.random.default_rng(0)
    weights = numbers.normal(size=(3, 8, 8)).astype(np.float32)
    x, y = numbers.normal(size=(ROWS, 8)).astype(np.float32), numbers.normal(size=ROWS).astype(np.float32)

    def fun(weights, x, y):
        step = lambda h, w: (jw.tag(jnp.tanh(h @ w), "h"), None)
        return (jnp.sum(jw.tag(jax.lax.scan(step, x, weights)[0], "last")) - y) ** 2

    batches = ((x[i : i + SIZE], y[i : i + SIZE]) for i in range(0, ROWS, SIZE))
    keep = jw.stats.combine(jw.stats.norms, jw.stats.dead, jw.stats.averaged(lambda output, delta: output * delta))
    found = jw.evaluate(fun, weights, batches, keep=keep, out=directory, resume=True, progress=False)
    found.save(f"{directory}.npz")


def started(directory, cache):
    compiled = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment = os.environ | compiled | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, __file__, str(directory)], env=environment)


def parts(directory):
    return len(list(Path(directory).glob("rows/part-*.parquet")))


def killed(directory, cache, may_go_on):
    """Kills a run as soon as it may not go on, and says how many parts are there; None if it ended before."""
    process = started(directory, cache)
    try:
        while process.poll() is None and may_go_on():
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
    ended = process.wait() == 0
    assert ended or process.returncode == -signal.SIGKILL
    return None if ended else parts(directory)


def finished(directory, cache):
    """Runs it to its end: what it found and the rows, as bytes."""
    assert started(directory, cache).wait() == 0
    files = sorted(Path(directory).glob("rows/*.parquet"))
    return Path(f"{directory}.npz").read_bytes(), [file.read_bytes() for file in files]


def main(kills, seed):
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        cache, identical, hit = Path(place, "cache"), 0, 0
        finished(Path(place, "warm"), cache)
        begin = time.monotonic()
        whole = finished(Path(place, "whole"), cache)
        seconds = time.monotonic() - begin
        for directory in map(Path(place).joinpath, map(str, itertools.count())):
            if hit == kills:
                break
            until = time.monotonic() + chance.uniform(0, seconds)
            there = killed(directory, cache, lambda until=until: time.monotonic() < until)
            if there is None:
                continue
            hit, same = hit + 1, finished(directory, cache) == whole
            identical += same
            print(
                f"kill {hit}: {there} of {len(whole[1])} parts were there; {'identical' if same else 'DIFFERENT'}",
                flush=True,
            )
    print(f"{kills} kills, {identical} identical results")


if __name__ == "__main__":
    if sys.argv[1].isdecimal():
        main(int(sys.argv[1]), *sys.argv[2:3] or "0")
    else:
        evaluated(sys.argv[1])
