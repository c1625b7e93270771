"""`Named`: values by point name, in forward order, as a pytree that keeps the order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
from jax.tree import leaves

from .._errors import PointError, counted, near
from .._show.fit import tabular
from .._show.in_treescope import Item, rendering
from .._show.table import Table, brief, summary

if TYPE_CHECKING:
    from .point import Points

KEYS = 3  # of a mapping, that are shown


class MissingName(PointError, KeyError):
    """Raised for a name that a mapping does not hold."""

    __str__ = Exception.__str__  # KeyError would show the sentence in quotes


@tabular
class Named(Mapping[str, Any]):
    """A read-only mapping from point names to values, in forward order.

    JAX sorts the keys of a dict whenever it flattens one; the names of a `Named` are static data of the
    pytree instead, so their order is the forward order also after `jit`, `vmap` and `scan`.

    Arguments:
        values: the values by name, in the order to keep.
        absent: for names that one may look for here in vain, the sentence that says why.
        same: for a name whose value is that of another name: the other. It is one leaf of the pytree, once.
        aliases: for a name that is none of these, but finds one of them: that one.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> named = jw.Named({"b": jnp.arange(3), "a": jnp.float32(0.5)})
    >>> jax.tree.map(lambda v: 10 * v, named)
    2 values
      name  array      is
      b     int32[3]   (0, 10, 20)
      a     float32[]  5
    """

    __slots__ = ("_absent", "_aliases", "_same", "_values")

    def __init__(
        self,
        values: Mapping[str, Any],
        absent: Mapping[str, str] | None = None,
        same: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
    ):
        self._values = dict(values)
        self._absent = dict(absent or {})
        self._same = dict(same or {})
        self._aliases = dict(aliases or {})

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            name = self._aliases.get(name, name)
        if name in self._values:
            return self._values[name]
        reason = self._absent.get(name) or self._absent.get("*") or near(str(name), self._values)
        raise MissingName(f"There is no `{name}` here. {reason}")

    def once(self) -> Iterator[str]:
        """Yield the names, less those whose value another name has too."""
        return (name for name in self._values if name not in self._same)

    def why_empty(self) -> str:
        """Return a sentence on why there is nothing here, or none of it."""
        return self._absent.get("*") or " ".join(f"`{name}`: {reason}" for name, reason in self._absent.items())

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __treescope_repr__(self, path: str | None, subtree_renderer: Callable[..., Any]) -> Any:
        items = [Item(f"{name}: ", value, f"[{name!r}]") for name, value in self.items()]
        return rendering(Named, items, path, subtree_renderer)

    def _table(self) -> Table:
        rows = [(name, *_cells(value)) for name, value in self.items()]
        title, columns, lead = counted(len(self), "value"), ("name", "array", "is"), ("name",)
        more = "the name in brackets gives each"
        return Table(title, columns, rows, code=("is",), lead=lead, paths=lead, more=more)


def by_point(values: Mapping[str, Any], points: Points, why: str | None = None) -> Named:
    """Return `values` in forward order, under all the names of each point; `why`: why points have none."""
    same = {name: first for name, first in points.same().items() if first in values}
    found = {name: values[same.get(name, name)] for name in points if same.get(name, name) in values}
    absent = {p.name: why or p.why_not_kept() for p in points.values() if p.name not in found}
    return Named(found, absent | ({"*": why} if why else {}), same, points.aliases())


def _cells(value: Any) -> tuple[str, str]:
    """Return what arrays a value is of, and their numbers; of a mapping, the first of these by name."""
    arrays = lambda value: ", ".join(map(brief, leaves(value)))
    if not isinstance(value, Mapping):
        return arrays(value), summary(value)
    shown = [f"{key} {summary(item) or arrays(item)}".rstrip() for key, item in itertools.islice(value.items(), KEYS)]
    return "", ", ".join(shown + [f"… {len(value) - KEYS} more"] * (len(value) > KEYS))


def _flatten_with_keys(named: Named):
    values, static = _flatten(named)
    return list(zip(map(jax.tree_util.DictKey, named.once()), values, strict=True)), static


def _flatten(named: Named):
    static = tuple(named), tuple(named._absent.items()), tuple(named._same.items()), tuple(named._aliases.items())
    return tuple(named._values[name] for name in named.once()), static


def _unflatten(static, values) -> Named:
    names, absent, same, aliases = static
    same = dict(same)
    found = dict(zip((name for name in names if name not in same), values, strict=True))
    return Named({name: found[same.get(name, name)] for name in names}, dict(absent), same, dict(aliases))


jax.tree_util.register_pytree_with_keys(Named, _flatten_with_keys, _unflatten, _flatten)
