"""What was seen when tracebacks were taken, found again by the tracebacks of equations: in a time linear in them."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from types import CodeType
from typing import NamedTuple, TypeAlias

from ..._jax import origin
from ..code_positions import Code, UserCode
from ..passes import UNWATCHED, Pass
from ..statements import Statement

_Frames: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]  # the ids of their codes, which are held, and the offsets


class Around(NamedTuple):
    """The frames around one of the user's, the innermost first, and in which passes they are."""

    ids: tuple[int, ...] = ()  # of their codes, which are held
    offsets: tuple[int, ...] = ()
    passes: tuple[Pass, ...] = ()

    def then(self, more: Around) -> Around:
        """Return the frames of this one, and those around them."""
        return Around(self.ids + more.ids, self.offsets + more.offsets, self.passes + more.passes)


NOTHING = Around()


class Seen:
    """What was seen when a traceback was taken: where each frame was, down from the innermost of the user's.

    Arguments:
        ids: of the code of each frame, the innermost first and the user's last.
        offsets: of these.
        code: the user's, and
        turn: the pass in which its frame was.
        around: the frames around that one.
    """

    __slots__ = ("around", "code", "ids", "is_waiting", "offsets", "turn")

    def __init__(self, ids: tuple[int, ...], offsets: tuple[int, ...], code: Code, turn: Pass, around: Around):
        self.ids, self.offsets, self.code, self.turn, self.around = ids, offsets, code, turn, around
        self.is_waiting = True  # for the equation that was made then

    @property
    def statement(self) -> Statement:
        """Return the statement on which the user's frame was."""
        return self.code.statement(self.offsets[-1])

    def row(self, length: int) -> list[Pass]:
        """Return the passes of as many frames, the outermost first; the innermost is that which takes tracebacks."""
        inner = (UNWATCHED,) * len(self.ids)
        return [*reversed((*inner, self.turn, *self.around.passes)[:length])]

    def frames(self, length: int) -> _Frames:
        """Return the innermost frames, as many if there are."""
        more = length - len(self.ids)
        return self.ids + self.around.ids[:more], self.offsets + self.around.offsets[:more]

    def after(self, length: int) -> int | None:
        """Return the id of the code of the frame around so many, if there is one."""
        beyond = length - len(self.ids)
        return self.around.ids[beyond] if beyond < len(self.around.ids) else None


class SeenByFrames:
    """Finds what was seen by the frames of a traceback, which is cut off where a trace begins.

    Arguments:
        user_code: what none of the user's code has made is not looked for.
    """

    def __init__(self, user_code: UserCode):
        self._user_code = user_code
        self._groups: dict[tuple[int, int, int], _Group] = {}  # by the innermost of the user's frames

    def add(self, seen: Seen) -> None:
        place = len(seen.ids), seen.ids[-1], seen.offsets[-1]
        if place not in self._groups:
            self._groups[place] = _Group(self._user_code)
        self._groups[place].all.append(seen)

    def first(self, codes: Sequence[CodeType], offsets: Sequence[int]) -> Seen | None:
        """Return the first that waits for an equation with these frames, which it waits for no longer."""
        place = self._user_code.first_of(codes)
        group = None if place is None else self._groups.get((place + 1, id(codes[place]), offsets[place]))
        return None if group is None else group.first((tuple(map(id, codes)), tuple(offsets)))


class _Group:
    """What was seen from one place in the user's code, in the order in which it was seen."""

    def __init__(self, user_code: UserCode):
        self._user_code = user_code
        self.all: list[Seen] = []
        self._by_length: dict[int, _Queues] = {}

    def first(self, frames: _Frames) -> Seen | None:
        length = len(frames[0])
        if length not in self._by_length:
            self._by_length[length] = _Queues(length, self._user_code)
        queues = self._by_length[length]
        queues.add(self.all)
        return queues.first(frames)


class _Queues:
    """What tracebacks of one length may be of, by as many frames."""

    def __init__(self, length: int, user_code: UserCode):
        self._length, self._user_code, self._count = length, user_code, 0
        self._waiting: dict[_Frames, collections.deque[tuple[int, Seen]]] = collections.defaultdict(collections.deque)
        self._shorter: set[int] = set()  # how many frames were seen, where they are fewer: the rest was not watched

    def add(self, all: Sequence[Seen]) -> None:
        """Add those that were seen since the last time."""
        for number in range(self._count, len(all)):
            seen = all[number]
            if seen.is_waiting and self._may_be_cut_off(seen):
                frames = seen.frames(self._length)
                self._waiting[frames].append((number, seen))
                if len(frames[0]) < self._length:
                    self._shorter.add(len(frames[0]))
        self._count = len(all)

    def _may_be_cut_off(self, seen: Seen) -> bool:
        """Tell whether a traceback may have no more frames: JAX cuts one off where a trace begins, in its own code."""
        after = seen.after(self._length)
        return after is None or self._user_code.held(after).co_filename.startswith(origin.LIBRARIES)

    def first(self, frames: _Frames) -> Seen | None:
        found = self._next(frames)
        for length in self._shorter:
            shorter = self._next((frames[0][:length], frames[1][:length]))
            if found is None or (shorter is not None and shorter[0] < found[0]):
                found = shorter
        if found is None:
            return None
        found[1].is_waiting = False
        return found[1]

    def _next(self, frames: _Frames) -> tuple[int, Seen] | None:
        queue = self._waiting.get(frames, ())
        while queue and not queue[0][1].is_waiting:
            queue.popleft()
        return queue[0] if queue else None
