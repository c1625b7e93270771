"""`Equation`, `Formulas`: the formulas of a chain, and how they are shown and run."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from .._errors import ArgumentError
from .._printable import printable
from .._show.fit import as_lines
from .notation.legend import legend
from .notation.names import constant_name, escaped
from .notation.numpy_functions import NAMESPACE


class Equation(NamedTuple):
    """One formula.

    Attributes:
        name: what it gives, "X³", "Loss", "δ³", "δW²".
        layer: the name of the layer that it belongs to, or "loss".
        text, latex: what stands to the right of "=".
        where: the parts that have a name of their own, (name, text, LaTeX) each, in order.
        expression: in the grain of entries, the SymPy expression or Array.
        recipe: in the grain of tensors, the same as lines of NumPy.
    """

    name: str
    layer: str
    text: str
    latex: str
    where: Sequence[tuple[str, str, str]] = ()
    expression: Any = None
    recipe: str = ""
    name_latex: str = ""

    def __str__(self) -> str:
        where = f"   where {', '.join(f'{n} = {t}' for n, t, _ in self.where)}" if self.where else ""
        return printable(f"{self.name} = {self.text}{where}")


class Formulas(Sequence[Equation]):
    """The formulas of a chain: its layers forward, the loss, then every δ backward. A sequence of `Equation`.

    Attributes:
        grain: "entries" or "tensors".
        recipe: (tensors) the formulas as lines of NumPy, in the order in which they can be run.
    """

    def __init__(self, grain: str, equations: Sequence[Equation], inputs: Any = None, parts: dict | None = None):
        self.grain, self._equations = grain, tuple(equations)
        self._inputs, self._parts = inputs, parts or {}

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            found = [e for e in self if e.name == index]
            if not found:
                raise KeyError(index)
            return found[0]
        return self._equations[index]

    def __len__(self) -> int:
        return len(self._equations)

    @property
    def recipe(self) -> str:
        return "\n".join(e.recipe for e in self if e.recipe)

    def evaluate(self, params: Any, x: Any, y: Any) -> dict[str, np.ndarray]:
        """Run the recipe, with NumPy, at numbers. Returns every value by its name, "X²", "Loss", "δ²", "δW²".

        >>> import jax, jaxwalk as jw
        >>> square = jw.formulas(lambda w, x: w * x, lambda o, y: (o - y) ** 2, 2.0, 3.0, 1.0, grain="tensors")
        >>> float(square.evaluate(2.0, 3.0, 1.0)["δW¹"])
        30.0
        """
        if self.grain != "tensors":
            raise ArgumentError("`evaluate` runs the recipe of tensors; ask for them with `grain='tensors'`.")
        values = {**NAMESPACE, **self._parts}
        for name, leaf in zip(self._inputs, jax.tree.leaves((params, x, y)), strict=True):
            values[name.numpy()] = np.asarray(leaf)
        with np.errstate(all="ignore"):
            exec(self.recipe, values)
        return {e.name: values[identifier] for e, identifier in zip(self, self._parts["identifiers"], strict=True)}

    def __repr__(self) -> str:
        return "\n".join(as_lines(printable(line)) for line in self._lines())

    def _groups(self) -> Iterator[tuple[str, list[Equation], dict[str, tuple[str, str]]]]:
        """Yield what is read together: a layer, or its part of the backward pass, and the names its formulas use."""
        for (layer, _), group in itertools.groupby(self, lambda e: (e.layer, e.name.startswith("δ"))):
            equations = list(group)
            yield layer, equations, {n: (t, l) for e in equations for n, t, l in e.where}

    def _lines(self) -> Iterator[str]:
        width = max((len(printable(e.layer)) for e in self), default=0)
        previous = None
        for layer, equations, where in self._groups():
            for e in equations:
                yield f"{(printable(layer) if layer != previous else '').ljust(width)}  {e.name} = {e.text}"
                previous = layer
            for i, (name, (text, _)) in enumerate(sorted(where.items())):
                yield f"{' ' * width}    {'where' if i == 0 else '  and'} {name} = {text}"
        notes = list(_notes(self, self.grain, self._parts.get("shown", ())))
        yield from ["", *notes] if notes else []

    def _repr_latex_(self) -> str:
        rows = []
        for layer, equations, where in self._groups():
            start = rf"\mathrm{{{escaped(layer)}}}"
            for e in equations:
                rows.append(rf"{start}\quad {e.name_latex} &= {e.latex}")
                start = ""
            rows += [rf"{name} &= {latex}" for name, (_, latex) in sorted(where.items())]
        return "$$\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}$$"


def all_text(equations: Iterable[Equation]) -> str:
    """Return everything that is printed of equations, but for their names."""
    return " ".join(t for e in equations for t in (e.text, *(w[1] for w in e.where)))


def _notes(equations: Iterable[Equation], grain: str, constants: Sequence[Any]) -> Iterator[str]:
    """Yield what a reader of the signs must know."""
    yield from legend(all_text(equations), grain)
    for i, c in enumerate(constants, 1):
        yield f"{constant_name(i)} is a constant of the function: {c.dtype} of shape {tuple(c.shape)}."


__test__ = {"Formulas.evaluate": Formulas.evaluate}  # doctest takes only classes whose __module__ is this one
