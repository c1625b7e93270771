"""Terms as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ..tensors.term import Term, is_finite
from .names import Name, escaped
from .text import SHAPING
from .writer import ATOM, PRODUCT, SUM, Rule, Style, Text, Writer, template


def _number(value: Any) -> Text:
    if isinstance(value, Fraction) and value.denominator != 1:
        sign = "-" if value < 0 else ""
        return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}", SUM if value < 0 else ATOM
    mantissa, _, exponent = str(value).partition("e")
    if exponent:
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}", SUM if value < 0 else PRODUCT
    return mantissa.replace("inf", r"\infty"), SUM if value < 0 else ATOM


def _call(name: str, args: Sequence[str], detail: Any) -> str:
    joined = ", ".join(args)
    if name == "einsum":
        letters = rf"\mathrm{{{detail[0]},{detail[1]}\to {detail[2]}}}"
        return rf"\mathrm{{einsum}}_{{{letters}}}\left({joined}\right)"
    if name == "abs":
        return rf"\left|{joined}\right|"
    if name in ("sqrt", "rsqrt"):
        return rf"\sqrt{{{joined}}}" + ("^{-1}" if name == "rsqrt" else "")
    known = {"sum": r"\sum", "prod": r"\prod", "logistic": r"\sigma", "exp": r"\exp", "log": r"\log", "max": r"\max",
             "min": r"\min", "tanh": r"\tanh", "sin": r"\sin", "cos": r"\cos"}  # fmt: skip
    axes = detail if isinstance(detail, tuple) else (detail,)
    below = "_{" + ",".join(map(str, axes)) + "}" if isinstance(detail, (int, tuple)) and axes else ""
    return known.get(name, rf"\mathrm{{{escaped(name)}}}") + below + rf"\left({joined}\right)"


def _power(writer: Writer, t: Term) -> Text:
    is_plain = t.args[0].op == "number" or t.args[0] in writer.named
    base = writer.inside(t.args[0], PRODUCT)
    base = base if is_plain or base.startswith(r"\left(") else rf"\left({base}\right)"
    return rf"{base}^{{{t.detail}}}", ATOM


def _masked(writer: Writer, t: Term) -> Text:
    value, condition = t.args
    if not is_finite(value):  # a product with 0 would not be 0 there
        cases = rf"{writer.bare(value)}\ \mathrm{{if}}\ {writer.bare(condition)}\ \mathrm{{else}}\ 0"
        return rf"\left({cases}\right)", ATOM
    indicator = rf"\mathbf{{1}}\left[{writer.bare(condition)}\right]"
    if value.op == "number" and value.detail == 1:
        return indicator, ATOM
    return rf"{writer.inside(value, SUM)} {'' if t.shape == () else chr(92) + 'odot '}{indicator}", PRODUCT


def _with_options(writer: Writer, t: Term) -> Text:
    below = "_{" + ",".join(map(str, t.detail.axes)) + "}" if t.detail.axes else ""
    parts = [", ".join(writer.bare_args(t)), *map(_words, filter(None, t.detail.words()))]
    inside = r";\ ".join(parts)
    return rf"\mathrm{{{escaped(t.detail.name)}}}{below}\left({inside}\right)", ATOM


def _words(text: str) -> str:
    signs = {"×": r"{\times}", "→": r"{\to}", "−": "{-}", "∞": r"{\infty}", "…": r"{\ldots}"}
    text = escaped(text.replace("{", "(").replace("}", ")"))
    return rf"\mathrm{{{''.join(signs.get(c, c) for c in text)}}}"


def _upright(rule: Rule) -> Rule:
    """Return a rule of the text, its words set upright."""

    def latex(writer: Writer, t: Term) -> Text:
        text, level = rule(writer, t)
        text = re.sub(r"(?<!\{)\b(reshape|broadcast|transpose|None)\b", r"\\mathrm{\1}", text)  # not those inside again
        return text.replace("ᵀ", r"^{\top}"), level

    return latex


LATEX = Style(
    name=Name.latex,
    number=_number,
    signs={
        "−": "-", "·": r"\cdot", "⊙": r"\odot", "=": "=", "≠": r"\neq", "<": "<", "≤": r"\leq", ">": ">", "≥": r"\geq",
        "∧": r"\wedge", "∨": r"\vee", "¬": r"\neg", "(": r"\left(", ")": r"\right)", "@": r"\, ", "dot": r" \cdot ",
        "T": lambda x: rf"{{{x}}}^{{\top}}", "outer": lambda a, b: rf"{a} \otimes {b}",
    },
    call=_call,
    rules={
        "power": _power,
        "masked": _masked,
        "where": template(r"\left({1}\ \mathrm{{if}}\ {0}\ \mathrm{{else}}\ {2}\right)"),
        "divide": template(r"\frac{{{0}}}{{{1}}}"),
        **{op: _upright(rule) for op, rule in SHAPING.items()},
        "windows": _with_options,
        "primitive": _with_options,
        "constant": template("C_{{{detail}}}"),
    },
)  # fmt: skip
