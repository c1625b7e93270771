"""Terms as text, a line that a person would write."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ..tensors.term import Term, is_finite
from .names import Name, constant_name, subscript, superscript
from .writer import ATOM, CASE, PRODUCT, SUM, Rule, Style, Text, Writer, template


def _number(value: Any) -> Text:
    if isinstance(value, Fraction):
        level = SUM if value < 0 else ATOM if value.denominator == 1 else PRODUCT
        return str(value).replace("-", "−"), level
    return str(value).replace("inf", "∞").replace("-", "−"), SUM if value < 0 else ATOM


def _subscript(axes: Any) -> str:
    axes = axes if isinstance(axes, tuple) else (axes,)
    return ",".join(map(subscript, axes))


def _call(name: str, args: Sequence[str], detail: Any) -> str:
    joined = ", ".join(args)
    if name == "einsum":
        return f"einsum({detail[0]},{detail[1]}→{detail[2]}; {joined})"
    if name == "abs":
        return f"|{joined}|"
    if name == "rsqrt":
        return f"√({joined})⁻¹"
    name = {"sum": "Σ", "prod": "Π", "logistic": "σ", "sqrt": "√"}.get(name, name)
    return f"{name}{_subscript(detail) if isinstance(detail, (int, tuple)) else ''}({joined})"


def _power(writer: Writer, t: Term) -> Text:
    (x,), base = t.args, writer.inside(t.args[0], PRODUCT)
    is_plain = x.op in ("number", "variable") and not re.search("[⁰¹²³⁴⁵⁶⁷⁸⁹]$", base)
    if not is_plain and len(base) > 1 and (x in writer.named or not base.startswith("(")):
        base = f"({base})"
    return base + superscript(t.detail), ATOM


def _masked(writer: Writer, t: Term) -> Text:
    value, condition = t.args
    if value.op == "number" and value.detail == 1:
        return f"1[{writer.bare(condition)}]", ATOM
    if t.shape == () or not is_finite(value):  # a product with 0 would not be 0 there
        return f"{writer.inside(value, CASE)} if {writer.bare(condition)} else 0", CASE
    return f"{writer.inside(value, SUM)} ⊙ 1[{writer.bare(condition)}]", PRODUCT


def _where(writer: Writer, t: Term) -> Text:
    condition, yes, no = t.args
    return f"{writer.inside(yes, CASE)} if {writer.bare(condition)} else {writer.inside(no, CASE)}", CASE


def _indexed(writer: Writer, t: Term, parts: Sequence[str]) -> Text:
    return f"{writer.inside(t.args[0], PRODUCT)}[{', '.join(parts)}]", ATOM


def _expanded(writer: Writer, t: Term) -> Text:
    return _indexed(writer, t, ["None" if i in t.detail else ":" for i in range(len(t.shape))])


def _reduced(writer: Writer, t: Term) -> Text:
    kind, axes, keeps = t.detail
    x = t.args[0]
    text = writer.style.call(kind, [writer.bare(x)], axes if len(axes) < len(x.shape) else ())
    kept = ", ".join("None" if i in axes else ":" for i in range(len(x.shape)))
    return text + (f"[{kept}]" if keeps else ""), ATOM


def _sliced(writer: Writer, t: Term) -> Text:
    parts = zip(t.detail, t.args[0].shape, strict=True)
    texts = [":" if part == (0, n, 1) else ":".join(map(str, part)).removesuffix(":1") for part, n in parts]
    return _indexed(writer, t, texts)


def _transposed(writer: Writer, t: Term) -> Text:
    if t.detail == (1, 0):
        return f"{writer.inside(t.args[0], PRODUCT)}ᵀ", ATOM
    return template("transpose({0}, {detail})")(writer, t)


def _spread(writer: Writer, t: Term) -> Text:
    inner = t.args[0]
    added = len(t.shape) - len(inner.shape)
    if math.prod(t.shape) == math.prod(inner.shape) and t.shape[added:] == inner.shape:
        return _indexed(writer, t, ["None"] * added)
    return template("broadcast({0}, {shape})")(writer, t)


def _with_options(writer: Writer, t: Term) -> Text:
    """Write a name, the operands, and behind ";" how it is done."""
    parts = [", ".join(writer.bare_args(t)), *filter(None, t.detail.words())]
    return f"{t.detail.name}{_subscript(t.detail.axes)}({'; '.join(parts)})", ATOM


SHAPING: dict[str, Rule] = {
    "expand": _expanded,
    "reduce": _reduced,
    "slice": _sliced,
    "transpose": _transposed,
    "reshape": template("reshape({0}, {shape})"),
    "spread": _spread,
}
_SIGNS = {s: s for s in "−·⊙=≠<≤>≥∧∨¬()"} | {"@": " ", "dot": " · ", "T": lambda x: x + "ᵀ"}
TEXT = Style(
    name=Name.text,
    number=_number,
    signs=_SIGNS | {"outer": lambda a, b: f"{a} ⊗ {b}"},
    call=_call,
    rules={
        "power": _power,
        "masked": _masked,
        "where": _where,
        **SHAPING,
        "windows": _with_options,
        "primitive": _with_options,
        "constant": lambda writer, t: (constant_name(t.detail), ATOM),
    },
)
