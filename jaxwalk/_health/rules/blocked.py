"""`blocked`: δ arrives at a point, and none leaves to those that it is computed from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..._points.point import Point, ScanStep
from ..finding import Finding
from ..flow_back import FlowBack
from ..rule import Limits, Rule, needs
from ..signals import Signals
from ..words import also, in_forward_order


class _Block(NamedTuple):
    point: Point | None  # the point that δ arrives at; None for the loss
    sources: tuple[Point, ...]  # to which none goes on
    verdict: np.ndarray  # (n,)


def _find(signals: Signals, limits: Limits) -> Iterator[Finding]:
    points = [point for point in signals.having("delta_l2") if not point.conditional]
    flow = signals.points.flow
    if flow is None:
        return
    back = FlowBack(flow, signals.points, [point.name for point in points])
    found = [block for block in (_at(point, back, signals) for point in points) if signals.lasts(block.verdict)]
    found += [block for block in [_at_the_loss(back, signals)] if signals.lasts(block.verdict)]
    if not found:
        return
    last = found[-1]  # the first that δ meets on its way back
    ordered = in_forward_order(p for block in found for p in (*block.sources, block.point) if p is not None)
    where = f"`{last.point.name}`" if last.point else "the loss"
    to = " and ".join(f"`{p.name}`" for p in last.sources[:3])
    others = [block.point.name for block in found[-2::-1] if block.point]
    meaning = (
        f"δ arrives at {where}, and exactly none goes on to {to}: nothing before it can learn by this way."
        f"{also(others)}"
    )
    source = last.point or last.sources[-1]
    yield Finding("blocked", source.name, 0.0, 0.0, meaning, _ADVICE, ordered, steps=signals.span(last.verdict),
                  file=source.file, line=source.line)  # fmt: skip


def _at(point: Point, back: FlowBack, signals: Signals) -> _Block:
    """Tell in which steps δ arrives at a point, at some step of the loops around it, and none goes on from there."""
    here = _moves(signals, point) & np.isfinite(signals.kept[point.name]["delta_l2"])
    sources = [source for source in back.sources(point) if not source.stopped]
    known = np.full(here.shape, bool(sources))
    goes_on = np.zeros(here.shape, bool)
    for source in sources:
        there, is_known = _aligned(source, point, _moves(signals, source))
        known &= is_known
        goes_on |= there
    return _Block(point, tuple(sources), np.any((here & known & ~goes_on).reshape(signals.length, -1), axis=1))


def _at_the_loss(back: FlowBack, signals: Signals) -> _Block:
    """Tell in which steps no δ at all leaves the loss. One that is exactly zero has none where it is at its least."""
    ends = [point for point in back.ends() if not point.stopped]
    moves = [_moves(signals, point).reshape(signals.length, -1).any(axis=1) for point in ends]
    verdict = ~np.any(moves, axis=0) & (signals.loss != 0) if moves else np.zeros(signals.length, bool)
    return _Block(None, tuple(ends), verdict)


def _moves(signals: Signals, point: Point) -> np.ndarray:
    """Tell where δ is not exactly zero: (n, steps of the loops). What is not finite moves."""
    sizes = np.asarray(signals.kept[point.name]["delta_l2"], np.float64)
    return np.asarray(sizes != 0)


def _aligned(source: Point, point: Point, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where δ of a source moves, at the steps of a point, and where that is known.

    In the same loops it is the same step, or for what comes from the step before, that one; else it is any.
    """
    loops = tuple(axis.length for axis in point.axes)
    if not loops:
        found = np.asarray(moves.reshape(len(moves), -1).any(axis=1))
        return found, np.ones(found.shape, bool)
    if source.axes != point.axes or source.clock[: len(loops)] == ():
        found = np.broadcast_to(
            moves.reshape(len(moves), -1).any(axis=1).reshape(-1, *(1,) * len(loops)), (len(moves), *loops)
        )
        return found, np.ones(found.shape, bool)
    if source.number < point.number:
        return moves, np.ones(moves.shape, bool)
    inner = [part for part in point.clock if isinstance(part, ScanStep)]
    shift = -1 if inner and inner[-1].reverse else 1
    found, known = np.roll(moves, shift, axis=-1), np.ones(moves.shape, bool)
    edge = 0 if shift == 1 else -1
    found[..., edge], known[..., edge] = False, False
    return found, known


_ADVICE = (
    "Look at what lies between: units that are all off (a relu below zero, a mask), weights that are all zero, or an"
    " operation without a slope (round, sign, clip, argmax)."
)


def _missing(signals: Signals) -> str:
    if signals.points.flow is None:
        return "what is computed from what is not known here, as in an evaluation that was loaded"
    return needs("delta_l2")(signals)


BLOCKED = Rule("blocked", _find, (), _missing)
