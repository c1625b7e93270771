"""Random moves of the inputs, or of values at points: what scores say of them, and what happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import ArgumentError, argument
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

        def result(moves: Sequence[jax.Array]) -> jax.Array:
            moved = tree.unflatten([x - m for x, m in zip(values, moves, strict=True)])
            return explaining.fun(*explaining.with_inputs(args, moved))

        ways = [x - b for x, b in zip(values, start, strict=True)]
        return self._outcomes(_Moved(values, ways, scores), [_ALL], explaining.fun(*args), result)

    def of_points(self, args: tuple, names: Sequence[str]) -> Outcomes:
        """Return what comes of moves at each of these points."""
        reruns = Reruns.traced(self.explaining, args, names)
        value, outputs = reruns.outputs()
        start = self._starts(args, outputs)
        values, ways = [outputs[name] for name in names], [outputs[name] - start[name] for name in names]
        scores = [scores_at(self.attribution, name, outputs[name].shape) for name in names]
        result = lambda moves: reruns.moving(dict(zip(names, moves, strict=True)))
        return self._outcomes(_Moved(values, ways, scores), range(len(names)), value, result)

    def _starts(self, args: tuple, outputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Return from where the way to each value is that its scores are of."""
        if self.kind in ("slope", "value"):
            return {name: jnp.zeros_like(value) for name, value in outputs.items()}
        start = baseline_of(self.baseline, self.explaining.inputs(args))
        _, found = self.explaining.forward(*self.explaining.with_inputs(args, start))
        return {name: found[name] for name in outputs}

    def _outcomes(
        self, moved: _Moved, which: Sequence[int], value: jax.Array, result: Callable[[Sequence[jax.Array]], jax.Array]
    ) -> Outcomes:
        """Return what comes of moves; `which`: of which arrays by themselves, or `_ALL`."""
        check_value(self.attribution, value)
        ways, scores = moved.flat(moved.ways), moved.flat(moved.scores)
        dtype = widened(value.dtype)

        def outcome(row: Any) -> Outcomes:
            number, key = row
            mine = (moved.numbers == number) | (number == _ALL)
            moves = jnp.where(mine, self._moves(moved, ways, key), jnp.zeros_like(ways))
            said = jnp.real(scores * moves if self.kind == "slope" else scores * jnp.real(moves / ways))
            said = jnp.where(mine & ((moves != 0) | jnp.isnan(scores)), said, jnp.zeros_like(said))
            said = jnp.sum(-said if self.kind == "other" else said).astype(dtype)
            lost = value.astype(dtype) - result(moved.parted(moves)).astype(dtype)
            return Outcomes(said, lost, jnp.any(moves != 0))

        shape = len(which), self.samples
        rows = jnp.repeat(jnp.asarray(which), self.samples), jax.random.split(self.key, len(which) * self.samples)
        return jax.tree.map(lambda x: x.reshape(shape), each(outcome, rows, self.batch_size))

    def _moves(self, moved: _Moved, ways: jax.Array, key: Any) -> jax.Array:
        if self.perturb is None:
            return jnp.where(jax.random.bernoulli(key, 0.5, ways.shape), ways, jnp.zeros_like(ways))
        keys = jax.random.split(key, len(moved.values))
        moves = [_own_move(self.perturb, *each) for each in zip(keys, moved.values, strict=True)]
        return jnp.where((ways == 0) & (self.kind != "slope"), jnp.zeros_like(ways), moved.flat(moves))


_ALL = -1  # in the place of the number of an array: all of them move


class _Moved(NamedTuple):
    """Arrays that are moved, the way that each comes, and its scores. What is computed of them all is computed of one
    vector: with hundreds of points, operations at each would be most of what is compiled."""

    values: Sequence[jax.Array]
    ways: Sequence[jax.Array]
    scores: Sequence[jax.Array]

    @property
    def numbers(self) -> np.ndarray:
        """Return for each entry of the vector the number of the array."""
        return np.repeat(np.arange(len(self.values)), [jnp.size(x) for x in self.values])

    def flat(self, arrays: Sequence[jax.Array]) -> jax.Array:
        """Return the entries of arrays of these shapes as one vector."""
        kinds = [jnp.result_type(x) for x in (*self.values, *self.scores)]
        wide = np.result_type(*map(widened, kinds))
        return jnp.concatenate([jnp.ravel(x).astype(wide) for x in arrays])

    def parted(self, vector: jax.Array) -> list[jax.Array]:
        """Return the arrays whose entries a vector has."""
        ends = np.cumsum([0, *(jnp.size(x) for x in self.values)])
        parts = zip(ends[:-1], ends[1:], self.values, strict=True)
        return [_as(x, vector[a:b].reshape(jnp.shape(x))) for a, b, x in parts]


def _as(like: jax.Array, x: jax.Array) -> jax.Array:
    dtype = jnp.result_type(like)
    return (x if jnp.issubdtype(dtype, jnp.complexfloating) else jnp.real(x)).astype(dtype)


def _own_move(perturb: Callable[[Any, Any], Any], key: Any, value: jax.Array) -> jax.Array:
    move = jnp.asarray(perturb(key, value))
    if move.shape != jnp.shape(value):
        raise ArgumentError(
            f"`{argument('perturb')}` returned shape {move.shape} for an array of shape {jnp.shape(value)}; return"
            " a move for each entry."
        )
    return move
