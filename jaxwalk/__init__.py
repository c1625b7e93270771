"""Walk through any JAX model, forward and backward: every intermediate value, and how much each is to blame."""

from . import stats as stats
from ._blamed import Data as Data
from ._blamed import Datum as Datum
from ._chain import Chain as Chain
from ._chain import chain as chain
from ._chain import objective as objective
from ._chain import tag as tag
from ._equations import Equation as Equation
from ._equations import Formulas as Formulas
from ._errors import ArgumentError as ArgumentError
from ._errors import DataError as DataError
from ._errors import FormulaError as FormulaError
from ._errors import JaxwalkError as JaxwalkError
from ._errors import MemoryWarning as MemoryWarning
from ._errors import PointError as PointError
from ._errors import StoreError as StoreError
from ._evaluate import evaluate as evaluate
from ._evaluation import Evaluation as Evaluation
from ._exact import exact as exact
from ._findings import Culprit as Culprit
from ._findings import Culprits as Culprits
from ._findings import Nonfinite as Nonfinite
from ._formula import formula as formula
from ._formulas import formulas as formulas
from ._intervene import intervene as intervene
from ._kink import Kink as Kink
from ._kink import Kinks as Kinks
from ._kinks import kinks as kinks
from ._listing import Listing as Listing
from ._listing import listing as listing
from ._named import Named as Named
from ._points import Axis as Axis
from ._points import Point as Point
from ._points import Points as Points
from ._result import Walk as Walk
from ._scoped import scoped as scoped
from ._walk import outputs as outputs
from ._walk import points as points
from ._walk import vjp as vjp
from ._walk import walk as walk

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "Axis",
    "Chain",
    "Culprit",
    "Culprits",
    "Data",
    "DataError",
    "Datum",
    "Equation",
    "Evaluation",
    "FormulaError",
    "Formulas",
    "JaxwalkError",
    "Kink",
    "Kinks",
    "Listing",
    "MemoryWarning",
    "Named",
    "Nonfinite",
    "Point",
    "PointError",
    "Points",
    "StoreError",
    "Walk",
    "chain",
    "evaluate",
    "exact",
    "formula",
    "formulas",
    "intervene",
    "kinks",
    "listing",
    "objective",
    "outputs",
    "points",
    "scoped",
    "stats",
    "tag",
    "vjp",
    "walk",
]
