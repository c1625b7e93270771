"""The formulas of a chain in two grains: entry by entry, and tensor by tensor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._optional import sympy
from .entries.interpreter import run_on_entries
from .equations import Equation, Formulas
from .layers import Step, backward_of, deltas_above, forward_of
from .notation.common_subexpressions import written
from .notation.latex import LATEX
from .notation.names import Name, constant_name
from .notation.numpy import numpy_style
from .notation.text import TEXT
from .symbols.formula import as_formula, check_count, named
from .symbols.printer import latex_of, text_of
from .symbols.sympy_arithmetic import symbolic
from .tensors.builder import TermBuilder
from .tensors.read_jaxpr import read_terms


def by_entries(steps: Sequence[Step], count: int) -> Formulas:
    sympy()
    check_count(count)
    latex: dict[Any, str] = {}

    def symbols(names: Sequence[Name], tree: Any) -> list[Any]:
        arrays = []
        for name, leaf in zip(names, jax.tree.leaves(tree), strict=True):
            array = named(name.symbol(), leaf.shape)
            for index in np.ndindex(array.shape):
                below = ",".join(str(i + 1) for i in index)
                latex[array[index]] = name.latex() + (f"_{{{below}}}" if below else "")
            arrays.append(array)
        return arrays

    def equation(name: Name, layer: str, entries: Any, known: dict[str, Any]) -> Equation:
        expression = as_formula(entries)
        return Equation(
            name.text(), layer, text_of(expression, known), latex_of(expression, latex, known), expression=expression,
            name_latex=name.latex(),
        )  # fmt: skip

    forward, backward = [], []
    for step in steps:
        weights, x = symbols(step.weight_names, step.weights), symbols(step.x_names, step.x)
        above = [named(n.symbol(), leaf.shape) for n, leaf in zip(deltas_above(step), jax.tree.leaves(step.result))]
        above = [] if step.is_loss else symbols(deltas_above(step), [_like(a) for a in above])
        known = dict(zip(map(Name.text, [*step.weight_names, *step.x_names]), [*weights, *x]))
        results = run_on_entries(forward_of(step), [*weights, *x], symbolic())
        forward += [equation(n, step.layer, r, known) for n, r in zip(step.result_names, results, strict=True)]
        closed, names = backward_of(step)
        results = run_on_entries(closed, [*weights, *x, *above], symbolic())
        known |= {} if step.is_loss else dict(zip(map(Name.text, deltas_above(step)), above, strict=True))
        backward.append([equation(n, step.layer, r, known) for n, r in zip(names, results, strict=True)])
    return Formulas("entries", forward + [e for part in reversed(backward) for e in part])


def _like(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, jnp.float32)


def by_tensors(steps: Sequence[Step], inputs: Sequence[Name]) -> Formulas:
    constants: list[Any] = []
    primitives: list[Any] = []
    numpy = numpy_style(primitives)
    taken = {name.base for step in steps for name in step.weight_names}
    forward: list[tuple[Name, Equation]] = []
    backward: list[list[tuple[Name, Equation]]] = []

    def equations(names: Sequence[Name], layer: str, terms: Sequence[Any]) -> list[tuple[Name, Equation]]:
        text, latex, lines = (written(terms, style, taken) for style in (TEXT, LATEX, numpy))
        given: set[str] = set()
        found = []
        for i, name in enumerate(names):
            needed = text.wholes[i][1]
            where = [(n, text.parts[n], latex.parts[n]) for n in needed]
            recipe = [f"{n} = {lines.parts[n]}" for n in needed if n not in given]
            given.update(needed)
            recipe.append(f"{name.numpy()} = {lines.wholes[i][0]}")
            parts = text.wholes[i][0], latex.wholes[i][0], where, None, "\n".join(recipe), name.latex()
            found.append((name, Equation(name.text(), layer, *parts)))
        return found

    for step in steps:
        terms = TermBuilder()
        terms.constants = constants
        variable = lambda name, leaf, terms=terms: terms.variable(name, leaf.shape)
        leaves = jax.tree.leaves((step.weights, step.x))
        variables = list(map(variable, [*step.weight_names, *step.x_names], leaves))
        results = read_terms(terms, forward_of(step), variables)
        forward += equations(step.result_names, step.layer, results)
        for name, result in zip(step.result_names, results, strict=True):
            if result.args and not step.is_loss and result.op != "spread":
                terms.replaced[result] = variable(name, result)
        floats = [leaf for leaf in jax.tree.leaves(step.result) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
        above = [] if step.is_loss else list(map(variable, deltas_above(step), floats))
        closed, names = backward_of(step)
        results = read_terms(terms, closed, [*variables, *above])
        backward.append(equations(names, step.layer, results))
    pairs = forward + [pair for part in reversed(backward) for pair in part]
    names_in_order = [n.numpy() for n, _ in pairs]
    parts = {"constant": constants, "step": primitives, "identifiers": names_in_order}
    return Formulas("tensors", _renumbered([e for _, e in pairs], parts), inputs, parts)


def _renumbered(equations: Sequence[Equation], parts: dict[str, Any]) -> list[Equation]:
    """The constants that are left in the formulas, counted from C₁."""
    everything = " ".join(t for e in equations for t in (e.text, *(w[1] for w in e.where)))
    used = list(dict.fromkeys(int(n.translate(_DIGITS)) for n in re.findall("C([₀-₉]+)", everything)))
    parts["shown"] = [parts["constant"][n - 1] for n in used]
    texts = lambda t: re.sub("C([₀-₉]+)", lambda m: constant_name(1 + used.index(int(m[1].translate(_DIGITS)))), t)
    latex = lambda t: re.sub(r"C_\{(\d+)\}", lambda m: f"C_{{{1 + used.index(int(m[1]))}}}", t)
    return [
        e._replace(text=texts(e.text), latex=latex(e.latex), where=[(n, texts(t), latex(l)) for n, t, l in e.where])
        for e in equations
    ]


_DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
