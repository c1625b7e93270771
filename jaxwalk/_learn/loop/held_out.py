"""Data that a run does not learn from, evaluated at the end of each epoch."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

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
from .epochs import Epochs, check_source, is_asked, is_iterable, of_epoch


class HeldOut:
    """Held-out data, and the programs that go through them.

    What can be known of the data is checked here, before the first step, so that it is not all for nothing: by their
    first batch, with which the first evaluation then begins, so that a generator does not lose it.

    Arguments:
        trained: the batches that are learned from; a datum like theirs is one that `fun` takes.
        begins: whether the run does. One that goes on has had its first epoch, which a function of the epoch's number
            is not asked for again.
    """

    def __init__(self, asked: Asked, batches: Any, epochs: int, params: Any, trained: Epochs, begins: bool = True):
        check_source(batches, epochs, "evaluate")
        if not is_asked(batches) and not is_iterable(batches):
            raise ArgumentError(f"`evaluate` is {shown(batches)}, which cannot be iterated over; {FORM}.")
        self._batches, self._opened = batches, None
        # The very object that is learned from is being gone through, and known to fit.
        if batches is not trained.batches and (begins or not is_asked(batches)):
            with _said_of_evaluate():
                opened = open_batches(of_epoch(batches, 0, "evaluate"))
                _check_first(asked, opened, params, trained.form)
                self._opened = itertools.chain([opened.first], opened.rest)
        keep = summary if asked.keep is health else asked.keep
        what = asked.fun, asked.at, asked.by, asked.source, keep, 1, asked.mesh
        self._evaluator = Evaluator(kept_for(AskedOfEvaluate.checked(*what)))

    def evaluation(self, params: Any, epoch: int) -> Evaluation:
        """Return what they give now."""
        opened, self._opened = self._opened, None
        if opened is None or (epoch and is_asked(self._batches)):
            opened = of_epoch(self._batches, epoch, "evaluate")
        with _said_of_evaluate():
            return self._evaluator(params, opened, progress=False)


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
