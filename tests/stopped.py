"""`jaxwalk walk` sent SIGINT or SIGTERM: python stopped.py SIGNALS [SEED] sends as many, at random moments.

Each must end it within seconds, with 130 or 143 and without a traceback, and what is on disk must be gone on with: each
run resumes the one before, until one comes to its end, whose rows must be those of a run that was left alone.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS = 150_000
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
UGLY = ("Traceback", "Exception ignored", "Fatal", "terminate called")

MODEL = """
print("begun", flush=True)
import jax, jax.numpy as jnp, jaxwalk as jw
params = {"dense": jnp.ones((2, 3))}
model = jw.chain(dense=lambda w, x: x @ w, act=jax.nn.relu)
objective = jw.objective(model, lambda out, y: jnp.sum((out - y) ** 2))
"""


def started(place, out, *options):
    command = [sys.executable, "-m", "jaxwalk", "walk", str(place / "model.py"), "--data", str(place / "data.npz")]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, "--json", "--out", str(out), *options], cwd=place, **pipes)


def make(place):
    (place / "model.py").write_text(MODEL)
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(ROWS, 2)).astype(np.float32), numbers.normal(size=ROWS).astype(np.float32)
    np.savez(place / "data.npz", x=x, y=y)


def rows(out):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(out / "rows")


def ended(process, number):
    """What it said, how long it took, and what is wrong with that; `process` has just been sent `number`."""
    begin = time.monotonic()
    said = process.communicate(timeout=100)[1]
    seconds, status = time.monotonic() - begin, process.returncode
    expected = status in (STATUS[number], -number, 0)  # -number: before or after the command, as of any program
    wrong = [f"status {status}"] * (not expected) + [word for word in UGLY if word in said]
    return said, seconds, wrong


def main(signals, seed):
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make(place)
        begin = time.monotonic()
        assert started(place, place / "whole").wait() == 0
        whole, length = rows(place / "whole"), time.monotonic() - begin
        print(f"left alone it takes {length:.1f} s", flush=True)
        slowest, bad, runs = 0.0, 0, 0
        out = place / "0"
        count = 0
        while count < signals:
            number = chance.choice([*STATUS])
            process = started(place, out, "--resume")
            time.sleep(chance.uniform(0, length))
            count += process.poll() is None
            process.send_signal(number)
            said, seconds, wrong = ended(process, number)
            slowest, bad = max(slowest, seconds), bad + bool(wrong)
            last = (said.strip().splitlines() or [""])[-1]
            print(f"{count} {number.name}: {process.returncode} after {seconds:.1f} s {wrong} {last[:150]}", flush=True)
            if wrong:
                print(said, flush=True)
            if process.returncode == 0:
                runs += 1
                assert rows(out).equals(whole), "other rows"
                out = place / str(runs)
        assert started(place, out, "--resume").wait() == 0
        assert rows(out).equals(whole), "other rows"
    print(f"{signals} signals, {bad} bad, the slowest took {slowest:.1f} s; {runs + 1} runs ended with the same rows")


if __name__ == "__main__":
    # A shell has what it starts in the background ignore Ctrl-C, and so what that starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(int(sys.argv[1]), *sys.argv[2:3] or "0")
