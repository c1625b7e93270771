"""Reading convolutions, pooling, padding and flips as terms; what flows back through them is the same, but for max."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from .builder import TermBuilder
from .term import Convolution, Flip, Padding, Pooling, Slide, Term, is_number

SPATIAL = {0: "", 1: "w", 2: "hw", 3: "dhw"}
REGROUPED = 10_000_000  # entries of a kernel whose groups are looked for
NEUTRAL = {"sum": 0, "max": float("-inf"), "min": float("inf")}  # what padding adds to a window


def convolution(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Term | None:
    p = eqn.params
    rank = len(p["window_strides"])
    if rank not in SPATIAL or not _is_float(eqn):
        return None
    x, y, out = _letters(p["dimension_numbers"], SPATIAL[rank])
    of_batch, of_channels = p["batch_group_count"], p["feature_group_count"]
    cut = x[p["dimension_numbers"].lhs_spec[0 if of_batch > 1 else 1]] + y[p["dimension_numbers"].rhs_spec[0]]
    slide = Slide(*(_ints(p[n]) for n in ("window_strides", "padding", "rhs_dilation", "lhs_dilation")))
    first, x = _before_transposed(args[0], x)
    second, y = _before_transposed(args[1], y)
    groups = of_batch * of_channels
    if of_channels > 1 and (found := _before_regrouped(t, second, y, cut, groups)) is not None:
        second, cut = found, cut[0] * 2
    return t.make("windows", (first, second), shape, Convolution((x, y, out), slide, groups, cut))


def _letters(numbers: Any, spatial: str) -> tuple[str, str, str]:
    """n and c are the axes of the first operand that no window slides along, o is that of the second alone.

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
    """A kernel as it is on the way forward: on the way back, its groups are moved from the one channel to the other.

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


def flip(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Term:
    (x,), axes = args, tuple(sorted(i for i in _ints(eqn.params["dimensions"]) if shape[i] > 1))
    if not axes:
        return x
    if x.op == "transpose":
        inner = x.args[0]
        turned = t.make("windows", (inner,), inner.shape, Flip(tuple(sorted(x.detail[i] for i in axes))))
        return t.transposed(turned, x.detail)
    return t.make("windows", (x,), shape, Flip(axes))


def pooling(kind: str) -> Any:
    def rule(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Term | None:
        p = eqn.params
        if not _is_float(eqn):
            return None
        parts = ("window_strides", "padding", "window_dilation", "base_dilation")
        slide = Slide(*(_ints(p[n]) for n in parts))
        make = lambda *moved: _pooled(t, kind, *moved)
        return _moved_out(t, args, shape, _ints(p["window_dimensions"]), slide, make)

    return rule


def _pooled(t: TermBuilder, kind: str, args: Sequence[Term], shape: tuple[int, ...], sizes: Any, slide: Slide) -> Term:
    (x,) = args
    if _is_padding(x, NEUTRAL[kind]) and set(slide.input_dilation) <= {1}:
        inner = _everywhere(x.detail, len(shape))
        if all(outer == (0, 0) or min(pair) >= 0 for pair, outer in zip(inner.padding, slide.padding)):
            x, padding = x.args[0], tuple(map(_summed, inner.padding, slide.padding))
            slide = slide._replace(padding=padding, input_dilation=inner.input_dilation)
    if kind == "sum" and _hands_out(x, sizes, slide):
        reach = [d * (n - 1) for d, n in zip(slide.dilation, sizes)]
        padding = tuple((r - a, r - b) for r, (a, b) in zip(reach, slide.padding))
        slide = Slide(slide.input_dilation, padding, slide.dilation, slide.stride)
        if x.op == "divide" and x.args[0].shape == x.shape and is_number(x.args[1], math.prod(sizes)):
            kind, x = "avg", x.args[0]
        make = lambda args, shape, sizes, slide: _of_windows(t, kind, args, shape, sizes, slide, args[0].shape, True)
        return _moved_out(t, (x,), shape, sizes, slide, make)
    return _of_windows(t, kind, (x,), shape, sizes, slide, shape)


def _hands_out(x: Term, sizes: Sequence[int], slide: Slide) -> bool:
    """Whether the sum of windows that lie one step apart, over entries with zeros between, is told the other way:

    each entry goes to all places of a window.
    """
    alone = any(n == 1 < size for n, size in zip(x.shape, sizes))
    return set(slide.stride) <= {1} and (alone or max(slide.input_dilation, default=1) > 1)


def _of_windows(
    t: TermBuilder,
    kind: str,
    args: Sequence[Term],
    shape: Any,
    sizes: Any,
    slide: Slide,
    windows: Any,
    back: bool = False,
) -> Term:
    """Pooling, or what flows back, of so many `windows` along each axis; of a single one, the stride says nothing."""
    stride = tuple(size if n == 1 else s for s, size, n in zip(slide.stride, sizes, windows))
    slide = slide._replace(stride=stride)
    axes = _axes(slide, sizes)
    detail = Pooling(kind, axes, tuple(sizes[i] for i in axes), _along(slide, axes), back)
    return t.make("windows", args, shape, detail) if axes else args[0]


def pooling_back(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Term | None:
    p = eqn.params
    kind = {"ge": "max", "le": "min"}.get(str(p["select_prim"]))
    if kind is None or not _is_float(eqn):
        return None
    ones = (1,) * len(shape)
    slide = Slide(_ints(p["window_strides"]), _ints(p["padding"]), ones, ones)
    make = lambda args, shape, sizes, slide: _of_windows(t, kind, args, shape, sizes, slide, args[0].shape, True)
    return _moved_out(t, args, shape, _ints(p["window_dimensions"]), slide, make)


def mean_of_windows(t: TermBuilder, top: Term, bottom: Term) -> Term | None:
    """The sum of a window by how many it sums is their mean, the padding counted; axes may have been moved since."""
    if top.op in ("transpose", "expand", "reshape"):
        mean = mean_of_windows(t, top.args[0], bottom)
        if mean is None:
            return None
        return t.transposed(mean, top.detail) if top.op == "transpose" else t.reshaped(mean, top.shape)
    detail = top.detail
    is_sum = top.op == "windows" and isinstance(detail, Pooling) and detail.kind == "sum" and not detail.back
    if not is_sum or not is_number(bottom, math.prod(detail.sizes)):
        return None
    return t.make("windows", top.args, top.shape, detail._replace(kind="avg"))


def padding(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Term | None:
    x, value = args
    if value.op != "number" or isinstance(value.detail, bool) or not _is_float(eqn):
        return None
    config, ones = _ints(eqn.params["padding_config"]), (1,) * len(shape)
    slide = Slide(ones, tuple((a, b) for a, b, _ in config), ones, tuple(c + 1 for _, _, c in config))

    def make(args: Sequence[Term], shape: Any, sizes: Any, slide: Slide) -> Term:
        axes = _axes(slide, sizes)
        return t.make("windows", args, shape, Padding(axes, _along(slide, axes), value.detail)) if axes else args[0]

    return _moved_out(t, (x,), shape, ones, slide, make)


def _moved_out(t: TermBuilder, args: Sequence[Term], shape: Any, sizes: Any, slide: Slide, make: Any) -> Term:
    """What is done window by window, before axes are transposed or put in rather than after: there, two may cancel."""
    x = args[-1]
    if x.op == "transpose":
        back = tuple(int(i) for i in np.argsort(x.detail))
        of = lambda values: tuple(values[i] for i in back)
        inner = [t.transposed(a, back) for a in args]
        return t.transposed(_moved_out(t, inner, of(shape), of(sizes), slide.each(of), make), x.detail)
    if x.op == "expand" and not set(x.detail) & set(_axes(slide, sizes)):
        of = lambda values: tuple(v for i, v in enumerate(values) if i not in x.detail)
        inner = [t.reshaped(a, of(a.shape)) for a in args]
        return t.expanded(_moved_out(t, inner, of(shape), of(sizes), slide.each(of), make), x.detail, shape)
    return make(args, shape, sizes, slide)


def _is_padding(x: Term, value: Any) -> bool:
    return x.op == "windows" and isinstance(x.detail, Padding) and x.detail.value == value


def _axes(slide: Slide, sizes: Sequence[int]) -> tuple[int, ...]:
    """Where a window does anything at all."""
    usual = (1, 1, (0, 0), 1, 1)
    return tuple(i for i, parts in enumerate(zip(sizes, *slide, strict=True)) if parts != usual)


def _along(slide: Slide, axes: Sequence[int]) -> Slide:
    return slide.each(lambda part: tuple(part[i] for i in axes))


def _everywhere(pad: Padding, rank: int) -> Slide:
    at = {axis: i for i, axis in enumerate(pad.axes)}
    usual: Any = (1, (0, 0), 1, 1)
    parts: Any = pad.slide
    return Slide(*(tuple(p[at[i]] if i in at else u for i in range(rank)) for p, u in zip(parts, usual)))


def _summed(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return a[0] + b[0], a[1] + b[1]


def _ints(values: Any) -> Any:
    """Numbers of JAX's, which may be NumPy's, as Python's."""
    return tuple(_ints(v) if isinstance(v, Sequence) else int(v) for v in values)


def _is_float(eqn: Any) -> bool:
    return all(jnp.issubdtype(v.aval.dtype, jnp.floating) for v in (*eqn.invars, *eqn.outvars))
