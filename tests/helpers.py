"""The referee, which does not use jaxwalk, and what several tests compare with."""

import os

import jax
import jax.numpy as jnp
import numpy as np


def finite_differences(fun, at, step=1e-6):
    """The gradient of the scalar `fun` at the array `at`, by central differences, entry by entry."""
    at = np.asarray(at, np.float64)
    gradient = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        move = np.zeros_like(at)
        move[index] = step
        gradient[index] = (float(fun(jnp.asarray(at + move))) - float(fun(jnp.asarray(at - move)))) / (2 * step)
    return gradient


DOUBLINGS = 6 if jax.config.jax_enable_checks else 40
"""How often a test has a function call another twice: 2⁴⁰ calls are more than anyone could look at, one by one.

JAX's own checks do enter every one of them, so that with these on there are 2⁶.
"""


def assert_trees_equal(one, other):
    """Same structure, same dtypes, the same bits."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def examples(number):
    """How many random programs a test makes: all, or the share that .ci/run asks for with further versions of JAX."""
    return max(2, round(number * float(os.environ.get("JAXWALK_RANDOM_PROGRAMS", "1"))))


def evaluated(expression, numbers):
    """The number that an expression is, entry by entry of an Array."""
    import sympy

    if isinstance(expression, sympy.NDimArray):
        flat = [evaluated(e, numbers) for e in sympy.flatten(expression)]
        return np.array(flat).reshape(expression.shape)
    found = expression.xreplace({s: numbers[s.name] for s in expression.free_symbols})
    if found in (sympy.true, sympy.false):
        return bool(found)
    return float(sympy.N(found.doit(), 17))
