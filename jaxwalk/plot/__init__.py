"""Pictures of what was found: each a function that draws on matplotlib's axes, and returns them."""

from ._attribution.attribution import attribution as attribution
from ._coordinates import coordinates as coordinates
from ._culprits import culprits as culprits
from ._flow import flow as flow
from ._graph.graph import graph as graph
from ._heat import heat as heat
from ._histograms import histograms as histograms
from ._listing import listing as listing
from ._move.prediction import prediction as prediction
from ._training.training import training as training

__all__ = [
    "attribution",
    "coordinates",
    "culprits",
    "flow",
    "graph",
    "heat",
    "histograms",
    "listing",
    "prediction",
    "training",
]
