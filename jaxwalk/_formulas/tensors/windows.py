"""What is done window by window: convolutions, pooling, padding, flips; their parts, in words and in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .term import Shape

Pair = tuple[int, int]


class Slide(NamedTuple):
    """How a window of some size goes over an array, along each axis that it slides along.

    `dilation` is that of the window: its places are so far apart. `input_dilation` puts one less zeros between entries.
    """

    size: Shape
    stride: Shape
    padding: tuple[Pair, ...]
    dilation: Shape
    input_dilation: Shape

    def each(self, change: Callable[[Any], Any]) -> Slide:
        """Do the same to what is said of each axis, in all parts."""
        return Slide(*map(change, self))

    def unusual(self, stride: Shape = ()) -> dict[str, tuple]:
        """Return what is not as one would expect it, `stride`, or 1, being what one would expect."""
        ones = (1,) * len(self.size)
        usual = Slide(self.size, stride or ones, ((0, 0),) * len(ones), ones, ones)
        return {name: value for name, value in self._asdict().items() if value != getattr(usual, name)}

    def words(self, stride: Shape = ()) -> list[str]:
        return [f"{name.replace('_', ' ')} {_by_axis(value)}" for name, value in self.unusual(stride).items()]


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
        return [f"{x},{y}→{out}", ", ".join([*self.slide.words(), *groups])]

    def numpy(self, args: Sequence[str], shape: Shape) -> str:
        x, y, out = self.letters
        options: dict[str, Any] = self.slide.unusual()
        options |= {"groups": (self.groups, self.grouped)} if self.groups > 1 else {}
        return _called("conv", [*args, f"'{x},{y}->{out}'"], options)


class Pooling(NamedTuple):
    """Each window's max, min, sum or avg; with `back`, what flows back through that."""

    kind: str
    axes: Shape
    slide: Slide
    back: bool = False

    @property
    def name(self) -> str:
        return f"{self.kind}{'un' if self.back else ''}pool"

    def words(self) -> list[str]:
        return [", ".join(["×".join(map(str, self.slide.size)), *self.slide.words(self.slide.size)])]

    def numpy(self, args: Sequence[str], shape: Shape) -> str:
        options: dict[str, Any] = self.slide.unusual(self.slide.size)
        options |= {"back": shape} if self.back else {}
        return _called("pool", [f"'{self.kind}'", *args, str(self.axes), str(self.slide.size)], options)


class Padding(NamedTuple):
    """A number put round an array, and between its entries."""

    axes: Shape
    slide: Slide
    value: Any

    name = "pad"

    def words(self) -> list[str]:
        between = self.slide._replace(padding=((0, 0),) * len(self.axes)).words()
        value = [f"value {_number(self.value)}"] if self.value != 0 else []
        return [", ".join([_by_axis(self.slide.padding), *between, *value])]

    def numpy(self, args: Sequence[str], shape: Shape) -> str:
        value = str(self.value) if abs(self.value) < float("inf") else f"float('{self.value}')"
        options: dict[str, Any] = self.slide.unusual() | ({"value": value} if self.value != 0 else {})
        return _called("padded", [*args, str(self.axes)], options)


class Flip(NamedTuple):
    """The order of the entries turned round along axes."""

    axes: Shape

    name = "flip"

    def words(self) -> list[str]:
        return []

    def numpy(self, args: Sequence[str], shape: Shape) -> str:
        return f"np.flip({args[0]}, {self.axes})"


def _by_axis(values: tuple) -> str:
    """Write 2 along every axis as 2, else 2×1; padding that is not the same on either side as (0,1)."""
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
