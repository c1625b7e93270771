"""Training that is killed, for test_checkpoints: python killed_learning.py KILLS [SEED].

It is killed at random moments, once it has begun to write; what goes on with it must end with the same bytes in params,
optimizer's state and history as a run that was left alone.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS, SIZE, EPOCHS = 600, 8, 3


def learned(directory):
    """What is run, and killed: it goes on with what is in `directory`, and ends with a file beside it."""
    import jax
    import jax.numpy as jnp
    import optax

    import jaxwalk as jw
    import jaxwalk._learn.loop.checkpoints as checkpoints
    import jaxwalk._learn.loop.records as records

    checkpoints.SECONDS, checkpoints.SHARE, records.MOST = 0.1, 0.0, 64
    numbers = np.random.default_rng(0)
    normal = lambda *shape: numbers.normal(size=shape).astype(np.float32)
    weights = {"a": normal(6, 5), "s": normal(2, 5, 5), "empty": normal(0)}
    x, y = normal(ROWS, 6), normal(ROWS, 5)

    def fun(weights, x, y):
        step = lambda h, w: (jw.tag(jnp.tanh(h @ w), "h"), None)
        return jnp.mean((jax.lax.scan(step, x @ weights["a"], weights["s"])[0] - y) ** 2)

    def batches(epoch):
        order = np.random.default_rng(epoch).permutation(ROWS)
        for i in range(0, ROWS, SIZE):
            time.sleep(0.002)
            yield x[order[i : i + SIZE]], y[order[i : i + SIZE]]

    def keep(output, delta):
        return {"output_l2": jnp.linalg.norm(jnp.ravel(output)), "delta_zeros": (delta == 0).sum()}

    options = {"epochs": EPOCHS, "keep": keep, "every": 2, "progress": False, "evaluate": [(x[:64], y[:64])]}
    optimizer = optax.chain(optax.add_noise(0.01, 0.5, jax.random.key(0)), optax.adam(1e-2))
    found = jw.learn(fun, weights, batches, optimizer, **options, out=directory, resume=True)
    history = found.history
    arrays = jax.tree.leaves((found.params, found.opt_state, history.kept, history.weights))
    arrays += [history.steps, history.loss, np.array([history.total, history.stride, len(history.evaluations)])]
    arrays += [np.array([(one.epoch, one.step, one.loss) for one in history.evaluations])]
    is_key = lambda array: jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    arrays = [np.asarray(jax.random.key_data(array) if is_key(array) else array) for array in arrays]
    np.savez(f"{directory}.npz", *arrays)


def started(directory):
    return subprocess.Popen([sys.executable, __file__, str(directory)])


def finished(directory):
    assert started(directory).wait() == 0
    return Path(f"{directory}.npz").read_bytes()


def checkpoints(directory):
    place = Path(directory, "checkpoints")
    return sorted(int(entry.name) for entry in place.iterdir() if entry.name.isdecimal()) if place.is_dir() else []


def killed(directory, seconds):
    """Kills a run so many seconds after it has begun to write; the number of its last checkpoint, None if it ended."""
    process = started(directory)
    before = checkpoints(directory)[-1:]
    while process.poll() is None and checkpoints(directory)[-1:] == before:
        time.sleep(0.001)
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    return None if process.wait() == 0 else (*checkpoints(directory)[-1:], -1)[0]


def main(kills, seed=0):
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        begun = time.monotonic()
        whole = finished(Path(place, "whole"))
        print(f"left alone it takes {time.monotonic() - begun:.1f} s", flush=True)
        hit, identical, runs = 0, 0, 0
        while hit < kills:
            directory, here = Path(place, str(runs)), 0
            runs += 1
            for _ in range(3):  # one run is killed up to three times
                last = killed(directory, chance.uniform(0.0, 1.0)) if hit < kills else None
                if last is None:
                    break
                hit, here = hit + 1, here + 1
                print(f"kill {hit}: after checkpoint {last}", flush=True)
            same = finished(directory) == whole
            identical += here * same
            print(f"run {runs}, killed {here} times: {'identical' if same else 'DIFFERENT'}", flush=True)
    print(f"{kills} kills, {identical} of them in runs with identical results")


if __name__ == "__main__":
    if sys.argv[1].isdecimal():
        main(int(sys.argv[1]), *sys.argv[2:])
    else:
        learned(sys.argv[1])
