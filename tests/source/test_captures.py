"""Two takings of what a function captures are equal if nothing it can read has changed, and only then."""

import dataclasses
import functools
import gc
import os
import pathlib
import random
import sys
import time
import types
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxwalk._source.captures import CannotTell, Captures

pytestmark = pytest.mark.once

scale = 2.0


def scaled(x):
    return x * scale


def calling(x):
    return scaled(x) + 1


def naming(x):
    return getattr(sys.modules[__name__], "scale") * x  # noqa: B009


class Model:
    factor = 1.0

    def __init__(self, weights):
        self.weights = weights

    def loss(self, x):
        return self.weights * x * self.factor * scale


class Slotted:
    __slots__ = ("__hidden", "shown")

    def __init__(self, shown, hidden):
        self.shown, self.__hidden = shown, hidden


def closing_over(value):
    return lambda x: x * value


def test_nothing_has_changed():
    model = Model(jnp.ones(2))
    for captured in (scaled, calling, model.loss, jax.jit(scaled), functools.partial(scaled, x=1), closing_over(model)):
        assert Captures(captured) == Captures(captured)


def test_a_function_made_again_of_the_same_code_and_values_is_the_same():
    array = jnp.ones(2)
    for value in (1.0, "sum", None, array, np.ones(2), [1, {"a": (2.0,)}]):
        assert Captures(closing_over(value)) == Captures(closing_over(value))
    assert Captures(lambda x: x * 2) != Captures(lambda x: x * 3)


@pytest.mark.parametrize("fun", [scaled, calling, naming, jax.jit(calling), jax.vmap(calling), Model(1.0).loss])
def test_a_global_that_is_read_somewhere_within(fun, monkeypatch):
    before = Captures(fun)
    monkeypatch.setattr(sys.modules[__name__], "scale", 3.0)
    assert Captures(fun) != before


def test_a_function_that_is_called_is_defined_anew(monkeypatch):
    before = Captures(calling)
    monkeypatch.setattr(sys.modules[__name__], "scaled", lambda x: x)
    assert Captures(calling) != before


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        (np.float32(1), np.float64(1)),
        ([1], (1,)),
        ({"a": 1}, {"b": 1}),
        ([1, [2]], [[1], 2]),
    ],
)
def test_what_is_alike_and_not_the_same(value, other):
    assert Captures(closing_over(value)) != Captures(closing_over(other))
    assert Captures(value) != Captures(other)


def test_what_is_written_to_in_place():
    held, array = {"a": [1, 2]}, np.zeros(3)
    before = Captures(closing_over(held)), Captures(closing_over(array))
    held["a"].append(3)
    array[1] = 1
    assert Captures(closing_over(held)) != before[0]
    assert Captures(closing_over(array)) != before[1]


def test_another_array_of_jax_with_the_same_numbers_counts_as_changed():
    assert Captures(closing_over(jnp.ones(2))) != Captures(closing_over(jnp.ones(2)))


def test_attributes_of_objects_and_classes(monkeypatch):
    model, slotted = Model(1.0), Slotted(1, 2)
    before = Captures(model.loss), Captures(slotted)
    model.weights = 2.0
    assert Captures(model.loss) != before[0]
    assert Captures(Slotted(1, 3)) != before[1]
    before = Captures(model.loss)
    monkeypatch.setattr(Model, "factor", 2.0)
    assert Captures(model.loss) != before


def test_defaults_and_attributes_of_functions():
    def fun(x, by=1.0):
        return x * by

    before = Captures(fun)
    fun.__defaults__ = (2.0,)
    assert Captures(fun) != before
    before = Captures(fun)
    fun.note = "other"
    assert Captures(fun) != before


def test_a_module_of_the_users_that_is_loaded_again(monkeypatch):
    module = types.ModuleType("theirs")
    exec("factor = 1.0\ndef times(x): return x * factor", vars(module))
    monkeypatch.setattr(sys.modules[__name__], "theirs", module, raising=False)
    fun = lambda x: theirs.times(x)  # noqa: F821
    before = Captures(fun)
    module.factor = 2.0
    assert Captures(fun) != before


def test_the_class_of_a_static_field_is_looked_at():
    @dataclasses.dataclass(frozen=True)
    class Settings:
        act: object
        rate: float = 0.1

    assert Captures(Settings(jnp.sin)) == Captures(Settings(jnp.sin))
    assert Captures(Settings(jnp.sin)) != Captures(Settings(jnp.cos))
    assert Captures(Settings(jnp.sin)) != Captures(Settings(jnp.sin, 0.2))


def test_arrays_of_which_only_the_type_counts():
    one, two, other = jnp.ones(2), jnp.zeros(2), jnp.zeros(3)
    taken = lambda leaf: Captures({"w": leaf, "act": jnp.sin}, by_type={id(leaf)})
    assert taken(one) == taken(two)
    assert taken(one) != taken(other)
    assert Captures({"w": one, "act": jnp.sin}) != Captures({"w": two, "act": jnp.sin})


def test_what_leads_back_to_itself_comes_to_an_end():
    def recursive(x):
        return recursive(x)

    ring = []
    ring.append(ring)
    assert Captures(recursive) == Captures(recursive)
    assert Captures(ring) == Captures(ring)


@pytest.mark.parametrize("hidden", [np.random.default_rng(0), iter([1]), (i for i in range(2)), np.array([object()])])
def test_what_has_a_state_that_cannot_be_seen(hidden):
    with pytest.raises(CannotTell):
        Captures(closing_over(hidden))


OUTSIDE = {
    "environ": lambda x: x * float(os.environ["SCALE"]),
    "getenv": lambda x: x * float(os.getenv("SCALE", "1")),
    "open": lambda x: x * float(open("scale").read()),  # noqa: SIM115
    "path": lambda x: x * float(pathlib.Path("scale").read_text()),
    "load": lambda x: x * np.load("scale.npy"),
    "numpy's chance": lambda x: x * np.random.rand(),
    "chance": lambda x: x * random.random(),
    "clock": lambda x: x * time.time(),
}


@pytest.mark.parametrize("fun", OUTSIDE.values(), ids=OUTSIDE)
def test_what_lies_outside_of_the_program(fun):
    with pytest.raises(CannotTell):
        Captures(fun)


def test_what_installed_modules_hold(monkeypatch):
    fun = lambda x: jax.nn.softplus(x) * len(sys.argv) * np.pi * jax.random.normal(jax.random.key(0), ())
    before = Captures(fun)
    assert Captures(fun) == before
    monkeypatch.setattr(jax.nn, "softplus", jax.nn.relu)
    assert Captures(fun) != before
    before = Captures(fun)
    monkeypatch.setattr(sys, "argv", ["other"] * 7)
    assert Captures(fun) != before


def test_a_module_under_another_name(monkeypatch):
    module = types.ModuleType("theirs")
    module.factor = 1.0

    def fun(x):
        inner = module
        return inner.factor * x

    monkeypatch.setattr(sys.modules[__name__], "theirs", module, raising=False)
    passed_on = lambda x: getattr(theirs, "factor") * x  # noqa: B009, F821
    before = Captures(fun), Captures(passed_on)
    module.factor = 2.0
    assert Captures(fun) != before[0]
    assert Captures(passed_on) != before[1]


def test_a_class_that_says_no_module():
    namespace = {}
    exec("class Scale:\n    def __call__(self, x): return 2 * x", namespace)
    scaled = namespace["Scale"]()
    before = Captures(scaled)
    namespace["Scale"].__call__ = lambda self, x: 3 * x
    assert Captures(scaled) != before


def test_a_view_of_memory_that_others_write_to():
    with pytest.raises(CannotTell):
        Captures(memoryview(bytes(3)))


def test_names_that_are_looked_up_while_it_runs():
    with pytest.raises(CannotTell):
        Captures(lambda x: globals()["scale"] * x)


def test_nothing_is_kept_alive():
    model = Model(jnp.ones(2))
    fun = closing_over(model)
    taken, died = Captures(fun), [weakref.ref(fun), weakref.ref(model), weakref.ref(model.weights)]
    del model, fun
    gc.collect()
    assert [ref() for ref in died] == [None] * 3
    assert taken == taken
