"""How terms are written: as text, as LaTeX, and as NumPy, by the same rules."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import numpy as np

from ._terms import Term

# How tightly an expression holds together: what binds less is put in parentheses.
CASE, COMPARE, SUM, PRODUCT, ATOM = range(5)

SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Name(NamedTuple):
    """The name of a value: a letter or a word, i of Xⁱ if it has one, and what is before it (δ) and behind (a path)."""

    base: str
    number: int | None = None
    delta: bool = False
    path: str = ""

    def text(self) -> str:
        number = "" if self.number is None else str(self.number).translate(SUPERSCRIPTS)
        return ("δ" if self.delta else "") + self.base + number + self.path

    def latex(self) -> str:
        base = self.base if len(self.base) == 1 or not self.base else rf"\mathrm{{{_escaped(self.base)}}}"
        number = "" if self.number is None else f"^{{{self.number}}}"
        path = rf"\mathrm{{{_escaped(self.path)}}}" if self.path else ""
        return (r"\delta " if self.delta else "") + base + number + path

    def numpy(self) -> str:
        number = "" if self.number is None else str(self.number)
        return re.sub(r"\W", "_", ("δ" if self.delta else "") + self.base + number + self.path)

    def symbol(self) -> str:
        """As SymPy sets it: X__2 is X²."""
        number = "" if self.number is None else f"__{self.number}"
        return ("delta" if self.delta and not self.base else "δ" if self.delta else "") + self.base + number + self.path


def constant_name(number: int) -> str:
    return f"C{str(number).translate(SUBSCRIPTS)}"


def _escaped(text: str) -> str:
    return re.sub(r"([_&%#$])", r"\\\1", text)


class Written(NamedTuple):
    """Formulas in one way of writing: parts that have a name, and the wholes, with the names that each needs."""

    parts: dict[str, str]
    wholes: list[tuple[str, list[str]]]


def written(terms: Sequence[Term], style: Style, taken: Iterable[str] = (), shorter: int = 8) -> Written:
    """Terms that are read together; parts that occur twice in them, and are longer than `shorter`, get a name.

    The name is a letter that is not among `taken`: b² is the square of b, or the weights b of layer 2, not both.
    """
    taken = set(taken)
    pen, names = _Pen(style), (letter for letter in "abcdefghijklmnopqrsuvwz" if letter not in taken)
    parts: dict[str, str] = {}
    for part in _repeated(terms):
        if len(_Pen(TEXT, pen.named)(part)[0]) > shorter and (letter := next(names, None)) is not None:
            parts[letter] = pen(part)[0]
            pen.named[part] = letter
    wholes = [(pen(t)[0] if t not in pen.named else pen.named[t], _needed(t, pen.named)) for t in terms]
    return Written(parts, wholes)


def _repeated(terms: Sequence[Term]) -> list[Term]:
    """The parts used more than once, each after those that it uses."""
    count: dict[Term, int] = {}
    order: list[Term] = []

    def visit(t: Term) -> None:
        count[t] = count.get(t, 0) + 1
        if count[t] == 1:
            for arg in t.args:
                visit(arg)
            order.append(t)

    for term in terms:
        visit(term)
    return [t for t in order if count[t] > 1 and t.args]


def _needed(term: Term, named: Mapping[Term, str]) -> list[str]:
    """The names in a term, and in the parts that these stand for, in the order in which they are given."""
    seen: set[Term] = set()
    stack = [term]
    while stack:
        t = stack.pop()
        if t not in seen:
            seen.add(t)
            stack += t.args
    return [name for part, name in named.items() if part in seen]


class Style(NamedTuple):
    """What differs between the ways of writing."""

    name: Callable[[Name], str]
    number: Callable[[Any], tuple[str, int]]
    signs: Mapping[str, Any]
    call: Callable[[str, Sequence[str], Any], str]
    rules: Mapping[str, Callable]


class _Pen:
    """Writes terms in one style."""

    def __init__(self, style: Style, named: Mapping[Term, str] | None = None):
        self.style, self.named = style, dict(named or {})

    def __call__(self, term: Term) -> tuple[str, int]:
        if term in self.named:
            return self.named[term], ATOM
        own = self.style.rules.get(term.op)
        return own(self, term) if own is not None else _RULES[term.op](self, term)

    def inside(self, term: Term, level: int) -> str:
        """A term as part of one that binds at `level`: in parentheses if it binds no tighter."""
        text, own = self(term)
        return text if own > level else self.style.signs["("] + text + self.style.signs[")"]

    def bare(self, term: Term) -> str:
        return self(term)[0]

    def call(self, name: str, term: Term, detail: Any = None) -> tuple[str, int]:
        return self.style.call(name, [self.bare(a) for a in term.args], detail), ATOM


# Rules for every style ------------------------------------------------------------------------------------


def _plus(pen: _Pen, t: Term) -> tuple[str, int]:
    a, b = t.args
    return f"{pen.inside(a, COMPARE)} + {pen.inside(b, COMPARE if b.op == 'plus' else SUM)}", SUM


def _minus(pen: _Pen, t: Term) -> tuple[str, int]:
    a, b = t.args
    return f"{pen.inside(a, COMPARE)} {pen.style.signs['−']} {pen.inside(b, SUM)}", SUM


def _negative(pen: _Pen, t: Term) -> tuple[str, int]:
    return pen.style.signs["−"] + pen.inside(t.args[0], SUM), SUM


def _times(pen: _Pen, t: Term) -> tuple[str, int]:
    parts = [pen.inside(a, PRODUCT) for a in t.args]
    parts[0] = pen.inside(t.args[0], SUM) if t.args[0].op == "number" else parts[0]
    text = parts[0]
    for previous, arg, part in zip(t.args, t.args[1:], parts[1:]):
        by_number = previous.shape == () or arg.shape == ()
        text += f" {pen.style.signs['·' if by_number else '⊙']} {part}"
    return text, PRODUCT


def _divide(pen: _Pen, t: Term) -> tuple[str, int]:
    a, b = t.args
    return f"{pen.inside(a, SUM)} / {pen.inside(b, PRODUCT)}", PRODUCT


def _compare(pen: _Pen, t: Term) -> tuple[str, int]:
    a, b = t.args
    return f"{pen.inside(a, COMPARE)} {pen.style.signs[t.detail]} {pen.inside(b, COMPARE)}", COMPARE


def _joined(sign: str) -> Callable:
    def rule(pen: _Pen, t: Term) -> tuple[str, int]:
        return f" {pen.style.signs[sign]} ".join(f"({pen.bare(a)})" for a in t.args), COMPARE

    return rule


def _not(pen: _Pen, t: Term) -> tuple[str, int]:
    return f"{pen.style.signs['¬']}({pen.bare(t.args[0])})", COMPARE


def _einsum(pen: _Pen, t: Term) -> tuple[str, int]:
    (a, b), (x, y, out) = t.args, t.detail
    found = _as_matrices(x, y, out)
    if found is None:
        return pen.style.call("einsum", [pen.bare(a), pen.bare(b)], t.detail), ATOM
    swapped, turn_first, turn_second, sign = found
    first, second = (b, a) if swapped else (a, b)
    one = pen.style.signs["T"](pen.inside(first, PRODUCT)) if turn_first else pen.inside(first, PRODUCT)
    other = pen.style.signs["T"](pen.inside(second, PRODUCT)) if turn_second else pen.inside(second, PRODUCT)
    if sign == "⊗":
        return pen.style.signs["outer"](one, other), PRODUCT
    return f"{one}{pen.style.signs['@' if sign == '@' else 'dot']}{other}", PRODUCT


def _as_matrices(x: str, y: str, out: str) -> tuple[bool, bool, bool, str] | None:
    """Whether a sum of products is one of matrices and vectors: operands swapped, first and second transposed, sign.

    In front there may be axes that both have (of as many products), or that only the first has (rows more).
    """
    if len(x) == len(y) == 1 and len(out) in (0, 2):
        return (False, False, False, "·") if not out else (out != x + y, False, False, "⊗")
    for swapped, (first, second) in ((False, (x, y)), (True, (y, x))):
        batch = 0
        while first[: batch + 1] == second[: batch + 1] == out[: batch + 1] and batch < min(
            map(len, (first, second, out))
        ):
            batch += 1
        if batch and (len(first) != batch + 2 or len(second) != batch + 2):
            batch = 0
        a, b, o = first[batch:], second[batch:], out[batch:]
        shared = [letter for letter in a if letter in b and letter not in o]
        if len(shared) != 1 or any(letter in b for letter in a if letter not in shared):
            continue
        (k,) = shared
        rows, columns = a.replace(k, ""), b.replace(k, "")
        if o != rows + columns or len(b) > 2 or len(a) < 1:
            continue
        if len(b) == 1 and len(a) > 2 and a[-1] != k:
            continue
        turn_first = len(a) > 1 and a[-1] != k
        turn_second = len(b) == 2 and b[0] != k
        if turn_first and len(a) != 2:
            continue
        return swapped, turn_first, turn_second, "@"
    return None


def _function(pen: _Pen, t: Term) -> tuple[str, int]:
    return pen.call(t.detail, t)


def _named_call(name: str) -> Callable:
    return lambda pen, t: pen.call(name, t, t.detail)


_RULES: dict[str, Callable[[_Pen, Term], tuple[str, int]]] = {
    "variable": lambda pen, t: (pen.style.name(t.detail), ATOM),
    "number": lambda pen, t: pen.style.number(t.detail),
    "plus": _plus,
    "minus": _minus,
    "negative": _negative,
    "times": _times,
    "divide": _divide,
    "compare": _compare,
    "and": _joined("∧"),
    "or": _joined("∨"),
    "not": _not,
    "einsum": _einsum,
    "function": _function,
    "primitive": lambda pen, t: pen.call(t.detail.name, t, t.detail),
    "softmax": _named_call("softmax"),
    "concatenate": _named_call("concat"),
    "along": lambda pen, t: pen.call(t.detail[0], t, t.detail[1]),
    "reduce": lambda pen, t: pen.call(t.detail[0], t, t.detail[1] if len(t.detail[1]) < len(t.args[0].shape) else ()),
}


# Text -----------------------------------------------------------------------------------------------------


def _text_number(value: Any) -> tuple[str, int]:
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
    return ",".join(str(a).translate(SUBSCRIPTS) for a in axes)


def _text_call(name: str, args: Sequence[str], detail: Any) -> str:
    joined = ", ".join(args)
    if name == "einsum":
        return f"einsum({detail[0]},{detail[1]}→{detail[2]}; {joined})"
    if name == "abs":
        return f"|{joined}|"
    if name == "rsqrt":
        return f"√({joined})⁻¹"
    name = {"sum": "Σ", "prod": "Π", "logistic": "σ", "sqrt": "√"}.get(name, name)
    return f"{name}{_subscript(detail) if isinstance(detail, (int, tuple)) else ''}({joined})"


def _text_power(pen: _Pen, t: Term) -> tuple[str, int]:
    base = pen.inside(t.args[0], PRODUCT)
    if t.args[0].op not in ("number", "variable") or re.search("[⁰¹²³⁴⁵⁶⁷⁸⁹]$", base):
        base = base if base.startswith("(") and t.args[0] not in pen.named else f"({base})" if len(base) > 1 else base
    return base + str(t.detail).translate(SUPERSCRIPTS), ATOM


def _text_masked(pen: _Pen, t: Term) -> tuple[str, int]:
    value, condition = t.args
    if value.op == "number" and value.detail == 1:
        return f"1[{pen.bare(condition)}]", ATOM
    if t.shape == ():
        return f"{pen.inside(value, CASE)} if {pen.bare(condition)} else 0", CASE
    return f"{pen.inside(value, SUM)} ⊙ 1[{pen.bare(condition)}]", PRODUCT


def _text_where(pen: _Pen, t: Term) -> tuple[str, int]:
    condition, yes, no = t.args
    return f"{pen.inside(yes, CASE)} if {pen.bare(condition)} else {pen.inside(no, CASE)}", CASE


def _text_index(pen: _Pen, t: Term, parts: Sequence[str]) -> tuple[str, int]:
    return f"{pen.inside(t.args[0], PRODUCT)}[{', '.join(parts)}]", ATOM


def _text_expand(pen: _Pen, t: Term) -> tuple[str, int]:
    return _text_index(pen, t, ["None" if i in t.detail else ":" for i in range(len(t.shape))])


def _text_slice(pen: _Pen, t: Term) -> tuple[str, int]:
    parts = [
        ":" if (a, b, s) == (0, n, 1) else f"{a}:{b}" + (f":{s}" if s != 1 else "")
        for (a, b, s), n in zip(t.detail, t.args[0].shape, strict=True)
    ]
    return _text_index(pen, t, parts)


def _text_transpose(pen: _Pen, t: Term) -> tuple[str, int]:
    if t.detail == (1, 0):
        return f"{pen.inside(t.args[0], PRODUCT)}ᵀ", ATOM
    return f"transpose({pen.bare(t.args[0])}, {t.detail})", ATOM


def _text_spread(pen: _Pen, t: Term) -> tuple[str, int]:
    inner = t.args[0]
    added = len(t.shape) - len(inner.shape)
    if math.prod(t.shape) == math.prod(inner.shape) and t.shape[added:] == inner.shape:
        return _text_index(pen, t, ["None"] * added)
    return _shaped("broadcast")(pen, t)


def _shaped(name: str) -> Callable:
    return lambda pen, t: (f"{name}({pen.bare(t.args[0])}, {t.shape})", ATOM)


_TEXT_SIGNS = {s: s for s in "−·⊙=≠<≤>≥∧∨¬()"} | {"@": " ", "dot": " · ", "T": lambda x: x + "ᵀ"}
TEXT = Style(
    name=Name.text,
    number=_text_number,
    signs=_TEXT_SIGNS | {"outer": lambda a, b: f"{a} ⊗ {b}"},
    call=_text_call,
    rules={
        "power": _text_power,
        "masked": _text_masked,
        "where": _text_where,
        "expand": _text_expand,
        "slice": _text_slice,
        "transpose": _text_transpose,
        "reshape": _shaped("reshape"),
        "spread": _text_spread,
        "constant": lambda pen, t: (constant_name(t.detail), ATOM),
    },
)


# LaTeX ----------------------------------------------------------------------------------------------------


def _latex_number(value: Any) -> tuple[str, int]:
    if isinstance(value, Fraction) and value.denominator != 1:
        sign = "-" if value < 0 else ""
        return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}", SUM if value < 0 else ATOM
    if isinstance(value, float) and math.isinf(value):
        return (r"\infty", ATOM) if value > 0 else (r"-\infty", SUM)
    return (f"{value:.6g}" if isinstance(value, float) else str(value)), SUM if value < 0 else ATOM


def _latex_call(name: str, args: Sequence[str], detail: Any) -> str:
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
    return known.get(name, rf"\mathrm{{{_escaped(name)}}}") + below + rf"\left({joined}\right)"


def _latex_power(pen: _Pen, t: Term) -> tuple[str, int]:
    is_plain = t.args[0].op == "number" or t.args[0] in pen.named
    base = pen.inside(t.args[0], PRODUCT)
    base = base if is_plain or base.startswith(r"\left(") else rf"\left({base}\right)"
    return rf"{base}^{{{t.detail}}}", ATOM


def _latex_masked(pen: _Pen, t: Term) -> tuple[str, int]:
    value, condition = t.args
    indicator = rf"\mathbf{{1}}\left[{pen.bare(condition)}\right]"
    if value.op == "number" and value.detail == 1:
        return indicator, ATOM
    return rf"{pen.inside(value, SUM)} {'' if t.shape == () else chr(92) + 'odot '}{indicator}", PRODUCT


def _latex_where(pen: _Pen, t: Term) -> tuple[str, int]:
    condition, yes, no = (pen.bare(a) for a in t.args)
    return rf"\left({yes}\ \mathrm{{if}}\ {condition}\ \mathrm{{else}}\ {no}\right)", ATOM


def _latex_divide(pen: _Pen, t: Term) -> tuple[str, int]:
    a, b = t.args
    return rf"\frac{{{pen.bare(a)}}}{{{pen.bare(b)}}}", ATOM


def _as_latex(rule: Callable) -> Callable:
    """A rule of the text, its words set upright."""

    def latex(pen: _Pen, t: Term) -> tuple[str, int]:
        text, level = rule(pen, t)
        text = re.sub(r"\b(reshape|broadcast|transpose)\b", r"\\mathrm{\1}", text)
        return text.replace("None", r"\mathrm{None}").replace("ᵀ", r"^{\top}"), level

    return latex


LATEX = Style(
    name=Name.latex,
    number=_latex_number,
    signs={
        "−": "-", "·": r"\cdot", "⊙": r"\odot", "=": "=", "≠": r"\neq", "<": "<", "≤": r"\leq", ">": ">", "≥": r"\geq",
        "∧": r"\wedge", "∨": r"\vee", "¬": r"\neg", "(": r"\left(", ")": r"\right)", "@": r"\, ", "dot": r" \cdot ",
        "T": lambda x: rf"{{{x}}}^{{\top}}", "outer": lambda a, b: rf"{a} \otimes {b}",
    },
    call=_latex_call,
    rules={
        "power": _latex_power,
        "masked": _latex_masked,
        "where": _latex_where,
        "divide": _latex_divide,
        "expand": _as_latex(_text_expand),
        "slice": _as_latex(_text_slice),
        "transpose": _as_latex(_text_transpose),
        "reshape": _as_latex(_shaped("reshape")),
        "spread": _as_latex(_text_spread),
        "constant": lambda pen, t: (f"C_{{{t.detail}}}", ATOM),
    },
)  # fmt: skip


# NumPy: what the recipe is written in ---------------------------------------------------------------------


def _numpy_number(value: Any) -> tuple[str, int]:
    if isinstance(value, Fraction):
        text, level = str(value), ATOM if value.denominator == 1 and value >= 0 else SUM
        return text, level
    return (repr(value) if not isinstance(value, float) or math.isfinite(value) else f"float('{value}')"), SUM


def _numpy_call(name: str, args: Sequence[str], detail: Any) -> str:
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


def _numpy_reduce(pen: _Pen, t: Term) -> tuple[str, int]:
    kind, axes, keeps = t.detail
    return f"np.{kind}({pen.bare(t.args[0])}, axis={axes}{', keepdims=True' if keeps else ''})", ATOM


def _numpy_primitive(pen: _Pen, t: Term) -> tuple[str, int]:
    steps: list[Any] = pen.style.signs["steps"]
    steps.append(t.detail)
    return f"step[{len(steps) - 1}]({', '.join(map(pen.bare, t.args))})", ATOM


def _of(template: str) -> Callable:
    def rule(pen: _Pen, t: Term) -> tuple[str, int]:
        return template.format(*map(pen.bare, t.args), detail=t.detail, shape=t.shape), ATOM

    return rule


def _numpy_slice(pen: _Pen, t: Term) -> tuple[str, int]:
    return f"{pen.inside(t.args[0], PRODUCT)}[{', '.join(f'{a}:{b}:{s}' for a, b, s in t.detail)}]", ATOM


def numpy_style(steps: list[Any]) -> Style:
    """NumPy; what has no notation is appended to `steps` and called from there."""
    return Style(
        name=Name.numpy,
        number=_numpy_number,
        signs={
            "−": "-", "·": "*", "⊙": "*", "=": "==", "≠": "!=", "<": "<", "≤": "<=", ">": ">", "≥": ">=", "∧": "&",
            "∨": "|", "¬": "~", "(": "(", ")": ")", "@": " @ ", "dot": " @ ", "steps": steps,
            "T": lambda x: f"np.swapaxes({x}, -1, -2)", "outer": lambda a, b: f"np.outer({a}, {b})",
        },
        call=_numpy_call,
        rules={
            "power": _of("power({0}, {detail})"),
            "masked": _of("np.where({1}, {0}, 0)"),
            "where": _of("np.where({0}, {1}, {2})"),
            "expand": _of("np.expand_dims({0}, {detail})"),
            "slice": _numpy_slice,
            "transpose": _of("np.transpose({0}, {detail})"),
            "reshape": _of("np.reshape({0}, {shape})"),
            "spread": _of("np.broadcast_to({0}, {shape})"),
            "constant": lambda pen, t: (f"constant[{t.detail - 1}]", ATOM),
            "reduce": _numpy_reduce,
            "primitive": _numpy_primitive,
        },
    )  # fmt: skip


def _softmax(x: Any, axes: tuple[int, ...]) -> Any:
    e = np.exp(x - np.max(x, axes, keepdims=True))
    return e / np.sum(e, axes, keepdims=True)


NAMESPACE = {
    "np": np,
    "softmax": _softmax,
    "concat": np.concatenate,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "power": lambda x, n: x**n if n >= 0 else 1 / x**-n,
    "erf": lambda x: np.asarray(jax.scipy.special.erf(x)),
    "erfc": lambda x: np.asarray(jax.scipy.special.erfc(x)),
}
