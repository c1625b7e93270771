"""Rounding errors of sums and of sums of products: γ_n of the magnitudes, whatever the order of summation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .bounds import Error, Step, bound, is_inexact, shares_of, size, unit, wide


def _gamma(n: int, u: float) -> float:
    return n * u / (1 - n * u) if n * u < 1 else math.inf


def summed(count: Callable[[Step], int]) -> Callable[[Step], Error]:
    """A sum of `count` terms per result: of the errors, and γ of the magnitudes, in any order of summation."""

    def rule(s: Step) -> Error:
        gamma = _gamma(max(count(s) - 1, 0), s.u)
        return s.again([bound(x) + gamma * size(x.value) if is_inexact(x.value) else x.value for x in s.xs])[0]

    return rule


def multiplied(s: Step) -> Error:
    (contract, _), _ = s.eqn.params["dimension_numbers"]
    n = math.prod(jnp.shape(s.xs[0].value)[i] for i in contract)
    product = lambda a, b: lax.dot_general(a, b, s.eqn.params["dimension_numbers"])
    return _bilinear(s, n, product)


_CONV = ("window_strides", "padding", "lhs_dilation", "rhs_dilation", "dimension_numbers", "feature_group_count",
         "batch_group_count")  # fmt: skip


def convolved(s: Step) -> Error:
    options = {name: s.eqn.params[name] for name in _CONV}
    kernel = jnp.shape(s.xs[1].value)
    n = math.prod(kernel) // kernel[options["dimension_numbers"].rhs_spec[0]]
    return _bilinear(s, n, lambda a, b: lax.conv_general_dilated(a, b, **options))


def _bilinear(s: Step, n: int, product: Callable) -> Error:
    """|A| (e_B + (γ_n + share_A) |B|), and e_A (|B| + e_B) where the error of A is not a share of A."""
    a, b = s.xs
    kind = wide(s.zs[0].dtype)
    size_a, size_b = size(a.value).astype(kind), size(b.value).astype(kind)
    share_a, share_b = shares_of(a), shares_of(b)
    own = _gamma(n, max(unit(kind), _product_unit(s.eqn, a.value.dtype))) * (4 if jnp.iscomplexobj(s.zs[0]) else 1)
    narrow = s.u * s.z if unit(kind) < s.u else 0.0
    if a.value.dtype == jnp.float16:  # summed in half precision on some devices
        own = own + _gamma(n, unit(jnp.float16))
    if share_a is not None:
        known = own + share_a[0]
        if share_b is not None:
            return product(size_a, size_b) * (known + share_b[0] * (1 + share_a[0])) + narrow
        return product(size_a, bound(b).astype(kind) * (1 + share_a[0]) + known * size_b) + narrow
    if share_b is not None:
        return product(bound(a).astype(kind) * (1 + share_b[0]) + (own + share_b[0]) * size_a, size_b) + narrow
    error_b = bound(b).astype(kind)
    return product(size_a, error_b + own * size_b) + product(bound(a).astype(kind), size_b + error_b) + narrow


def _product_unit(eqn: Any, dtype: Any) -> float:
    """What rounding the operands of a product may cost: on accelerators float32 is multiplied in fewer digits."""
    precision = eqn.params.get("precision")
    plain = precision is None or all(p in (None, lax.Precision.DEFAULT) for p in jax.tree.leaves(precision))
    if jnp.dtype(dtype) != jnp.float32 or not plain or jax.default_backend() == "cpu":
        return 0.0
    return 2.0**-10 if jax.default_backend() == "gpu" else 2.0**-7
