"""Two processes, each with its half of the data, on loopback: the result is that of one with all of it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from two_processes import HALVES, PART, SIZE, fun, options, problem, said

import jaxwalk as jw

SCRIPT = str(Path(__file__).parents[1] / "two_processes.py")
WEIGHTS, X, Y = problem()


@contextlib.contextmanager
def started(*what):
    """The two, which are ended with the `with` block."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = lambda process: [sys.executable, SCRIPT, port, str(process), *map(str, what)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    both = [subprocess.Popen(command(process), **pipes) for process in (0, 1)]
    try:
        yield both
    finally:
        for process in both:
            process.kill()
            process.communicate()  # which closes its pipes


def read(out):
    """What was printed of each evaluation; Gloo prints too."""
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def run(*what):
    """What each of the two prints."""
    with started(*what) as both:
        outputs = [process.communicate(timeout=240) for process in both]
    assert all(process.returncode == 0 for process in both), outputs
    return [read(out) for out, _ in outputs]


def order(steps=99):
    """Which data come in these steps: of each step, first those of the first process."""
    rows = [np.arange(26)[half] for half in HALVES]
    return np.concatenate([half[s * SIZE : (s + 1) * SIZE] for s in range(min(steps, 5)) for half in rows])


def alone(which, what="whole"):
    data = [(X[which[i : i + SIZE]], Y[which[i : i + SIZE]]) for i in range(0, len(which), SIZE)]
    return said(jw.evaluate(fun, WEIGHTS, data, **options(what), top=26, progress=False))


def assert_same(found, expected):
    assert found["count"] == expected["count"]
    assert list(found["kept"]["hidden"]) == list(expected["kept"]["hidden"])
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(found["culprits"], expected["culprits"], rtol=1e-4)
    for key, value in expected["kept"]["hidden"].items():
        np.testing.assert_allclose(found["kept"]["hidden"][key], value, rtol=1e-5, err_msg=key)


def test_two_processes_find_what_one_does():
    for found, scored in run("whole,method"):
        assert_same(found, alone(order()))
        assert_same(scored, alone(order(), "method"))


# Whatever ends one, all end within seconds, each with a sentence.
ENDS = {
    "fails at once": (
        "ProcessError: `evaluate` failed in process 1, and so ends in all: RuntimeError: this half is gone; mend that",
        "RuntimeError: this half is gone",
    ),
    "unlike": ("ArgumentError: `evaluate` is called with batches of 3 rows of [0] float32[3], [1] float32[], ",) * 2,
    "full": (
        "StoreError: Part 1 cannot be written to ",
        "StoreError: `evaluate` failed in process 0, and so ends in all: Part 1 cannot be written to ",
    ),
    "ctrl-c": (
        "ProcessError: `evaluate` failed in process 1, and so ends in all: KeyboardInterrupt; call it again, with",
        "KeyboardInterrupt: ",
    ),
    "stopped": ("ProcessError: A process was sent SIGTERM, so `evaluate` ends in all; call it again, with `resume=",)
    * 2,
    "full at the end": (
        "StoreError: The end cannot be written to ",
        "StoreError: `evaluate` failed in process 0, and so ends in all: The end cannot be written to ",
    ),
}


@pytest.mark.once
def test_what_ends_one_ends_both_and_what_goes_on_ends_the_same(tmp_path):
    out = tmp_path / "out"
    both = run(",".join([*ENDS, "whole", "whole elsewhere"]), out)
    for process, (*ended, again, whole) in enumerate(both):
        for found, sentences in zip(ended, ENDS.values(), strict=True):
            assert found["error"].startswith(sentences[process])
            assert found["seconds"] < 60  # most of it is compilation, once
        first, _, full, interrupted, _, _ = ended
        assert "count" not in first
        assert full["count"] >= PART
        assert interrupted["count"] == PART
        assert_same(whole, alone(order()))
        for one in (again, whole):
            del one["seconds"]
        assert again == whole
    for place in ("rows", "state"):
        for path in (tmp_path / "out-elsewhere" / place).iterdir():
            assert (out / place / path.name).read_bytes() == path.read_bytes()


@pytest.mark.once
def test_one_fails_and_both_end_and_the_rest_is_done_later(tmp_path):
    (first,), (second,) = run("fails", tmp_path / "out")
    assert second["error"] == "RuntimeError: this half is gone"
    assert "failed in process 1, and so ends in all: RuntimeError: this half is gone" in first["error"]
    assert first["notes"][0].endswith("16 of them are in `out`: with `resume=True` the same call goes on from there.")
    for found in (first, second):
        assert_same(found, alone(order(2)))  # nothing of the step in which one failed
    for (found,) in run("whole", tmp_path / "out"):
        assert_same(found, alone(order()))
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "rows")
    assert rows["index"].to_pylist() == list(range(26))
    losses = sorted(alone(order())["culprits"])
    np.testing.assert_allclose(rows["loss"], [loss for _, loss, _ in losses], rtol=1e-5)


@pytest.mark.once
def test_what_the_first_is_refused_is_refused_in_all(tmp_path):
    (tmp_path / "foreign").write_text("something else")
    (first,), (second,) = run("whole", tmp_path)
    assert "foreign" in first["error"]
    assert second["error"].startswith("StoreError: `evaluate` failed in process 0, and so ends in all: `out` is ")
    assert "foreign" in second["error"]


@pytest.mark.once
def test_one_is_killed_and_the_other_says_so(tmp_path):
    """What JAX itself does later, at the end of the program, is not ours."""
    with started("killed", tmp_path / "out") as (first, second):
        while not list(tmp_path.glob("out/rows/part-00002*")):
            assert first.poll() is None
            time.sleep(0.01)
        second.kill()
        begin = time.monotonic()
        line = next(line for line in first.stdout if line.startswith("{"))
        assert time.monotonic() - begin < 10
    (found,) = read(line)
    assert found["error"].startswith("ProcessError: A step that all processes take together failed: ")
    assert found["error"].endswith("start all of them again, with `resume=True` where there is an `out`.")
    assert found["count"] >= len(pyarrow.parquet.read_table(tmp_path / "out" / "rows")) > 0
