"""A sweep along the path of the inputs: at each node a walk, and how the values at its points move along the path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._jax.jaxpr.types import widened
from ..._walk.result import Walk
from .._attribution import change, total_of_all
from .._explaining import Explaining, derivatives, times
from .batches import Batches, summed
from .path import Quadrature, baseline_of, between


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
        apart = change(explaining.fun(*explaining.with_inputs(args, start)), whole.value)
        return cls(lambda alpha: explaining.with_inputs(args, place(alpha)), direction, apart, whole)


def moving(explaining: Explaining, args: Sequence[Any], direction: Any) -> tuple[dict[str, Any], Any]:
    """Return δ·ẏ at each point, ẏ how the value moves where the inputs move in a direction; and the same of inputs."""

    def at(inputs: Any) -> tuple[dict[str, Any], Walk]:
        found = explaining.walk(*explaining.with_inputs(args, inputs))
        return {name: found.outputs[name] for name in found.deltas.once()}, found

    # How δ itself moves is not asked for, and left out by the compiler. So each value is computed once.
    _, moves, found = jax.jvp(at, (explaining.inputs(args),), (direction,), has_aux=True)
    return {name: times(found.deltas[name], move) for name, move in moves.items()}, times(found.grads, direction)


def swept(explaining: Explaining, path: Path, quadrature: Quadrature) -> tuple[dict[str, Any], Any, Any]:
    """Return the integrals of `moving` along a path, and how far those of the inputs are from adding up."""
    if quadrature.rule == "trapezoid":
        scores, inputs = _by_differences(explaining, path, quadrature)
    else:
        scores, inputs = quadrature.mean(lambda alpha: moving(explaining, path.arguments(alpha), path.direction))
    return scores, inputs, total_of_all(inputs) - path.change


def _by_differences(explaining: Explaining, path: Path, quadrature: Quadrature) -> tuple[dict[str, Any], Any]:
    """Return Σ ½ (δ + δ')·(y' − y) over neighbours on the path, the trapezoid rule for ∫ δ dy: it takes walks alone."""

    def at(alpha: Any) -> tuple[Any, Any]:
        args = path.arguments(alpha)
        found = explaining.walk(*args)
        deltas, grads = derivatives(found)
        return ({name: found.outputs[name] for name in deltas}, explaining.inputs(args)), (deltas, grads)

    def add(carry: Any, batch: Any) -> tuple[Any, None]:
        (sums, last), (alphas, is_after) = carry, batch
        here = batches.run(at, alphas)
        before = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b[:-1]]), last, here)
        (values, deltas), (nexts, its) = before, here
        middle = jax.tree.map(lambda a, b: (a + b) / 2, deltas, its)
        gained = times(middle, jax.tree.map(lambda a, b: b - a, values, nexts))
        sums = jax.tree.map(lambda s, g: s + summed(g.astype(s.dtype), is_after), sums, gained)
        return (sums, jax.tree.map(lambda x: x[-1], here)), None

    batches = Batches.of(len(quadrature.nodes), quadrature.batch_size)
    nodes = jnp.asarray(quadrature.nodes, jnp.result_type(float))
    last = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(at, nodes[0]))
    zeros = jax.tree.map(lambda v: jnp.zeros(v.shape, widened(jnp.real(v).dtype)), last[0])
    # Before the first node there is none, and after the last only what fills up its batch.
    is_after = batches.is_there & (batches.rows > 0)
    return jax.lax.scan(add, (zeros, last), (batches.take(nodes), is_after))[0][0]
