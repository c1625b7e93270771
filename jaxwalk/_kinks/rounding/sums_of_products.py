"""Rounding errors of sums and of sums of products: γ_n of the magnitudes, whatever the order of summation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..._jax.jaxpr.call_parameters import scatter_again
from ..._jax.jaxpr.jaxprs import apply
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
    operands, sums = _units(op.eqn.params.get("precision"), a.value.dtype, unit(kind))
    if a.value.dtype == jnp.float16:  # summed in half precision on some devices
        sums = max(sums, unit(jnp.float16))
    own = (1 + gamma(n, sums)) * (1 + gamma(2, operands)) - 1
    own = own * (4 if jnp.iscomplexobj(op.zs[0]) else 1)
    narrow = op.u * op.z if unit(kind) < op.u else 0.0
    if share_a is not None:
        known = own + share_a[0]
        if share_b is not None:
            return product(size_a, size_b) * (known + share_b[0] * (1 + share_a[0])) + narrow
        return product(size_a, bound(b).astype(kind) * (1 + share_a[0]) + known * size_b) + narrow
    if share_b is not None:
        return product(bound(a).astype(kind) * (1 + share_b[0]) + (own + share_b[0]) * size_a, size_b) + narrow
    error_b = bound(b).astype(kind)
    return product(size_a, error_b + own * size_b) + product(bound(a).astype(kind), size_b + error_b) + narrow


def _units(precision: Any, dtype: Any, exact: float) -> tuple[float, float]:
    """Return by how much each operand is rounded before it is multiplied, and the unit roundoff of the summation.

    Both are shares of the value; `exact` is the unit roundoff of the result. Products of what was rounded are exact in
    the dtype in which they are summed. Accelerators sum with truncation instead of rounding, hence twice the unit, and
    take float32 apart or shorten it unless told to use the highest precision.
    """
    on = jax.default_backend()
    sums = exact if on == "cpu" else 2 * exact
    if isinstance(precision, lax.DotAlgorithm):
        operands = max(unit(precision.lhs_precision_type), unit(precision.rhs_precision_type))
        return operands, max(sums, unit(precision.accumulation_type))
    chosen = {None if p is None else p.name for p in jax.tree.leaves(precision, is_leaf=lambda p: p is None)}
    name = next(iter(chosen)) if len(chosen) == 1 else "DEFAULT"  # of two, the lower one counts; DEFAULT is the lowest
    if name is not None and name.count("_") >= 2:  # of the operands, of the sums, and into how many each is taken apart
        first, _, last, *parts = name.removesuffix("_FAST_ACCUM").replace("ANY_F8", "F8").split("_")
        return _SHORTENED[first, *parts], max(sums, _SUMMED.get(last, exact))
    if jnp.finfo(dtype).dtype != jnp.float32 or on == "cpu":
        return 0.0, sums
    return _OF_FLOAT32.get((on, name or "DEFAULT"), 2.0**-7), sums


# Of `jax.lax.DotAlgorithmPreset`: an operand of so many digits; or taken apart, less the products that are left out.
# (BF16_BF16_F32_X9 promises more: an H100, with jax 0.11, answers it with TF32.)
_SHORTENED = {
    ("F8",): 2.0**-3, ("F16",): 2.0**-11, ("BF16",): 2.0**-8, ("TF32",): 2.0**-10, ("F32",): 2.0**-24, ("F64",): 0.0,
    ("BF16", "X3"): 2.0**-14, ("BF16", "X6"): 2.0**-21, ("BF16", "X9"): 2.0**-10, ("TF32", "X3"): 2.0**-19,
}  # fmt: skip
_SUMMED = {"F16": 2.0**-10, "BF16": 2.0**-7, "ANY": 2.0**-7}

# Of `jax.lax.Precision`, by the platform. A GPU shortens float32 to TF32 unless all is HIGHEST.
_OF_FLOAT32 = {
    ("gpu", "DEFAULT"): 2.0**-10, ("gpu", "HIGH"): 2.0**-10, ("gpu", "HIGHEST"): 0.0,
    ("tpu", "DEFAULT"): 2.0**-7, ("tpu", "HIGH"): 2.0**-14, ("tpu", "HIGHEST"): 2.0**-21,
}  # fmt: skip
