"""A neural ODE: its solver is a loop without a known number of steps, and opaque; what lies around it walks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from oracle import Model, check_oracle, check_walk, drawn, importing

with importing():
    import diffrax
    import equinox as eqx

pytestmark = pytest.mark.usefixtures("float64", "relaxed")


class NeuralODE(eqx.Module):
    encoder: eqx.nn.Linear
    field: eqx.nn.MLP
    decoder: eqx.nn.Linear

    def __init__(self):
        key = jax.random.key(0)
        self.encoder = eqx.nn.Linear(3, 2, key=key)
        self.field = eqx.nn.MLP(2, 2, width_size=3, depth=1, activation=jnp.tanh, key=key)
        self.decoder = eqx.nn.Linear(2, 1, key=key)

    def flow(self, start):
        term = diffrax.ODETerm(lambda t, z, _: self.field(z))
        solution = diffrax.diffeqsolve(term, diffrax.Heun(), 0.0, 1.0, 0.25, start)
        return solution.ys[-1]

    def __call__(self, x):
        with jax.named_scope("encoder"):
            start = self.encoder(x)
        with jax.named_scope("flow"):
            end = self.flow(jnp.tanh(start))
        with jax.named_scope("decoder"):
            return self.decoder(end)


@functools.cache
def neural_ode():
    random = np.random.default_rng(0)
    params, static = eqx.partition(NeuralODE(), eqx.is_inexact_array)

    def fun(params, x, y):
        return jnp.sum((eqx.combine(params, static)(x) - y) ** 2)

    def displaced(at, params, x, y):
        model = eqx.combine(params, static)
        end = at("flow", model.flow(jnp.tanh(at("encoder", model.encoder(x)))))
        return jnp.sum((at("decoder", model.decoder(end)) - y) ** 2)

    args = drawn(lambda: params), random.normal(size=3), random.normal(size=1)
    names = {"encoder": "encoder", "encoder/eqx.nn.Linear": "encoder", "flow": "flow"}
    return Model(fun, args, displaced, names | {"decoder": "decoder", "decoder/eqx.nn.Linear": "decoder"})


def test_oracle():
    check_oracle(neural_ode())


def test_what_lies_around_the_solver_is_walked():
    check_walk(neural_ode(), beside=["*/outer-loop:*"])


def test_the_steps_of_the_solver_are_opaque():
    model = neural_ode()
    points = jw.points(model.fun, *model.args, by="scopes")
    steps = points.where(lambda point: point.opaque is not None)
    assert any(name.endswith("eqx.nn.MLP") for name in steps)
    with pytest.raises(jw.PointError, match="rule decides its derivative"):
        jw.walk(model.fun, next(iter(steps)), by="scopes")(*model.args)


def test_kinks_of_a_solver_whose_rules_refuse_to_differentiate_what_is_constant():
    model = neural_ode()
    found = jw.kinks(jax.jit(model.fun), *model.args)
    assert not found
    assert all(note.endswith("is estimated, not bounded.") for note in found.notes)
