"""Two processes, each with its half of the data, on loopback: the result is that of one with all of it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from two_processes import HALVES, SIZE, fun, problem, said

import jaxwalk as jw

SCRIPT = str(Path(__file__).parents[1] / "two_processes.py")
WEIGHTS, X, Y = problem()


def run(what):
    """What each of the two prints."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = lambda process: [sys.executable, SCRIPT, port, str(process), what]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    both = [subprocess.Popen(command(process), **options) for process in (0, 1)]
    try:
        outputs = [process.communicate(timeout=240) for process in both]
    finally:
        for process in both:
            process.kill()
    assert all(process.returncode == 0 for process in both), outputs
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


def order(steps=99):
    """Which data come in these steps: of each step, first those of the first process."""
    rows = [np.arange(26)[half] for half in HALVES]
    return np.concatenate([half[s * SIZE : (s + 1) * SIZE] for s in range(min(steps, 5)) for half in rows])


def alone(which):
    keep = jw.stats.combine(jw.stats.norms, jw.stats.dead)
    data = [(X[which[i : i + SIZE]], Y[which[i : i + SIZE]]) for i in range(0, len(which), SIZE)]
    return said(jw.evaluate(fun, WEIGHTS, data, keep=keep, top=26, progress=False))


def assert_same(found, expected):
    assert found["count"] == expected["count"]
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(found["culprits"], expected["culprits"], rtol=1e-4)
    for key, value in expected["kept"]["hidden"].items():
        np.testing.assert_allclose(found["kept"]["hidden"][key], value, rtol=1e-5, err_msg=key)


def test_two_processes_find_what_one_does():
    for found in run("whole"):
        assert_same(found, alone(order()))


@pytest.mark.once
def test_one_fails_and_both_end_and_the_rest_is_done_later(tmp_path):
    first, second = run(f"fails={tmp_path / 'out'}")
    assert second["error"] == "RuntimeError: this half is gone"
    assert "failed in another process" in first["error"]
    for found in (first, second):
        done = np.concatenate([order(2), order()[[16]]])  # what the first had in the step in which the other failed
        assert_same(found, alone(done))
    for found in run(f"whole={tmp_path / 'out'}"):
        assert found["count"] == 26
        np.testing.assert_allclose(found["loss"], alone(order())["loss"], rtol=1e-5)
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "rows")
    assert rows["index"].to_pylist() == list(range(26))
    losses = np.sort(rows["loss"].to_numpy())
    np.testing.assert_allclose(losses, np.sort([row[1] for row in alone(order())["culprits"]]), rtol=1e-5)


@pytest.mark.once
def test_what_the_first_is_refused_is_refused_in_all(tmp_path):
    (tmp_path / "foreign").write_text("something else")
    first, second = run(f"whole={tmp_path}")
    assert "foreign" in first["error"]
    assert second["error"].startswith("StoreError: The first process was refused: ")
