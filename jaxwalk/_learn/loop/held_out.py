"""Data that a run does not learn from, evaluated at the end of each epoch."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..._errors import JaxwalkError
from ..._evaluate.evaluate import Evaluator, evaluator
from ..._evaluate.result.evaluation import Evaluation
from ...stats import health, summary
from .epochs import of_epoch
from .step import Asked


class HeldOut(NamedTuple):
    """Held-out data, and the programs that go through them."""

    evaluator: Evaluator
    batches: Any

    @classmethod
    def of(cls, asked: Asked, batches: Any) -> HeldOut:
        keep = summary if asked.keep is health else asked.keep
        return cls(evaluator(asked.fun, at=asked.at, by=asked.by, source=asked.source, keep=keep, top=1), batches)

    def evaluation(self, params: Any, epoch: int) -> Evaluation:
        """Return what they give now."""
        try:
            return self.evaluator(params, of_epoch(self.batches, epoch), progress=False)
        except JaxwalkError as error:
            raise type(error)(str(error).replace("`batches`", "`evaluate`")) from error
