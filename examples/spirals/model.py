"""A small network that tells two spirals apart, trained when this file is run (a few seconds).

`jaxwalk walk model.py --data FILE.npz` takes `objective` and `params` from here.
"""

import jax
import jax.numpy as jnp
import optax
from data import spirals

import jaxwalk as jw


def dense(weights, x):
    return x @ weights["w"] + weights["b"]


model = jw.chain(first=dense, relu1=jax.nn.relu, second=dense, relu2=jax.nn.relu, last=dense)


def objective(params, x, y):
    """Cross-entropy of one datum."""
    return optax.softmax_cross_entropy_with_integer_labels(model(params, x), y)


def initial(key):
    def layer(key, rows, columns):
        return {"w": jax.random.normal(key, (rows, columns)) * (2 / rows) ** 0.5, "b": jnp.zeros(columns)}

    first, second, last = jax.random.split(key, 3)
    return {"first": layer(first, 2, 48), "second": layer(second, 48, 48), "last": layer(last, 48, 2)}


def train(params, x, y, steps=1500):
    optimizer = optax.adam(0.01)
    batch_loss = lambda params: jnp.mean(jax.vmap(objective, (None, 0, 0))(params, x, y))

    def step(state, _):
        params, moments = state
        updates, moments = optimizer.update(jax.grad(batch_loss)(params), moments)
        return (optax.apply_updates(params, updates), moments), None

    (params, _), _ = jax.jit(lambda state: jax.lax.scan(step, state, None, length=steps))(
        (params, optimizer.init(params))
    )
    return params


params = train(initial(jax.random.key(0)), *spirals(500, seed=0))
