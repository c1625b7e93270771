"""What to try where an equation makes a NaN or an Inf, by what it computes."""

from __future__ import annotations

_GUARD = "guard the argument inside a `where` too, not its result alone: `jnp.where(ok, f(jnp.where(ok, x, 1.0)), 0.0)`"
_CLIP = "its argument is outside [−1, 1], by rounding maybe: clip it"
_FORWARD = {
    "exp": "subtract the maximum first, as `jax.nn.softmax` and `jax.nn.logsumexp` do, or clip its argument",
    "log": "its argument is 0 or less: use `jax.nn.log_softmax` on the logits, or add an eps to it",
    "log1p": "its argument is −1 or less: clip it above −1",
    "div": "the divisor is 0, or too small: add an eps to it, or put 1 in its place by a `where`",
    "sqrt": "its argument is below 0, by rounding maybe: take `jnp.maximum` of it and 0",
    "rsqrt": "its argument is 0 or below: add an eps to it, as layer norm does to the variance",
    "pow": "a base of 0 has a power below 0, or one below 0 a broken power, or it overflows: clip the base",
    "integer_pow": "it overflows, or 0 has a power below 0: scale or clip the base",
    "sub": "Inf − Inf, as of a softmax whose entries are all masked: leave one unmasked, or mask by a large finite"
    " number",
    "acos": _CLIP,
    "asin": _CLIP,
    "atanh": _CLIP,
}
_BACKWARD = {
    "sqrt": "the derivative at 0 is infinite: add an eps to the argument",
    "rsqrt": "the derivative at 0 is infinite: add an eps to the argument",
    "log": "the derivative at 0 is infinite: add an eps to the argument",
    "div": "the derivative by a divisor of 0 is infinite: add an eps to it",
    "pow": "the derivative of a power below 1 is infinite at 0, as is that by the exponent: add an eps to the base",
    "acos": "the derivative at ±1 is infinite: clip the argument to a little less",
    "asin": "the derivative at ±1 is infinite: clip the argument to a little less",
    "atan2": "there is no derivative at (0, 0): keep one of the arguments from 0",
    "abs": "the modulus of a complex number has no derivative at 0: take the root of the sum of squares and an eps",
    "exp": "it overflows, and what selects it away gives Inf times 0: clip the argument",
}
_OVERFLOW = "it overflows: scale its operands, or clip them"
_SUMS = ("add", "sub", "dot_general", "conv", "reduce_sum", "cumsum")
_OVERFLOWING = (*_SUMS, "mul", "square", "exp2", "expm1", "sinh", "cosh", "convert", "reduce_prod", "cumprod")
_NOT_BY_WHERE = {
    "eigh": "equal eigenvalues have eigenvectors without a derivative: perturb the matrix, or use the eigenvalues alone"
    " (`jnp.linalg.eigvalsh`)",
    "svd": "singular values that are equal, or 0, have vectors without a derivative: perturb the matrix, or use the"
    " values alone (`compute_uv=False`)",
    "custom_jvp": "its own derivative rule makes it: mend the rule at this operand",
    "custom_vjp": "its own derivative rule makes it: mend the rule at this operand",
}


def advice(name: str, is_backward: bool, kind: str, is_low: bool) -> str:
    """Return what to try.

    Arguments:
        name: what the equation computes, as `primitives.names` or JAX calls it; or "custom_jvp", "custom_vjp".
        is_backward: whether it made it backward.
        kind: "NaN" or "Inf".
        is_low: whether it is computed in 16 bits or fewer.
    """
    if not is_backward:
        overflows = kind == "Inf" and name in _OVERFLOWING
        parts = [_OVERFLOW if overflows else _FORWARD.get(name, "")]
    elif name in _NOT_BY_WHERE:
        parts = [_NOT_BY_WHERE[name]]
    else:
        parts = [_BACKWARD.get(name, ""), _GUARD]
    parts += ["compute it in float32"] * (is_low and kind == "Inf")
    return "; or ".join(filter(None, parts))
