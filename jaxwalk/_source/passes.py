"""Which equations belong to one pass of a function's frame: told from code objects and bytecode offsets alone.

Equations are traced in the order of the run, and each carries the stack of frames from which it was called. From
one to the next the run went forward in some frame, or back: then it is a loop's next turn, or another call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import CodeType
from typing import NamedTuple, TypeAlias

from .bytecode import Flow, Loop

Frames: TypeAlias = Sequence[tuple[CodeType, int]]  # the outermost first: code, and the offset of its instruction


class Pass(NamedTuple):
    """The state of one frame when an equation was traced.

    Attributes:
        call: a number of its own for each call of a function.
        turn: how often the run has gone back in this call.
        first: the equation traced first in this turn.
        alike: whether a loop within could as well have taken what are counted as turns here.
    """

    call: int
    turn: int
    first: int
    alike: bool = False


class Passes:
    """The passes of consecutive equations of one jaxpr, as `rows`: per equation, one per frame.

    Arguments:
        stacks: the frames of each equation; one object for equations that one call has made at once.
        flow: the ways through a code object.
        is_one_line: whether a loop lies within one line of source: its turns are then not turns of that line.
    """

    def __init__(
        self, stacks: Sequence[Frames], flow: Callable[[CodeType], Flow], is_one_line: Callable[[CodeType, Loop], bool]
    ):
        self._flow, self._is_one_line = flow, is_one_line
        self._calls = 0
        self._firsts: dict[tuple[int, int, Loop], int] = {}
        self._tree = _Tree(stacks)
        self.rows: list[list[Pass]] = []
        self._stacks = stacks
        for index, frames in enumerate(stacks):
            kept = self._kept(index) if index else []
            self.rows.append(kept + [self._called(index) for _ in frames[len(kept) :]])

    def _called(self, index: int) -> Pass:
        self._calls += 1
        return Pass(self._calls, 0, index)

    def _kept(self, index: int) -> list[Pass]:
        """The passes that go on from one equation to the next: those of its outermost frames."""
        before, frames, passes = self._stacks[index - 1], self._stacks[index], self.rows[-1]
        if before is frames:
            return passes
        level = _first_difference(before, frames)
        if level < min(len(before), len(frames)):
            (code, start), (other, stop) = before[level], frames[level]
            if code is other and self._flow(code).goes_forward(start, stop):
                return passes[: level + 1]
        elif len(before) == len(frames):
            level -= 1  # the very same stack: the innermost frame did it again
        loops = [l for l in self._loops(before, frames, level) if self._starts_over(passes, frames, *l)]
        if not loops:
            return passes[: max(level, 0)]
        turning, loop = next((l for l in loops if self._has_more(frames, *l)), loops[-1])
        old = passes[turning]
        if not self._is_one_line(frames[turning][0], loop):
            old = Pass(old.call, old.turn + 1, index, old.alike or turning != loops[0][0])
        return [*passes[:turning], old]

    def _loops(self, before: Frames, frames: Frames, level: int) -> Iterator[tuple[int, Loop]]:
        """The loops that may have taken a turn, of the innermost frame first."""
        for i in range(min(level, len(before) - 1, len(frames) - 1), -1, -1):
            (code, start), (other, stop) = before[i], frames[i]
            if code is other:
                yield from ((i, loop) for loop in self._flow(code).loops[:] if loop.holds(start, stop))

    def _starts_over(self, passes: list[Pass], frames: Frames, level: int, loop: Loop) -> bool:
        """Whether an equation may be the first of a loop's turn: it stands no later than the first of the last turn."""
        first = self._stacks[self._first_in(passes[level], level, loop)]
        differs = _first_difference(first, frames)
        if differs < level or differs >= min(len(first), len(frames)):
            return True
        (code, start), (other, stop) = first[differs], frames[differs]
        return not (code is other and self._flow(code).goes_forward(start, stop))

    def _first_in(self, turn: Pass, level: int, loop: Loop) -> int:
        """The first equation of a frame's turn that is in the loop: the frame may have done other things before."""
        key = (turn.call, turn.turn, loop)
        if key not in self._firsts:
            after = range(turn.first, len(self.rows))
            self._firsts[key] = next(i for i in after if loop.holds(self._stacks[i][level][1]))
        return self._firsts[key]

    def _has_more(self, frames: Frames, level: int, loop: Loop) -> bool:
        """Whether something outside of the loop is traced in that frame too: another call of it would have shown."""
        return not all(loop.holds(offset) for offset in self._tree.offsets(frames, level))


def _first_difference(before: Frames, frames: Frames) -> int:
    length = min(len(before), len(frames))
    same = (a[0] is b[0] and a[1] == b[1] for a, b in zip(before, frames, strict=False))
    return next((i for i, equal in enumerate(same) if not equal), length)


class _Tree:
    """Which offsets of a frame's code are ever met, given all that is around the frame."""

    def __init__(self, stacks: Sequence[Frames]):
        self._nodes: dict[tuple[int, int, int], int] = {}
        self._met: dict[tuple[int, int], set[int]] = {}
        for frames in stacks:
            node = 0
            for code, offset in frames:
                self._met.setdefault((node, id(code)), set()).add(offset)
                node = self._nodes.setdefault((node, id(code), offset), len(self._nodes) + 1)

    def offsets(self, frames: Frames, level: int) -> set[int]:
        node = 0
        for code, offset in frames[:level]:
            node = self._nodes[node, id(code), offset]
        return self._met[node, id(frames[level][0])]
