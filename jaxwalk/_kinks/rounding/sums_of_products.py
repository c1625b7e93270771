"""Rounding errors of sums and of sums of products: γ_n of the magnitudes, whatever the order of summation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..._jax.call_parameters import scatter_again
from ..._jax.jaxprs import apply
from .bounds import Application, Error, bound, gamma, rounded_size, shares_of, unit, wide


def summed(count: Callable[[Application], int]) -> Callable[[Application], Error]:
    """Make the rule of a sum of `count` terms: the sum of the errors, and γ of the magnitudes, in any order."""

    def rule(op: Application) -> Error:
        (x,), share = op.xs, gamma(max(count(op) - 1, 0), op.u)
        return apply(op.eqn, [bound(x) + share * rounded_size(x.value)])[0]

    return rule


def scatter_added(op: Application) -> Error:
    """Bound what updates are added to, as a sum of itself and all of them."""
    operand, indices, updates = op.xs
    share = gamma(math.prod(jnp.shape(indices.value)[:-1]), op.u)
    terms = [bound(x) + share * rounded_size(x.value) for x in (operand, updates)]
    return scatter_again(op.eqn, lax.scatter_add, terms[0], indices.value, terms[1])


def multiplied(op: Application) -> Error:
    (contract, _), _ = op.eqn.params["dimension_numbers"]
    n = math.prod(jnp.shape(op.xs[0].value)[i] for i in contract)
    product = lambda a, b: lax.dot_general(a, b, op.eqn.params["dimension_numbers"])
    return _bilinear(op, n, product)


_CONV = ("window_strides", "padding", "lhs_dilation", "rhs_dilation", "dimension_numbers", "feature_group_count",
         "batch_group_count")  # fmt: skip


def convolved(op: Application) -> Error:
    options = {name: op.eqn.params[name] for name in _CONV}
    kernel = jnp.shape(op.xs[1].value)
    n = math.prod(kernel) // kernel[options["dimension_numbers"].rhs_spec[0]]
    return _bilinear(op, n, lambda a, b: lax.conv_general_dilated(a, b, **options))


def _bilinear(op: Application, n: int, product: Callable) -> Error:
    """Bound A B by |A| (e_B + (γ_n + share_A) |B|), and e_A (|B| + e_B) where the error of A is not a share of A."""
    a, b = op.xs
    kind = wide(op.zs[0].dtype)
    size_a, size_b = rounded_size(a.value).astype(kind), rounded_size(b.value).astype(kind)
    share_a, share_b = shares_of(a), shares_of(b)
    rounded = max(unit(kind), _product_unit(op.eqn.params.get("precision"), a.value.dtype))
    own = gamma(n, rounded) * (4 if jnp.iscomplexobj(op.zs[0]) else 1)
    narrow = op.u * op.z if unit(kind) < op.u else 0.0
    if a.value.dtype == jnp.float16:  # summed in half precision on some devices
        own = own + gamma(n, unit(jnp.float16))
    if share_a is not None:
        known = own + share_a[0]
        if share_b is not None:
            return product(size_a, size_b) * (known + share_b[0] * (1 + share_a[0])) + narrow
        return product(size_a, bound(b).astype(kind) * (1 + share_a[0]) + known * size_b) + narrow
    if share_b is not None:
        return product(bound(a).astype(kind) * (1 + share_b[0]) + (own + share_b[0]) * size_a, size_b) + narrow
    error_b = bound(b).astype(kind)
    return product(size_a, error_b + own * size_b) + product(bound(a).astype(kind), size_b + error_b) + narrow


def _product_unit(precision: Any, dtype: Any) -> float:
    """Return the unit roundoff of operands as they are multiplied: on accelerators float32 has fewer digits there."""
    plain = precision is None or all(p in (None, lax.Precision.DEFAULT) for p in jax.tree.leaves(precision))
    if jnp.dtype(dtype) != jnp.float32 or not plain or jax.default_backend() == "cpu":
        return 0.0
    return 2.0**-10 if jax.default_backend() == "gpu" else 2.0**-7
