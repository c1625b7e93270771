"""`Walk`: what one run, forward and backward, leaves behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from .._errors import ArgumentError, PointError, check_count, listed, shown
from .._health.finding import Health
from .._health.places import check_health
from .._jax.jaxpr.types import widened
from .._jax.leaves import is_value
from .._kinks.kink import Kinks
from .._points.ordered_mapping import Named
from .._points.point import Points
from .._show.fit import tabular
from .._show.in_treescope import Item, rendering
from .._show.table import Table
from .culprits import Culprits, most_of
from .nonfinite import Nonfinite, first_nonfinite
from .result_table import table_of

_NAMES = {"loss": "value", "output": "outputs[name]", "delta": "deltas[name]", "grad": "grads", "gradients": "grads"}
"""What others might call what is here."""


@tabular
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Walk:
    """One run of a function, forward and backward. A pytree: it goes through `jit`, `vmap` and `scan`.

    Attributes:
        value: the loss.
        aux: the second result of the function, with `has_aux`; else None.
        grads: the gradients `jax.grad` gives for `argnums`; else None.
        points: the `Points` walked, and the opaque ones that `at` covers.
        outputs: the value at each point, by name in forward order.
        deltas: δ = ∂loss/∂value at each point that has one, by name in forward order. Of a complex value, δ is in
            JAX's convention (∂/∂re − i ∂/∂im).
        kept: what `keep` returned at each point, by name in forward order.
        inputs: of the arguments that are data (of several, all but the first), by their place, as "args[1]": 0 if all
            numbers are finite, 1 if there is an Inf, 2 if there is a NaN. Nothing with `keep`.
        kinks: the `Kinks` given to `with_kinks`; else None. They tell of these very numbers: a walk that comes out of
            `jit`, `vmap`, `jax.tree.map` ... is another, and has None.
        health: the `Health` given to `with_health`; else None. It is no part of the pytree either.
    """

    value: Any
    aux: Any
    grads: Any
    points: Points
    outputs: Named
    deltas: Named
    kept: Named
    kinks: Kinks | None = None
    health: Health | None = None
    inputs: Named = dataclasses.field(default_factory=lambda: Named({}))

    def __getattr__(self, name: str) -> Any:
        found = f"; it is `walk.{_NAMES[name]}`" if name in _NAMES else ""
        raise AttributeError(f"A `Walk` has no `{name}`{found}.", name=name, obj=self)

    def predict(self, moves: Mapping[str, Any]) -> jax.Array:
        """Compute how much the loss moves, to first order, if the values at some points move: Σ⟨δ, move⟩.

        Moves of several points are taken as independent, each added to what the function computes there.

        Arguments:
            moves: by name, arrays of the shape of δ there.

        Returns:
            An array of the shape of the loss: () for one walk, (n,) for n walks by `jax.vmap`.

        Raises:
            PointError: a name that has no δ here.
            ArgumentError: a move whose shape is not that of δ (nothing is broadcast), or complex where δ is real.

        >>> import jax.numpy as jnp, jaxwalk as jw
        >>> walk = jw.walk(lambda x: jnp.sum(jw.tag(x * x, "square")))(jnp.array([1.0, 2.0]))
        >>> float(walk.predict({"square": jnp.array([0.5, 0.0])}))
        0.5
        """
        if not isinstance(moves, Mapping) or not moves:
            raise ArgumentError(
                f"`moves` is {shown(moves)}; it must be a mapping from point names to arrays, with at least one."
            )
        parts = [self._inner(name, move) for name, move in moves.items()]
        return sum(parts[1:], start=parts[0])

    def _inner(self, name: str, move: Any) -> jax.Array:
        delta, shape = self.deltas[name], jnp.shape(self.value)
        if delta.shape != (*shape, *self.points[name].shape):
            raise ArgumentError(
                f"δ of `{name}` has shape {delta.shape}, which is not that of the loss, {shape}, and of the point,"
                f" {self.points[name].shape}; leave `out_axes` of `jax.vmap` 0."
            )
        if not is_value(move):
            raise ArgumentError(f"The move of `{name}` is {shown(move)}, which is not an array; give one.")
        move = jnp.asarray(move)
        if move.shape != delta.shape:
            raise ArgumentError(
                f"The move of `{name}` has shape {move.shape}, but δ there has shape {delta.shape};"
                " give it that shape (`jnp.broadcast_to` says so aloud)."
            )
        if jnp.iscomplexobj(move) and not jnp.iscomplexobj(delta):
            raise ArgumentError(f"The move of `{name}` is complex, the value there {delta.dtype}; move it by a real.")
        wide = widened(delta.dtype)
        product = jnp.real(delta.astype(wide) * move.astype(wide))
        return jnp.sum(product, axis=tuple(range(jnp.ndim(self.value), delta.ndim)))

    def culprits(self, k: int = 5) -> Culprits:
        """Return the `k` entries of largest |δ| over all points, largest first; NaN counts as largest.

        Fewer than `k` only if there are no more. Equal ones stay in forward order.

        >>> import jax.numpy as jnp, jaxwalk as jw
        >>> jw.walk(lambda x: jnp.sum(jw.tag(x * x, "square") ** 2))(jnp.array([1.0, 3.0])).culprits(1)
        1 culprit
          point   index  value   δ
          square  [1]        9  18

        Raises:
            ArgumentError: `k` is not a positive integer, or the walk is being traced (under `jit`).
            PointError: the walk holds no deltas, as with `keep`.
        """
        check_count("k", k)
        if not self.deltas:
            raise PointError(f"The walk holds no deltas. {self.deltas.why_empty()}")
        return most_of(self.deltas, self.outputs, int(k))

    def first_nonfinite(self) -> Nonfinite | None:
        """Return the first NaN or Inf met: outputs in the order of the run, the loss, deltas from the loss backward,
        the gradients; or None. Inside a scan, the order is that of its steps. Of many walks, it is the first in any.

        It says so where the data that came in have one already, as a NaN among the pixels.

        Raises:
            ArgumentError: the walk is being traced (under `jit`).
            PointError: the walk holds no outputs, as with `keep`.
        """
        if not self.outputs:
            raise PointError(f"The walk holds no outputs. {self.outputs.why_empty()}")
        return first_nonfinite(self.outputs, self.value, self.deltas, self.grads, self.points, self.inputs)

    def with_kinks(self, kinks: Kinks) -> Walk:
        """Return the same walk, whose table, and whose `jw.listing`, has a column `kinks`.

        It counts the entries of the choices that feed a point: how many are ties, and how many within rounding of one.
        A walk looks for none by itself: `jw.kinks` does.

        Arguments:
            kinks: what `jw.kinks` returned, of the function that was walked, at the same arguments and `by`.

        Raises:
            ArgumentError: it is no `Kinks`, or of a function that has not the points of this walk; or the walk is being
                traced (under `jit`).

        >>> import jax, jax.numpy as jnp, jaxwalk as jw
        >>> fun = lambda x: jnp.sum(jax.nn.relu(jw.tag(2 * x, "twice")))
        >>> x = jnp.array([0.0, 1.0, -1.0])
        >>> known = jw.walk(fun)(x).with_kinks(jw.kinks(fun, x))
        >>> known.kinks.at("twice").summary(), "1 tie" in repr(known)
        ('1 tie', True)
        """
        if not isinstance(kinks, Kinks):
            raise ArgumentError(
                f"`kinks` is {shown(kinks)}, which is no `Kinks`; give what `jw.kinks(fun, ...)` returns."
            )
        if isinstance(self.value, Tracer):
            raise ArgumentError(
                "The walk is being traced, and `kinks` would not leave `jit`; add them to what it returns."
            )
        if missing := [name for name in self.points if name not in kinks.points]:
            raise ArgumentError(
                f"`kinks` is of a function without the points {listed(missing, 4)}; give `jw.kinks` the function, the"
                " arguments and the `by` of the walk."
            )
        return dataclasses.replace(self, kinks=kinks)

    def with_health(self, health: Health) -> Walk:
        """Return the same walk, whose table, and whose `jw.listing`, has a column `health`: what is found at a point.

        A walk does not judge itself: `jw.health` does.

        Arguments:
            health: what `jw.health` returned, of this walk, or of an evaluation or a training of the same function.

        Raises:
            ArgumentError: it is no `Health`; or the walk is being traced (under `jit`).

        >>> import jax.numpy as jnp, jaxwalk as jw
        >>> walk = jw.walk(lambda x: jnp.sum(jw.tag(jnp.log(x), "log")))(jnp.array([0.0, 1.0]))
        >>> found = jw.Health([jw.Finding("nonfinite", "log", 1, 0, "An output is an Inf.", "Keep x above zero.")])
        >>> "nonfinite" in repr(walk.with_health(found))
        True
        """
        check_health(health)
        if isinstance(self.value, Tracer):
            raise ArgumentError(
                "The walk is being traced, and `health` would not leave `jit`; add it to what it returns."
            )
        return dataclasses.replace(self, health=health)

    def _table(self) -> Table:
        return table_of(self)

    def __treescope_repr__(self, path: str | None, subtree_renderer: Callable[..., Any]) -> Any:
        whole = [Item(f"{name}=", getattr(self, name), f".{name}") for name in ("value", "aux", "grads")]
        items = [item for item in whole if item.value is not None]
        at_points = [Item(f"{p.number} {name}: ", tuple(self._items(name))) for name, p in self.points.items()]
        return rendering(Walk, [*items, *at_points], path, subtree_renderer)

    def _items(self, name: str) -> Iterator[Item]:
        """Yield what there is at a point, δ beside the output."""
        for attribute, label in (("outputs", "output"), ("deltas", "δ"), ("kept", "kept")):
            if name in (found := getattr(self, attribute)):
                yield Item(f"{label}=", found[name], f".{attribute}[{name!r}]")
        if note := self.points[name].note(getattr(self.value, "ndim", 0)):
            yield Item("note: ", note)


_LEAVES = ("value", "aux", "grads", "outputs", "deltas", "kept", "inputs")
jax.tree_util.register_pytree_with_keys(
    Walk,
    lambda walk: ([(jax.tree_util.GetAttrKey(name), getattr(walk, name)) for name in _LEAVES], walk.points),
    lambda points, children: Walk(**dict(zip(_LEAVES, children, strict=True)), points=points),
)

__test__ = {"Walk": Walk}  # its methods have doctests, which are looked for where `__module__` says
