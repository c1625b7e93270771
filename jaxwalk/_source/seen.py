"""What was seen when tracebacks were taken, found again by the tracebacks of equations: in a time linear in them."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from types import CodeType
from typing import TypeAlias

from .._jax import origin
from .passes import Pass


class Seen:
    """What was seen when a traceback was taken, the innermost frame first: where each frame was, and in which pass."""

    __slots__ = ("codes", "is_waiting", "offsets", "passes")

    def __init__(self, codes: Sequence[CodeType], offsets: Sequence[int], passes: Sequence[Pass]):
        self.codes, self.offsets, self.passes = codes, offsets, passes
        self.is_waiting = True  # for the equation that was made then

    def goes_on_in_jax(self, length: int) -> bool:
        """Tell whether a traceback of so many frames may be of this. JAX cuts one off where a trace begins."""
        return len(self.codes) <= length or self.codes[length].co_filename.startswith(origin.LIBRARIES)


_Frames: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]  # the ids of their codes, and the offsets


class SeenByFrames:
    """Finds what was seen by the frames of a traceback, which is cut off where a trace begins.

    Arguments:
        is_users: whether code is the user's. What none of the user's code has made is not looked for.
    """

    def __init__(self, is_users: Callable[[CodeType], bool]):
        self._is_users = is_users
        self._new: list[Seen] = []
        self._groups: dict[tuple[int, int, int], _Group] = {}

    def add(self, seen: Seen) -> None:
        self._new.append(seen)

    def first(self, codes: Sequence[CodeType], offsets: Sequence[int]) -> Seen | None:
        """Return the first that waits for an equation with these frames, which it waits for no longer."""
        for seen in self._new:
            if (place := self._users_place(seen.codes, seen.offsets)) is not None:
                self._groups.setdefault(place, _Group()).all.append(seen)
        self._new.clear()
        place = self._users_place(codes, offsets)
        group = None if place is None else self._groups.get(place)
        return None if group is None else group.first((tuple(map(id, codes)), tuple(offsets)))

    def _users_place(self, codes: Sequence[CodeType], offsets: Sequence[int]) -> tuple[int, int, int] | None:
        """Return how deep the innermost of the user's frames is, and where it was."""
        depth = next((i for i, code in enumerate(codes) if self._is_users(code)), None)
        return None if depth is None else (depth, id(codes[depth]), offsets[depth])


class _Group:
    """What was seen from one place in the user's code, in the order in which it was seen."""

    def __init__(self) -> None:
        self.all: list[Seen] = []
        self._by_length: dict[int, _Queues] = {}

    def first(self, frames: _Frames) -> Seen | None:
        length = len(frames[0])
        queues = self._by_length.setdefault(length, _Queues(length))
        queues.add(self.all)
        return queues.first(frames)


class _Queues:
    """What tracebacks of one length may be of, by as many frames."""

    def __init__(self, length: int):
        self._length, self._count = length, 0
        self._waiting: dict[_Frames, collections.deque[tuple[int, Seen]]] = collections.defaultdict(collections.deque)
        self._shorter: set[int] = {length}  # how many frames were seen, where they are fewer: the rest was not watched

    def add(self, all: Sequence[Seen]) -> None:
        """Add those that were seen since the last time."""
        for number in range(self._count, len(all)):
            seen = all[number]
            if seen.is_waiting and seen.goes_on_in_jax(self._length):
                frames = (tuple(map(id, seen.codes[: self._length])), tuple(seen.offsets[: self._length]))
                self._waiting[frames].append((number, seen))
                self._shorter.add(len(frames[0]))
        self._count = len(all)

    def first(self, frames: _Frames) -> Seen | None:
        candidates = [self._next((frames[0][:length], frames[1][:length])) for length in self._shorter]
        found = min(filter(None, candidates), default=None, key=lambda candidate: candidate[0])
        if found is None:
            return None
        found[1].is_waiting = False
        return found[1]

    def _next(self, frames: _Frames) -> tuple[int, Seen] | None:
        queue = self._waiting.get(frames, ())
        while queue and not queue[0][1].is_waiting:
            queue.popleft()
        return queue[0] if queue else None
