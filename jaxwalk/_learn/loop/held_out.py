"""Data that a run does not learn from, evaluated at the end of each epoch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from ..._errors import ArgumentError, JaxwalkError, shown
from ..._evaluate.arguments import Asked as AskedOfEvaluate
from ..._evaluate.arguments import check_takes
from ..._evaluate.batches import FORM, Batches, open_batches
from ..._evaluate.evaluate import Evaluator
from ..._evaluate.placement import placement
from ..._evaluate.programs import kept_for
from ..._evaluate.result.evaluation import Evaluation
from ...stats import health, summary
from ..step.asked import Asked
from ..step.mean_loss import loss_of_datum
from .epochs import check_source, is_asked, is_iterable, of_epoch


class HeldOut(NamedTuple):
    """Held-out data, and the programs that go through them."""

    evaluator: Evaluator
    batches: Any

    @classmethod
    def of(cls, asked: Asked, batches: Any, epochs: int, params: Any, trained: Batches) -> HeldOut:
        """Check what can be known of the data before the first epoch, so that it is not all for nothing.

        Arguments:
            trained: the batches that are learned from; a datum like theirs is one that `fun` takes.
        """
        check_source(batches, epochs, "evaluate")
        if not is_asked(batches) and not is_iterable(batches):
            raise ArgumentError(f"`evaluate` is {shown(batches)}, which cannot be iterated over; {FORM}.")
        if isinstance(batches, (list, tuple)):
            with _said_of_evaluate():
                _check_first(asked, open_batches(batches[:1]), params, trained)
        keep = summary if asked.keep is health else asked.keep
        what = asked.fun, asked.at, asked.by, asked.source, keep, 1, asked.mesh
        return cls(Evaluator(kept_for(AskedOfEvaluate.checked(*what))), batches)

    def evaluation(self, params: Any, epoch: int) -> Evaluation:
        """Return what they give now."""
        with _said_of_evaluate():
            return self.evaluator(params, of_epoch(self.batches, epoch, "evaluate"), progress=False)


def _check_first(asked: Asked, data: Batches, params: Any, trained: Batches) -> None:
    check_takes(asked.fun, data)
    placement(asked.mesh, data.size)
    if data.form != trained.form:
        jax.eval_shape(loss_of_datum(asked.fun), params, *data.datum)


@contextlib.contextmanager
def _said_of_evaluate() -> Iterator[None]:
    """Name, in an error about held-out data, the argument that they are."""
    try:
        yield
    except JaxwalkError as error:
        said = str(error).replace("`batches`", "`evaluate`").replace("but batches have", "but those of `evaluate` have")
        raise type(error)(said.replace("`learn` gave", "for `evaluate`, `learn` gave")) from error
