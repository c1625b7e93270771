"""`NonfiniteEquation`: what is told of the equation that makes a NaN or an Inf."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._errors import counted
from .._jax.origin import file_and_line
from .._printable import printable
from .._show.fit import page_width
from .._show.table import number
from .._show.wrap import wrapped
from .._source.statements import function_at, text_of
from .._walk.nonfinite import Nonfinite
from .places import Step


class Operand(NamedTuple):
    """An operand of an equation, or a cotangent that arrived at it.

    Attributes:
        shape, dtype: of the whole array.
        value: the number at the index where the result is NaN or Inf, if it has such an entry, else None.
        low, high: the least and the greatest of its finite numbers; None if there are none, or they are complex.
        nonfinite: how many of its entries are NaN or Inf.
    """

    shape: tuple[int, ...]
    dtype: Any
    value: Any
    low: Any
    high: Any
    nonfinite: int

    def __str__(self) -> str:
        dims = ",".join(map(str, self.shape))
        told = [f"{self.dtype}[{dims}]"]
        told += [] if self.value is None else [number(self.value)]
        if self.shape and self.low is not None:
            told.append(
                f"(all {number(self.low)})" if self.low == self.high else f"({number(self.low)} to {number(self.high)})"
            )
        if self.nonfinite and self.shape:
            told.append(f"with {counted(self.nonfinite, 'entry', 'entries')} NaN or Inf")
        return " ".join(told)


@dataclasses.dataclass(frozen=True, repr=False)
class NonfiniteEquation(Nonfinite):
    """The first equation that makes a NaN or an Inf of other numbers, on which the loss or a gradient depends.

    It is a `Nonfinite`, whose `point` is the last point before it, `array` "output" (made forward) or "delta"
    (backward), and `index` and `value` are of its result: backward, of the cotangent of one of its operands. Where the
    numbers came in with the arguments, or none of the equations makes them by itself, `equation` is "", and `array` is
    "loss" or "grads", whose entry it then is.

    Attributes:
        equation: what it computes, as "log", "div", "dot_general"; of a function with a derivative rule of its own, its
            name.
        function: JAX's own function that it is in, as "norm"; or "".
        operands: what it was given in the run forward, an `Operand` each.
        cotangents: backward: the cotangents of its results that arrived.
        by_operand: backward: of which operand, from 0, the result is the cotangent.
        scopes: the scopes around it, the outermost first.
        steps: the steps of the loops around it, the outermost first: (kind, number, length), counted from 0.
        seen_in: where it shows: "the result", or "the gradient of `args[0]['w']`" ...
        harmless: how many equations before it make a NaN or an Inf on which nothing depends.
        try_: what to try, in a sentence, or "".
        called_at: where it is in the source of an installed library, the (file, line) of yours that called that.
        notes: what else must be known, in sentences.
    """

    equation: str = ""
    function: str = ""
    operands: tuple[Operand, ...] = ()
    cotangents: tuple[Operand, ...] = ()
    by_operand: int | None = None
    scopes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    seen_in: str = ""
    harmless: int = 0
    try_: str = ""
    called_at: tuple[str, int] | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_backward(self) -> bool:
        """Tell whether it is made on the way back: the loss is finite."""
        return self.array in ("delta", "grads")

    @property
    def text(self) -> str:
        """Return the line of source itself, or "" if it cannot be read."""
        return text_of(self.file, self.line) if self.file else ""

    def __repr__(self) -> str:
        rows, width = [*self._rows()], min(page_width(), 100)
        indent = max((len(name) for name, _ in rows), default=0) + 4
        lines = [self._title()]
        for name, told in rows:
            first, *others = wrapped(told, width - indent)
            lines.append(f"  {name}".ljust(indent) + first)
            lines += [" " * indent + line for line in others]
        return "\n".join(map(printable, lines))

    def _title(self) -> str:
        kind = "NaN" if np.isnan(self.value) else str(self.value)
        if not self.equation:
            return f"{kind} in {self.seen_in}"
        within = f" in JAX's `{self.function}`" if self.function else ""
        return f"{kind} made {'backward, by the derivative of' if self.is_backward else 'by'} `{self.equation}`{within}"

    def _rows(self) -> Iterator[tuple[str, str]]:
        if self.file:
            function = function_at(self.file, self.line)
            yield "line", file_and_line(self.file, self.line) + (f", in `{function.name}`" if function else "")
            yield "", self.text
        for name, operands in (("operand", self.operands), ("cotangent", self.cotangents)):
            for i, operand in enumerate(operands, 1):
                yield f"{name} {i}" if len(operands) > 1 else name, str(operand)
        at = f" at {list(self.index)}" if self.index else ""
        if self.equation:
            of = (
                f", δ of operand {self.by_operand + 1}"
                if self.by_operand is not None and len(self.operands) > 1
                else ""
            )
            yield "result", f"{number(self.value)}{at}{of}"
            yield "seen in", self.seen_in
        elif at:
            yield "at", str(list(self.index))
        if self.point is not None:
            yield "point before", f"`{self.point}`"
        if self.called_at:
            yield "called at", f"{file_and_line(*self.called_at)}: {text_of(*self.called_at)}"
        if self.scopes:
            yield "scopes", "/".join(self.scopes)
        for step in self.steps:
            which = f"{step.number}, counted from 0" + (f", of {step.length}" if step.length else "")
            yield "step" if step.length else "pass", f"{which}, of the {step.kind}"
        if self.inputs:
            yield "came in", f"a NaN or Inf with {', '.join(f'`{name}`' for name in self.inputs)}"
        if self.harmless:
            yield "harmless", f"{counted(self.harmless, 'equation')} before it, on which nothing bad depends"
        if self.try_:
            yield "try", self.try_
        yield from (("note", note) for note in self.notes)
