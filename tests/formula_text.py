"""Reads a printed formula back: as Python, with Python's own precedence, run with NumPy."""

import ast
import io
import keyword
import re
import tokenize
import unicodedata

import numpy as np

OF_AXES = {"Σ": np.sum, "Π": np.prod, "max": np.max, "min": np.min}
OF_ENTRIES = {
    "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "sign": np.sign,
    "abs_": np.abs, "floor": np.floor, "Max": np.maximum, "Min": np.minimum, "max": np.maximum, "min": np.minimum,
    "Mod": np.mod, "where_": np.where, "and_": np.logical_and, "or_": np.logical_or, "not_": np.logical_not,
    "logistic": lambda x: 1 / (1 + np.exp(-x)), "float32": np.float32, "pow": np.power,
    "log1p": np.log1p, "xor": np.logical_xor, "uint8": lambda x: np.mod(x, 256),
}  # fmt: skip
SIGNS = {"−": "-", "⊙": "*", "·": "%", "⊗": "//", "≠": "!=", "≤": "<=", "≥": ">=", "∧": "&", "∨": "|", "¬": "~",
         "^": "**", "∞": "inf", "1[": "holds[", "ᵀ": ".T", "√": "sqrt", "σ": "logistic"}  # fmt: skip


class Value:
    """An array of which Python's operators do what the signs say: % is ·, which of two vectors is their product."""

    def __init__(self, array):
        self.array = np.asarray(array)

    def __mod__(self, other):
        other = unwrapped(other)
        return Value(np.dot(self.array, other) if self.array.ndim and np.ndim(other) else self.array * other)

    def __floordiv__(self, other):
        return Value(np.multiply.outer(self.array, unwrapped(other)))

    def __getitem__(self, index):
        return Value(self.array[index])

    @property
    def T(self):
        return Value(np.swapaxes(self.array, -1, -2))


def unwrapped(value):
    return value.array if isinstance(value, Value) else value


for _name in "add sub mul truediv matmul pow neg invert and or eq ne lt le gt ge".split():  # noqa: SIM905
    setattr(Value, f"__{_name}__", lambda self, *o, n=f"__{_name}__": Value(getattr(self.array, n)(*map(unwrapped, o))))


def _called(function):
    return lambda *args: Value(function(*map(unwrapped, args)))


class _Reader(ast.NodeTransformer):
    """Makes every number a Value, and if ... else, and, or, not work entry by entry."""

    def visit_Constant(self, node):
        is_number = isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
        return _call("Value", node) if is_number else node

    def visit_Subscript(self, node):
        index = self.visit(node.slice) if is_named(node.value, "holds") else node.slice
        return ast.Subscript(self.visit(node.value), index, node.ctx)

    def visit_IfExp(self, node):
        return _call("where_", *map(self.visit, (node.test, node.body, node.orelse)))

    def visit_BoolOp(self, node):
        result, *rest = map(self.visit, node.values)
        for other in rest:
            result = _call("and_" if isinstance(node.op, ast.And) else "or_", result, other)
        return result

    def visit_UnaryOp(self, node):
        inner = self.visit(node.operand)
        return _call("not_", inner) if isinstance(node.op, ast.Not) else ast.UnaryOp(node.op, inner)

    def visit_Call(self, node):
        if is_named(node.func, "over"):  # over(kind, axes)
            return node
        plain = is_named(node.func, "reshape", "broadcast", "transpose")
        args = [self.visit(node.args[0]), *node.args[1:]] if plain else list(map(self.visit, node.args))
        return ast.Call(self.visit(node.func), args, [])


def is_named(node, *names):
    return isinstance(node, ast.Name) and node.id in names


def _call(name, *args):
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


class _Holds:
    def __getitem__(self, condition):
        return Value(np.where(unwrapped(condition), 1.0, 0.0))


def _over(kind, axes):
    def apply(*args):
        values = list(map(unwrapped, args))
        return Value(OF_AXES[kind](values[0], axes) if len(values) == 1 else OF_ENTRIES[kind](*values))

    return apply


def _digits(script):
    return unicodedata.normalize("NFKC", script).replace("−", "-")


def as_python(text, names):
    """Return a printed formula as Python; `names` are those of its variables, as they are printed."""
    for i, name in enumerate(sorted(names, key=len, reverse=True)):
        text = re.sub(rf"(?<![A-Za-z]){re.escape(name)}(?![A-Za-z])", f"v{i}_", text)
    text = re.sub(r"(Σ|Π|max|min)([₀-₉,]*)\(", lambda m: f"over({m[1]!r}, {_axes(m[2])})(", text)
    text = re.sub(r"\|([^|]*)\|", r"abs_(\1)", text)
    text = re.sub(r"(?<![<>≤≥≠=])=(?!=)", "==", text)
    for sign, python in SIGNS.items():
        text = text.replace(sign, python)
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda m: f"**({_digits(m[0])})", text)
    return " ".join(_with_products(text))


def _axes(subscripts):
    return tuple(map(int, _digits(subscripts).split(","))) if subscripts else None


def _with_products(text):
    """Yield tokens; between two operands side by side, the sign of a product of matrices."""
    before = None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.NL):
            continue
        begins = token.string == "(" or (token.type in (1, 2) and not keyword.iskeyword(token.string))
        ends = before is not None and (
            before.string in (")", "]") or (before.type in (1, 2) and not keyword.iskeyword(before.string))
        )
        if begins and ends and token.start > before.end:
            yield "@"
        yield token.string
        before = token


def read_back(text, values):
    """Return what a printed formula is at `values`, arrays by the names that are printed."""
    order = sorted(values, key=len, reverse=True)
    tree = ast.fix_missing_locations(_Reader().visit(ast.parse(as_python(text, list(values)), mode="eval")))
    known = {name: _called(function) for name, function in OF_ENTRIES.items()}
    known |= {"Value": Value, "holds": _Holds(), "over": _over, "inf": Value(np.inf), "NaN": Value(np.nan)}
    known |= {"reshape": _called(np.reshape), "broadcast": _called(np.broadcast_to), "transpose": _called(np.transpose)}
    known |= {f"v{i}_": Value(values[name]) for i, name in enumerate(order)} | {"False": False, "True": True}
    with np.errstate(all="ignore"):
        return unwrapped(eval(compile(tree, "formula", "eval"), known))
