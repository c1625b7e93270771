"""`concept_test`: whether the score of a concept says more than that of examples drawn at random."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import ArgumentError, argument, counted, listed, shown
from ..._jax.jaxpr.types import widened
from ..._points.ordered_mapping import Named
from ..._show.fit import tabular
from ..._show.table import Table, is_readable, number
from .concept_vector import check_alike, check_penalty, normal


@tabular
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class ConceptTest:
    """Whether the TCAV score of a concept says more than that of examples drawn at random. A pytree.

    Attributes:
        scores: by point, the score of the concept's vector against each random set.
        random_scores: by point, that of each random set against another.
        p: by point, of Welch's two-sided t-test: how probable it is that their means differ so much by chance. NaN
            where neither kind of score varies, and where δ or a value is NaN.
    """

    scores: Named
    random_scores: Named
    p: Named

    def _table(self) -> Table:
        readable = all(map(is_readable, jax.tree.leaves((self.scores, self.random_scores, self.p))))
        rows = [(name, *(self._row(name) if readable else ("", "", ""))) for name in self.p]
        title = f"concept_test at {counted(len(self.p), 'point')}: mean and standard deviation of scores"
        columns = ("point", "score", "random score", "p")
        silent = [name for name in self.p if readable and np.isnan(self.p[name]).any()]
        why = "p is NaN where neither kind of score varies, so that a t-test says nothing, or where a number is NaN."
        return Table(
            title, columns, rows, columns[1:], [why] * bool(silent), (), ("point",), ("point",), more="`p` has each"
        )

    def _row(self, name: str) -> tuple[str, str, str]:
        both = (np.asarray(each[name], np.float32) for each in (self.scores, self.random_scores))
        told = [f"{number(each.mean(), 3)} ± {number(each.std(ddof=1), 2)}" for each in both]
        p = np.asarray(self.p[name], np.float32)
        return told[0], told[1], number(p, 3) if p.ndim == 0 else ""


jax.tree_util.register_dataclass(ConceptTest, ["scores", "random_scores", "p"], [])


def concept_test(
    deltas: Mapping[str, Any], positive: Mapping[str, Any], random: Mapping[str, Any], *, penalty: float = 1.0
) -> ConceptTest:
    """Test the TCAV score of a concept against those of random concepts (Kim et al., arXiv 1711.11279, section 3.5).

    The score of a vector is the share of data in which the derivative along it is positive. The concept has one vector
    against each random set; each random set has one against the next. If both have the same scores but for chance, the
    concept says nothing of these data. Of several concepts tested, a p counts if it is below the level divided by their
    number (Bonferroni).

    Arguments:
        deltas: by point name, δ of the data, their axis first: `jax.vmap(jw.walk(score, "NAME"))(data).deltas`.
        positive: by point name, the values in examples of the concept: `jax.vmap(jw.outputs(score, "NAME"))(x)[1]`.
        random: by point name, the values in random examples, in at least 3 sets, with the axes (sets, examples) in
            front: `jax.vmap(jax.vmap(jw.outputs(score, "NAME")))(x)[1]`.
        penalty: as of `concept_vector`.

    Returns:
        A `ConceptTest`.

    Raises:
        ArgumentError: `deltas` lack a point; there are fewer than 3 sets; shapes do not fit; as of `concept_vector`.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> score = lambda x: jnp.sum(jw.tag(x, "x")[:2] ** 3)
    >>> draw = lambda seed, *shape: jax.random.normal(jax.random.key(seed), shape)
    >>> named = lambda x: jw.Named({"x": x})
    >>> deltas = jax.vmap(jw.walk(score))(draw(0, 40, 5)).deltas
    >>> positive = draw(1, 20, 5) + 3 * jnp.eye(5)[:1]
    >>> found = jw.attribute.concept_test(deltas, named(positive), named(draw(2, 20, 9, 5)))
    >>> bool(found.p["x"] < 0.05), bool(jnp.mean(found.scores["x"]) > jnp.mean(found.random_scores["x"]))
    (True, True)
    """
    check_penalty(penalty)
    for name, given in (("deltas", deltas), ("positive", positive), ("random", random)):
        if not isinstance(given, Mapping) or not given:
            raise ArgumentError(f"`{name}` is {shown(given)}; it must be values by point name.")
    if missing := [name for name in positive if name not in deltas]:
        raise ArgumentError(
            f"`{argument('deltas')}` has no δ at {listed(missing)}, of which `{argument('positive')}` has values; walk"
            " there too, where there is a δ."
        )
    positive, random = dict(positive), dict(random)
    check_alike(positive, random, ("positive", "random"), sets=1)
    check_alike(positive, {name: deltas[name] for name in positive}, ("positive", "deltas"))
    if few := [name for name in random if len(random[name]) < 3]:
        raise ArgumentError(
            f"`{argument('random')}` has {counted(len(random[few[0]]), 'set')} at `{few[0]}`; give at least 3, and for"
            " a test that finds something 10 or more."
        )
    each = {name: _tested(deltas[name], positive[name], random[name], penalty) for name in positive}
    return ConceptTest(*(Named({name: found[i] for name, found in each.items()}) for i in range(3)))


def _tested(deltas: Any, positive: Any, random: Any, penalty: float) -> tuple[jax.Array, jax.Array, jax.Array]:
    against = jax.vmap(lambda one, other: normal(one, other, penalty), (None, 0))(positive, random)
    among = jax.vmap(lambda one, other: normal(one, other, penalty))(random, jnp.roll(random, -1, 0))
    scores, random_scores = _shares(deltas, against), _shares(deltas, among)
    return scores, random_scores, _welch(scores, random_scores)


def _shares(deltas: Any, vectors: jax.Array) -> jax.Array:
    """Return, for each vector, in which share of the data the derivative along it is positive; NaN if one is NaN."""
    dtype = widened(jnp.result_type(deltas))
    flat = [jnp.reshape(a, (len(a), -1)).astype(dtype) for a in (vectors, deltas)]
    slopes = flat[0] @ flat[1].T
    return jnp.where(jnp.isnan(slopes).any(1), jnp.nan, jnp.mean(slopes > 0, 1, dtype=dtype))


def _welch(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the p of Welch's two-sided t-test, from the incomplete beta function."""
    parts = [jnp.var(x, ddof=1) / len(x) for x in (a, b)]
    square = (jnp.mean(a) - jnp.mean(b)) ** 2 / sum(parts)
    freedom = sum(parts) ** 2 / sum(part**2 / (len(x) - 1) for part, x in zip(parts, (a, b), strict=True))
    return jax.scipy.special.betainc(freedom / 2, 0.5, freedom / (freedom + square))
