"""`Columns`: results by point name and by key, of which those of many points are one array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._errors import ArgumentError
from .ordered_mapping import Named


class Group(NamedTuple):
    """Results that many points have alike.

    Attributes:
        names: of these points.
        ranks: by key, of the result at one point the axes that are behind the axis of the points.
    """

    names: tuple[str, ...]
    ranks: tuple[tuple[str, int], ...]


class Columns(Named):
    """A `Named` of dicts of results. As a pytree it has an array for each result of a group of points, and not of each.

    So a program that returns it has few results, whatever the number of points.

    Arguments:
        named: with a value, of whatever kind, for each point.
        groups: of the points; one may be of several, and has the results of all, in their order.
        arrays: for each group, by key, the results, with an axis of the points.
    """

    __slots__ = ("_arrays", "_groups", "_seen")

    def __init__(self, named: Named, groups: Sequence[Group], arrays: Sequence[Mapping[str, Any]]):
        super().__init__(dict.fromkeys(named), named._absent, named._same, named._aliases)
        self._groups, self._arrays, self._seen = tuple(groups), [dict(one) for one in arrays], dict[Any, Any]()

    def apart(self) -> Named:
        """Return the same with an array for each result of each point, whose axes are then free to be moved."""
        return Named({name: self[name] for name in self}, self._absent, self._same, self._aliases)

    def __getitem__(self, name: str) -> Any:
        super().__getitem__(name)
        name = name if name in self._values else self._aliases.get(name, name)
        name = self._same.get(name, name)
        each = (pair for number in range(len(self._groups)) for pair in self._of(number, name))
        return dict(sorted(each, key=lambda pair: pair[0]))  # as JAX has the keys of a dict

    def _of(self, number: int, name: str) -> Iterator[tuple[str, Any]]:
        group = self._groups[number]
        if name in group.names:
            place = group.names.index(name)
            for key, rank in group.ranks:
                yield key, self._at(number, key, place, rank)

    def _at(self, number: int, key: str, place: int, rank: int) -> Any:
        array = self._arrays[number][key]
        if not hasattr(array, "shape"):
            return array  # a tree of something else, as of axes
        axis, count = array.ndim - 1 - rank, len(self._groups[number].names)
        if axis < 0 or array.shape[axis] != count:
            raise ArgumentError(
                f"`{key}` of {count} points has shape {array.shape}, and they are not axis {-1 - rank} of it; leave"
                " `out_axes` of `jax.vmap` 0, and shapes as they are."
            )
        index = (..., place, *[slice(None)] * rank)
        if not isinstance(array, jax.Array) or isinstance(array, Tracer):
            return array[index]
        if (number, key) not in self._seen:  # taken apart on the host, where no index is a program of its own
            self._seen[number, key] = np.asarray(array)
        return jnp.asarray(self._seen[number, key][index])


def _flatten(columns: Columns):
    static = Named(columns._values, columns._absent, columns._same, columns._aliases), columns._groups
    keys = tuple(tuple(one) for one in columns._arrays)
    names, groups = static
    known = tuple(names), tuple(names._absent.items()), tuple(names._same.items()), tuple(names._aliases.items())
    return [array for one in columns._arrays for array in one.values()], (known, groups, keys)


def _unflatten(static: Any, children: Any) -> Columns:
    (names, absent, same, aliases), groups, keys = static
    left = iter(children)
    arrays = [{key: next(left) for key in one} for one in keys]
    return Columns(Named(dict.fromkeys(names), dict(absent), dict(same), dict(aliases)), groups, arrays)


def _flatten_with_keys(columns: Columns):
    children, static = _flatten(columns)
    names = [f"{number}/{key}" for number, keys in enumerate(static[2]) for key in keys]
    return list(zip(map(jax.tree_util.DictKey, names), children, strict=True)), static


jax.tree_util.register_pytree_with_keys(Columns, _flatten_with_keys, _unflatten, _flatten)
