"""What all methods do: check what they are given, walk the function, and put scores together."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from .._callables import called_with
from .._errors import ArgumentError, argument, counted, listed, shown
from .._jax.leaves import becomes_array, renamed_after
from .._jax.tracing import Staged
from .._points.find import check_by, find
from .._points.name_patterns import At, check_at
from .._points.ordered_mapping import Named, by_point
from .._points.point import Point, Points
from .._source.user_files import Source
from .._walk.result import Walk
from .._walk.walk import outputs, walk_together
from ._attribution import Attribution, total
from ._result_check import check_result

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
        several = argnums if isinstance(argnums, Sequence) else [argnums]
        if not several or any(not isinstance(i, int) or isinstance(i, bool) for i in several):
            raise ArgumentError(f"`argnums` is {shown(argnums)}; it must be an integer or several, as of `jax.grad`.")
        return cls.of_points(method, fun, at, by, source)._replace(argnums=argnums)

    @classmethod
    def of_points(cls, method: str, fun: Callable, at: At, by: str | None, source: Source) -> Explaining:
        """Return what explains values at points alone, and no arguments."""
        check_by(by, source)
        check_at(at)
        return cls(method, fun, at, by, source, ())

    def walk(self, *args: Any) -> Walk:
        """Walk the function; of arguments that are of integers there are no gradients."""
        argnums = self.argnums if self.has_real_inputs(args) else None
        options: Any = {"by": self.by, "source": self.source, "argnums": argnums, "check": self.result_only}
        return walk_together(self.fun, self.at, **options)(*args)

    def forward(self, *args: Any) -> tuple[Any, Named]:
        """Return the result, and the values at the points."""
        return outputs(self.fun, self.at, by=self.by, source=self.source)(*args)

    def result_only(self, staged: Staged) -> list[bool]:
        """Return which of the results is explained, the only one; refuse what is no real scalar."""
        check_result(self.method, staged.shapes)
        return [True]

    def explained(self, of: Callable[..., T]) -> Callable[..., T]:
        """Return a function of the arguments, named after the one that is explained."""

        @renamed_after(self.fun, self.method)
        @self.by_position
        def explain(*args: Any) -> T:
            with called_with(self.fun, args, {}):
                return of(*args)

        return explain

    def by_position(self, of: Callable[..., T]) -> Callable[..., T]:
        """Return the same, which refuses in a sentence arguments by name, as `argnums` counts positions, and what is no
        array where one is attributed to."""

        @functools.wraps(of)  # so that it has the signature of `of`
        def explain(*args: Any, **named: Any) -> T:
            if named:
                raise ArgumentError(
                    f"What `{self.method}` returns takes the arguments of `{argument('fun')}` by position, and was"
                    f" given {listed(named)} by name; give it in its place, or fix it by `functools.partial` of"
                    f" `{argument('fun')}`."
                )
            self._check_arrays(args)
            return of(*args)

        return explain

    # The arguments that are attributed to -----------------------------------------------------------------

    @property
    def positions(self) -> tuple[int, ...]:
        return (self.argnums,) if isinstance(self.argnums, int) else tuple(self.argnums)

    def inputs(self, args: Sequence[Any]) -> Any:
        """Return the arguments that `argnums` names, as `jax.grad` would return their gradients."""
        if self.positions and not args:
            fun = f"`{argument('fun')}`"
            raise ArgumentError(
                f"What `{self.method}` returns takes the arguments of {fun}, and was given none; give them."
            )
        if any(not -len(args) <= i < len(args) for i in self.positions):
            raise ArgumentError(
                f"`{argument('argnums')}` is {self.argnums}, and what `{self.method}` returns was called with"
                f" {counted(len(args), 'argument')}; name one of those, from 0."
            )
        if len({i % len(args) for i in self.positions}) < len(self.positions):
            raise ArgumentError(f"`{argument('argnums')}` is {self.argnums}, which names one twice; name each once.")
        return args[self.argnums] if isinstance(self.argnums, int) else tuple(args[i] for i in self.positions)

    def _check_arrays(self, args: Sequence[Any]) -> None:
        """Refuse an argument that is attributed to where it holds no array, or something else than arrays."""
        named = f"`{argument('argnums')}` is {shown(self.argnums)}: give an array of floats, or name another argument"
        for place in (place % len(args) for place in self.positions if -len(args) <= place < len(args)):
            at, leaves = f"{argument('args')}[{place}]", jax.tree_util.tree_leaves_with_path(args[place])
            if not leaves:
                raise ArgumentError(f"`{at}` is {shown(args[place])}, without arrays to attribute to, and {named}.")
            for path, leaf in leaves:
                if not becomes_array(leaf):
                    at += jax.tree_util.keystr(path)
                    raise ArgumentError(f"`{at}` is {shown(leaf)}, no array of numbers to attribute to, and {named}.")

    def has_real_inputs(self, args: Sequence[Any]) -> bool:
        return all(jnp.issubdtype(jnp.result_type(x), jnp.inexact) for x in jax.tree.leaves(self.inputs(args)))

    def check_real_inputs(
        self, args: Sequence[Any], instead: str, why: str = "a path between them has no values"
    ) -> None:
        """Refuse arguments of integers, between which there is no path."""
        if not self.has_real_inputs(args):
            raise ArgumentError(
                f"`{argument('args')}[{self.positions[0]}]` holds integers, and {why}; {instead}; or if they are sizes,"
                " as of an image, and no tokens, give them as floats (`.astype(float)`)."
            )

    def check_real_path(self, args: Sequence[Any]) -> None:
        """Refuse a path between integers, and say how to take that between their embeddings."""
        if not self.has_real_inputs(args):
            _, points = find(self.fun, tuple(args), {}, self.by, self.source)
            name = next((point.name for point in points.values() if point.has_delta), "NAME")
            embedded = f'`{self.method}(lambda e: jw.intervene(fun, {{"{name}": e}})(*args), other=...)(e)`'
            fix = (
                f"take that between their embeddings, at the first point, `{name}`, or another: {embedded}, with e and"
            )
            self.check_real_inputs(args, f'{fix} `other` of `jw.outputs(fun, "{name}")`')

    def with_inputs(self, args: Sequence[Any], inputs: Any) -> tuple[Any, ...]:
        """Return the arguments, with others in the place of those that are attributed to."""
        changed = list(args)
        for i, value in zip(self.positions, [inputs] if isinstance(self.argnums, int) else inputs, strict=True):
            changed[i] = value
        return tuple(changed)

    # What comes out ---------------------------------------------------------------------------------------

    def attribution(
        self,
        value: Any,
        scores: Mapping[str, Any],
        inputs: Any,
        points: Points,
        gap: Any = None,
        why: str = "",
        against: str = "",
    ) -> Attribution:
        named = by_point(scores, points, why or None)
        totals = jax.tree.map(total, named)
        return Attribution(self.method, value, named, inputs, totals, gap, points, against, self.positions)

    def against(self, baseline: Any, args: Sequence[Any]) -> str:
        """Return what the inputs are compared with where no baseline is given: zeros, or of integers the number 0."""
        if baseline is not None:
            return ""
        return "zeros" if self.has_real_inputs(args) else "inputs of the integer 0 alone, as token 0 in each place"

    def patched(
        self,
        args: Sequence[Any],
        others: Any,
        delta_of: str,
        walk: Callable[..., Walk],
        derivatives_of: Callable[[Walk], tuple[dict[str, Any], Any]],
    ) -> Attribution:
        """Return (o_other − o_this)·δ, the values of this run and of one at other inputs.

        Arguments:
            others: the other inputs.
            delta_of: which run is walked, "this" or "other"; the other one goes forward alone.
            walk: what walks it.
            derivatives_of: δ, and the gradients, from that walk.
        """
        given = {"this": args, "other": self.with_inputs(args, others)}
        found = walk(*given[delta_of])
        (rest,) = given.keys() - {delta_of}
        runs = {delta_of: (found.value, found.outputs), rest: self.forward(*given[rest])}
        (value, this), (_, other) = runs["this"], runs["other"]
        deltas, grads = derivatives_of(found)
        scores = {name: times(delta, other[name] - this[name]) for name, delta in deltas.items()}
        ways = jax.tree.map(lambda a, b: a - b, others, self.inputs(args))
        return self.attribution(value, scores, None if grads is None else times(grads, ways), found.points)


def check_other(other: Any) -> None:
    """Raise an ArgumentError if there are no arguments of another run."""
    if other is None:
        raise ArgumentError(
            "`other` is None; give the arguments of the other run, or a function of these: for zeros `jnp.zeros_like`."
        )


def check_delta_of(delta_of: Any) -> None:
    """Raise an ArgumentError if it is no name of a run of two."""
    if delta_of not in ("this", "other"):
        raise ArgumentError(f'`delta_of` is {shown(delta_of)}; it is "this" or "other".')


def axis_of(point: Point, axis: int) -> int:
    """Return an axis of a value without those of loops as one of the value with them.

    Raises:
        ArgumentError: there is no such axis.
    """
    lead, rank = len(point.axes), len(point.shape) - len(point.axes)
    if not -rank <= axis < rank:
        raise ArgumentError(
            f"`{argument('axis')}` is {axis}, and `{point.name}` has the shape {point.shape[lead:]}; give one of its"
            " axes."
        )
    return lead + axis % rank


def derivatives(found: Walk) -> tuple[dict[str, Any], Any]:
    """Return δ at each point, once for each value, and the gradients."""
    return {name: found.deltas[name] for name in found.deltas.once()}, found.grads


def times(a: Any, b: Any) -> Any:
    """Multiply entry by entry, leaf by leaf: of complex numbers the real part, which is what moves a real result."""
    return jax.tree.map(lambda x, y: jnp.real(x * y), a, b)
