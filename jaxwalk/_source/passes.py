"""Which equations belong to one pass of a function's frame: told from code objects and bytecode offsets alone.

Equations are traced in the order of the run, and each carries the stack of frames from which it was called. From
one to the next the run went forward in some frame, or back: then it is a loop's next turn, or another call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .._jax.origin import Frames
from .code_positions import UserCode
from .control_flow import Loop


class Pass(NamedTuple):
    """The state of one frame when an equation was traced."""

    call: int  # a number of its own for each call of a function
    turn: int  # how often the run has gone back in this call
    first: int  # the equation traced first in this turn
    alike: bool = False  # whether it may be another: positions cannot tell all that loops do


UNWATCHED = Pass(0, 0, 0)
"""Of a frame of JAX, and of one that is not looked at."""


class Passes:
    """The passes of consecutive equations of one jaxpr, as `rows`: per equation, one per frame.

    Arguments:
        stacks: the frames of each equation; one object for equations that one call has made at once.
        user_code: a loop within one line of it takes no turns of that line.
    """

    def __init__(self, stacks: Sequence[Frames], user_code: UserCode):
        self._stacks, self._user_code = stacks, user_code
        self._calls = 0
        self._firsts: dict[tuple[int, int, Loop], int] = {}
        self._offsets: dict[int, Any] = {}  # a tree: id(code) -> offset -> that of the frames called from there
        for frames in stacks:
            called = self._offsets
            for code, offset in frames:
                called = called.setdefault(id(code), {}).setdefault(offset, {})
        self.rows: list[list[Pass]] = []
        for index, frames in enumerate(stacks):
            kept = self._kept(index) if index else []
            self.rows.append(kept + [self._called(index) for _ in frames[len(kept) :]])
        self._repeats: dict[int, list[bool]] = {}
        self.rows = [self._marked(row, frames) for row, frames in zip(self.rows, stacks, strict=True)]

    def _marked(self, row: Sequence[Pass], frames: Frames) -> list[Pass]:
        """Return the passes, those marked that may be others: they are in a loop, or in what a loop calls."""
        if id(frames) not in self._repeats:
            self._repeats[id(frames)] = list(self._may_repeat(frames))
        return [p._replace(alike=repeats) for p, repeats in zip(row, self._repeats[id(frames)], strict=True)]

    def _may_repeat(self, frames: Frames) -> Iterator[bool]:
        called = False  # whether a loop of a frame outside calls this one
        for code, offset in frames:
            loops = [loop for loop in self._user_code.flow(code).loops if loop.holds(offset)]
            yield called or any(not self._user_code.is_one_line(code, loop) for loop in loops)
            called = called or bool(loops)

    def _called(self, index: int) -> Pass:
        self._calls += 1
        return Pass(self._calls, 0, index)

    def _kept(self, index: int) -> list[Pass]:
        """Return the passes that go on from one equation to the next: those of its outermost frames."""
        before, frames, passes = self._stacks[index - 1], self._stacks[index], self.rows[-1]
        if before is frames:
            return passes
        level = _first_difference(before, frames)
        if level < min(len(before), len(frames)):
            if self._went_forward(before, frames, level):
                return passes[: level + 1]
        elif len(before) == len(frames):
            level -= 1  # the very same stack: the innermost frame did it again
        loops = [l for l in self._loops(before, frames, level) if self._starts_over(passes, frames, *l)]
        if not loops:
            return passes[: max(level, 0)]
        turning, loop = next((l for l in loops if self._has_more(frames, *l)), loops[-1])
        old = passes[turning]
        if not self._user_code.is_one_line(frames[turning][0], loop):
            old = Pass(old.call, old.turn + 1, index)
        return [*passes[:turning], old]

    def _went_forward(self, before: Frames, frames: Frames, level: int) -> bool:
        (code, start), (other, stop) = before[level], frames[level]
        return code is other and self._user_code.flow(code).goes_forward(start, stop)

    def _loops(self, before: Frames, frames: Frames, level: int) -> Iterator[tuple[int, Loop]]:
        """Yield the loops that may have taken a turn, those of the innermost frame first."""
        for i in range(min(level, len(before) - 1, len(frames) - 1), -1, -1):
            (code, start), (other, stop) = before[i], frames[i]
            if code is other:
                yield from ((i, loop) for loop in self._user_code.flow(code).loops if loop.holds(start, stop))

    def _starts_over(self, passes: list[Pass], frames: Frames, level: int, loop: Loop) -> bool:
        """Tell whether an equation may be a loop turn's first: it stands no later than the first of the last turn."""
        first = self._stacks[self._first_in(passes[level], level, loop)]
        differs = _first_difference(first, frames)
        within = level <= differs < min(len(first), len(frames))
        return not (within and self._went_forward(first, frames, differs))

    def _first_in(self, turn: Pass, level: int, loop: Loop) -> int:
        """Return the first equation of a frame's turn that is in the loop: the frame may have done others before."""
        key = (turn.call, turn.turn, loop)
        if key not in self._firsts:
            after = range(turn.first, len(self.rows))
            self._firsts[key] = next(i for i in after if loop.holds(self._stacks[i][level][1]))
        return self._firsts[key]

    def _has_more(self, frames: Frames, level: int, loop: Loop) -> bool:
        """Tell whether the frame traces something outside of the loop too, which would show another call of it."""
        called = self._offsets
        for code, offset in frames[:level]:
            called = called[id(code)][offset]
        return not loop.holds(*called[id(frames[level][0])])


def _first_difference(before: Frames, frames: Frames) -> int:
    length = min(len(before), len(frames))
    same = (a[0] is b[0] and a[1] == b[1] for a, b in zip(before, frames, strict=False))
    return next((i for i, equal in enumerate(same) if not equal), length)
