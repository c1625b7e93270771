"""What all methods do: check what they are given, walk the function, and put scores together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from .._callables import called_with
from .._errors import ArgumentError, argument
from .._jax.leaves import renamed_after
from .._points.find import check_by
from .._points.name_patterns import At, check_at
from .._points.ordered_mapping import Named, by_point
from .._points.point import Points
from .._source.user_files import Source
from .._walk.result import Walk
from .._walk.walk import outputs, walk
from ._attribution import Attribution, total

T = TypeVar("T")


class Explaining(NamedTuple):
    """A function, its points, and the arguments to which a result is attributed too: as of `walk`."""

    method: str
    fun: Callable
    at: At
    by: str | None
    source: Source
    argnums: int | Sequence[int]

    @classmethod
    def checked(
        cls, method: str, fun: Callable, at: At, by: str | None, source: Source, argnums: int | Sequence[int]
    ) -> Explaining:
        check_by(by, source)
        check_at(at)
        return cls(method, fun, at, by, source, argnums)

    def walk(self, *args: Any) -> Walk:
        """Walk the function; of arguments that are of integers there are no gradients."""
        argnums = self.argnums if self.has_real_inputs(args) else None
        return walk(self.fun, self.at, by=self.by, source=self.source, argnums=argnums)(*args)

    def outputs(self, *args: Any) -> Named:
        return outputs(self.fun, self.at, by=self.by, source=self.source)(*args)[1]

    def explained(self, of: Callable[..., T]) -> Callable[..., T]:
        """Return a function of the arguments, named after the one that is explained."""

        @renamed_after(self.fun, self.method)
        def explain(*args: Any) -> T:
            with called_with(self.fun, args, {}):
                return of(*args)

        return explain

    # The arguments that are attributed to -----------------------------------------------------------------

    @property
    def positions(self) -> tuple[int, ...]:
        return (self.argnums,) if isinstance(self.argnums, int) else tuple(self.argnums)

    def inputs(self, args: Sequence[Any]) -> Any:
        """Return the arguments that `argnums` names, as `jax.grad` would return their gradients."""
        if any(not -len(args) <= i < len(args) for i in self.positions):
            raise ArgumentError(f"`argnums` is {self.argnums}, and there are {len(args)} arguments; name one of them.")
        return args[self.argnums] if isinstance(self.argnums, int) else tuple(args[i] for i in self.positions)

    def has_real_inputs(self, args: Sequence[Any]) -> bool:
        return all(jnp.issubdtype(jnp.result_type(x), jnp.inexact) for x in jax.tree.leaves(self.inputs(args)))

    def check_real_inputs(self, args: Sequence[Any], instead: str) -> None:
        """Refuse arguments of integers, between which there is no path."""
        if not self.has_real_inputs(args):
            raise ArgumentError(
                f"`{argument('args')}[{self.positions[0]}]` holds integers, and a path between them has no values;"
                f" {instead}."
            )

    def with_inputs(self, args: Sequence[Any], inputs: Any) -> tuple[Any, ...]:
        """Return the arguments, with others in the place of those that are attributed to."""
        changed = list(args)
        for i, value in zip(self.positions, [inputs] if isinstance(self.argnums, int) else inputs, strict=True):
            changed[i] = value
        return tuple(changed)

    # What comes out ---------------------------------------------------------------------------------------

    def attribution(
        self, value: Any, scores: Mapping[str, Any], inputs: Any, points: Points, gap: Any = None, why: str = ""
    ) -> Attribution:
        named = by_point(scores, points, why or None)
        return Attribution(self.method, value, named, inputs, jax.tree.map(total, named), gap, points)


def derivatives(found: Walk) -> tuple[dict[str, Any], Any]:
    """Return δ at each point, once for each value, and the gradients."""
    return {name: found.deltas[name] for name in found.deltas.once()}, found.grads


def times(a: Any, b: Any) -> Any:
    """Multiply entry by entry, leaf by leaf: of complex numbers the real part, which is what moves a real result."""
    return jax.tree.map(lambda x, y: jnp.real(x * y), a, b)
