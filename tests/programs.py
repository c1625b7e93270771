"""Random programs, each written down once and run in two ways: with `jw.tag`, and with an ε added by hand.

A program maps a vector of three numbers to another. It is a tuple: (kind, parts...).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax

import jaxwalk as jw

MATRIX = np.random.default_rng(3).normal(size=(3, 3))

SIMPLE = {
    "tanh": lambda x: jnp.tanh(x @ MATRIX.astype(x.dtype)),
    "sin": lambda x: jnp.sin(x) + 0.5 * x,
    "relu": lambda x: jax.nn.relu(x) - 0.25,
    "softmax": jax.nn.softmax,
    "cumsum": lambda x: jnp.cumsum(x) / 2,
}

leaf = st.sampled_from([("tag",), *((kind,) for kind in SIMPLE)])


def _nest(inner):
    block = st.lists(inner | st.just(("tag",)), min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.tuples(st.just("jit"), block),
        st.tuples(st.just("jit twice"), block),
        st.tuples(st.just("checkpoint"), block),
        st.tuples(st.just("scan"), block, st.sampled_from([1, 3]), st.booleans()),
        st.tuples(st.just("cond"), block, block),
    )


blocks = st.lists(st.one_of(leaf, _nest(leaf), _nest(_nest(leaf)), _nest(_nest(_nest(leaf)))), min_size=1, max_size=4)
programs = blocks.map(lambda parts: (*parts, ("tag",)))


def slots(block, lead=()):
    """Zeros for every tag of a block, nested as the block is; `lead`: the axes of loops and batches around it."""
    return [_slots(node, lead) for node in block]


def _slots(node, lead):
    match node:
        case ("tag",):
            return jnp.zeros((*lead, 3))
        case ("jit twice", block):
            return [slots(block, lead), slots(block, lead)]
        case ("scan", block, length, _):
            return slots(block, (*lead, length))
        case ("cond", yes, no):  # JAX keeps the branch for False first, and so do the points
            return [slots(no, lead), slots(yes, lead)]
        case (_, block):
            return slots(block, lead)
        case _:
            return ()


def run(block, x, eps, mark):
    """The block's value at x. `mark(value, eps)` is what happens to a value at a tag."""
    for node, e in zip(block, eps, strict=True):
        x = _run(node, x, e, mark)
    return x


def _run(node, x, eps, mark):
    match node:
        case ("tag",):
            return mark(x, eps)
        case ("jit", block):
            return jax.jit(functools.partial(run, block, mark=mark))(x, eps)
        case ("jit twice", block):
            again = jax.jit(functools.partial(run, block, mark=mark))
            return again(again(x, eps[0]), eps[1])
        case ("checkpoint", block):
            return jax.checkpoint(functools.partial(run, block, mark=mark))(x, eps)
        case ("scan", block, length, reverse):
            step = lambda c, e: (run(block, c, e, mark), None)
            return lax.scan(step, x, eps, length=length, reverse=reverse)[0]
        case ("cond", yes, no):
            positive = lambda x, e: run(yes, x, e[1], mark)
            negative = lambda x, e: run(no, x, e[0], mark)
            return lax.cond(jnp.sum(x) > 0.3, positive, negative, x, eps)
        case (kind,):
            return SIMPLE[kind](x)
    raise AssertionError(node)


def tagged(program):
    """fun(x) -> loss, with a point "p" at each tag."""
    zeros = slots(program)
    return lambda x: jnp.sum(run(program, x, zeros, lambda value, eps: jw.tag(value, "p")) ** 2)


def scoped(program):
    """fun(x) -> loss, with a scope "p" at each tag, out of which one value comes."""
    zeros = slots(program)

    def mark(value, eps):
        with jax.named_scope("p"):
            return value * 1.0

    return lambda x: jnp.sum(run(program, x, zeros, mark) ** 2)


def with_epsilons(program):
    """fun(x, eps) -> loss, with ε added at each tag."""
    return lambda x, eps: jnp.sum(run(program, x, eps, lambda value, eps: value + eps) ** 2)
