"""A run: batches through the compiled step, one behind on the host, until they end or something stops it."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from ... import _signals
from ..._errors import JaxwalkError, NonfiniteError, counted
from ..._evaluate.batches import Batch
from ..._evaluate.evaluate import Evaluator
from ..._evaluate.placement import Placement
from ..._show.progress import Progress
from ..history import Evaluated, History
from .epochs import Epochs, of_epoch
from .nonfinite import sentence
from .records import Records
from .scalars import scalars
from .step import Asked, Outcome, Step

AHEAD = 1  # steps that may be in flight while the next is sent

Log = Callable[[int, dict[str, float]], object]


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


class Sent(NamedTuple):
    """A step that is on the device."""

    batch: tuple
    rows: int
    outcome: Outcome


class Run:
    """A run under way.

    Attributes:
        params, state: as they are after all that was sent.
        place: how far what has come back is.
    """

    def __init__(self, asked: Asked, step: Step, source: Epochs, placed: Placement, params: Any, state: Any):
        self.asked, self._step, self._source, self._placed = asked, step, source, placed
        self.params, self.state = params, state
        self.place = Place()
        self.evaluations: tuple[Evaluated, ...] = ()
        self.records = Records(step.packing.nbytes if step.packing else 0, asked.every)
        self._in_flight: collections.deque[Sent] = collections.deque()
        self._time = time.monotonic()

    @property
    def total(self) -> int | None:
        """How many data an epoch has, about; None if that cannot be known."""
        return self._source.total

    def go(self, epochs: int, held_out: HeldOut | None, log: Log | None, bar: Progress) -> None:
        """Go through what is left of the epochs.

        Raises:
            NonfiniteError: with "stop", the loss or a gradient is not finite.
            Whatever the user's batches or `log` raise. What was done is in this object, whatever is raised.
        """
        try:
            for epoch in range(self.place.epoch, epochs):
                for batch in self._batches(epoch):
                    self._send(batch)
                    self._settle(AHEAD, log, bar)
                self._settle(0, log, bar)
                self.place = self.place._replace(epoch=epoch + 1, batch=0)
                if held_out is not None:
                    self._evaluate(epoch, held_out, log)
        except BaseException:
            self._settle_all()
            raise

    def history(self) -> History:
        """Return what is recorded."""
        arrays, packing = self.records.arrays(), self._step.packing
        assert packing is not None
        steps, loss = arrays.pop("steps"), arrays.pop("loss")
        empty = {dtype: np.zeros((0, size), jax.numpy.dtype(dtype)) for dtype, size in packing.sizes().items()}
        kept, weights = packing.unpack(arrays or empty)
        whole = self._step.points, self.place.step, self.records.stride
        return History(steps, loss, kept, weights, *whole, tuple(self._notes()), evaluations=self.evaluations)

    def _notes(self) -> Iterator[str]:
        every, stride, place = self.asked.every, self.records.stride, self.place
        if every > 1:
            yield f"With `every={every}` each {every}th step was looked at."
        if stride > every:
            yield f"There were too many steps to hold all of them: of those looked at each {stride // every}th is here."
        if place.bad:
            did = "left out" if self.asked.on_nonfinite == "skip" else "taken as they are"
            had = f"{counted(place.bad, 'step')} had a loss or a gradient that is not finite, and"
            yield f"{had} {'was' if place.bad == 1 else 'were'} {did}; the first is step {place.first_bad}."

    def _batches(self, epoch: int) -> Iterator[Batch]:
        batches = self._source.epoch(epoch)
        while True:
            with _signals.handled():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _send(self, batch: Batch) -> None:
        self._placed.check(batch.leaves)
        arguments = self._source.form.arguments(batch.leaves)
        number = self.place.step + len(self._in_flight)
        self.params, self.state, outcome = self._step(number, self.params, self.state, arguments)
        self._in_flight.append(Sent(arguments, len(batch.counts), outcome))

    def _settle(self, left: int, log: Log | None = None, bar: Progress | None = None) -> None:
        """Wait for the steps in flight, until so many are left."""
        while len(self._in_flight) > left:
            sent = self._in_flight.popleft()
            loss, flags, packed = jax.device_get((sent.outcome.loss, sent.outcome.flags, sent.outcome.packed))
            if flags[0] and self.asked.on_nonfinite == "stop":
                self._in_flight.clear()  # they were refused, too
                raise self._error(sent, float(loss))
            number = self.place.step
            self._note(number, sent.rows, float(loss), bool(flags[0]), packed)
            if log is not None and self._step.looks(number):
                with _signals.handled():
                    log(number, self._scalars(float(loss), sent.rows, packed))
            self._time = time.monotonic()
            if bar is not None:
                bar.told = f"loss {float(loss):.4g}"
                bar.advance(sent.rows)
            _signals.check()

    def _settle_all(self) -> None:
        """Take in what is in flight after something was raised, which is told, and nothing else."""
        try:
            with _signals.held_back():
                self._settle(0)
        except BaseException:
            self._in_flight.clear()

    def _note(self, number: int, rows: int, loss: float, is_bad: bool, packed: dict[str, np.ndarray]) -> None:
        if self._step.looks(number):
            self.records.add(number, loss, packed)
        epoch, batch, step, data, bad, first = self.place
        first = number if is_bad and not bad else first
        self.place = Place(epoch, batch + 1, step + 1, data + rows, bad + is_bad, first)

    def _scalars(self, loss: float, rows: int, packed: dict[str, np.ndarray]) -> dict[str, float]:
        assert self._step.packing is not None
        speed = rows / max(time.monotonic() - self._time, 1e-9)
        kept, weights = self._step.packing.unpack(packed)
        return {"loss": loss, "data/s": speed, **scalars(kept, weights, self._step.points)}

    def _evaluate(self, epoch: int, held_out: HeldOut, log: Log | None) -> None:
        found = Evaluated(epoch, self.place.step, held_out.evaluation(self.params, epoch))
        self.evaluations = (*self.evaluations, found)
        if log is not None:
            with _signals.handled():
                log(self.place.step, {"evaluate/loss": found.loss})

    def _error(self, sent: Sent, loss: float) -> NonfiniteError:
        losses = np.asarray(sent.outcome.losses)
        place = self.place.step, self.place.epoch
        error = NonfiniteError(sentence(self.asked, *place, self.params, sent.batch, losses, loss))
        error.batch = jax.device_get(sent.batch)
        return error


class HeldOut(NamedTuple):
    """Data that a run does not learn from."""

    evaluator: Evaluator
    batches: Any

    def evaluation(self, params: Any, epoch: int) -> Any:
        """Return what they give now."""
        try:
            return self.evaluator(params, of_epoch(self.batches, epoch), progress=False)
        except JaxwalkError as error:
            raise type(error)(str(error).replace("`batches`", "`evaluate`")) from error
