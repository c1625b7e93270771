"""The worked example: a cohort of patients, a model of three layers, a loss; and the walk through each patient."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._kinks.kinks import kinks
from ..._model.chain import chain, objective
from ..._walk.result import Walk
from ..._walk.walk import walk

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Cohort(NamedTuple):
    """Patients: x (n, 3), what each ate and did in a year; y (n,), 1 for good shape and 0 for bad."""

    x: np.ndarray
    y: np.ndarray

    @property
    def names(self) -> list[str]:
        """Return the name of each: x¹, x², ..."""
        return [f"x{i}".translate(SUPERSCRIPTS) for i in range(1, len(self.x) + 1)]


PATIENTS = Cohort(
    np.array([[100, 2000, 100], [200, 0, 0], [0, 2000, 3000]], np.float32),
    np.array([0, 1, 1], np.float32),
)
WEIGHTS = np.array([1 / 200, -3000 / 11600000, 1 / 5800], np.float32)


def L1(x):
    """Hand on the data, which the input layer owns: X² = X¹."""
    return x


def L2(w, x):
    """X³ = W²·X²."""
    return jnp.dot(w, x)


def L3(x):
    """X⁴ = X³ if X³ >= 0 else 0."""
    return jnp.where(x >= 0, x, 0)


def loss(result, expectation):
    """½ (X⁴ − Y)²."""
    return 0.5 * (result - expectation) ** 2


model = chain(L1, L2, L3)
params = {"L2": WEIGHTS}
patient_loss = objective(model, loss)


class Walkthrough(NamedTuple):
    """A walk through every patient of a cohort, and what follows from it.

    Attributes:
        cohort: the patients.
        walk: one walk per patient, along a leading axis; its `grads` are those of the weights.
        correct: (n,) whether result and expectation are on the same side of ½.
        worst: the patient of the largest loss.
        culprits: the entries to blame for that patient's loss.
        predicted, actual: how one hour of workout more moves that patient's loss.
        on_kink: (n,) whether rounding decides on which side of L3's kink o2 falls, while there is something to learn.
        bound: (n,) the rounding error that o2 may have.
    """

    cohort: Cohort
    walk: Walk
    correct: np.ndarray
    worst: int
    culprits: list[Any]
    predicted: float
    actual: float
    on_kink: np.ndarray
    bound: np.ndarray


def walk_through(cohort: Cohort = PATIENTS) -> Walkthrough:
    """Walk the worked example's model through every patient.

    In float32, and with L3 by `where` and L2 by `dot`: there the third patient, who stands exactly on the kink of L3,
    falls on the side that the textbook takes. `on_kink` says where this is so.
    """
    walks = jax.jit(jax.vmap(walk(patient_loss, argnums=0), in_axes=(None, 0, 0)))(params, cohort.x, cohort.y)
    worst = int(np.argmax(walks.value))
    alone = jax.tree.map(lambda a: a[worst], walks)
    hour = np.array([0, 0, 1], np.float32)
    actual = patient_loss(params, cohort.x[worst] + hour, cohort.y[worst]) - alone.value
    bound = 3 * np.finfo(np.float32).eps * np.abs(cohort.x * WEIGHTS).sum(-1)
    to_learn = np.abs(walks.deltas["L3"]) > bound
    return Walkthrough(
        cohort=cohort,
        walk=walks,
        correct=(np.asarray(walks.outputs["L3"]) >= 0.5) == (cohort.y >= 0.5),
        worst=worst,
        culprits=[c for c in alone.culprits(alone.points["L3"].number + 6) if c.delta != 0],
        predicted=float(alone.predict({"input": hour})),
        actual=float(actual),
        on_kink=_on_kink(cohort) & to_learn,
        bound=bound,
    )


def _on_kink(cohort: Cohort) -> np.ndarray:
    """Return (n,) for which patients rounding, or an exact tie, chooses the side of L3's kink."""
    found = kinks(jax.vmap(model, in_axes=(None, 0)), params, cohort.x)
    on = np.zeros(len(cohort.x), bool)
    for kink in found:
        on[kink.entries[:, 0]] = True
    return on
