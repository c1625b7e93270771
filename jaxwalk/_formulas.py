"""`formulas`: a whole chain as a textbook shows it, forward and backward, each δ in terms of the one above it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from . import _compat
from ._as_latex import LATEX
from ._as_numpy import NAMESPACE, numpy_style
from ._as_text import TEXT
from ._chain import Chain
from ._entry_run import run_on_entries
from ._errors import ArgumentError, FormulaError, shown
from ._formula import as_formula, check_count, named
from ._notation import written
from ._read_terms import read_terms
from ._signs import Name, constant_name
from ._stage import is_value
from ._symbols import symbolic, sympy
from ._terms import Terms
from ._unicode import latex_of, text_of

SMALL = 40  # symbols of a chain that is shown entry by entry if nothing else is asked for


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
        return f"{self.name} = {self.text}{where}"


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
        """Runs the recipe, with NumPy, at numbers: every named value by its name, "X²", "Loss", "δ²", "δW²"."""
        if self.grain != "tensors":
            raise ArgumentError("`evaluate` runs the recipe of tensors; ask for them with `grain='tensors'`.")
        values = {**NAMESPACE, **self._parts}
        for name, leaf in zip(self._inputs, jax.tree.leaves((params, x, y)), strict=True):
            values[name.numpy()] = np.asarray(leaf)
        with np.errstate(all="ignore"):
            exec(self.recipe, values)
        return {e.name: values[identifier] for e, identifier in zip(self, self._parts["identifiers"], strict=True)}

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _groups(self) -> Iterator[tuple[str, list[Equation], dict[str, tuple[str, str]]]]:
        """What is read together: a layer, or its part of the backward pass, and the names that its formulas use."""
        for (layer, _), group in itertools.groupby(self, lambda e: (e.layer, e.name.startswith("δ"))):
            equations = list(group)
            yield layer, equations, {n: (t, l) for e in equations for n, t, l in e.where}

    def _lines(self) -> Iterator[str]:
        width = max((len(e.layer) for e in self), default=0)
        previous = None
        for layer, equations, where in self._groups():
            for e in equations:
                yield f"{(layer if layer != previous else '').ljust(width)}  {e.name} = {e.text}"
                previous = layer
            for i, (name, (text, _)) in enumerate(sorted(where.items())):
                yield f"{' ' * width}    {'where' if i == 0 else '  and'} {name} = {text}"
        if notes := _notes(self, self._parts.get("shown", ())):
            yield ""
            yield from notes

    def _repr_latex_(self) -> str:
        rows = []
        for layer, equations, where in self._groups():
            start = rf"\mathrm{{{_upright(layer)}}}"
            for e in equations:
                rows.append(rf"{start}\quad {e.name_latex} &= {e.latex}")
                start = ""
            rows += [rf"{name} &= {latex}" for name, (_, latex) in sorted(where.items())]
        return "$$\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}$$"


def _upright(text: str) -> str:
    return text.replace("_", r"\_")


def _notes(equations: Sequence[Equation], constants: Sequence[Any]) -> list[str]:
    """What a reader of the signs must know."""
    everything = " ".join(t for e in equations for t in (e.text, *(w[1] for w in e.where)))
    notes = []
    if "⊙" in everything:
        notes.append("⊙ multiplies entry by entry")
    if "ᵀ" in everything:
        notes.append("ᵀ swaps the last two axes")
    if "1[" in everything:
        notes.append("1[…] is 1 where it holds and 0 elsewhere")
    if any(s in everything for s in ("Σ₀", "Σ₁", "Σ₂", "Σ₃", "max₀", "max₁", "softmax", "einsum", "concat")):
        notes.append("axes are counted from 0")
    lines = ["; ".join(notes) + "."] if notes else []
    for i, c in enumerate(constants, 1):
        lines.append(f"{constant_name(i)} is a constant of the function: {c.dtype} of shape {tuple(c.shape)}.")
    return lines


def formulas(
    model: Callable[[Any, Any], Any], loss: Callable[[Any, Any], Any], *shapes: Any, grain: str | None = None
) -> Formulas:
    """The formulas of a chain of layers, as a textbook shows them: L1 ... Ln, the loss, then δⁿ⁺¹ ... δ¹.

    Each δ is written in terms of the one above it, read off what JAX computes for the derivative of that layer:
    δ² = δ³ W²ᵀ. Xⁱ is the input of layer i, Wⁱ its weights, δⁱ = ∂Loss/∂Xⁱ, δWⁱ = ∂Loss/∂Wⁱ; weights that have names
    of their own carry these: w², δw². What has no notation keeps the name of its primitive.

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
    params, x, y = (jax.tree.map(_struct, s) for s in shapes)
    steps = list(_steps(model, loss, params, x, y))
    count = sum(leaf.size for step in steps for leaf in jax.tree.leaves((step.weights, step.x)))
    if grain is None:
        grain = "entries" if count <= SMALL and _has_sympy() else "tensors"
    inputs = [n for s in steps[:-1] for n in s.weight_names] + steps[0].x_names + steps[-1].weight_names
    return _by_entries(steps, count) if grain == "entries" else _by_tensors(steps, _in_order_of(params, steps, inputs))


# The steps of a chain -------------------------------------------------------------------------------------


class _Step(NamedTuple):
    """A layer k, or the loss: X^(k+1) = fun(W^k, X^k); of the loss, "weights" are the expectation."""

    layer: str
    fun: Callable[[Any, Any], Any]
    weights: Any
    x: Any
    result: Any
    weight_names: list[Name]
    x_names: list[Name]
    result_names: list[Name]
    path: tuple[str, ...] = ()

    @property
    def is_loss(self) -> bool:
        return self.layer == "loss" and self.path == ("loss",)


def _steps(model: Any, loss: Callable, params: Any, x: Any, y: Any) -> Iterator[_Step]:
    layers = list(_layers(model, params, (), ""))
    for k, (layer, fun, weights, path) in enumerate(layers, 1):
        result = jax.tree.map(_struct, jax.eval_shape(fun, weights, x))
        names = _weight_names(weights, k), _names("X", k, x), _names("X", k + 1, result)
        yield _Step(layer, fun, weights, x, result, *names, path)
        x = result
    value = jax.eval_shape(loss, x, y)
    is_number = isinstance(value, jax.ShapeDtypeStruct) and jnp.issubdtype(value.dtype, jnp.floating)
    if not is_number or value.shape != ():
        raise ArgumentError(f"The loss must be a real scalar, but it is {shown(value)}; sum or mean it.")
    names = _names("Y", None, y), _names("X", len(layers) + 1, x), [Name("Loss")]
    yield _Step("loss", lambda y, x: loss(x, y), y, x, value, *names, ("loss",))


def _layers(model: Any, params: Any, path: tuple[str, ...], prefix: str) -> Iterator[tuple[str, Callable, Any, tuple]]:
    """The layers of a chain, those of chains in it too; a function that is no chain is one layer."""
    if not isinstance(model, Chain):
        yield getattr(model, "__name__", type(model).__name__), model, params, ()
        return
    model._check(params, prefix)
    for name, layer in model.layers.items():
        weights = params.get(name, {})
        if isinstance(layer, Chain):
            yield from _layers(layer, weights, (*path, name), f"{prefix}{name}/")
        elif model._weighted[name]:
            yield prefix + name, layer, weights, (*path, name)
        else:
            yield prefix + name, lambda w, x, layer=layer: layer(x), {}, (*path, name)


def _names(base: str, number: int | None, tree: Any) -> list[Name]:
    paths = [p for p, _ in jax.tree_util.tree_leaves_with_path(tree)]
    return [Name(base, number, path="".join(f".{_key(e)}" for e in path)) for path in paths]


def _weight_names(tree: Any, number: int) -> list[Name]:
    """W², or the weights' own names with the layer's number: w², b²."""
    paths = [p for p, _ in jax.tree_util.tree_leaves_with_path(tree)]
    own = [".".join(_key(e) for e in path) for path in paths]
    if any(not name or not name[0].isalpha() or name[-1].isdigit() or name in ("X", "Loss", "Y") for name in own):
        return _names("W", number, tree)
    return [Name(name, number) for name in own]


def _key(entry: Any) -> str:
    return jax.tree_util.keystr((entry,), simple=True)


def _struct(leaf: Any) -> jax.ShapeDtypeStruct:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    if not is_value(leaf):
        raise ArgumentError(
            f"`*shapes` holds {shown(leaf)}; give arrays, or `jax.ShapeDtypeStruct`, and pytrees of them."
        )
    return jax.ShapeDtypeStruct(np.shape(leaf), jnp.result_type(leaf))


def _has_sympy() -> bool:
    try:
        sympy()
    except FormulaError:
        return False
    return True


def _in_order_of(params: Any, steps: Sequence[_Step], names: list[Name]) -> list[Name]:
    """The names of the leaves of (params, x, y), in the order in which JAX flattens these."""
    by_path = {s.path: s for s in steps}

    def of(tree: Any, path: tuple[str, ...]) -> list[Name]:
        if path in by_path:
            return by_path[path].weight_names
        return [n for key in sorted(tree) for n in of(tree[key], (*path, key))] if isinstance(tree, dict) else []

    first = steps[0].weight_names if steps[0].path == () else of(dict(params), ())
    return [*first, *steps[0].x_names, *steps[-1].weight_names]


# Forward and backward, as jaxprs --------------------------------------------------------------------------


def _forward(step: _Step) -> _compat.Closed:
    return _flat(step.fun, step.weights, step.x)


def _backward(step: _Step) -> tuple[_compat.Closed, list[Name]]:
    """From (weights, x, δ above) to the δ of x and of the weights: of those that can be differentiated."""
    leaves, tree = jax.tree.flatten((step.weights, step.x))
    count = len(jax.tree.leaves(step.weights))
    names = [*(n._replace(delta=True) for n in step.weight_names), *(_delta(n) for n in step.x_names)]
    chosen = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    chosen = [i for i in chosen if i >= count] + [i for i in chosen if i < count and not step.is_loss]
    above = [leaf for leaf in jax.tree.leaves(step.result) if jnp.issubdtype(leaf.dtype, jnp.inexact)]

    def flat(*values: Any) -> list[Any]:
        given, deltas = list(values[: len(leaves)]), values[len(leaves) :]

        def fun(*part: Any) -> list[Any]:
            merged = list(given)
            for i, value in zip(chosen, part, strict=True):
                merged[i] = value
            outs = jax.tree.leaves(step.fun(*jax.tree.unflatten(tree, merged)))
            return [o for o in outs if jnp.issubdtype(o.dtype, jnp.inexact)]

        primals, pullback = jax.vjp(fun, *(given[i] for i in chosen))
        return list(pullback([jnp.ones_like(p) for p in primals] if step.is_loss else list(deltas)))

    closed, _ = _compat.trace(flat, *leaves, *(() if step.is_loss else above))
    return closed, [names[i] for i in chosen]


def _delta(name: Name) -> Name:
    """Xⁱ → δⁱ."""
    return name._replace(base="", delta=True)


def _deltas_above(step: _Step) -> list[Name]:
    leaves = jax.tree.leaves(step.result)
    return [_delta(n) for n, leaf in zip(step.result_names, leaves) if jnp.issubdtype(leaf.dtype, jnp.inexact)]


def _flat(fun: Callable, *args: Any) -> _compat.Closed:
    leaves, tree = jax.tree.flatten(args)
    flat = lambda *values: jax.tree.leaves(fun(*jax.tree.unflatten(tree, values)))
    return _compat.trace(flat, *leaves)[0]


# The two grains -------------------------------------------------------------------------------------------


def _by_entries(steps: Sequence[_Step], count: int) -> Formulas:
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
        above = [named(n.symbol(), leaf.shape) for n, leaf in zip(_deltas_above(step), jax.tree.leaves(step.result))]
        above = [] if step.is_loss else symbols(_deltas_above(step), [_like(a) for a in above])
        known = dict(zip(map(Name.text, [*step.weight_names, *step.x_names]), [*weights, *x]))
        results = run_on_entries(_forward(step), [*weights, *x], symbolic())
        forward += [equation(n, step.layer, r, known) for n, r in zip(step.result_names, results, strict=True)]
        closed, names = _backward(step)
        results = run_on_entries(closed, [*weights, *x, *above], symbolic())
        known |= {} if step.is_loss else dict(zip(map(Name.text, _deltas_above(step)), above, strict=True))
        backward.append([equation(n, step.layer, r, known) for n, r in zip(names, results, strict=True)])
    return Formulas("entries", forward + [e for part in reversed(backward) for e in part])


def _like(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, jnp.float32)


def _by_tensors(steps: Sequence[_Step], inputs: Sequence[Name]) -> Formulas:
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
        terms = Terms()
        terms.constants = constants
        variable = lambda name, leaf, terms=terms: terms.variable(name, leaf.shape)
        leaves = jax.tree.leaves((step.weights, step.x))
        variables = list(map(variable, [*step.weight_names, *step.x_names], leaves))
        results = read_terms(terms, _forward(step), variables)
        forward += equations(step.result_names, step.layer, results)
        for name, result in zip(step.result_names, results, strict=True):
            if result.args and not step.is_loss and result.op != "spread":
                terms.replaced[result] = variable(name, result)
        floats = [leaf for leaf in jax.tree.leaves(step.result) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
        above = [] if step.is_loss else list(map(variable, _deltas_above(step), floats))
        closed, names = _backward(step)
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
