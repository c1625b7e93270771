"""The formulas of a chain entry by entry, in SymPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .conversions import digits
from .entries.arithmetic import Entries
from .entries.interpreter import run_on_entries
from .equations import Equation, Formulas
from .layers import Layer, backward_of, forward_of
from .notation.names import Name
from .symbols.printer import latex_of, text_of
from .symbols.simplify import as_formula
from .symbols.sympy_arithmetic import check_count, symbolic, symbols


def by_entries(layers: Sequence[Layer], count: int) -> Formulas:
    """Return the formulas of layers that hold `count` numbers."""
    check_count(count)
    latex: dict[Any, str] = {}
    precision: dict[Any, int] = {}
    forward, backward = [], []
    for layer in layers:
        operands, above = (_symbols(v, latex, precision) for v in (layer.operands, layer.deltas_above))
        results = run_on_entries(forward_of(layer), list(operands.values()), symbolic(precision))
        forward += _equations(layer, layer.result_names, results, operands, latex)
        closed, names = backward_of(layer)
        results = run_on_entries(closed, [*operands.values(), *above.values()], symbolic(precision))
        backward.append(_equations(layer, names, results, operands | above, latex))
    return Formulas("entries", forward + [e for part in reversed(backward) for e in part])


def _symbols(
    values: Sequence[tuple[Name, jax.ShapeDtypeStruct]], latex: dict[Any, str], precision: dict[Any, int]
) -> dict[str, Entries]:
    """Return an array of symbols for each value, by name; how each is set, and how many digits it has, is noted."""
    arrays = {}
    for name, leaf in values:
        array = arrays[name.text()] = symbols(name.symbol(), leaf.shape)
        for index in np.ndindex(array.shape):
            precision[array[index]] = digits(leaf.dtype)
            below = ",".join(str(i + 1) for i in index)
            latex[array[index]] = name.latex() + (f"_{{{below}}}" if below else "")
    return arrays


def _equations(
    layer: Layer, names: Sequence[Name], results: Sequence[Any], known: dict[str, Entries], latex: dict[Any, str]
) -> list[Equation]:
    found = []
    for name, result in zip(names, map(as_formula, results), strict=True):
        texts = text_of(result, known), latex_of(result, latex, known)
        found.append(Equation(name.text(), layer.name, *texts, expression=result, name_latex=name.latex()))
    return found
