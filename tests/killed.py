"""An evaluation that is killed, for test_resume.

python killed.py KILLS [SEED] [WHAT] kills as many at random moments: of the whole time, or once some parts are there.
WHAT is what runs it: `alone`, one process; `method`, the same, with a method of attribution; `command`, the command
line; `two`, two processes, of which one is killed, and the other must end by itself.
"""

import functools
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS, SIZE, PART = 4_000, 20, 40  # of the data, of a batch, of a part
COMMAND_ROWS = 150_000  # in parts of 8192
ROWS_OF_TWO = 900

MODEL = """
import jax, jax.numpy as jnp, jaxwalk as jw
params = {"dense": jnp.ones((2, 3))}
model = jw.chain(dense=lambda w, x: x @ w, act=jax.nn.relu)
objective = jw.objective(model, lambda out, y: jnp.sum((out - y) ** 2))
"""


def evaluated(directory, process=None, method=False):
    """What is run, and killed: it goes on with what is in `directory`, and ends with a file beside it."""
    import jax
    import jax.numpy as jnp

    import jaxwalk as jw
    import jaxwalk._evaluate.programs

    jaxwalk._evaluate.programs.GROUP = PART
    numbers = np.random.default_rng(0)
    weights = numbers.normal(size=(3, 8, 8)).astype(np.float32)
    x, y = numbers.normal(size=(ROWS, 8)).astype(np.float32), numbers.normal(size=ROWS).astype(np.float32)
    if process is not None:
        mine = (slice(ROWS_OF_TWO // 3), slice(ROWS_OF_TWO // 3, ROWS_OF_TWO))[process]
        x, y = x[mine], y[mine]

    def fun(weights, x, y):
        step = lambda h, w: (jw.tag(jnp.tanh(h @ w), "h"), None)
        return (jnp.sum(jw.tag(jax.lax.scan(step, x, weights)[0], "last")) - y) ** 2

    batches = ((x[i : i + SIZE], y[i : i + SIZE]) for i in range(0, len(x), SIZE))
    keep = jw.stats.combine(jw.stats.norms, jw.stats.dead, jw.stats.averaged(lambda output, delta: output * delta))
    scored = functools.partial(jw.attribute.smooth_grad, key=jax.random.key(0), samples=5, batch_size=2)
    what = {"method": scored} if method else {"keep": keep}
    found = jw.evaluate(fun, weights, batches, **what, out=directory, resume=True, progress=False)
    if not process:
        found.save(f"{directory}.npz")


def evaluated_together(directory, port, process):
    """The same, of two processes; where the other is gone, without the minutes in which JAX waits for it at the end."""
    import jax

    import jaxwalk as jw

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=process)
    try:
        evaluated(directory, process)
    except jw.ProcessError:
        os._exit(1)


def commands(directory, what):
    """What is started: one process, or two."""
    if what in ("alone", "method"):
        return [[sys.executable, __file__, str(directory), *[what] * (what == "method")]]
    if what == "two":
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = str(free.getsockname()[1])
        return [[sys.executable, __file__, str(directory), port, str(process)] for process in (0, 1)]
    model, data = Path(directory).with_name("model.py"), Path(directory).with_name("data.npz")
    if not data.exists():
        model.write_text(MODEL)
        numbers = np.random.default_rng(0)
        normal = lambda *shape: numbers.normal(size=(COMMAND_ROWS, *shape)).astype(np.float32)
        np.savez(data, x=normal(2), y=normal())
    options = ["--data", str(data), "--out", str(directory), "--resume", "--json", "--no-progress", "--no-kinks"]
    return [[sys.executable, "-m", "jaxwalk", "walk", str(model), *options]]


def started(directory, cache, what="alone"):
    compiled = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment = os.environ | compiled | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
    with open(f"{directory}.out", "w") as out, open(os.devnull, "w") as nowhere:
        pipes = {"stdout": out if what == "command" else nowhere, "stderr": nowhere if what == "two" else None}
        return [subprocess.Popen(command, env=environment, **pipes) for command in commands(directory, what)]


def parts(directory):
    """How many there are; it is asked each millisecond, beside a process that needs the time."""
    try:
        names = os.listdir(Path(directory, "rows"))
    except FileNotFoundError:
        return 0
    return sum(name.startswith("part-") and name.endswith(".parquet") for name in names)


def killed(directory, cache, may_go_on, what="alone", which=0):
    """Kills a run as soon as it may not go on, and says how many parts are there; None if it ended before."""
    processes = started(directory, cache, what)
    process = processes[which]
    try:
        while process.poll() is None and may_go_on():
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
    ended = process.wait() == 0
    assert ended or process.returncode == -signal.SIGKILL
    for other in processes:  # by itself; SIGABRT is how XLA ends a process whose first is gone
        try:
            assert other.wait(timeout=60) in ((0,) if ended else (1, -signal.SIGABRT, -signal.SIGKILL))
        finally:
            other.kill()
    return None if ended else parts(directory)


def finished(directory, cache, what="alone"):
    """Runs it to its end: what it found and the rows, as bytes."""
    assert [process.wait() for process in started(directory, cache, what)] in ([0], [0, 0])
    files = sorted(Path(directory).glob("rows/*.parquet"))
    said = Path(f"{directory}.out").read_text().replace(str(directory), "DIRECTORY")
    found = said.encode() if what == "command" else Path(f"{directory}.npz").read_bytes()
    return found, [file.read_bytes() for file in files]


def main(kills, seed=0, what="alone"):
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        cache, identical, hit = Path(place, "cache"), 0, 0
        finished(Path(place, "warm"), cache, what)
        begin = time.monotonic()
        whole = finished(Path(place, "whole"), cache, what)
        seconds = time.monotonic() - begin
        for directory in map(Path(place).joinpath, map(str, itertools.count())):
            if hit == kills:
                break
            until, wanted = time.monotonic() + chance.uniform(0, seconds), chance.randrange(len(whole[1]))
            in_time, few = (
                lambda until=until: time.monotonic() < until,
                lambda wanted=wanted, there=directory: parts(there) <= wanted,
            )
            # Of two, once both are at work: before that JAX waits minutes for the other.
            may_go_on = few if what == "two" else chance.choice((in_time, few))
            there = killed(directory, cache, may_go_on, what, chance.randrange(2) if what == "two" else 0)
            if there is None:
                continue
            hit, same = hit + 1, finished(directory, cache, what) == whole
            identical += same
            print(
                f"kill {hit}: {there} of {len(whole[1])} parts were there; {'identical' if same else 'DIFFERENT'}",
                flush=True,
            )
    print(f"{kills} kills, {identical} identical results")


if __name__ == "__main__":
    if sys.argv[1].isdecimal():
        main(int(sys.argv[1]), *sys.argv[2:])
    elif len(sys.argv) > 3:
        evaluated_together(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        evaluated(sys.argv[1], method=len(sys.argv) > 2)
