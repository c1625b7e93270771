"""`infidelity`: how far scores are from what random moves really do to the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._callables import transform
from ..._errors import ArgumentError, argument, check_count, shown
from ..._jax.jaxpr.types import widened
from ..._jax.leaves import flatten
from ..._points.name_patterns import At
from ..._points.ordered_mapping import Named, by_point
from ..._source.user_files import Source
from .._along.path import baseline_of
from .._along.samples import check_key
from .._attribution import Attribution, total
from .._explaining import Explaining
from .measure import Measure
from .reruns import AT_ONCE, Reruns, check_result, in_batches
from .scores import check_attribution, kind_of, names_at, scores_at, scores_of_inputs


@transform
def infidelity(
    attribution: Attribution,
    fun: Callable,
    *,
    at: At = None,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    baseline: Any = None,
    key: Any,
    samples: int = 100,
    perturb: Callable[[Any, Any], Any] | None = None,
    scaled: bool = False,
    scores: str | None = None,
    batch_size: int = AT_ONCE,
) -> Callable[..., Measure]:
    """Measure the infidelity of scores Φ (Yeh et al., arXiv 1901.09392, definition 2.1): the mean, over random moves I,
    of (Σ I·Φ − (fun(x) − fun(x − I)))², of the inputs, and at each point, whose value is moved as by
    `jw.intervene(fun, {name: lambda v: v - I})`; in a loop all steps move.

    Φ is by unit of a move. A method whose scores are of a whole way, from zero or from a baseline, has it divided by
    that way: I·Φ is then the share of the way that an entry moves, times its score; an entry without any way stays.

    Arguments:
        attribution: of `fun`, at these arguments.
        fun: the function that it is of.
        at: the points, of those with scores; None for all.
        by, source, argnums: those of the attribution.
        baseline: that of the attribution, as of `conductance`; of `patching` the other run.
        key: of `jax.random`.
        samples: how many moves, of the inputs and at each point: one run each.
        perturb: (key, value) -> I, of each array; None for I that puts each entry to its baseline or leaves it, by one
            half (the paper's "subset of difference to baseline"; at points, slopes move to zero).
        scaled: whether Φ is first scaled by the one number by which it fits best.
        scores: what the scores are of: "slope", by unit; "value", of the way from zero; "baseline", of that from the
            value in the run at the baseline; "other", of that to the value there. None: as of the method.
        batch_size: as of `deletion`. All points are moved by one program.

    Returns:
        A function of the arguments of `fun` that returns a `Measure`: NaN where no move is any.

    Raises:
        PointError: (when called) there are no scores at these points.
        ArgumentError: an option does not fit; the method's scores are not by entry; (when called) the attribution is of
            other arguments.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(x**2, "square") * 3)
    >>> x = jnp.array([1.0, 2.0])
    >>> found = jw.attribute.infidelity(jw.attribute.gradient_times_output(fun)(x), fun, key=jax.random.key(0))(x)
    >>> float(found.by_point["square"]), bool(found.inputs > 1)  # linear in the square, and not in x
    (0.0, True)
    """
    check_attribution(attribution)
    check_key(key, samples)
    check_count("batch_size", batch_size)
    if perturb is not None and not callable(perturb):
        raise ArgumentError(f"`perturb` is {shown(perturb)}; it must be a function (key, value) -> move, or None.")
    explaining = Explaining.checked("infidelity", fun, at, by, source, argnums)
    kind = kind_of(attribution, scores)
    trial = _Trial(attribution, explaining, kind, baseline, perturb, key, samples, batch_size)

    def measure(*args: Any) -> Measure:
        check_result(explaining, args)
        inputs = None if attribution.inputs is None else _mean_square(*trial.inputs(args), scaled)
        found = Named({}, {"*": attribution.scores.why_empty()})
        if attribution.scores or at is not None or inputs is None:
            names, pairs = trial.points(args)
            each = _mean_square(*pairs, scaled)
            found = by_point(
                {name: each[i] for i, name in enumerate(names)}, attribution.points, "It was not asked for."
            )
        return Measure("infidelity", attribution.method, inputs, found)

    return explaining.explained(measure)


class _Trial(NamedTuple):
    """Which moves are made, of what. Each gives what the scores say of it, what happens, and whether it is any."""

    attribution: Attribution
    explaining: Explaining
    kind: str
    baseline: Any
    perturb: Callable[[Any, Any], Any] | None
    key: Any
    samples: int
    batch_size: int

    def inputs(self, args: tuple) -> tuple[jax.Array, jax.Array, jax.Array]:
        explaining = self.explaining
        values, tree = flatten(explaining.inputs(args))
        baseline = None if self.kind == "value" else self.baseline
        start = jax.tree.leaves(baseline_of(baseline, explaining.inputs(args)))
        scores = scores_of_inputs(self.attribution, [jnp.shape(x) for x in values])
        ways = [x - b for x, b in zip(values, start, strict=True)]
        value = explaining.fun(*args)

        def pair(key: Any) -> Any:
            keys = jax.random.split(key, len(values))
            moves = [self._move(*each) for each in zip(keys, values, ways, strict=True)]
            said = sum(self._said(*each) for each in zip(scores, moves, ways, strict=True))
            moved = tree.unflatten([x - m for x, m in zip(values, moves, strict=True)])
            after = explaining.fun(*explaining.with_inputs(args, moved))
            return said, _lost(value, after), jnp.stack([jnp.any(m != 0) for m in moves]).any()

        return in_batches(pair, jax.random.split(self.key, self.samples), self.batch_size)

    def points(self, args: tuple) -> tuple[list[str], tuple[jax.Array, jax.Array, jax.Array]]:
        names = names_at(self.attribution, self.explaining.at)
        reruns = Reruns.traced(self.explaining, args, names)
        value, outputs = reruns.outputs()
        scores = {name: scores_at(self.attribution, name, outputs[name].shape) for name in names}
        ways = {name: outputs[name] - b for name, b in self._starts(args, outputs).items()}

        def pair(row: Any) -> Any:
            which, key = row
            here = [jnp.asarray(which == i) for i in range(len(names))]
            keys = jax.random.split(key, len(names))
            moves = [self._move(k, outputs[name], ways[name]) for k, name in zip(keys, names, strict=True)]
            taken = [jnp.where(at, move, jnp.zeros_like(move)) for at, move in zip(here, moves, strict=True)]
            said = jnp.stack([self._said(scores[n], m, ways[n]) for n, m in zip(names, moves, strict=True)])[which]
            is_any = jnp.stack([jnp.any(m != 0) for m in moves])[which]
            return said, _lost(value, reruns.moving(dict(zip(names, taken, strict=True)))), is_any

        keys = jax.random.split(self.key, len(names) * self.samples)
        rows = jnp.repeat(jnp.arange(len(names)), self.samples), keys
        shape = len(names), self.samples
        return names, jax.tree.map(lambda x: x.reshape(shape), in_batches(pair, rows, self.batch_size))

    def _starts(self, args: tuple, outputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Return from where the way to each value is that its scores are of."""
        if self.kind in ("slope", "value"):
            return {name: jnp.zeros_like(value) for name, value in outputs.items()}
        start = baseline_of(self.baseline, self.explaining.inputs(args))
        found = self.explaining.outputs(*self.explaining.with_inputs(args, start))
        return {name: found[name] for name in outputs}

    def _move(self, key: Any, value: jax.Array, way: jax.Array) -> jax.Array:
        if self.perturb is None:
            return jnp.where(jax.random.bernoulli(key, 0.5, way.shape), way, jnp.zeros_like(way))
        move = jnp.asarray(self.perturb(key, value))
        if move.shape != jnp.shape(value):
            raise ArgumentError(
                f"`{argument('perturb')}` returned shape {move.shape} for an array of shape {jnp.shape(value)}; return"
                " a move for each entry."
            )
        move = move.astype(jnp.result_type(value))
        return move if self.kind == "slope" else jnp.where(way == 0, jnp.zeros_like(move), move)

    def _said(self, scores: jax.Array, move: jax.Array, way: jax.Array) -> jax.Array:
        """Return what the scores say of a move: how much the result loses by it."""
        if self.kind == "slope":
            return total(scores * move)
        share = jnp.where(way == 0, jnp.zeros_like(way), move / jnp.where(way == 0, jnp.ones_like(way), way))
        return total(jnp.real(share) * scores) * (-1 if self.kind == "other" else 1)


def _lost(before: jax.Array, after: jax.Array) -> jax.Array:
    dtype = widened(before.dtype)
    return before.astype(dtype) - after.astype(dtype)


def _mean_square(said: jax.Array, real: jax.Array, is_any: jax.Array, scaled: bool) -> jax.Array:
    """Return the mean of (what is said − what happens)² over the last axis; NaN where nothing ever moved."""
    said = said.astype(real.dtype)
    if scaled:
        square = jnp.sum(said**2, -1, keepdims=True)
        scale = jnp.sum(said * real, -1, keepdims=True) / jnp.where(square == 0, jnp.ones_like(square), square)
        said = scale * said
    return jnp.where(is_any.any(-1), jnp.mean((said - real) ** 2, -1), jnp.nan)
