"""The public names, each from where it is defined."""

from collections.abc import Mapping as _Mapping
from typing import get_type_hints as _get_type_hints

from . import attribute as attribute
from . import plot as plot
from . import stats as stats
from ._bisect.bisect import bisect_nonfinite as bisect_nonfinite
from ._bisect.record import NonfiniteEquation as NonfiniteEquation
from ._errors import ArgumentError as ArgumentError
from ._errors import DataError as DataError
from ._errors import FormulaError as FormulaError
from ._errors import JaxwalkError as JaxwalkError
from ._errors import MemoryWarning as MemoryWarning
from ._errors import NonfiniteError as NonfiniteError
from ._errors import PointError as PointError
from ._errors import ProcessError as ProcessError
from ._errors import StoreError as StoreError
from ._evaluate.evaluate import evaluate as evaluate
from ._evaluate.evaluate import evaluator as evaluator
from ._evaluate.result.datum import Data as Data
from ._evaluate.result.datum import Datum as Datum
from ._evaluate.result.evaluation import Evaluation as Evaluation
from ._formulas.entries.exact import exact as exact
from ._formulas.equations import Equation as Equation
from ._formulas.equations import Formulas as Formulas
from ._formulas.formulas import formulas as formulas
from ._formulas.symbols.formula import formula as formula
from ._health.finding import Finding as Finding
from ._health.finding import Health as Health
from ._kinks.kink import Kink as Kink
from ._kinks.kink import Kinks as Kinks
from ._kinks.kinks import kinks as kinks
from ._learn.coordinate.check import coordinate_check as coordinate_check
from ._learn.coordinate.result import CoordinateCheck as CoordinateCheck
from ._learn.health import health as health
from ._learn.history import History as History
from ._learn.learn import Learned as Learned
from ._learn.learn import learn as learn
from ._learn.seen import Seen as Seen
from ._learn.watch import watch as watch
from ._model.chain import Chain as Chain
from ._model.chain import chain as chain
from ._model.chain import objective as objective
from ._model.scoped import scoped as scoped
from ._model.tag import tag
from ._points.ordered_mapping import MissingName as MissingName
from ._points.ordered_mapping import Named as Named
from ._points.point import Axis as Axis
from ._points.point import Point as Point
from ._points.point import Points as Points
from ._report.report import report as report
from ._walk.culprits import Culprit as Culprit
from ._walk.culprits import Culprits as Culprits
from ._walk.intervene import intervene as intervene
from ._walk.nonfinite import Nonfinite as Nonfinite
from ._walk.result import Walk as Walk
from ._walk.source_listing import Listing as Listing
from ._walk.source_listing import listing as listing
from ._walk.walk import outputs as outputs
from ._walk.walk import points as points
from ._walk.walk import vjp as vjp
from ._walk.walk import walk as walk

__all__ = [
    "ArgumentError",
    "Axis",
    "Chain",
    "CoordinateCheck",
    "Culprit",
    "Culprits",
    "Data",
    "DataError",
    "Datum",
    "Equation",
    "Evaluation",
    "Finding",
    "FormulaError",
    "Formulas",
    "Health",
    "History",
    "JaxwalkError",
    "Kink",
    "Kinks",
    "Learned",
    "Listing",
    "MemoryWarning",
    "MissingName",
    "Named",
    "Nonfinite",
    "NonfiniteEquation",
    "NonfiniteError",
    "Point",
    "PointError",
    "Points",
    "ProcessError",
    "Seen",
    "StoreError",
    "Walk",
    "attribute",
    "bisect_nonfinite",
    "chain",
    "coordinate_check",
    "evaluate",
    "evaluator",
    "exact",
    "formula",
    "formulas",
    "health",
    "intervene",
    "kinks",
    "learn",
    "listing",
    "objective",
    "outputs",
    "plot",
    "points",
    "report",
    "scoped",
    "stats",
    "tag",
    "vjp",
    "walk",
    "watch",
]


def _say_where_types_are_public(module: _Mapping, public: str) -> None:
    """Set `__module__` of a module's public types, whose annotations are first resolved where they are written."""
    for value in (module[name] for name in module["__all__"]):
        if isinstance(value, type):
            hints = _get_type_hints(value)
            value.__annotations__ = {name: hints[name] for name in vars(value).get("__annotations__", ())}
            value.__module__ = public


_say_where_types_are_public(globals(), "jaxwalk")
_say_where_types_are_public(vars(attribute), "jaxwalk.attribute")
_say_where_types_are_public(vars(plot), "jaxwalk.plot")
_say_where_types_are_public(vars(stats), "jaxwalk.stats")
