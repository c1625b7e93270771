"""An equation is run again at other operands."""

import jax
import numpy as np
import pytest

from jaxwalk._jax.jaxpr import jaxprs

pytestmark = pytest.mark.once


def test_an_equation_with_one_operand_twice_is_differentiated_by_each():
    call = jax.jit(lambda x, y: x**2 * y)
    (eqn,) = jaxprs.trace(lambda x: call(x, x), np.float32(3))[0].jaxpr.eqns
    values = [np.float32(3), np.float32(5)]
    assert [float(z) for z in jaxprs.apply(eqn, values)] == [45]
    _, back = jax.vjp(jaxprs.function_of(eqn, values, [0, 1]), *values)
    assert [float(ct) for ct in back([np.float32(1)])] == [30, 9]
