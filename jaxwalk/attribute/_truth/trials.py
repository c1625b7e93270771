"""Random moves of the inputs, or of values at points: what scores say of them, and what happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import ArgumentError, argument, shown
from ..._jax.jaxpr.types import widened
from ..._jax.leaves import flatten
from .._along.batches import each
from .._along.path import baseline_of
from .._attribution import Attribution
from .._explaining import Explaining
from .reruns import Reruns
from .scores import check_value, scores_at, scores_of_inputs


class Outcomes(NamedTuple):
    """What came of moves, each of shape (values that are moved by themselves, samples).

    Attributes:
        said: by the scores, how much the result loses.
        lost: how much it does.
        is_any: whether an entry moved.
    """

    said: jax.Array
    lost: jax.Array
    is_any: jax.Array


class Trial(NamedTuple):
    """Which moves are made; attributes as of `infidelity`, `kind` a key of `scores.KINDS`."""

    attribution: Attribution
    explaining: Explaining
    kind: str
    baseline: Any
    perturb: Callable[[Any, Any], Any] | None
    key: Any
    samples: int
    batch_size: int

    def of_inputs(self, args: tuple) -> Outcomes:
        """Return what comes of moves of all inputs together."""
        explaining = self.explaining
        values, tree = flatten(explaining.inputs(args))
        baseline = None if self.kind == "value" else self.baseline
        start = jax.tree.leaves(baseline_of(baseline, explaining.inputs(args)))
        scores = scores_of_inputs(self.attribution, [jnp.shape(x) for x in values])
        arrays = [_Moved(x, x - b, s) for x, b, s in zip(values, start, scores, strict=True)]

        def trial(keys: jax.Array) -> tuple[Any, Any, Any]:
            moves = [self._move(key, moved) for key, moved in zip(keys, arrays, strict=True)]
            said = [self._said(move, moved) for move, moved in zip(moves, arrays, strict=True)]
            left = tree.unflatten([x - move for x, move in zip(values, moves, strict=True)])
            is_any = jnp.stack([jnp.any(move != 0) for move in moves]).any()
            return sum(said), explaining.fun(*explaining.with_inputs(args, left)), is_any

        def outcome(key: Any) -> Outcomes:
            return self._outcome(value, *trial(jax.random.split(key, len(arrays))))

        value = explaining.fun(*args)
        check_value(self.attribution, value)
        found = each(outcome, jax.random.split(self.key, self.samples), self.batch_size)
        return jax.tree.map(lambda x: x[None], found)

    def of_points(self, args: tuple, names: Sequence[str]) -> Outcomes:
        """Return what comes of moves at each of these points by itself."""
        reruns = Reruns.traced(self.explaining, args, names)
        value, outputs = reruns.outputs()
        check_value(self.attribution, value)
        start = self._starts(args, outputs)
        score = lambda name: scores_at(self.attribution, name, outputs[name].shape)
        groups = _grouped([_Moved(outputs[name], outputs[name] - start[name], score(name)) for name in names])

        def outcome(row: Any) -> Outcomes:
            number, key, is_moved = row
            key, moves, said, is_any = jax.random.split(key, len(names))[number], {}, [], []
            for group in groups:
                is_here, moved = group.at(number)
                move = self._move(key, moved)
                said.append(jnp.where(is_here, self._said(move, moved), 0))
                is_any.append(is_here & jnp.any(move != 0))
                moves |= {names[i]: jnp.where(is_moved[i], move, jnp.zeros_like(move)) for i in group.members}
            return self._outcome(value, sum(said), reruns.moving(moves), jnp.stack(is_any).any())

        shape = len(names), self.samples
        numbers = np.repeat(np.arange(len(names)), self.samples)
        # Whether a point is moved is a row's own datum, for each. Were it told from the number, as `number == 3`, the
        # program at each point would be another than at all others, and compiled by itself.
        is_moved = tuple(numbers == i for i in range(len(names)))
        rows = numbers, jax.random.split(self.key, len(numbers)), is_moved
        return jax.tree.map(lambda x: x.reshape(shape), each(outcome, rows, self.batch_size))

    def _starts(self, args: tuple, outputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Return from where the way to each value is that its scores are of."""
        if self.kind in ("slope", "value"):
            return {name: jnp.zeros_like(value) for name, value in outputs.items()}
        start = baseline_of(self.baseline, self.explaining.inputs(args))
        _, found = self.explaining.forward(*self.explaining.with_inputs(args, start))
        return {name: found[name] for name in outputs}

    def _move(self, key: Any, moved: _Moved) -> jax.Array:
        """Return a move of each entry of an array; without any way there is none, but of slopes."""
        way, none = moved.way, jnp.zeros_like(moved.way)
        if self.perturb is None:
            return jnp.where(jax.random.bernoulli(key, 0.5, way.shape), way, none)
        move = _own_move(self.perturb, key, moved.value)
        return move if self.kind == "slope" else jnp.where(way == 0, none, move)

    def _said(self, move: jax.Array, moved: _Moved) -> jax.Array:
        """Return by how much the result falls with a move, as the scores say."""
        wide = widened(np.result_type(*(x.dtype for x in moved)))
        move, way, scores = (x.astype(wide) for x in (move, moved.way, moved.scores))
        said = jnp.real(scores * (move if self.kind == "slope" else jnp.real(move / way).astype(wide)))
        said = jnp.sum(jnp.where((move != 0) | jnp.isnan(scores), said, jnp.zeros_like(said)))
        return -said if self.kind == "other" else said

    def _outcome(self, value: jax.Array, said: Any, result: jax.Array, is_any: jax.Array) -> Outcomes:
        dtype = widened(value.dtype)
        return Outcomes(jnp.asarray(said, dtype), value.astype(dtype) - result.astype(dtype), is_any)


class _Moved(NamedTuple):
    """An array that is moved, the way that it comes, and its scores."""

    value: jax.Array
    way: jax.Array
    scores: jax.Array


class _Group(NamedTuple):
    """Values of one shape and dtype, stacked: what a move of one of them is made of is compiled once.

    Attributes:
        members: their numbers among all.
        places: of each of all the place in the stack; −1 for others.
        stacks: their values, ways and scores.
    """

    members: list[int]
    places: np.ndarray
    stacks: _Moved

    def at(self, number: jax.Array) -> tuple[jax.Array, _Moved]:
        """Return whether one is here, and what there is of it; of another it is of no matter which."""
        place = jnp.asarray(self.places)[number]
        return place >= 0, _Moved(*(stack[place] for stack in self.stacks))


def _grouped(arrays: Sequence[_Moved]) -> list[_Group]:
    alike: dict[Any, list[int]] = {}
    for number, moved in enumerate(arrays):
        alike.setdefault((moved.value.shape, moved.value.dtype, moved.scores.dtype), []).append(number)
    groups = []
    for members in alike.values():
        places = np.full(len(arrays), -1)
        places[members] = np.arange(len(members))
        groups.append(_Group(members, places, _Moved(*map(jnp.stack, zip(*(arrays[i] for i in members), strict=True)))))
    return groups


def _own_move(perturb: Callable[[Any, Any], Any], key: Any, value: jax.Array) -> jax.Array:
    """Return a move in the dtype of the value: what is moved is what the scores are asked about."""
    given, fix = perturb(key, value), "return a move for each entry"
    try:
        move = jnp.asarray([None] if given is None else given)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"`{argument('perturb')}` returned {shown(given)}, which is no array of numbers; {fix}."
        ) from None
    if jnp.shape(move) != jnp.shape(value):
        raise ArgumentError(
            f"`{argument('perturb')}` returned shape {jnp.shape(move)} for an array of shape {jnp.shape(value)}; {fix}."
        )
    if jnp.iscomplexobj(move) and not jnp.iscomplexobj(value):
        raise ArgumentError(
            f"`{argument('perturb')}` returned {jnp.result_type(move)} for an array of {jnp.result_type(value)}, which"
            " moves along the real line alone; return real numbers."
        )
    return jnp.asarray(move, jnp.result_type(value))
