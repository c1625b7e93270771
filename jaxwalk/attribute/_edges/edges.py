"""`edges`: what putting what a writer writes in another run before one reader alone is predicted to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._callables import called_with, transform
from ..._depth import deep_calls
from ..._jax.leaves import opened_leaves, renamed_after
from ..._points.find import find
from ..._points.name_patterns import At, check_at
from ..._source.user_files import Source
from .._along.path import Quadrature, baseline_of, between
from .._explaining import Explaining, check_delta_of, check_other
from .found import Found, edges_of
from .result import Edges
from .runs import Run, Runs
from .scores import Ends, Scoring, pairs


@transform
def edges(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    other: Any,
    writers: At = None,
    readers: At = None,
    delta_of: str = "this",
    steps: int = 1,
    batch_size: int = 1,
) -> Callable[..., Edges]:
    """Attribute to edges, by edge attribution patching (Syed et al., arXiv 2310.10348): for each writer and each reader
    of a residual stream the change of the result that is predicted, to first order, if that reader alone read what the
    writer writes in another run: (o_other − o_this)·δ, with δ where the reader reads.

    That is δ that comes back through this reader alone, not along the skip around it, nor through other readers. All
    edges in one walk of each run. There is an edge where the reader reads the value at the writer's point, or a sum
    with it: through additions, subtractions, factors that are numbers, casts, names, reshapes, transpositions and
    slices; through jit, checkpoint and scan, each step of which is a writer and a reader of its own, "block/attn[3]".
    Where what follows a reader's input is linear, the score is what patching that path would change.

    Arguments:
        fun, by, source, argnums, other, delta_of: as of `patching`.
        at: the points that are writers and readers, as of `jw.walk`.
        writers: these, if they are others: what blocks add to the stream ("**/attn", "embed").
        readers: these, if they are others. By scopes, a reader is all that is computed in the scope that the point
            leaves, and reads what comes from outside of it (of several that leave one scope, the first says so). In a
            block that begins with a norm, "**/attn" reads what the norm gives, which is no sum: name the norm
            ("**/norm1"), or a scope that holds both ("**/attn_block"); else `Edges.instead` says which point reads the
            stream. By tags and lines it is whoever reads the value at the point: tag what a block reads,
            `attn(jw.tag(x, "attn_in"))`, and no other reads that.
        steps: above 1, δ is the mean over so many nodes of the path of the inputs between the runs, by the midpoint
            rule, and `delta_of` says nothing (EAP-IG: Hanna et al., arXiv 2403.17806).
        batch_size: of these nodes, as of `conductance`.

    Returns:
        A function of the arguments of `fun` that returns `Edges`. If all who read the stream are readers, and none is
        in another, the scores of a writer add up to its `totals`, which is what `patching` says of it.

    Raises:
        PointError: (when called) as of `jw.walk`; there is no edge; a reader that is named reads nothing of a writer.
        ArgumentError: as of `patching`; (when called) a point is in a `jax.shard_map` or in more than 1024 steps.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> def score(x):
    ...     for name, w in (("first", 2.0), ("second", 3.0)):
    ...         with jax.named_scope(name):
    ...             wrote = jnp.tanh(w * x)
    ...         x = x + wrote
    ...     with jax.named_scope("last"):
    ...         return jnp.sum(x**2)
    >>> found = jw.attribute.edges(score, writers=["first", "second"], other=jnp.zeros(2))(jnp.array([0.1, 0.2]))
    >>> found
    3 edges from 2 writers to 2 readers, of the result 3.331
      writer  reader    score
      second  last     -4.297
      first   last     -1.554
      first   second  -0.9909
    """
    explaining = Explaining.checked("edges", fun, at, by, source, argnums)
    quadrature = Quadrature.checked(steps, "midpoint", batch_size)
    check_at(writers, "writers")
    check_at(readers, "readers")
    check_other(other)
    check_delta_of(delta_of)

    @renamed_after(fun, "edges")
    @explaining.by_position
    @deep_calls()
    def explain(*args: Any) -> Edges:
        args = explaining.with_inputs(args, jax.tree.map(jnp.asarray, explaining.inputs(args)))
        inputs = explaining.inputs(args)
        if steps > 1:
            explaining.check_real_path(args)
        others = baseline_of(other, inputs, "other")
        with called_with(fun, args, {}):
            staged, points = find(fun, args, {}, by, source, None, explaining.result_only)
        found = edges_of(staged.closed, points, at, writers, readers, by)
        runs = Runs.of(staged.closed, found)
        values = lambda inputs: opened_leaves((explaining.with_inputs(args, inputs), {}))[0]
        of_path = None
        if steps > 1:
            place, _ = between(others, inputs)
            of_path = quadrature.mean(lambda alpha: runs.walk(values(place(alpha))).deltas)
        this = (runs.walk if steps == 1 and delta_of == "this" else runs.forward)(values(inputs))
        that = (runs.walk if steps == 1 and delta_of == "other" else runs.forward)(values(others))
        return _scored(found, this, that, of_path or this.deltas or that.deltas)

    return explain


def _scored(found: Found, this: Run, that: Run, deltas: Mapping[str, Any]) -> Edges:
    """Return the edges, scored by what writers write more in that run than in this one."""
    write, read = Ends.of(way.writer for way in found.ways), Ends.of(way.reader for way in found.ways)
    moves = {name: that.outputs[name] - this.outputs[name] for name in write.places}
    scoring = Scoring(write, read, moves, deltas)
    there, left_out = pairs(found, write, read), dict(sorted(found.left_out.items()))
    names, scores = (write.names, read.names), scoring.scores(found.ways)
    return Edges(this.value, *names, left_out, found.instead, there, scores, scoring.totals())
