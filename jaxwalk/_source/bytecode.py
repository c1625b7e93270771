"""What Python's bytecode says of the ways through a function: where it can go forward, and where it loops."""

from __future__ import annotations

import bisect
import dis
from collections.abc import Sequence
from types import CodeType
from typing import NamedTuple


class Loop(NamedTuple):
    """From the offset of a loop's first instruction to that after its last, the jump back."""

    first: int
    stop: int

    def holds(self, *offsets: int) -> bool:
        return all(self.first <= offset < self.stop for offset in offsets)


class Flow:
    """The ways through one code object, less those of exceptions: their handlers stand far from where they go on."""

    def __init__(self, code: CodeType):
        instructions = list(dis.get_instructions(code))
        ends = [*(after.offset for after in instructions[1:]), len(code.co_code)]
        self._starts = [instruction.offset for instruction in instructions]
        self._next: dict[int, list[int]] = {}
        back: dict[int, tuple[int, int]] = {}  # a jump back: (its target, where the loop ends)
        for instruction, end in zip(instructions, ends, strict=True):
            here, target = instruction.offset, _target(instruction)
            self._next[here] = [end] if not _is_last(instruction) else []
            if target is not None and target > here:
                self._next[here].append(target)
            elif target is not None:
                back[here] = (target, end)
        for here, (first, stop) in back.items():  # after the last turn the run leaves the loop
            self._next[here] += self._exits(Loop(first, stop))
        self._reached: dict[int, set[int]] = {}
        normal = self._forward_from(0)
        found: dict[int, int] = {}
        for here, (first, stop) in back.items():
            if here in normal:
                found[first] = max(stop, found.get(first, 0))
        # Innermost first.
        self.loops: Sequence[Loop] = sorted((Loop(*l) for l in found.items()), key=lambda loop: loop.stop - loop.first)

    def _exits(self, loop: Loop) -> list[int]:
        """Where the run goes on from a loop: where its instructions jump to beyond its end."""
        return [after for offset in self.offsets(loop) for after in self._next[offset] if after >= loop.stop]

    def goes_forward(self, start: int, stop: int) -> bool:
        """Whether the instruction at `stop` can run after the one at `start` without a jump back."""
        start, stop = self._instruction(start), self._instruction(stop)
        if stop <= start:
            return False
        if start not in self._reached:
            self._reached[start] = self._forward_from(start)
        return stop in self._reached[start]

    def _instruction(self, offset: int) -> int:
        """The instruction at an offset; while it calls, Python 3.11 points into the space that follows it."""
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
        """The instructions of a loop."""
        return [offset for offset in self._starts if loop.holds(offset)]


def _target(instruction: dis.Instruction) -> int | None:
    is_jump = instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs
    return instruction.argval if is_jump else None


def _is_last(instruction: dis.Instruction) -> bool:
    """Whether what stands after an instruction cannot run after it."""
    name = instruction.opname
    is_unconditional = name in ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT")
    return is_unconditional or name.startswith(("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"))
