"""`bisect_nonfinite`: the equation that makes a NaN or an Inf."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._callables import called_with
from .._depth import deep_calls
from .._errors import ArgumentError, counted, shown
from .._jax.jaxpr import jaxprs
from .._jax.jaxpr.types import is_float
from .._jax.leaves import replaced
from .._jax.tracing import Staged
from .._points.find import find
from .._points.point import Points
from .blame import Found, Subject, blamed, run
from .describe import argument_names, described, is_closed, is_low, result_names, where_bad
from .makers import Maker, all_bad, first_entry
from .programs import Programs
from .record import NonfiniteEquation
from .values import Value, bad_entries, given


@deep_calls()
def bisect_nonfinite(fun: Callable, *args: Any, **kwargs: Any) -> NonfiniteEquation | None:
    """Find the first equation, forward or backward, that makes a NaN or an Inf which `fun` or its gradient then has.

    `fun` is traced, and run op by op, each equation of its jaxpr by itself; what it calls (`jax.jit`, `lax.scan`,
    `lax.cond`, `jax.checkpoint` ...) is run as a whole, and entered only if that has a NaN or an Inf: a scan at the
    step that makes it. If the result is finite, the way back to every array of real or complex numbers among the
    arguments is taken in the same way: each equation takes the cotangents of its results to its operands, by JAX's own
    rule, at the numbers of the run forward. So a gradient that is NaN where the loss is finite is found too: of a
    `jnp.where(x > 0, jnp.sqrt(x), 0.0)`, the sqrt, which has no derivative at 0.

    An equation makes a NaN if its operands have none there, and an Inf if they are finite: a mask of −Inf is not made,
    Inf − Inf is. Of several equations that do, the one is told that the result or the gradient depends on: the first
    that makes it NaN or Inf although every equation after it had finite numbers put in the place of what it makes
    (found by bisection). Those before it are harmless: what they make is selected away; it is told how many they are.

    Arguments:
        fun: any function of arrays. The way back is taken if its result is a real scalar, a loss; of others, the run
            forward alone is searched, and a warning says so if that is finite.
        *args, **kwargs: its arguments. What is NaN or Inf in them is not made, and named.

    Returns:
        A `NonfiniteEquation`; None if the result and the gradients are finite, op by op and, where `fun` is not itself
        compiled by `jax.jit`, compiled as one.

    Raises:
        ArgumentError: `fun` cannot be called with these arguments, one is a text, or they are being traced (under
            `jit`); `fun` has a mutable array.

    Warns:
        UserWarning: nothing is found, but the way back was not taken, or JAX refuses to differentiate a part of it.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> def loss(x):
    ...     return jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0))
    >>> found = jw.bisect_nonfinite(loss, jnp.array([1.0, 0.0]))
    >>> found.equation, found.is_backward, found.index, float(found.operands[0].value)
    ('sqrt', True, (1,), 0.0)
    >>> jw.bisect_nonfinite(loss, jnp.array([1.0, 2.0])) is None
    True
    """
    for leaf in jax.tree.leaves((args, kwargs)):
        if isinstance(leaf, str):
            raise ArgumentError(
                f"`bisect_nonfinite` was given {shown(leaf)}, which is no array; give `fun` arrays alone, and let it"
                " close over the rest."
            )
    staged, points, args = _traced(fun, args, kwargs)
    if any(isinstance(value, (Tracer, jax.ShapeDtypeStruct)) for value in staged.args):
        raise ArgumentError(
            "`bisect_nonfinite` needs numbers, and its arguments are being traced; call it outside `jit` and `vmap`."
        )
    is_loss = _is_loss(staged)
    subject = Subject(staged.closed, staged.args, points, Programs())
    found = run(subject, is_loss)
    told = _Telling(staged, points, argument_names(args, kwargs), is_loss, found)
    if found.is_to_explain:
        again = lambda keep, entries: run(subject, found.grads is not None, keep, entries)
        return told.equation(*blamed(found, again))
    if where_bad(found.looked_at):
        return told.no_equation(found.looked_at, "No equation makes it of other numbers.")
    if (compiled := _compiled(staged, is_loss and not found.barred)) is not None:
        what = "Run op by op it is finite: compiled as one by `jax.jit`, XLA computes it in another order or precision."
        return told.no_equation(compiled, what)
    for note in told.not_looked_at():
        warnings.warn(f"`bisect_nonfinite` found nothing. {note}", stacklevel=3)
    return None


class _Telling:
    """What is told, by what is known of the function."""

    def __init__(self, staged: Staged, points: Points, names: Sequence[str], is_loss: bool, found: Found) -> None:
        self._points, self._names, self._found = points, names, found
        self._results = ["the loss"] if is_loss else result_names(staged.shapes)
        self._shapes, self._is_loss = staged.shapes, is_loss
        self._inputs = tuple(
            name for name, value in zip(names, staged.args, strict=True) if bad_entries(value) is not None
        )

    def equation(self, maker: Maker, harmless: int) -> NonfiniteEquation:
        """Return what is told of the equation that is to blame."""
        whole = (
            "None of the equations that it calls makes it when run by itself: it is made of several together, as on the"
            " way back through a loop, or by what compiling changes."
        )
        summed = "It is the sum of two cotangents of the operand, which is read more than once."
        low = "Run op by op, each operation rounds to its dtype; compiled as one, XLA may round less, and stay finite."
        closed = "It was looked at as a whole: what it runs inside cannot be run by itself."
        notes = [whole] * maker.is_whole + [summed] * maker.is_sum + [closed] * is_closed(maker) + [low] * is_low(maker)
        notes += self.not_looked_at()
        seen_in = self._seen_in(self._found.looked_at, self._found.grads is not None)
        return described(
            maker, self._points, inputs=self._inputs, seen_in=seen_in, harmless=harmless, notes=tuple(notes)
        )

    def no_equation(self, looked_at: Sequence[Value | None], note: str) -> NonfiniteEquation:
        """Return what is told where no equation can be named."""
        is_grads = len(looked_at) != len(self._results) or looked_at is self._found.grads
        which = where_bad(looked_at)[0]
        value: Any = looked_at[which]
        _, index = first_entry([all_bad(value)])
        return NonfiniteEquation(
            None,
            "grads" if is_grads else "loss",
            index,
            np.asarray(value.array)[index],
            inputs=self._inputs,
            seen_in=self._seen_in(looked_at, is_grads),
            notes=(note, *self.not_looked_at()),
        )

    def not_looked_at(self) -> list[str]:
        """Return sentences on what of the way back was not searched."""
        if not self._is_loss:
            fix = "give a function that returns the loss alone to search the way back"
            return [f"Only the run forward was searched: the result is no real scalar; {fix}."]
        if self._found.barred:
            said = "; ".join(f"`{name}` ({error})" for name, error in self._found.barred.items())
            return [f"The way back ends where JAX refuses a derivative, and δ before that was not searched: {said}."]
        if self._found.grads is not None and not any(x is not None for x in self._found.grads):
            return ["Only the run forward was searched: the loss depends on no argument that is an array of floats."]
        return []

    def _seen_in(self, values: Sequence[Value | None], is_grads: bool) -> str:
        names = [f"the gradient of `{name}`" for name in self._names] if is_grads else self._results
        bad = where_bad(values)
        more = f" and {counted(len(bad) - 1, 'other')}" if len(bad) > 1 else ""
        return names[bad[0]] + more


def _traced(fun: Callable, args: tuple, kwargs: dict[str, Any]) -> tuple[Staged, Points, tuple]:
    """Trace `fun`, and find its points. A Python number among the arguments is an array, if `fun` can be traced so."""
    arrays = tuple(jnp.asarray(arg) if isinstance(arg, (float, complex)) else arg for arg in args)
    with called_with(fun, args, kwargs):
        try:
            return *find(fun, arrays, kwargs, None, None), arrays
        except jax.errors.JAXTypeError:  # it asks for a number, as by Python's `if`
            if all(one is other for one, other in zip(arrays, args, strict=True)):
                raise
            return *find(fun, args, kwargs, None, None), args


def _is_loss(staged: Staged) -> bool:
    """Tell whether the result is a real scalar."""
    shapes = staged.shapes
    is_array = isinstance(shapes, jax.ShapeDtypeStruct)
    return is_array and shapes.shape == () and jnp.issubdtype(shapes.dtype, jnp.floating)


def _compiled(staged: Staged, backward: bool) -> list[Value | None] | None:
    """Return the results, compiled as one, if one is NaN or Inf, or the gradients, if one of these is; else None."""
    evaluate = functools.partial(jaxprs.evaluate, staged.closed)
    moved = [i for i, x in enumerate(staged.args) if is_float(x)]
    if not (backward and moved):
        return _bad([given(x) for x in jax.jit(evaluate)(staged.args)])

    def loss(values: Sequence[Any]) -> Any:
        return evaluate(replaced(staged.args, moved, values))[0]

    value, grads = jax.jit(jax.value_and_grad(loss))([staged.args[i] for i in moved])
    found: list[Value | None] = [None] * len(staged.args)
    for i, grad in zip(moved, grads, strict=True):
        found[i] = given(grad)
    return _bad([given(value)]) or _bad(found)


def _bad(values: Sequence[Value | None]) -> list[Value | None] | None:
    return list(values) if where_bad(values) else None
