"""Terms as text, a line that a person would write."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from ..tensors.term import Term
from .names import Name, constant_name, subscript, superscript
from .writer import ATOM, CASE, PRODUCT, SUM, Style, Writer


def _number(value: Any) -> tuple[str, int]:
    if isinstance(value, Fraction):
        level = SUM if value < 0 else ATOM if value.denominator == 1 else PRODUCT
        return str(value).replace("-", "−"), level
    return (
        (f"{value:.6g}".replace("-", "−"), SUM if value < 0 else ATOM)
        if isinstance(value, float)
        else (str(value), ATOM)
    )


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


def _power(writer: Writer, t: Term) -> tuple[str, int]:
    base = writer.inside(t.args[0], PRODUCT)
    if t.args[0].op not in ("number", "variable") or re.search("[⁰¹²³⁴⁵⁶⁷⁸⁹]$", base):
        base = (
            base if base.startswith("(") and t.args[0] not in writer.named else f"({base})" if len(base) > 1 else base
        )
    return base + superscript(t.detail), ATOM


def _masked(writer: Writer, t: Term) -> tuple[str, int]:
    value, condition = t.args
    if value.op == "number" and value.detail == 1:
        return f"1[{writer.bare(condition)}]", ATOM
    if t.shape == ():
        return f"{writer.inside(value, CASE)} if {writer.bare(condition)} else 0", CASE
    return f"{writer.inside(value, SUM)} ⊙ 1[{writer.bare(condition)}]", PRODUCT


def _where(writer: Writer, t: Term) -> tuple[str, int]:
    condition, yes, no = t.args
    return f"{writer.inside(yes, CASE)} if {writer.bare(condition)} else {writer.inside(no, CASE)}", CASE


def indexed(writer: Writer, t: Term, parts: Sequence[str]) -> tuple[str, int]:
    return f"{writer.inside(t.args[0], PRODUCT)}[{', '.join(parts)}]", ATOM


def expanded(writer: Writer, t: Term) -> tuple[str, int]:
    return indexed(writer, t, ["None" if i in t.detail else ":" for i in range(len(t.shape))])


def sliced(writer: Writer, t: Term) -> tuple[str, int]:
    parts = [
        ":" if (a, b, s) == (0, n, 1) else f"{a}:{b}" + (f":{s}" if s != 1 else "")
        for (a, b, s), n in zip(t.detail, t.args[0].shape, strict=True)
    ]
    return indexed(writer, t, parts)


def transposed(writer: Writer, t: Term) -> tuple[str, int]:
    if t.detail == (1, 0):
        return f"{writer.inside(t.args[0], PRODUCT)}ᵀ", ATOM
    return f"transpose({writer.bare(t.args[0])}, {t.detail})", ATOM


def spread(writer: Writer, t: Term) -> tuple[str, int]:
    inner = t.args[0]
    added = len(t.shape) - len(inner.shape)
    if math.prod(t.shape) == math.prod(inner.shape) and t.shape[added:] == inner.shape:
        return indexed(writer, t, ["None"] * added)
    return shaped("broadcast")(writer, t)


def shaped(name: str) -> Callable:
    return lambda writer, t: (f"{name}({writer.bare(t.args[0])}, {t.shape})", ATOM)


def told(writer: Writer, t: Term) -> tuple[str, int]:
    """A name, the operands, and behind ";" how it is done."""
    parts = [", ".join(map(writer.bare, t.args)), *filter(None, t.detail.words())]
    return f"{t.detail.name}{_subscript(t.detail.axes)}({'; '.join(parts)})", ATOM


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
        "expand": expanded,
        "slice": sliced,
        "transpose": transposed,
        "reshape": shaped("reshape"),
        "spread": spread,
        "windows": told,
        "primitive": told,
        "constant": lambda writer, t: (constant_name(t.detail), ATOM),
    },
)
