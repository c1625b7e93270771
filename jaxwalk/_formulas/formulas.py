"""`formulas`: a whole chain as a textbook shows it, forward and backward, each δ in terms of the one above it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from .._errors import ArgumentError, FormulaError, shown
from .._optional import sympy
from .by_tensors import by_tensors
from .equations import Formulas
from .layers import layers_of, struct

SMALL = 40  # symbols of a chain that is shown entry by entry if nothing else is asked for


def formulas(
    model: Callable[[Any, Any], Any], loss: Callable[[Any, Any], Any], *shapes: Any, grain: str | None = None
) -> Formulas:
    """Return the formulas of a chain of layers, as a textbook shows them: L1 ... Ln, the loss, then δⁿ⁺¹ ... δ¹.

    Each δ is written in terms of the one above it, read off what JAX computes for the derivative of that layer:
    δ² = δ³ W²ᵀ. Xⁱ is the input of layer i, Wⁱ its weights, δⁱ = ∂Loss/∂Xⁱ, δWⁱ = ∂Loss/∂Wⁱ; weights that have names
    of their own carry these: w², δw². What has no notation keeps the name of its primitive.

    Cases stand in parentheses wherever they are a part of something. Entry by entry, a formula has a case where JAX
    gives a NaN or an infinity that it would not show, as of `formula`. Tensor by tensor, nothing is simplified that has
    such places, an axis that a sum keeps is put in again ("[:, None]"), and conversions that change numbers are
    written: "float32(X¹)", "bfloat16(X¹)", "uint8(X¹ − 128)".

    Arguments:
        model: a `Chain`, or any function of (params, x), which is then one layer.
        loss: a function of two variables, the model's result and the expectation.
        *shapes: params, x, y: the arguments of `jw.objective(model, loss)`, arrays or `jax.ShapeDtypeStruct`.
        grain: "entries": entry by entry, in SymPy, for small layers; "tensors": tensor by tensor, for layers of any
            size. None: entries up to 40 numbers in all.

    Returns:
        Formulas: a sequence of `Equation`; shown as text, and as LaTeX in a notebook.

    Raises:
        FormulaError: (entries) as of `formula`.
        ArgumentError: the arguments do not fit; the loss is not a real scalar.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> model = jw.chain(lambda w, x: x @ w, jax.nn.relu)
    >>> params = {"L1": jnp.ones((3, 4))}
    >>> loss = lambda o, y: 0.5 * jnp.sum((o - y) ** 2)
    >>> jw.formulas(model, loss, params, jnp.ones((2, 3)), jnp.ones((2, 4)), grain="tensors")
    L1    X² = X¹ W¹
    L2    X³ = max(X², 0)
    loss  Loss = 1/2 · Σ((X³ − Y)²)
          δ³ = X³ − Y
    L2    δ² = δ³ ⊙ 1[X² > 0]
    L1    δ¹ = δ² W¹ᵀ
          δW¹ = X¹ᵀ δ²
    <BLANKLINE>
    ⊙ multiplies entry by entry; ᵀ swaps the last two axes; 1[…] is 1 where it holds and 0 elsewhere.
    """
    for argument, function in (("model", model), ("loss", loss)):
        if not callable(function):
            raise ArgumentError(f"`{argument}` is {shown(function)}, which cannot be called; give a function.")
    if len(shapes) != 3:
        raise ArgumentError(
            f"`*shapes` holds {len(shapes)}; give three: params, x, y, as to `jw.objective(model, loss)`."
        )
    if grain not in (None, "entries", "tensors"):
        raise ArgumentError(f"`grain` is {shown(grain)}; it must be 'entries', 'tensors', or None.")
    params, x, y = (jax.tree.map(struct, s) for s in shapes)
    layers = list(layers_of(model, loss, params, x, y))
    count = sum(leaf.size for layer in layers for _, leaf in layer.operands)
    if grain is None:
        grain = "entries" if count <= SMALL and _has_sympy() else "tensors"
    if grain == "entries":
        sympy()  # or an error that says how to install it
        from .by_entries import by_entries  # imports SymPy, which is slow and may be missing

        return by_entries(layers, count)
    names = {id(leaf): name for layer in layers for name, leaf in layer.operands}
    return by_tensors(layers, [names[id(leaf)] for leaf in jax.tree.leaves((params, x, y))])


def _has_sympy() -> bool:
    try:
        sympy()
    except FormulaError:
        return False
    return True
