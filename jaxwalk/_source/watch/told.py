"""Between a run and what observes it: what is told of the run, and who tells it."""

from __future__ import annotations

from types import CodeType, FrameType
from typing import Any, Protocol


class Told(Protocol):
    """Is told what happens in frames of the user's code, and when a traceback is taken, in one thread."""

    def is_users(self, code: CodeType) -> bool:
        """Tell whether a function is the user's."""
        ...

    def takes(self, frame: FrameType, traceback: Any) -> None:
        """Hear that this frame of JAX has taken a traceback, which it returns."""
        ...

    def comes_to(self, frame: FrameType, offset: int, number: int) -> None:
        """Hear that a frame comes to a line, at an offset in its code; or jumps back on the line on which it is."""
        ...

    def jumps_back(self, frame: FrameType, offset: int, target: int) -> None:
        """Hear that a frame jumps back from one offset to another, of whatever line: if of another, it comes to it."""
        ...

    def gives(self, frame: FrameType, value: Any, goes_on: bool) -> None:
        """Hear that a frame returns a value; or yields it, and may go on, called from elsewhere."""
        ...


class Teller(Protocol):
    """Tells what runs in the thread in which it begins."""

    def begin(self) -> bool:
        """Begin, unless that cannot be had here: then return False."""
        ...

    def tell_lines(self, code: CodeType) -> None:
        """Tell the lines of one of the user's functions too, from where it is now."""
        ...

    def end(self) -> None:
        """End, whether it has begun or not."""
        ...
