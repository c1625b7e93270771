"""A sweep along the path of the inputs: at each node a walk, and how the values at its points move along the path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from .._walk.result import Walk
from ._attribution import total
from ._explaining import Explaining, times
from ._path import Quadrature, baseline_of, between


class Path(NamedTuple):
    """The straight path from a baseline to the inputs.

    Attributes:
        arguments: α -> the arguments of the function there.
        direction: inputs − baseline.
        change: fun(inputs) − fun(baseline).
        whole: the walk at the inputs.
    """

    arguments: Callable[[Any], tuple[Any, ...]]
    direction: Any
    change: Any
    whole: Walk

    @classmethod
    def to(cls, explaining: Explaining, args: Sequence[Any], baseline: Any, instead: str) -> Path:
        explaining.check_real_inputs(args, instead)
        inputs = explaining.inputs(args)
        start = baseline_of(baseline, inputs)
        place, direction = between(start, inputs)
        whole = explaining.walk(*args)
        change = whole.value - explaining.fun(*explaining.with_inputs(args, start))
        return cls(lambda alpha: explaining.with_inputs(args, place(alpha)), direction, change, whole)


def moving(explaining: Explaining, args: Sequence[Any], direction: Any) -> tuple[dict[str, Any], Any]:
    """Return δ·ẏ at each point, ẏ how the value moves where the inputs move in a direction; and the same of inputs."""
    found = explaining.walk(*args)
    inputs = explaining.inputs(args)

    def at(inputs: Any) -> dict[str, Any]:
        outputs = explaining.outputs(*explaining.with_inputs(args, inputs))
        return {name: outputs[name] for name in found.deltas.once()}

    _, moves = jax.jvp(at, (inputs,), (direction,))
    return {name: times(found.deltas[name], move) for name, move in moves.items()}, times(found.grads, direction)


def swept(explaining: Explaining, path: Path, quadrature: Quadrature) -> tuple[dict[str, Any], Any, Any]:
    """Return the integrals of `moving` along a path, and how far those of the inputs are from adding up."""
    scores, inputs = quadrature.mean(lambda alpha: moving(explaining, path.arguments(alpha), path.direction))
    return scores, inputs, sum(map(total, jax.tree.leaves(inputs))) - path.change
