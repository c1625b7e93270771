"""What to try where an equation makes a NaN or an Inf, by what it computes."""

from __future__ import annotations

_DOUBLE_WHERE = (
    "a `where` around it selects the value, not the derivative: guard the argument inside too (the double `where`),"
    " `y = jnp.where(ok, x, 1.0)`, then `jnp.where(ok, f(y), 0.0)`"
)
_LOW = "compute this in float32"
_FORWARD = {
    "exp": "subtract the maximum first, as `jax.nn.logsumexp` and `jax.nn.softmax` do, or clip its argument",
    "log": "its argument is 0 or less: use `jax.nn.log_softmax` on the logits, `jnp.log(x + eps)`, or `jnp.log1p`",
    "log1p": "its argument is −1 or less: clip it above −1",
    "div": "the divisor is 0, or too small: add an eps to it, or divide by `jnp.where(d == 0, 1, d)`",
    "sqrt": "its argument is below 0, by rounding maybe: `jnp.sqrt(jnp.maximum(x, 0) + eps)`",
    "rsqrt": "its argument is 0 or below: add an eps to it, as layer norm does to the variance",
    "pow": "a base of 0 to a power below 0, a negative base to a broken power, or an overflow: clip the base",
    "integer_pow": "it overflows, or 0 has a power below 0: scale or clip the base",
    "sub": "Inf − Inf: all entries of a row are masked, or two numbers overflowed; keep one entry of each row unmasked,"
    " or use `jnp.where` on the result, and a large finite number for the mask",
    "acos": "its argument is outside [−1, 1], by rounding maybe: clip it",
    "asin": "its argument is outside [−1, 1], by rounding maybe: clip it",
    "atanh": "its argument is at ±1 or outside: clip it",
}
_BACKWARD = {
    "sqrt": "the derivative of sqrt at 0 is infinite: add an eps to its argument; of a norm, `jnp.sqrt(sum + eps)`;",
    "rsqrt": "the derivative of rsqrt at 0 is infinite: add an eps to its argument;",
    "log": "the derivative of log at 0 is infinite: add an eps to its argument;",
    "div": "the derivative of a quotient by a divisor of 0 is infinite: add an eps to it;",
    "pow": "the derivative of a power below 1 at 0 is infinite, as is that by the exponent: add an eps to the base;",
    "acos": "the derivative of arccos at ±1 is infinite: clip its argument to less than 1;",
    "asin": "the derivative of arcsin at ±1 is infinite: clip its argument to less than 1;",
    "atan2": "arctan2 has no derivative at (0, 0): keep its arguments from both being 0;",
    "abs": "the modulus of a complex number has no derivative at 0: add an eps to the sum of squares;",
    "eigh": "eigenvalues that are equal have no derivatives of their eigenvectors: perturb the matrix, or use the"
    " eigenvalues alone (`jnp.linalg.eigvalsh`)",
    "svd": "singular values that are equal, or 0, have no derivatives of their vectors: perturb the matrix, or use"
    " `compute_uv=False`",
}
_GUARDED = ("sqrt", "rsqrt", "log", "div", "pow", "acos", "asin", "atan2", "abs")


def advice(name: str, is_backward: bool, kind: str, is_low: bool) -> str:
    """Return what to try.

    Arguments:
        name: what the equation computes, as `primitives.names` or JAX calls it.
        is_backward: whether it made it backward.
        kind: "NaN" or "Inf".
        is_low: whether it is computed in 16 bits or fewer.
    """
    if not is_backward:
        said = _FORWARD.get(name)
        overflow = "it overflows: scale its operands, or clip them" if kind == "Inf" else ""
        told = said or overflow
    elif name in ("custom_jvp", "custom_vjp"):
        told = "its own derivative rule makes it: mend the rule where this operand goes through it"
    else:
        told = _BACKWARD.get(name, "")
        told = f"{told} {_DOUBLE_WHERE}" if name in _GUARDED else told or _DOUBLE_WHERE
    low = f"{_LOW}, whose largest number is 3e38" if is_low and kind == "Inf" else ""
    return "; or ".join(part for part in (told, low) if part)
