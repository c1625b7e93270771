"""Terms as NumPy: what the recipe is written in, and what it is run with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ..tensors.term import Term
from .names import Name
from .writer import ATOM, PRODUCT, SUM, Style, Text, Writer, template


def _number(value: Any) -> Text:
    if isinstance(value, Fraction):
        return str(value), ATOM if value.denominator == 1 and value >= 0 else SUM
    return (repr(value) if not isinstance(value, float) or math.isfinite(value) else f"float('{value}')"), SUM


def _call(name: str, args: Sequence[str], detail: Any) -> str:
    joined = ", ".join(args)
    if name == "einsum":
        return f"np.einsum('{detail[0]},{detail[1]}->{detail[2]}', {joined})"
    if name in ("softmax", "concat"):
        return f"{name}({'[' + joined + ']' if name == 'concat' else joined}, {detail})"
    if name in ("cumsum", "cumprod"):
        return f"np.{name}({joined}, {detail})"
    names = {"max": "np.maximum", "min": "np.minimum", "pow": "np.power", "asin": "np.arcsin", "acos": "np.arccos",
             "atan": "np.arctan", "asinh": "np.arcsinh", "acosh": "np.arccosh", "atanh": "np.arctanh",
             "atan2": "np.arctan2"}  # fmt: skip
    own = {"erf", "erfc", "logistic", "rsqrt"}
    return f"{names.get(name, name if name in own else f'np.{name}')}({joined})"


def _reduce(writer: Writer, t: Term) -> Text:
    kind, axes, keeps = t.detail
    return f"np.{kind}({writer.bare(t.args[0])}, axis={axes}{', keepdims=True' if keeps else ''})", ATOM


def _primitive(writer: Writer, t: Term) -> Text:
    calls: list[Any] = writer.style.signs["calls"]
    calls.append(t.detail)
    return f"step[{len(calls) - 1}]({', '.join(writer.bare_args(t))})", ATOM


def _slice(writer: Writer, t: Term) -> Text:
    return f"{writer.inside(t.args[0], PRODUCT)}[{', '.join(f'{a}:{b}:{s}' for a, b, s in t.detail)}]", ATOM


def numpy_style(calls: list[Any]) -> Style:
    """Return the style of NumPy; what has no notation is appended to `calls` and called from there."""
    return Style(
        name=Name.numpy,
        number=_number,
        signs={
            "−": "-", "·": "*", "⊙": "*", "=": "==", "≠": "!=", "<": "<", "≤": "<=", ">": ">", "≥": ">=", "∧": "&",
            "∨": "|", "¬": "~", "(": "(", ")": ")", "@": " @ ", "dot": " @ ", "calls": calls,
            "T": lambda x: f"np.swapaxes({x}, -1, -2)", "outer": lambda a, b: f"np.outer({a}, {b})",
        },
        call=_call,
        rules={
            "convert": template("converted({0}, '{detail}')"),
            "power": template("power({0}, {detail})"),
            "masked": template("np.where({1}, {0}, 0)"),
            "where": template("np.where({0}, {1}, {2})"),
            "expand": template("np.expand_dims({0}, {detail})"),
            "slice": _slice,
            "transpose": template("np.transpose({0}, {detail})"),
            "reshape": template("np.reshape({0}, {shape})"),
            "spread": template("np.broadcast_to({0}, {shape})"),
            "constant": lambda writer, t: (f"constant[{t.detail - 1}]", ATOM),
            "reduce": _reduce,
            "windows": lambda writer, t: (t.detail.numpy(writer.bare_args(t), t.shape), ATOM),
            "primitive": _primitive,
        },
    )  # fmt: skip
