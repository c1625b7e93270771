"""A bound on the rounding error of every value, carried beside it through one primitive after another.

Running error analysis: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, §3.3; for sums
and products γ_n = n u / (1 - n u) of §3.1, u being half the distance from 1 to the next number. The bounds hold for any
order of summation, with and without fused multiply-add. They are worst cases: through a deep network they grow with the
product of the sums of absolute weights. Underflow is not counted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from . import _compat
from ._dtypes import widened
from ._primitives import primitive

TRANSCENDENTAL = 16  # half ulps that an exp, a tanh, a sin of XLA may be off


class Relative(NamedTuple):
    """An error of at most `share` of the value, entry by entry; none where it is `but_integers` and an integer."""

    share: float
    but_integers: bool = False


Error: TypeAlias = Any  # None: exact; a Relative; or an array of the value's shape, in the dtype of `wide`


class Rounded(NamedTuple):
    """A value as computed, and a bound on its distance from the value in exact arithmetic."""

    value: Any
    error: Error = None


def unit(dtype: Any) -> float:
    """The unit roundoff: the largest relative error of one rounding; a little more, for the bounds are rounded too."""
    return 1.02 * float(jnp.finfo(dtype).eps) / 2


def wide(dtype: Any) -> Any:
    """The real dtype in which the error of values of `dtype` is held."""
    return jnp.dtype(jnp.finfo(widened(dtype)).dtype)


def size(value: Any) -> jax.Array:
    """|value|, in the dtype of its error."""
    return jnp.abs(value).astype(wide(jnp.result_type(value)))


def rounded_input(value: Any) -> Rounded:
    """An input that stands for a real number: off by half an ulp, unless it is an integer."""
    return Rounded(value, Relative(unit(value.dtype), True) if _is_float(value) else None)


def constant(value: Any) -> Rounded:
    """A constant: exact if it is a number of few digits, as 0.5 is; 0.1 is not."""
    if not _is_float(value) or np.ndim(value) > 0 or isinstance(value, Tracer):
        return rounded_input(value if hasattr(value, "dtype") else jnp.asarray(value))
    number = complex(value)
    few = all(abs(math.frexp(p)[0]) * 2**10 % 1 == 0 for p in (number.real, number.imag) if math.isfinite(p))
    return Rounded(jnp.asarray(value), None if few else Relative(unit(jnp.result_type(value))))


def bound(x: Rounded) -> jax.Array:
    """The bound as an array of the value's shape."""
    if x.error is None:
        return jnp.zeros(jnp.shape(x.value), wide(jnp.result_type(x.value)))
    if not isinstance(x.error, Relative):
        return x.error
    error = x.error.share * size(x.value)
    if not x.error.but_integers:
        return error
    exact = (x.value == jnp.round(x.value)) & (size(x.value) * unit(x.value.dtype) < 0.5)
    return jnp.where(exact, jnp.zeros_like(error), error)


def propagate(eqn: Any, xs: Sequence[Rounded], zs: Sequence[Any]) -> tuple[list[Error], bool]:
    """The errors of an equation's results `zs`, given its operands; and whether they are estimates, not bounds."""
    if not any(_is_float(z) for z in zs):
        return [None] * len(zs), False
    rule = _rules().get(eqn.primitive)
    if rule is None:
        return _unknown(eqn, xs, zs)
    errors = rule(_Step(eqn, xs, zs))
    return (errors if isinstance(errors, list) else [errors]), False


class _Step(NamedTuple):
    eqn: Any
    xs: Sequence[Rounded]
    zs: Sequence[Any]

    @property
    def z(self) -> jax.Array:
        return size(self.zs[0])

    @property
    def u(self) -> float:
        return unit(self.zs[0].dtype)

    def again(self, values: Sequence[Any]) -> list[Any]:
        return _compat.apply(self.eqn, values)

    def share(self) -> float | None:
        """The largest share, if all errors are shares of their values; None else."""
        errors = [x.error for x in self.xs if _is_float(x.value)]
        if not all(e is None or isinstance(e, Relative) for e in errors):
            return None
        return max((e.share for e in errors if e is not None), default=0.0)


def _is_float(value: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(value), jnp.inexact)


def _shares(*xs: Rounded) -> list[float] | None:
    if not all(x.error is None or isinstance(x.error, Relative) for x in xs):
        return None
    return [0.0 if x.error is None else x.error.share for x in xs]


# Arithmetic -------------------------------------------------------------------------------------------------


def _add(s: _Step) -> Error:
    return sum((bound(x) for x in s.xs if x.error is not None), start=s.u * s.z)


def _mul(s: _Step) -> Error:
    a, b = s.xs
    factor = 4 if jnp.iscomplexobj(s.zs[0]) else 1
    if a.error is None and b.error is None:
        return Relative(factor * s.u, True)
    if (shares := _shares(a, b)) is not None:
        return Relative((1 + shares[0]) * (1 + shares[1]) * (1 + factor * s.u) - 1)
    terms = [factor * s.u * s.z]
    if b.error is not None:
        terms.append(size(a.value) * bound(b))
    if a.error is not None:
        terms.append(bound(a) * (size(b.value) + bound(b)))
    return sum(terms[1:], start=terms[0])


def _div(s: _Step) -> Error:
    a, b = s.xs
    factor = 8 if jnp.iscomplexobj(s.zs[0]) else 2
    if (shares := _shares(a, b)) is not None:
        return Relative((1 + shares[0]) / (1 - shares[1]) * (1 + factor * s.u) - 1)
    left = size(b.value) - bound(b)
    moved = bound(a) + s.z * (1 + factor * s.u) * bound(b)
    return (
        jnp.where(left > 0, moved / jnp.where(left > 0, left, 1), jnp.where(moved > 0, jnp.inf, 0)) + factor * s.u * s.z
    )


def _largest(s: _Step) -> Error:
    """Of max, min and clamp: moved by no more than what moves most."""
    if (share := s.share()) is not None and share == 0:
        return None
    return functools.reduce(jnp.maximum, [bound(x) for x in s.xs])


def _same(s: _Step) -> Error:
    return s.xs[0].error


def _integer_pow(s: _Step) -> Error:
    n = s.eqn.params.get("y", 2)
    (x,) = s.xs
    charge = 2 * max(abs(n).bit_length(), 1) * s.u
    if (shares := _shares(x)) is not None:
        return Relative((1 + shares[0]) ** abs(n) / (1 - abs(n) * shares[0]) * (1 + charge) - 1)
    e, v = bound(x), size(x.value)
    if n > 0:
        return n * (v + e) ** (n - 1) * e + charge * s.z
    left = v - e
    return jnp.where(left > 0, abs(n) * jnp.where(left > 0, left, 1) ** (n - 1) * e, jnp.inf) + charge * s.z


def _smooth(moved: Callable[[Any, Any, Any], Any], charge: int = TRANSCENDENTAL) -> Callable[[_Step], Error]:
    """A function of one number: `moved(x, |z|, e)` bounds how far z moves if x moves by e."""

    def rule(s: _Step) -> Error:
        (x,) = s.xs
        own = charge * s.u * s.z
        if jnp.iscomplexobj(s.zs[0]):
            return _first_order(s)
        return own if x.error is None else own + moved(x.value.astype(own.dtype), s.z, bound(x))

    return rule


def _sqrt(x, z, e):
    return jnp.where(z > 0, e / jnp.where(z > 0, z, 1), jnp.sqrt(e))


def _rsqrt(x, z, e):
    r = e / x
    return jnp.where(r < 1, z * r / (2 * jnp.where(r < 1, 1 - r, 1)), jnp.inf)


def _log(x, z, e):
    r = e / jnp.abs(x)
    return jnp.where(r < 1, -jnp.log1p(-jnp.where(r < 1, r, 0)), jnp.where(e > 0, jnp.inf, 0))


_SMOOTH = {
    "exp": lambda x, z, e: z * jnp.expm1(e),
    "exp2": lambda x, z, e: z * jnp.expm1(e * math.log(2)),
    "expm1": lambda x, z, e: jnp.exp(x) * jnp.expm1(e),
    "log": _log,
    "log1p": lambda x, z, e: _log(1 + x, z, e),
    "sqrt": _sqrt,
    "rsqrt": _rsqrt,
    # Half the largest second derivative times e², beside the first: a bound, and never more than the largest slope's.
    "tanh": lambda x, z, e: jnp.minimum(e, ((1 - z * z) + 0.39 * e) * e),
    "logistic": lambda x, z, e: jnp.minimum(0.25 * e, (z * (1 - z) + 0.05 * e) * e),
    "sin": lambda x, z, e: jnp.minimum(e, (jnp.abs(jnp.cos(x)) + 0.5 * e) * e),
    "cos": lambda x, z, e: jnp.minimum(e, (jnp.abs(jnp.sin(x)) + 0.5 * e) * e),
    "erf": lambda x, z, e: 1.1284 * e,
    "erfc": lambda x, z, e: 1.1284 * e,
}


def _first_order(s: _Step) -> Error:
    """Entry by entry, to first order: Σ |∂z/∂x| e."""
    total = 2 * TRANSCENDENTAL * s.u * s.z
    for i, x in enumerate(s.xs):
        if x.error is not None and _is_float(x.value):
            values = [y.value for y in s.xs]
            alone = lambda v, i=i, values=values: s.again([*values[:i], v, *values[i + 1 :]])[0]
            slope = jax.jvp(alone, (x.value,), (jnp.ones_like(x.value),))[1]
            total = total + size(slope) * bound(x)
    return total


# What moves values and leaves them as they are ----------------------------------------------------------------


def _moved(s: _Step) -> Error:
    share = s.share()
    if share is not None:
        errors = [x.error for x in s.xs if _is_float(x.value)]
        integers = all(e is None or e.but_integers for e in errors)
        return [Relative(share, integers) if share and _is_float(z) else None for z in s.zs]
    return s.again([bound(x) if _is_float(x.value) else x.value for x in s.xs])


def _barrier(s: _Step) -> Error:
    return [x.error for x in s.xs]


def _convert(s: _Step) -> Error:
    (x,), (z,) = s.xs, s.zs
    if not _is_float(x.value):
        exact = x.value.dtype == jnp.bool_ or jnp.iinfo(x.value.dtype).bits <= jnp.finfo(z.dtype).nmant
        return None if exact else Relative(s.u, True)
    narrower = jnp.finfo(z.dtype).bits < jnp.finfo(x.value.dtype).bits or z.dtype.itemsize == x.value.dtype.itemsize
    if z.dtype == x.value.dtype or (not narrower and x.error is None):
        return x.error
    if x.error is None or isinstance(x.error, Relative):
        share = 0.0 if x.error is None else x.error.share
        return Relative((share + s.u) if narrower else share, x.error is None or x.error.but_integers)
    error = x.error.astype(wide(z.dtype))
    return error + s.u * s.z if narrower else error


def _reduce_precision(s: _Step) -> Error:
    return bound(s.xs[0]) + 2.0 ** -(s.eqn.params["mantissa_bits"] + 1) * s.z


# Sums and products --------------------------------------------------------------------------------------------


def _gamma(n: int, u: float) -> float:
    return n * u / (1 - n * u) if n * u < 1 else math.inf


def _summed(count: Callable[[_Step], int]) -> Callable[[_Step], Error]:
    """A sum of `count` terms per result: of the errors, and γ of the magnitudes, in any order of summation."""

    def rule(s: _Step) -> Error:
        gamma = _gamma(max(count(s) - 1, 0), s.u)
        return s.again([bound(x) + gamma * size(x.value) if _is_float(x.value) else x.value for x in s.xs])[0]

    return rule


def _dot(s: _Step) -> Error:
    (contract, _), _ = s.eqn.params["dimension_numbers"]
    n = math.prod(jnp.shape(s.xs[0].value)[i] for i in contract)
    product = lambda a, b: lax.dot_general(a, b, s.eqn.params["dimension_numbers"])
    return _bilinear(s, n, product)


_CONV = ("window_strides", "padding", "lhs_dilation", "rhs_dilation", "dimension_numbers", "feature_group_count",
         "batch_group_count")  # fmt: skip


def _conv(s: _Step) -> Error:
    options = {name: s.eqn.params[name] for name in _CONV}
    kernel = jnp.shape(s.xs[1].value)
    n = math.prod(kernel) // kernel[options["dimension_numbers"].rhs_spec[0]]
    return _bilinear(s, n, lambda a, b: lax.conv_general_dilated(a, b, **options))


def _bilinear(s: _Step, n: int, product: Callable) -> Error:
    """|A| (e_B + (γ_n + share_A) |B|), and e_A (|B| + e_B) where the error of A is not a share of A."""
    a, b = s.xs
    kind = wide(s.zs[0].dtype)
    size_a, size_b = size(a.value).astype(kind), size(b.value).astype(kind)
    share_a, share_b = _shares(a), _shares(b)
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


# Order statistics ---------------------------------------------------------------------------------------------


def _of_largest(s: _Step) -> Error:
    """Of a maximum or minimum over some entries: the largest error among them."""
    if s.share() == 0:
        return None
    return jnp.max(bound(s.xs[0]), axis=tuple(s.eqn.params["axes"]))


def _largest_along(axis: str) -> Callable[[_Step], Error]:
    """Of values put in order along an axis: the largest error along it."""

    def rule(s: _Step) -> Error:
        errors: list[Error] = []
        for x, z in zip(list(s.xs) * len(s.zs) if len(s.xs) == 1 else s.xs, s.zs, strict=True):
            if not _is_float(z):
                errors.append(None)
                continue
            largest = jnp.max(bound(x), axis=s.eqn.params[axis], keepdims=True)
            errors.append(jnp.broadcast_to(largest, z.shape))
        return errors

    return rule


def _of_window(s: _Step) -> Error:
    options = ("window_dimensions", "window_strides", "padding", "base_dilation", "window_dilation")
    e = bound(s.xs[0])
    named = {name: s.eqn.params[name] for name in options}
    return lax.reduce_window(e, jnp.zeros((), e.dtype), lax.max, **named)


# The table ----------------------------------------------------------------------------------------------------

_MOVERS = (
    "broadcast_in_dim", "reshape", "transpose", "squeeze", "slice", "dynamic_slice", "dynamic_update_slice", "gather",
    "scatter", "concatenate", "pad", "rev", "copy", "select_n", "split", "real", "imag",
)  # fmt: skip
_EXACT = ("sign", "floor", "ceil", "round", "iota", "bitcast")
_FIRST_ORDER = (
    "pow", "tan", "cbrt", "erf_inv", "rem", "asin", "acos", "atan", "atan2", "sinh", "cosh", "asinh",
    "acosh", "atanh", "bessel_i0e", "bessel_i1e",
)  # fmt: skip


@functools.cache
def _rules() -> dict[Any, Callable[[_Step], Any]]:
    """By primitive: from its operands with their errors, and its results, to the errors of these."""
    reduced = lambda s: jnp.size(s.xs[0].value) // max(jnp.size(s.zs[0]), 1)
    along = lambda s: jnp.shape(s.xs[0].value)[s.eqn.params["axis"]]
    window = lambda s: math.prod(s.eqn.params["window_dimensions"])
    updates = lambda s: 1 + math.prod(jnp.shape(s.xs[1].value)[:-1])
    named: dict[str, Callable[[_Step], Any]] = {
        "add": _add, "sub": _add, "add_any": _add, "mul": _mul, "div": _div, "integer_pow": _integer_pow,
        "square": _integer_pow, "max": _largest, "min": _largest, "clamp": _largest, "neg": _same, "abs": _same,
        "conj": _same, "stop_gradient": _same, "complex": _add, "optimization_barrier": _barrier,
        "convert": _convert, "reduce_precision": _reduce_precision,
        "reduce_sum": _summed(reduced), "cumsum": _summed(along), "reduce_window_sum": _summed(window),
        "scatter_add": _summed(updates), "dot_general": _dot, "conv": _conv,
        "reduce_max": _of_largest, "reduce_min": _of_largest, "cummax": _largest_along("axis"),
        "cummin": _largest_along("axis"), "sort": _largest_along("dimension"), "top_k": _largest_along("axis"),
        "reduce_window_max": _of_window, "reduce_window_min": _of_window,
    }  # fmt: skip
    named |= {name: _smooth(moved) for name, moved in _SMOOTH.items()}
    near_zeros = lambda s: _first_order(s) + 2 * TRANSCENDENTAL * s.u  # these lose digits where they cross zero
    named |= {"lgamma": near_zeros, "digamma": near_zeros}
    named |= dict.fromkeys(_MOVERS, _moved) | dict.fromkeys(_EXACT, lambda s: [None] * len(s.zs))
    named |= dict.fromkeys(_FIRST_ORDER, _first_order)
    return {primitive(name): rule for name, rule in named.items()}


def _unknown(eqn: Any, xs: Sequence[Rounded], zs: Sequence[Any]) -> tuple[list[Error], bool]:
    """For a primitive without a rule: to first order along the errors as they are, and a share of the largest entry."""
    floats = [i for i, x in enumerate(xs) if _is_float(x.value)]
    if not floats:
        return [None] * len(zs), False

    def at(*values: Any) -> list[Any]:
        new = [x.value for x in xs]
        for i, value in zip(floats, values, strict=True):
            new[i] = value
        return [z for z in _compat.apply(eqn, new) if _is_float(z)]

    values = tuple(xs[i].value for i in floats)
    moves = tuple(bound(xs[i]).astype(xs[i].value.dtype) for i in floats)
    try:
        moved = iter(jax.jvp(at, values, moves)[1])
    except (NotImplementedError, TypeError, ValueError):  # no derivative in forward mode
        moved = iter([jnp.zeros_like(z) for z in zs if _is_float(z)])
    length = max((d for x in xs for d in jnp.shape(x.value)), default=1)
    errors = [
        size(next(moved)) + length * TRANSCENDENTAL * unit(z.dtype) * jnp.max(size(z), initial=0)
        if _is_float(z)
        else None
        for z in zs
    ]
    return errors, True
