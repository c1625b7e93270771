"""What a run has done: how far it has come, what is recorded of it, and all this as numbers to write down."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..._errors import counted
from ..._evaluate.batch_checksums import Fingerprint
from ..._evaluate.result.evaluation import Evaluation
from ..history import Evaluated, History
from ..step.step import Step
from .findings import Met
from .records import Records


class Place(NamedTuple):
    """How far a run has come.

    Attributes:
        epoch: that is under way.
        batch: how many of its batches are done.
        step: how many steps are done, those that were left out among them.
        data: how many data they had.
        bad, first_bad: how many steps had a loss or a gradient that is not finite, and the first; -1 if none.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    data: int = 0
    bad: int = 0
    first_bad: int = -1


class Done:
    """What a run has done.

    Attributes:
        place: how far it has come.
        fingerprint: of the batches of the epoch under way.
        epochs: the fingerprints of those before.
        evaluations: what held-out data gave, so far.
        met: what was found wrong on the way.
    """

    def __init__(self, step: Step):
        self._step = step
        self._records = Records(step.packing.nbytes if step.packing else 0, step.every)
        self.place, self.fingerprint = Place(), Fingerprint()
        self.epochs: list[Fingerprint] = []
        self.evaluations: tuple[Evaluated, ...] = ()
        self.met = Met()

    def add(self, rows: int, loss: float, is_bad: bool, packed: dict[str, np.ndarray], upto: Fingerprint) -> None:
        """Add a step."""
        epoch, batch, step, data, bad, first = self.place
        if self._step.looks(step):
            self._records.add(step, loss, packed)
        first = step if is_bad and not bad else first
        self.place = Place(epoch, batch + 1, step + 1, data + rows, bad + is_bad, first)
        self.fingerprint = upto

    def end_epoch(self, evaluation: Evaluation | None) -> None:
        """End the epoch under way, with what held-out data gave, if there are any."""
        if evaluation is not None:
            self.evaluations += (Evaluated(self.place.epoch, self.place.step, evaluation),)
        self.epochs.append(self.fingerprint)
        self.fingerprint = Fingerprint()
        self.place = self.place._replace(epoch=self.place.epoch + 1, batch=0)

    # A history ------------------------------------------------------------------------------------------------

    def history(self) -> History:
        """Return the whole history, with what is found wrong in it."""
        whole = self._history(self._records.arrays())
        return dataclasses.replace(whole, findings=self.met.health(whole))

    def recent(self, count: int) -> History:
        """Return the last so many steps that are held."""
        return self._history(self._records.latest(count))

    def _history(self, arrays: dict[str, np.ndarray]) -> History:
        packing = self._step.packing
        assert packing is not None
        steps, loss = arrays.pop("steps"), arrays.pop("loss")
        kept, weights = packing.unpack(packing.zeros(len(steps)) | arrays)
        about = self._step.points, self.place.step, self._records.stride, tuple(self._notes())
        return History(steps, loss, kept, weights, *about, evaluations=self.evaluations)

    def _notes(self) -> Iterator[str]:
        every, stride, place = self._step.every, self._records.stride, self.place
        if every > 1:
            yield f"With `every={every}`, one step in {every} was looked at."
        if stride > every:
            yield f"There were too many steps to hold all: of those looked at, one in {stride // every} is here."
        if place.bad:
            did = "left out" if self._step.way == "skip" else "taken as they are"
            had = f"{counted(place.bad, 'step')} had a loss or a gradient that is not finite, and"
            yield f"{had} {'was' if place.bad == 1 else 'were'} {did}; the first is step {place.first_bad}."

    # As numbers -----------------------------------------------------------------------------------------------

    def written(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the records as arrays, and the rest as JSON can hold it, without the evaluations themselves."""
        about = {"place": self.place, "epochs": self.epochs, "fingerprint": self.fingerprint}
        evaluated = [(one.epoch, one.step) for one in self.evaluations]
        about |= {"stride": self._records.stride, "evaluated": evaluated, "met": self.met.written()}
        return self._records.arrays(), about

    def restore(
        self, records: Mapping[str, np.ndarray], about: Mapping[str, Any], evaluation: Callable[[int], Evaluation]
    ) -> None:
        """Take in what `written` gave; `evaluation`: that of an epoch."""
        self.place = Place(*about["place"])
        self.epochs = [Fingerprint(*each) for each in about["epochs"]]
        self.fingerprint = Fingerprint(*about["fingerprint"])
        self._records.restore(records, about["stride"])
        self.evaluations = tuple(Evaluated(epoch, step, evaluation(epoch)) for epoch, step in about["evaluated"])
        self.met.restore(about["met"])
