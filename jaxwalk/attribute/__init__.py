"""Attribution at every point: how much each entry of each value has to do with a result, a scalar that is explained.

Each method is a transform, like `jw.walk`: `METHOD(fun, at=None, **options)(*args) -> Attribution`. None jits by
itself; all go through `jax.jit`, `jax.vmap` (one attribution for each datum), `jax.grad` and `lax.scan`.

| method | cost | scores | adds up to |
|---|---|---|---|
| `saliency` | a walk | size of δ | |
| `gradient_times_output` | a walk | δ·y | the result, where what follows is linear without a bias |
| `grad_cam` | a walk | Σ over channels of mean δ · y | |
| `concept` | a walk | δ·v, v the direction of a concept | |
| `patching` | a run and a walk, or `steps` | (y of another run − y)·δ | |
| `edges` | a run and a walk, or `steps` | (y of another run − y)·δ of one reader | `patching`, over all readers |
| `integrated_gradients` | `steps` walks (for each point, along its own path) | (x − x')·mean δ | fun(x) − fun(x') |
| `conductance` | `steps` walks | ∫ δ·dy | fun(x) − fun(x'), at layers that all goes through |
| `internal_influence` | `steps` walks | mean δ | |
| `expected_gradients` | `samples` walks and forward derivatives | δ·dy | fun(x) − mean fun(x') |
| `smooth_grad` | `samples` walks | mean δ around x | |
| `deep_lift` | a walk, and a run at the baseline | (y − y')·δ', by differences | fun(x) − fun(x') |
| `guided_backprop`, `deconvolution` | a walk | δ, nothing negative through relus | |
| `lrp` | a walk | relevance y·δ', by its rules | the result, less what biases have of it |
| `relevance_patching` | a run and a walk | (y of another run − y)·δ', by those rules | |

Whether scores are true is measured against what really happens:

| measure | of | what |
|---|---|---|
| `completeness` | inputs, points | Σ scores − (fun(x) − fun(x')), and whether all goes through the point |
| `infidelity` | inputs, points | mean (Σ I·scores − (fun(x) − fun(x − I)))² over random moves I |
| `sensitivity` | inputs, points | the largest relative change of scores where the inputs hardly move |
| `deletion`, `insertion` | inputs, a point | the result, entries put to a baseline, or back, from the highest score |
| `faithfulness` | points, or units of one | scores against real interventions, correlated |
| `concept_test` | a point | the score of a concept against those of random ones |

>>> import jax, jax.numpy as jnp, jaxwalk as jw
>>> def score(x):
...     hidden = jw.tag(jax.nn.relu(jnp.array([[1.0, 2.0], [3.0, -4.0]]) @ x), "hidden")
...     return jnp.sum(jw.tag(hidden * jnp.array([2.0, 1.0]), "weighted"))
>>> jnp.round(jw.attribute.conductance(score)(jnp.array([1.0, 0.5])).scores["hidden"], 4)
Array([4., 1.], dtype=float32)
"""

from __future__ import annotations

from ._along.conductance import conductance
from ._along.expected_gradients import expected_gradients
from ._along.integrated_gradients import integrated_gradients
from ._along.internal_influence import internal_influence
from ._along.smooth_grad import smooth_grad
from ._attribution import Attribution
from ._backward.deconvolution import deconvolution
from ._backward.deep_lift import deep_lift
from ._backward.guided_backprop import guided_backprop
from ._backward.lrp import lrp
from ._backward.relevance_patching import relevance_patching
from ._edges.edges import edges
from ._edges.result import Edges
from ._one_walk.concept import concept
from ._one_walk.concept_significance import ConceptTest, concept_test
from ._one_walk.concept_vector import concept_vector
from ._one_walk.grad_cam import grad_cam
from ._one_walk.gradient_times_output import gradient_times_output
from ._one_walk.patching import patching
from ._one_walk.saliency import saliency
from ._truth.completeness import completeness
from ._truth.curve import Curve
from ._truth.deletion import deletion
from ._truth.faithfulness import Faithfulness, faithfulness
from ._truth.infidelity import infidelity
from ._truth.insertion import insertion
from ._truth.measure import Measure
from ._truth.sensitivity import sensitivity

__all__ = [
    "Attribution",
    "ConceptTest",
    "Curve",
    "Edges",
    "Faithfulness",
    "Measure",
    "completeness",
    "concept",
    "concept_test",
    "concept_vector",
    "conductance",
    "deconvolution",
    "deep_lift",
    "deletion",
    "edges",
    "expected_gradients",
    "faithfulness",
    "grad_cam",
    "gradient_times_output",
    "guided_backprop",
    "infidelity",
    "insertion",
    "integrated_gradients",
    "internal_influence",
    "lrp",
    "patching",
    "relevance_patching",
    "saliency",
    "sensitivity",
    "smooth_grad",
]


def __dir__() -> list[str]:
    return __all__
