"""`Term`: an operation on tensors, in the graph of a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Term(NamedTuple):
    """An operation on terms. `detail` is what it needs to know besides, axes say."""

    op: str
    args: tuple[Term, ...]
    shape: tuple[int, ...]
    detail: Any = None

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def is_number(term: Term, value: int) -> bool:
    term = term.args[0] if term.op == "spread" else term
    return term.op == "number" and term.detail == value


Pair = tuple[int, int]


class Slide(NamedTuple):
    """How a window goes over an array, along each axis that it slides along.

    `dilation` is that of the window: its places are so far apart. `input_dilation` puts one less zeros between entries.
    """

    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    dilation: tuple[int, ...]
    input_dilation: tuple[int, ...]

    def each(self, change: Callable[[Any], Any]) -> Slide:
        """The same done to what is said of each axis, in all its parts."""
        return Slide(*map(change, self))

    def unusual(self, stride: tuple[int, ...]) -> dict[str, tuple]:
        """What is not as one would expect it, `stride` being what one would expect."""
        ones = (1,) * len(self.stride)
        usual = Slide(stride, ((0, 0),) * len(ones), ones, ones)
        return {name: value for name, value in self._asdict().items() if value != getattr(usual, name)}

    def words(self, stride: tuple[int, ...]) -> list[str]:
        return [f"{name.replace('_', ' ')} {_along(value)}" for name, value in self.unusual(stride).items()]


class Convolution(NamedTuple):
    """Products of a window summed. The letters are as of einsum; those that all three have are slid along.

    `groups`: into so many parts two axes are cut, `grouped`: one of the first operand, and one of the second.
    """

    letters: tuple[str, str, str]
    slide: Slide
    groups: int = 1
    grouped: str = "co"

    name, axes = "conv", ()

    def transposed(self, permutation: Sequence[int]) -> Convolution:
        x, y, out = self.letters
        return self._replace(letters=(x, y, "".join(out[i] for i in permutation)))

    def words(self) -> list[str]:
        x, y, out = self.letters
        groups = [f"{self.groups} groups of {' and '.join(dict.fromkeys(self.grouped))}"] if self.groups > 1 else []
        return [f"{x},{y}→{out}", ", ".join([*self.slide.words(_ones(self.slide)), *groups])]

    def numpy(self, args: Sequence[str], shape: tuple[int, ...]) -> str:
        x, y, out = self.letters
        options: dict[str, Any] = self.slide.unusual(_ones(self.slide))
        options |= {"groups": (self.groups, self.grouped)} if self.groups > 1 else {}
        return _called("conv", [*args, f"'{x},{y}->{out}'"], options)


class Pooling(NamedTuple):
    """Each window's max, min, sum or avg; with `back`, what flows back through that."""

    kind: str
    axes: tuple[int, ...]
    sizes: tuple[int, ...]
    slide: Slide
    back: bool = False

    @property
    def name(self) -> str:
        return f"{self.kind}{'un' if self.back else ''}pool"

    def words(self) -> list[str]:
        return [", ".join(["×".join(map(str, self.sizes)), *self.slide.words(self.sizes)])]

    def numpy(self, args: Sequence[str], shape: tuple[int, ...]) -> str:
        options: dict[str, Any] = self.slide.unusual(self.sizes)
        options |= {"back": shape} if self.back else {}
        return _called("pool", [f"'{self.kind}'", *args, str(self.axes), str(self.sizes)], options)


class Padding(NamedTuple):
    """A number put round an array, and between its entries."""

    axes: tuple[int, ...]
    slide: Slide
    value: Any

    name = "pad"

    def words(self) -> list[str]:
        between = self.slide._replace(padding=((0, 0),) * len(self.axes)).words(_ones(self.slide))
        value = [f"value {_number(self.value)}"] if self.value != 0 else []
        return [", ".join([_along(self.slide.padding), *between, *value])]

    def numpy(self, args: Sequence[str], shape: tuple[int, ...]) -> str:
        value = str(self.value) if abs(self.value) < float("inf") else f"float('{self.value}')"
        options: dict[str, Any] = self.slide.unusual(_ones(self.slide)) | ({"value": value} if self.value != 0 else {})
        return _called("padded", [*args, str(self.axes)], options)


class Flip(NamedTuple):
    """The order of the entries turned round along axes."""

    axes: tuple[int, ...]

    name = "flip"

    def words(self) -> list[str]:
        return []

    def numpy(self, args: Sequence[str], shape: tuple[int, ...]) -> str:
        return f"np.flip({args[0]}, {self.axes})"


def _ones(slide: Slide) -> tuple[int, ...]:
    return (1,) * len(slide.stride)


def _along(values: tuple) -> str:
    """2 along every axis as 2, else 2×1; padding that is not the same on either side as (0,1)."""
    sides = [v[0] if isinstance(v, tuple) and v[0] == v[1] else v for v in values]
    single = len(set(sides)) == 1 and not isinstance(sides[0], tuple)
    return "×".join(map(_side, sides[:1] if single else sides))


def _side(value: int | Pair) -> str:
    text = f"({value[0]},{value[1]})" if isinstance(value, tuple) else str(value)
    return text.replace("-", "−")


def _number(value: Any) -> str:
    return {float("inf"): "∞", float("-inf"): "−∞"}.get(value, str(value).replace("-", "−"))


def _called(name: str, args: Sequence[str], options: dict[str, Any]) -> str:
    return f"{name}({', '.join([*args, *(f'{key}={value}' for key, value in options.items())])})"
