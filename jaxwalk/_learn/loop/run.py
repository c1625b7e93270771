"""A run: batches through the compiled step, one behind on the host, until they end or something stops it."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ... import _signals
from ..._errors import DataError, NonfiniteError, counted
from ..._evaluate.batch_checksums import SAME, Fingerprint, skip_done
from ..._evaluate.batches import Batch
from ..._evaluate.placement import Placement
from ..._evaluate.result.evaluation import Evaluation
from ..._show.progress import Progress
from ..step.asked import Asked
from ..step.guard import Guarded
from ..step.step import Outcome, Step
from .checkpoints import Checkpoints, Saved
from .done import Done, Place
from .epochs import Epochs, is_asked
from .findings import RECENT
from .held_out import HeldOut
from .nonfinite import finding, sentence
from .scalars import scalars

AHEAD = 1  # steps that may be in flight while the next is sent

FIX = f"{SAME}; batches are to come in the same order, as from a function of the epoch's number that shuffles by it"

Log = Callable[[int, dict[str, float]], object]


class Sent(NamedTuple):
    """A step that is on the device; the fingerprint is that of the epoch's batches up to its own."""

    batch: tuple
    rows: int
    outcome: Outcome
    fingerprint: Fingerprint


class Run:
    """A run under way.

    Attributes:
        params, state: as they are after all that was sent.
        done: what has come back.
        checkpoints: where it is saved, if it is.
        log: is told of each step that is looked at.
        bar: shows how far it is.
    """

    def __init__(self, asked: Asked, step: Step, source: Epochs, placed: Placement, params: Any, state: Any):
        self._asked, self._step, self._source, self._placed = asked, step, source, placed
        self.params, self.state = params, state
        self.done = Done(step)
        self.checkpoints: Checkpoints | None = None
        self.log: Log | None = None
        self.bar = Progress(lambda count: None)
        self._in_flight: collections.deque[Sent] = collections.deque()
        self._saved: Place | None = None
        self._time = time.monotonic()

    def go(self, epochs: int, held_out: HeldOut | None) -> None:
        """Go through what is left of the epochs.

        Raises:
            NonfiniteError: with "stop", the loss or a gradient is not finite.
            Whatever the user's batches or `log` raise. What was done is in this object, whatever is raised.
        """
        try:
            self._pass_over()
            for epoch in range(self.done.place.epoch, epochs):
                for batch in self._batches(epoch):
                    self._send(batch)
                    self._settle(AHEAD)
                    self._save_if_due()
                self._settle(0)
                self._end_epoch(epoch, held_out)
                self._save_if_due()
        except BaseException:
            self._settle_the_rest()
            raise
        self.save()

    # Batches ---------------------------------------------------------------------------------------------------

    def _pass_over(self) -> None:
        """Go through the epochs that are done, which brings an iterable to where it was, and compare them."""
        if not is_asked(self._source.batches):
            for epoch, done in enumerate(self.done.epochs):
                batches = _handled(self._source.epoch(epoch))
                skip_done(batches, [done], "run", FIX)
                if next(batches, None) is not None:
                    raise DataError(f"`batches` has more than {counted(done.batches, 'batch', 'batches')}; {FIX}.")

    def _batches(self, epoch: int) -> Iterator[Batch]:
        """Return what is left of an epoch."""
        batches, done = _handled(self._source.epoch(epoch)), self.done.fingerprint
        skip_done(batches, [done] if done.batches else [], "run", FIX)
        return batches

    # Steps -----------------------------------------------------------------------------------------------------

    def _send(self, batch: Batch) -> None:
        self._placed.check(batch.leaves)
        arguments = self._source.form.arguments(self._on_devices(batch))
        number = self.done.place.step + len(self._in_flight)
        self.params, self.state, outcome = self._step(number, self.params, self.state, arguments)
        before = self._in_flight[-1].fingerprint if self._in_flight else self.done.fingerprint
        fingerprint = before.update(batch, self.checkpoints is not None)
        self._in_flight.append(Sent(arguments, len(batch.counts), outcome, fingerprint))

    def _on_devices(self, batch: Batch) -> list[Any]:
        """Return a batch's arrays where they are to be; one that the mesh does not divide is on all its devices."""
        if len(batch.counts) % self._placed.groups:
            return self._placed.params(batch.leaves)
        return self._placed.batch(batch.leaves)

    def _settle(self, left: int) -> None:
        """Wait for the steps in flight, until so many are left, and tell of them."""
        while len(self._in_flight) > left:
            number, sent = self.done.place.step, self._in_flight[0]
            loss, packed = self._take_in()
            self.bar.told = f"loss {loss:.4g}"
            self.bar.advance(sent.rows)
            if self._step.looks(number):
                self._tell(number, loss, sent.rows, packed)
                self._look(number)
            _signals.check()

    def _take_in(self) -> tuple[float, dict[str, np.ndarray]]:
        """Wait for the first step in flight, and note what it has found; or raise a NonfiniteError."""
        sent = self._in_flight.popleft()
        loss, flags, packed = jax.device_get((sent.outcome.loss, sent.outcome.flags, sent.outcome.packed))
        if flags[0] and self._step.way == "stop":
            self._in_flight.clear()  # they were refused, too
            raise self._error(sent, float(loss))
        self.done.add(sent.rows, float(loss), bool(flags[0]), packed, sent.fingerprint)
        return float(loss), packed

    def _settle_the_rest(self) -> None:
        """Note what is in flight after something was raised, which alone is told of."""
        try:
            with _signals.held_back():
                while self._in_flight:
                    self._take_in()
        except BaseException:
            self._in_flight.clear()

    def _error(self, sent: Sent, loss: float) -> NonfiniteError:
        losses, place = np.asarray(sent.outcome.losses), self.done.place
        said = sentence(self._asked, place.step, place.epoch, self.params, sent.batch, losses, loss)
        self.done.met.add(finding(said, place.step, losses))
        error = NonfiniteError(said)
        error.batch = jax.device_get(sent.batch)
        return error

    # Telling ---------------------------------------------------------------------------------------------------

    def _tell(self, number: int, loss: float, rows: int, packed: dict[str, np.ndarray]) -> None:
        now = time.monotonic()
        speed, self._time = rows / max(now - self._time, 1e-9), now
        if self.log is not None and self._step.packing is not None:
            kept, weights = self._step.packing.unpack(packed)
            with _signals.handled():
                self.log(number, {"loss": loss, "data/s": speed, **scalars(kept, weights, self._step.points)})

    def _look(self, number: int) -> None:
        """Look whether something is wrong, every so often, and say what was not said before."""
        if self.done.met.is_due(number // self._step.every + 1):
            for found in self.done.met.look(self.done.recent(RECENT)):
                self.bar.say(f"step {number}: {' '.join(repr(found).split())}")

    def _end_epoch(self, epoch: int, held_out: HeldOut | None) -> None:
        found = None
        if held_out is not None:
            found = held_out.evaluation(self.params, epoch)
            if self.checkpoints is not None:
                found.save(self.checkpoints.evaluation(epoch))
        self.done.end_epoch(found)
        if found is not None and self.log is not None:
            with _signals.handled():
                self.log(self.done.place.step, {"evaluate/loss": found.loss})

    # On disk ---------------------------------------------------------------------------------------------------

    def _save_if_due(self) -> None:
        if self.checkpoints is not None and self.checkpoints.is_due:
            self._settle(0)
            self.save()

    def save(self) -> None:
        """Write a checkpoint, where there are any, and the last is not of this very place.

        Raises:
            StoreError: it cannot be written.
        """
        if self.checkpoints is None or self._saved == self.done.place:
            return
        self.checkpoints.save(Saved(jax.tree.leaves((self.params, self.state.inner)), *self.done.written()))
        self._saved = self.done.place

    def restore(self) -> None:
        """Go on from the last checkpoint, if there is one.

        Raises:
            StoreError: it is of another run, or damaged.
        """
        there = self.checkpoints
        leaves, tree = jax.tree.flatten((self.params, self.state.inner))
        saved = None if there is None else there.restore(leaves)
        if there is not None and saved is not None:
            self.params, inner = jax.tree.unflatten(tree, saved.state)
            self.state = Guarded(inner, jnp.array(False), jnp.array(False))
            self.done.restore(saved.records, saved.about, lambda epoch: Evaluation.load(there.evaluation(epoch)))
            self._saved = self.done.place


def _handled(items: Iterator[Any]) -> Iterator[Any]:
    """Yield what the user's code gives, in which signals are handled at once."""
    while True:
        with _signals.handled():
            item = next(items, None)
        if item is None:
            return
        yield item
