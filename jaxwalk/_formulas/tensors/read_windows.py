"""Reading convolutions, pooling, padding and flips as terms; what flows back through them is the same, but for max."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from ..._jax.jaxpr.types import type_of
from .builder import TermBuilder
from .term import Shape, Term, is_number
from .windows import Convolution, Flip, Padding, Pooling, Slide

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var
    from jax.lax import ConvDimensionNumbers

SPATIAL = {0: "", 1: "w", 2: "hw", 3: "dhw"}
REGROUPED = 10_000_000  # entries of a kernel whose groups are looked for
NEUTRAL = {"sum": 0, "max": float("-inf"), "min": float("inf")}  # what padding adds to a window


def convolution(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term | None:
    p = eqn.params
    rank = len(p["window_strides"])
    if rank not in SPATIAL or not _is_float(eqn):
        return None
    x, y, out = _letters(p["dimension_numbers"], SPATIAL[rank])
    of_batch, of_channels = p["batch_group_count"], p["feature_group_count"]
    cut = x[p["dimension_numbers"].lhs_spec[0 if of_batch > 1 else 1]] + y[p["dimension_numbers"].rhs_spec[0]]
    slide = Slide((1,) * rank, *(_ints(p[n]) for n in ("window_strides", "padding", "rhs_dilation", "lhs_dilation")))
    first, x = _before_transposed(args[0], x)
    second, y = _before_transposed(args[1], y)
    groups = of_batch * of_channels
    if of_channels > 1 and (found := _before_regrouped(t, second, y, cut, groups)) is not None:
        second, cut = found, cut[0] * 2
    return t.make("windows", (first, second), shape, Convolution((x, y, out), slide, groups, cut))


def _letters(numbers: ConvDimensionNumbers, spatial: str) -> tuple[str, str, str]:
    """Name axes: n and c those of the first operand that no window slides along, o that of the second alone.

    Of a kernel whose channels stand the other way round than in the layouts hwio and oihw, c and o change places: so
    the way back has the letters of the way forward.
    """
    batch, channel, own = ("n", "c", "o") if numbers.lhs_spec[0] < numbers.lhs_spec[1] else ("c", "n", "o")
    own_axis, shared_axis, *others = numbers.rhs_spec
    turned = others and (max(others) < own_axis < shared_axis or shared_axis < own_axis < min(others))
    if turned and channel == "c":
        channel, own = own, channel

    def placed(spec: Sequence[int], roles: str) -> str:
        return "".join(letter for _, letter in sorted(zip(spec, roles, strict=True)))

    return (
        placed(numbers.lhs_spec, batch + channel + spatial),
        placed(numbers.rhs_spec, own + channel + spatial),
        placed(numbers.out_spec, batch + own + spatial),
    )


def _before_transposed(x: Term, letters: str) -> tuple[Term, str]:
    if x.op != "transpose":
        return x, letters
    return x.args[0], "".join(letters[x.detail.index(i)] for i in range(len(letters)))


def _before_regrouped(t: TermBuilder, x: Term, letters: str, cut: str, groups: int) -> Term | None:
    """Return a kernel as it is on the way forward: on the way back, its groups move from the one channel to the other.

    Which steps move them depends on how many channels there are; where they move the entries does not.
    """
    summed, own = (letters.index(c) for c in cut)
    before = list(x.shape)
    before[summed], before[own] = before[summed] * groups, before[own] // groups
    steps = []
    while x.op in ("reshape", "transpose", "expand") or _is_flip(x):
        steps.append(x)
        x = x.args[0]
    if list(x.shape) != before or not steps or math.prod(before) > REGROUPED:
        return None
    moved = places = np.arange(math.prod(before)).reshape(before)
    for step in reversed(steps):
        moved = _moved(step, moved)
    flips = [step for step in steps if _is_flip(step)]
    axes = flips[0].detail.axes if flips else ()
    cut_up = np.stack(np.split(np.flip(places, axes), groups, summed), own)
    if len(flips) > 1 or not np.array_equal(moved, cut_up.reshape(moved.shape)):
        return None
    return t.make("windows", (x,), before, Flip(axes)) if axes else x


def _moved(step: Term, x: Any) -> Any:
    if step.op == "transpose":
        return np.transpose(x, step.detail)
    return np.flip(x, step.detail.axes) if _is_flip(step) else np.reshape(x, step.shape)


def _is_flip(x: Term) -> bool:
    return x.op == "windows" and isinstance(x.detail, Flip)


def flip(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term:
    (x,), axes = args, tuple(sorted(i for i in _ints(eqn.params["dimensions"]) if shape[i] > 1))
    if not axes:
        return x
    if x.op == "transpose":
        inner = x.args[0]
        turned = t.make("windows", (inner,), inner.shape, Flip(tuple(sorted(x.detail[i] for i in axes))))
        return t.transposed(turned, x.detail)
    return t.make("windows", (x,), shape, Flip(axes))


def pooling(kind: str) -> Callable[[TermBuilder, JaxprEqn, Sequence[Term], Shape], Term | None]:
    def rule(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term | None:
        parts = ("window_dimensions", "window_strides", "padding", "window_dilation", "base_dilation")
        slide = Slide(*(_ints(eqn.params[n]) for n in parts))
        make = lambda args, shape, slide: _pooled(t, kind, args[0], shape, slide)
        return _moved_out(t, args, shape, slide, make) if _is_float(eqn) else None

    return rule


def _pooled(t: TermBuilder, kind: str, x: Term, shape: Shape, slide: Slide) -> Term:
    if _is_padding(x, NEUTRAL[kind]) and set(slide.input_dilation) <= {1}:
        inner = _at_every_axis(x.detail, len(shape))
        if all(outer == (0, 0) or min(pair) >= 0 for pair, outer in zip(inner.padding, slide.padding)):
            padding = tuple((a + c, b + d) for (a, b), (c, d) in zip(inner.padding, slide.padding))
            x, slide = x.args[0], slide._replace(padding=padding, input_dilation=inner.input_dilation)
    if kind != "sum" or not _hands_out(x, slide):
        return _of_windows(t, kind, [x], shape, slide, shape)
    reach = [d * (n - 1) for d, n in zip(slide.dilation, slide.size)]
    padding = tuple((r - a, r - b) for r, (a, b) in zip(reach, slide.padding))
    slide = Slide(slide.size, slide.input_dilation, padding, slide.dilation, slide.stride)
    if x.op == "divide" and x.args[0].shape == x.shape and is_number(x.args[1], math.prod(slide.size)):
        kind, x = "avg", x.args[0]
    return _handed_out(t, kind, [x], shape, slide)


def _hands_out(x: Term, slide: Slide) -> bool:
    """Tell whether the sum of windows, over entries with zeros between, is written the other way.

    The windows lie one step apart; the other way, each entry goes to all places of a window.
    """
    alone = any(n == 1 < size for n, size in zip(x.shape, slide.size))
    return set(slide.stride) <= {1} and (alone or max(slide.input_dilation, default=1) > 1)


def _of_windows(
    t: TermBuilder, kind: str, args: Sequence[Term], shape: Shape, slide: Slide, counts: Shape, back: bool = False
) -> Term:
    """Make pooling, or what flows back, of `counts` windows along each axis; of a single one, the stride is none."""
    stride = tuple(size if n == 1 else s for s, size, n in zip(slide.stride, slide.size, counts))
    slide = slide._replace(stride=stride)
    axes = _axes(slide)
    return t.make("windows", args, shape, Pooling(kind, axes, _at(slide, axes), back)) if axes else args[0]


def _handed_out(t: TermBuilder, kind: str, args: Sequence[Term], shape: Shape, slide: Slide) -> Term:
    """Make what flows back through pooling from the first of `args`."""
    make = lambda args, shape, slide: _of_windows(t, kind, args, shape, slide, args[0].shape, back=True)
    return _moved_out(t, args, shape, slide, make)


def pooling_back(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term | None:
    p, ones = eqn.params, (1,) * len(shape)
    kind = {"ge": "max", "le": "min"}.get(str(p["select_prim"]))
    if kind is None or not _is_float(eqn):
        return None
    slide = Slide(_ints(p["window_dimensions"]), _ints(p["window_strides"]), _ints(p["padding"]), ones, ones)
    return _handed_out(t, kind, args, shape, slide)


def mean_of_windows(t: TermBuilder, top: Term, bottom: Term) -> Term | None:
    """Write the sum of a window by how many it sums as their mean, the padding counted; axes may have moved since."""
    if top.op in ("transpose", "expand", "reshape"):
        mean = mean_of_windows(t, top.args[0], bottom)
        if mean is None:
            return None
        return t.transposed(mean, top.detail) if top.op == "transpose" else t.reshaped(mean, top.shape)
    detail = top.detail
    is_sum = top.op == "windows" and isinstance(detail, Pooling) and detail.kind == "sum" and not detail.back
    if not is_sum or not is_number(bottom, math.prod(detail.slide.size)):
        return None
    return t.make("windows", top.args, top.shape, detail._replace(kind="avg"))


def padding(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term | None:
    x, value = args
    if value.op != "number" or isinstance(value.detail, bool) or not _is_float(eqn):
        return None
    config, ones = _ints(eqn.params["padding_config"]), (1,) * len(shape)
    slide = Slide(ones, ones, tuple((a, b) for a, b, _ in config), ones, tuple(c + 1 for _, _, c in config))

    def make(args: Sequence[Term], shape: Shape, slide: Slide) -> Term:
        axes = _axes(slide)
        return t.make("windows", args, shape, Padding(axes, _at(slide, axes), value.detail)) if axes else args[0]

    return _moved_out(t, [x], shape, slide, make)


def _moved_out(
    t: TermBuilder,
    args: Sequence[Term],
    shape: Shape,
    slide: Slide,
    make: Callable[[Sequence[Term], Shape, Slide], Term],
) -> Term:
    """Make what is done window by window before axes are transposed or put in, not after: there, two may cancel."""
    x = args[-1]
    if x.op == "transpose":
        back = tuple(int(i) for i in np.argsort(x.detail))
        of = lambda values: tuple(values[i] for i in back)
        inner = [t.transposed(a, back) for a in args]
        return t.transposed(_moved_out(t, inner, of(shape), slide.each(of), make), x.detail)
    if x.op == "expand" and not set(x.detail) & set(_axes(slide)):
        of = lambda values: tuple(v for i, v in enumerate(values) if i not in x.detail)
        inner = [t.reshaped(a, of(a.shape)) for a in args]
        return t.expanded(_moved_out(t, inner, of(shape), slide.each(of), make), x.detail, shape)
    return make(args, shape, slide)


def _is_padding(x: Term, value: float) -> bool:
    return x.op == "windows" and isinstance(x.detail, Padding) and x.detail.value == value


def _axes(slide: Slide) -> Shape:
    """Return the axes along which a window does anything at all."""
    return tuple(i for i, parts in enumerate(zip(*slide, strict=True)) if parts != _USUAL)


def _at(slide: Slide, axes: Shape) -> Slide:
    return slide.each(lambda part: tuple(part[i] for i in axes))


def _at_every_axis(pad: Padding, rank: int) -> Slide:
    at: dict[int, Any] = dict(zip(pad.axes, zip(*pad.slide)))
    return Slide(*zip(*(at.get(i, _USUAL) for i in range(rank))))


_USUAL = (1, 1, (0, 0), 1, 1)  # of a window that does nothing along an axis


def _ints(values: Any) -> Any:
    """Return numbers of JAX's, which may be NumPy's, as Python's."""
    return tuple(_ints(v) if isinstance(v, Sequence) else int(v) for v in values)


def _is_float(eqn: JaxprEqn) -> bool:
    return is_float(*eqn.invars, *eqn.outvars)


def is_float(*variables: Var | Literal) -> bool:
    return all(jnp.issubdtype(type_of(v).dtype, jnp.floating) for v in variables)
