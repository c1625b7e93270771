"""The worked example taught: gradient descent, one patient at a time and all at once; and what signs tell."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._formulas.entries.exact import exact
from ..._model.chain import chain, objective
from ..._walk.result import Walk
from ..._walk.walk import walk
from .walkthrough import L1, L2, Cohort, loss, model, params, patient_loss

RATES = (Fraction(1), Fraction(1, 10**7))


def batch_loss(params: Any, xs: Any, ys: Any) -> Any:
    """Loss of all patients: the mean of theirs."""
    return jnp.mean(jax.vmap(patient_loss, (None, 0, 0))(params, xs, ys))


def leaky(x: Any) -> Any:
    """X⁴ = X³ if X³ >= 0 else X³ / 100."""
    return jnp.where(x >= 0, x, 0.01 * x)


_one, _all = walk(patient_loss, argnums=0), walk(batch_loss, argnums=0)
_one_leaky = walk(objective(chain(L1, L2, L3=leaky), loss), argnums=0)


class Update(NamedTuple):
    """One update of the weights: ŵ² = w² − α·δw².

    Attributes:
        names: of the patients it is made from.
        walk: of their loss.
        settled: which of them teach nothing, since δ⁴ is no larger than the rounding error that o² may have.
        delta_w2: (3,) what is learned from them.
        weights: (3,) the weights afterwards.
    """

    names: list[str]
    walk: Walk
    settled: list[str]
    delta_w2: Any
    weights: Any


class Epoch(NamedTuple):
    """All patients seen once.

    Attributes:
        rate: α.
        is_batch: whether they are taken all at once.
        updates: one by one, or the one of all.
        outputs, losses: (n,) of the new forward pass, with the new weights.
        correct: (n,) whether result and expectation are on the same side of ½.
    """

    rate: Fraction
    is_batch: bool
    updates: list[Update]
    outputs: Any
    losses: Any
    correct: np.ndarray


class Arithmetic(NamedTuple):
    """In which numbers the example is taught.

    Attributes:
        of: a function -> the same in these numbers.
        number: what stands in the data, or a rate -> it in these numbers.
        rounding: (weights, x) -> the rounding error that o² may have.
    """

    of: Callable[[Callable], Callable]
    number: Callable[[Any], Any]
    rounding: Callable[[Any, Any], Any]


FLOATS = Arithmetic(
    functools.cache(jax.jit),
    lambda value: np.float32(value),
    lambda weights, x: 3 * np.finfo(np.float32).eps * np.sum(np.abs(weights * x), -1),
)
"""float32, in which a δ⁴ that is nothing but rounding would, at α = 1, take the third patient off the kink of L3."""

FRACTIONS = Arithmetic(functools.cache(exact), exact(lambda value: value), lambda weights, x: 0)


def epochs(cohort: Cohort, arithmetic: Arithmetic, rates: tuple[Fraction, ...] = RATES) -> list[Epoch]:
    """Teach the patients' model for an epoch, from the same weights each time: with each rate one by one, and all at
    once."""
    ways = [(rate, is_batch) for is_batch in (False, True) for rate in rates]
    return [_epoch(cohort, arithmetic, rate, is_batch) for rate, is_batch in ways]


def _epoch(cohort: Cohort, arithmetic: Arithmetic, rate: Fraction, is_batch: bool) -> Epoch:
    weights = arithmetic.number(params["L2"])
    patients = list(zip(cohort.names, cohort.x, cohort.y, strict=True))
    updates = []
    for taken in [patients] if is_batch else [[patient] for patient in patients]:
        updates.append(_update(taken, arithmetic, rate, weights, is_batch))
        weights = updates[-1].weights
    of_params = {"L2": weights}
    outputs = [arithmetic.of(model)(of_params, x) for x in cohort.x]
    losses = [arithmetic.of(patient_loss)(of_params, x, y) for _, x, y in patients]
    correct = np.array([bool(2 * o >= 1) == bool(2 * y >= 1) for o, y in zip(outputs, cohort.y, strict=True)])
    return Epoch(rate, is_batch, updates, outputs, losses, correct)


def _update(patients: list, arithmetic: Arithmetic, rate: Fraction, weights: Any, is_batch: bool) -> Update:
    names, xs, ys = zip(*patients, strict=True)
    x, y = (np.stack(xs), np.stack(ys)) if is_batch else (xs[0], ys[0])
    found = arithmetic.of(_all if is_batch else _one)({"L2": weights}, x, y)
    o1, delta3, delta4 = (np.asarray(a) for a in (found.outputs["L1"], found.deltas["L2"], found.deltas["L3"]))
    bounds = np.atleast_1d(arithmetic.rounding(weights, x)) / len(names)
    settled = [i for i, (d, bound) in enumerate(zip(np.atleast_1d(delta4), bounds)) if 0 < abs(d) <= bound]
    rounding = sum(np.atleast_1d(delta3)[i] * np.atleast_2d(o1)[i] for i in settled)
    delta_w2 = np.asarray(found.grads["L2"]) - rounding
    return Update(
        list(names), found, [names[i] for i in settled], delta_w2, weights - arithmetic.number(rate) * delta_w2
    )


# What signs tell ------------------------------------------------------------------------------------------


class Sign(NamedTuple):
    """One case of the sign analysis, as the model is in it: numbers of a walk.

    Attributes:
        o1: the input that is not 0.
        w2: the weight that it meets.
        o2, delta4, delta3, delta2, delta_w2: of the walk, where they belong to that weight.
        leaky: δ³ where L3 is a leaky relu.
    """

    o1: Any
    w2: Any
    o2: Any
    delta4: Any
    delta3: Any
    delta2: Any
    delta_w2: Any
    leaky: Any


def signs(arithmetic: Arithmetic) -> list[Sign]:
    """Walk each case: a result that is right, too low, too high, of a positive input and of a negative one; and one
    that L3 blocks."""
    result = lambda x: arithmetic.of(model)(params, x)
    open_ = [np.array([1, 0, 0], np.float32), np.array([0, -1, 0], np.float32)]  # o² ≥ 0: the second weight is negative
    cases = [(x, result(x) + arithmetic.number(y)) for y in (0, 1, -1) for x in open_]
    return [_sign(arithmetic, x, y) for x, y in [*cases, (np.array([-1, 0, 0], np.float32), arithmetic.number(1))]]


def _sign(arithmetic: Arithmetic, x: np.ndarray, y: Any) -> Sign:
    found, leaking = (arithmetic.of(one)(params, x, y) for one in (_one, _one_leaky))
    o, d, place = found.outputs, found.deltas, int(np.flatnonzero(x)[0])
    weight = arithmetic.number(params["L2"])[place]
    numbers = o["L2"], d["L3"], d["L2"], d["L1"][place], found.grads["L2"][place], leaking.deltas["L2"]
    return Sign(o["L1"][place], weight, *numbers)
