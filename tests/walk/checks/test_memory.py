"""A walk that would hold more than half of the memory warns; the memory is made small here."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._walk.checks import memory

X = np.ones(100, np.float32)
fun = lambda x: jnp.sum(jw.tag(jw.tag(x * 2, "a") * 3, "b"))  # 1600 bytes of outputs and deltas


def test_the_machine_has_some():
    assert memory.device_memory() > 2**20


def test_warns_and_names_at_and_keep(monkeypatch):
    monkeypatch.setattr(memory, "device_memory", lambda: 3000)
    with pytest.warns(jw.MemoryWarning, match="take 1.56 KiB, more than half of the device's 2.93 KiB") as caught:
        jw.walk(fun)(X)
    assert "`at`" in str(caught[0].message)
    assert "`keep`" in str(caught[0].message)


def test_does_not_warn_of_less(monkeypatch):
    monkeypatch.setattr(memory, "device_memory", lambda: 3000)
    with warnings.catch_warnings(record=True) as caught:
        jw.walk(fun, "a")(X)
        jw.walk(fun, keep=lambda output, delta: jnp.sum(delta))(X)
        monkeypatch.setattr(memory, "device_memory", lambda: None)
        jw.walk(fun)(X)
    assert caught == []


def test_points_say_what_they_take():
    points = jw.points(fun, X)
    assert points.nbytes == 1600
    assert points["a"].nbytes == 800
    assert repr(points).startswith("2 points (1.56 KiB for every output and δ)")
