"""Signals that wait, and what ends a program that does not come to where it can stop."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jaxwalk import _signals

pytestmark = pytest.mark.once


def press(number=signal.SIGINT):
    os.kill(os.getpid(), number)
    time.sleep(0)  # Python runs the handler


def interrupted(body):
    with pytest.raises(KeyboardInterrupt):
        body()


def test_ctrl_c_waits_until_it_is_looked_for():
    before, done = signal.getsignal(signal.SIGINT), []

    @interrupted
    def _():
        with _signals.held_back():
            _signals.check()
            press()
            done.append("not lost")
            _signals.check()
            done.append("never")

    assert done == ["not lost"]
    assert signal.getsignal(signal.SIGINT) is before
    _signals.check()


def test_ctrl_c_that_was_not_looked_for_comes_at_the_end():
    done = []

    @interrupted
    def _():
        with _signals.held_back():
            press()
            done.append("not lost")

    assert done == ["not lost"]


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_comes_at_once_the_second_time_and_in_what_the_user_wrote(times):
    @interrupted
    def _():
        with _signals.held_back(), _signals.handled() if times == 1 else contextlib.nullcontext():
            for _ in range(times):
                press()
            raise AssertionError


def test_a_handler_of_the_users_own_is_given_it_and_restored():
    heard = []
    own = lambda number, frame: heard.append(number)
    before = signal.signal(signal.SIGINT, own)
    try:
        with _signals.held_back():
            press()
            assert heard == []
            _signals.check()
            assert heard == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) is own
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with _signals.held_back():
            press()
            _signals.check()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_signals_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with _signals.held_back(), _signals.stopping(str):
            _signals.check()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_stops_where_it_looks(number):
    def run():
        with _signals.stopping(str):
            press(number)
            while True:
                time.sleep(0.01)
                _signals.check()

    before = signal.getsignal(number)
    with pytest.raises(_signals.Stopped) as stopped:
        run()
    assert stopped.value.number == number
    assert signal.getsignal(number) is before


PROGRAM = """
import sys, time
from jaxwalk import _signals
_signals.GRACE = 0.2
with _signals.stopping(lambda: "last words"):
    if sys.argv[1] == "saving":
        _signals.saving()
    print("ready", flush=True)
    while True:
        time.sleep(60)
"""


def program(state):
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, state], env=os.environ | path, text=True, stdout=-1, stderr=-1
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_program_that_does_not_look_is_ended(number, status):
    process = program("idle")
    process.send_signal(number)
    assert process.communicate(timeout=30)[1] == "jaxwalk: last words\n"
    assert process.returncode == status


def test_what_is_being_saved_is_waited_for_until_a_second_signal():
    process = program("saving")
    process.send_signal(signal.SIGINT)
    said = "jaxwalk: finishing the batch that is under way, so that it is kept; a second signal stops at once.\n"
    assert process.stderr.readline() == said
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == "jaxwalk: last words\n"
    assert process.returncode == 130
