"""The formulas of a chain tensor by tensor, as text, as LaTeX and as lines of NumPy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax

from .equations import Equation, Formulas, all_text
from .layers import Layer, backward_of, forward_of
from .notation.common_subexpressions import written
from .notation.latex import LATEX
from .notation.names import Name, constant_name, number_of
from .notation.numpy import numpy_style
from .notation.text import TEXT
from .notation.writer import Style
from .tensors.builder import TermBuilder
from .tensors.read_jaxpr import read_terms
from .tensors.term import Term


def by_tensors(layers: Sequence[Layer], inputs: Sequence[Name]) -> Formulas:
    """Return the formulas of layers; `inputs` are the names of the leaves of (params, x, y)."""
    constants: list[Any] = []
    calls: list[Any] = []
    styles = TEXT, LATEX, numpy_style(calls)
    taken = {name.base for layer in layers for name in layer.weight_names}
    forward: list[tuple[Name, Equation]] = []
    backward: list[list[tuple[Name, Equation]]] = []
    for layer in layers:
        terms = TermBuilder(constants)
        operands = [terms.variable(name, leaf) for name, leaf in layer.operands]
        results = read_terms(terms, forward_of(layer), operands)
        forward += _equations(layer, layer.result_names, results, styles, taken)
        for name, result, leaf in zip(layer.result_names, results, jax.tree.leaves(layer.result), strict=True):
            if result.args and not layer.is_loss and result.op != "spread":
                terms.replaced[result] = terms.variable(name, leaf)
        above = [terms.variable(name, leaf) for name, leaf in layer.deltas_above]
        closed, names = backward_of(layer)
        results = read_terms(terms, closed, [*operands, *above])
        backward.append(_equations(layer, names, results, styles, taken))
    pairs = forward + [pair for part in reversed(backward) for pair in part]
    identifiers = [name.numpy() for name, _ in pairs]
    parts = {"constant": constants, "step": calls, "identifiers": identifiers}
    return Formulas("tensors", _renumbered([e for _, e in pairs], parts), inputs, parts)


def _equations(
    layer: Layer, names: Sequence[Name], terms: Sequence[Term], styles: tuple[Style, Style, Style], taken: set[str]
) -> list[tuple[Name, Equation]]:
    text, latex, numpy = (written(terms, style, taken) for style in styles)
    done: set[str] = set()
    found = []
    for i, name in enumerate(names):
        needed = text.wholes[i][1]
        lines = [f"{n} = {numpy.parts[n]}" for n in needed if n not in done]
        lines.append(f"{name.numpy()} = {numpy.wholes[i][0]}")
        done.update(needed)
        where = [(n, text.parts[n], latex.parts[n]) for n in needed]
        texts = text.wholes[i][0], latex.wholes[i][0]
        recipe = "\n".join(lines)
        found.append((name, Equation(name.text(), layer.name, *texts, where, None, recipe, name.latex())))
    return found


def _renumbered(equations: Sequence[Equation], parts: dict[str, Any]) -> list[Equation]:
    """Count the constants that are left in the formulas from C₁."""
    used = list(dict.fromkeys(map(number_of, re.findall("C([₀-₉]+)", all_text(equations)))))
    parts["shown"] = [parts["constant"][n - 1] for n in used]
    texts = lambda t: re.sub("C([₀-₉]+)", lambda m: constant_name(1 + used.index(number_of(m[1]))), t)
    latex = lambda t: re.sub(r"C_\{(\d+)\}", lambda m: f"C_{{{1 + used.index(int(m[1]))}}}", t)
    return [
        e._replace(text=texts(e.text), latex=latex(e.latex), where=[(n, texts(t), latex(l)) for n, t, l in e.where])
        for e in equations
    ]
