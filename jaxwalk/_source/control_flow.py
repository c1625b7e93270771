"""What Python's bytecode says of the ways through a function: where it can go forward, and where it loops."""

from __future__ import annotations

import bisect
import dis
import itertools
from collections.abc import Sequence
from types import CodeType
from typing import NamedTuple


class Loop(NamedTuple):
    """From the offset of a loop's first instruction to that after its last, the jump back."""

    first: int
    stop: int

    def holds(self, *offsets: int) -> bool:
        return all(self.first <= offset < self.stop for offset in offsets)


class ControlFlow:
    """The ways through one code object. Those of exceptions are left out: handlers stand far from where they go on.

    Attributes:
        loops: the innermost first.
    """

    def __init__(self, code: CodeType):
        instructions = list(dis.get_instructions(code))
        self._starts = [instruction.offset for instruction in instructions]
        self._next: dict[int, list[int]] = {}
        back: dict[int, Loop] = {}  # by the jump back
        for instruction, end in zip(instructions, [*self._starts[1:], len(code.co_code)], strict=True):
            here, target = instruction.offset, _target(instruction)
            self._next[here] = [end] if not _is_last(instruction) else []
            if target is not None and target > here:
                self._next[here].append(target)
            elif target is not None:
                back[here] = Loop(target, end)
        for here, loop in back.items():  # after the last turn the run leaves the loop
            self._next[here] += [n for offset in self.offsets(loop) for n in self._next[offset] if n >= loop.stop]
        self._reached: dict[int, set[int]] = {}
        normal = self._forward_from(0)
        stops: dict[int, int] = {}
        for here, (first, stop) in back.items():
            if here in normal:
                stops[first] = max(stop, stops.get(first, 0))
        self.loops: Sequence[Loop] = sorted(itertools.starmap(Loop, stops.items()), key=lambda l: l.stop - l.first)

    def goes_forward(self, start: int, stop: int) -> bool:
        """Tell whether the instruction at `stop` can run after the one at `start` without a jump back."""
        start, stop = self._instruction(start), self._instruction(stop)
        if stop <= start:
            return False
        if start not in self._reached:
            self._reached[start] = self._forward_from(start)
        return stop in self._reached[start]

    def _instruction(self, offset: int) -> int:
        """Return the instruction at an offset; while it calls, Python 3.11 points into the space that follows it."""
        return self._starts[bisect.bisect_right(self._starts, offset) - 1]

    def _forward_from(self, start: int) -> set[int]:
        reached, ahead = set(), [start]
        while ahead:
            offset = ahead.pop()
            if offset not in reached:
                reached.add(offset)
                ahead += self._next.get(offset, ())
        return reached

    def offsets(self, loop: Loop) -> list[int]:
        """Return the instructions of a loop."""
        return [offset for offset in self._starts if loop.holds(offset)]


def _target(instruction: dis.Instruction) -> int | None:
    is_jump = instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs
    return instruction.argval if is_jump else None


def _is_last(instruction: dis.Instruction) -> bool:
    """Tell whether the next instruction cannot run after this one."""
    name = instruction.opname
    is_unconditional = name in ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT")
    return is_unconditional or name.startswith(("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"))
