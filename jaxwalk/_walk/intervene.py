"""`intervene`: run a function with values, or δ, at some points replaced or changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from .._callables import called_with, transform
from .._depth import deep_calls
from .._errors import ArgumentError, argument, shown
from .._jax.jaxpr.kinds import refuses_forward_mode
from .._jax.leaves import renamed_after
from .._points.find import check_by, find
from .._rewrite.plan import plan
from .._rewrite.rewire import Visitor, run
from .._source.user_files import Source
from .edits import Edit, edits_by_point


@transform
def intervene(
    fun: Callable,
    edits: Mapping[str, Any] | None = None,
    *,
    by: str | None = None,
    source: Source = None,
    deltas: Mapping[str, Callable[[Any, Any], Any]] | None = None,
) -> Callable:
    """Return `fun` with the values, or the δ, at some points replaced or changed.

    What it returns can be walked, differentiated and intervened in again; at an edited point, output and δ are then
    those of the new value, which all who read the value read: δ at a point is the derivative of the loss with respect
    to an ε that an edit adds there. With `outputs` it gives the Jacobian from one point to another:
    `jax.jacobian(lambda v: jw.outputs(jw.intervene(fun, {"a": v}), "b")(x)[1]["b"])(a)`.

    Arguments:
        fun: any function of arrays; its result may be anything.
        edits: by point name, the new value (an array of the point's shape and dtype; inside a scan, with the leading
            axis of its steps), or a function from the value to the new one (inside a scan, run at every step). A name
            may be a glob, as in `at` of `walk`, unless it covers an opaque point. A name followed by an index,
            `"attn[5]"`, is some steps of a point in a scan: integers, slices and lists, as NumPy takes them, over the
            axes of its scans (`Point.axes`): `[-1]`, `[2:4]`, `[[0, 3]]`; in a scan in a scan `[0, 3]` is step 3 of
            the inner in step 0 of the outer one. A function is run at each of these steps, on the value of the step;
            a new value has the shape of the point's value so indexed. The axes that `jax.vmap` gives to a value belong
            to the value of a step. The name of a point that ends in brackets itself is that point.
            Of several edits, each is of what the earlier ones have led to, as the run meets them. Of the names of one
            value, as of a tag and of the scope that it leaves, one is edited, and a glob edits it once.
        by, source: as of `walk`.
        deltas: by point name, as in `edits`, a function (output, δ) -> δ like it: the value stays as it is, and what
            the function returns goes back from there, in place of δ. A walk shows δ at the point itself as it arrives.
            Where none arrives, because the result does not depend on the value, the function is not run. There is no
            forward mode (`jax.jvp`, `jax.jacfwd`) through such a point.

    Returns:
        A function of the arguments of `fun` that returns what `fun` would.

    Raises:
        PointError: (when called) a name that no point has, or that is opaque; steps that a point does not have; in
            `deltas`, a point that has no δ.
        ArgumentError: there is nothing to edit; or (when called) two keys that name one value, or one step of it; an
            edit that does not have the shape and dtype of its point; `jax.jvp` of what has `deltas`.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jw.tag(x + 1, "next") * 2
    >>> float(jw.intervene(fun, {"next": lambda v: v * 10})(jnp.float32(3.0)))
    80.0
    >>> float(jax.grad(jw.intervene(fun, deltas={"next": lambda output, delta: -delta}))(jnp.float32(3.0)))
    -2.0
    >>> doubled = lambda x: jax.lax.scan(lambda c, _: (jw.tag(2 * c, "c"), None), x, None, length=3)[0]
    >>> float(jw.intervene(doubled, {"c[-1]": lambda c: 0 * c, "c[0]": 7.0})(jnp.float32(1.0)))
    0.0
    """
    check_by(by, source)
    edits, deltas = ({} if given is None else given for given in (edits, deltas))
    for name, given in (("edits", edits), ("deltas", deltas)):
        _check(name, given, required=not deltas)

    @renamed_after(fun, "intervene")
    @deep_calls()
    def intervened(*args: Any, **kwargs: Any) -> Any:
        with called_with(fun, args, kwargs):
            staged, found = find(fun, args, kwargs, by, source)
        by_point = edits_by_point(found, edits, deltas)
        planned = plan(staged.closed, [found[name] for name in by_point])
        inputs = {name: [edit.inputs for edit in several] for name, several in by_point.items()}
        try:
            outs, _ = run(planned, staged.args, inputs, _editing(by_point))
        except TypeError as error:
            if deltas and refuses_forward_mode(error):
                raise ArgumentError(
                    f"`{argument('deltas')}` changes the backward pass alone, so that there is no forward mode"
                    " (`jax.jvp`, `jax.jacfwd`) through it; use `jax.vjp` or `jax.jacrev`."
                ) from error
            raise
        return staged.results(outs)

    return intervened


def _check(name: str, given: Any, required: bool) -> None:
    if not isinstance(given, Mapping) or (required and name == "edits" and not given):
        raise ArgumentError(
            f"`{name}` is {shown(given)}; it must be a mapping from point names to functions or values."
        )
    for key in given:
        if not isinstance(key, str):
            raise ArgumentError(f"`{name}` has the key {shown(key)}; the keys are names of points.")


def _editing(by_point: Mapping[str, list[Edit]]) -> Visitor:
    """Return what sends the value at a point through its edits, in their order."""

    def visit(name: str, value: jax.Array, inputs: list[Mapping[str, Any]]) -> tuple[jax.Array, None]:
        for edit, its_inputs in zip(by_point[name], inputs, strict=True):
            value = edit.apply(value, its_inputs)
        return value, None

    return Visitor(visit, recorded=None, as_there=True)
