"""Paths by `jax.named_scope`: Flax linen and Haiku modules, and many others, open one when they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..._jax import origin
from ..._jax.jaxpr import jaxprs
from ..._source.leaves import Leaf
from .paths import Entries, Entry, Path

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn


class ScopePaths:
    """Finds the scopes that equations are in, the outermost first. Each opening of a scope is an entry of its own.

    Arguments:
        with_einsum: whether those count that `jnp.einsum` opens by itself, named by its subscripts.
    """

    def __init__(self, with_einsum: bool):
        self._with_einsum = with_einsum
        self._openings: dict[int, frozenset[int]] = {}
        self._all_of_a_module: set[Entry] = set()

    def __call__(self, jaxpr: Jaxpr, around: Path, outer: Entries) -> tuple[Sequence[Path], Entries]:
        """Return paths that begin with `around`: the name stack of an equation is relative to its own jaxpr."""
        entries = dict(outer)
        paths = [self._path(eqn, around, entries) for eqn in jaxpr.eqns]
        self._all_of_a_module |= _sole_children(paths, len(around))
        return paths, entries

    def is_in_any(self, eqn: JaxprEqn) -> bool:
        """Tell whether an equation is in a scope that was opened in its own jaxpr."""
        return any(self._counts(element) for element in origin.name_stack(eqn))

    def goes_on_in(self, eqn: JaxprEqn, entry: Entry) -> bool:
        """Tell whether a scope is in a scan too that it is around: JAX takes out what does not depend on the steps."""
        return any(entry.opening in self._openings_in(closed.jaxpr) for closed in jaxprs.jaxprs_of(eqn))

    def leaves(self, entry: Entry, eqn: JaxprEqn, result: int) -> Sequence[Leaf]:
        return ()

    def is_all_of_its_module(self, entry: Entry) -> bool:
        """Tell whether a module does nothing outside of a scope in it: that which Equinox opens, named by its class."""
        return entry in self._all_of_a_module

    def _openings_in(self, jaxpr: Jaxpr) -> frozenset[int]:
        if id(jaxpr) not in self._openings:
            here = {element.identity for eqn in jaxpr.eqns for element in origin.name_stack(eqn)}
            inner = [self._openings_in(c.jaxpr) for eqn in jaxpr.eqns for c in jaxprs.jaxprs_of(eqn)]
            self._openings[id(jaxpr)] = frozenset(here).union(*inner)
        return self._openings[id(jaxpr)]

    def _counts(self, element: origin.ScopeElement) -> bool:
        return not element.is_transform and (self._with_einsum or "->" not in element.name)

    def _path(self, eqn: JaxprEqn, around: Path, entries: dict[Any, Entry]) -> Path:
        path, transforms = around, ()
        for element in origin.name_stack(eqn):
            if element.is_transform:
                transforms = (*transforms, element.name)
            elif self._counts(element):
                parent = path[-1] if path else None
                key = (parent, transforms, element.identity)
                if key not in entries:
                    label = _label(element.name, transforms)
                    entries[key] = Entry(label, parent, opening=element.identity)
                path, transforms = (*path, entries[key]), ()
        return path


def _sole_children(paths: Sequence[Path], around: int) -> set[Entry]:
    """Return the entries that all of a rooted one is in, of those that begin after the first `around` of a path."""
    children: dict[Entry, set[Entry | None]] = {}
    for path in paths:
        for entry, child in zip(path[around:], [*path[around + 1 :], None], strict=False):
            if entry.is_rooted:
                children.setdefault(entry, set()).add(child)
    sole = [next(iter(found)) for found in children.values() if len(found) == 1]
    return {child for child in sole if child is not None and not child.is_rooted}


def _label(name: str, transforms: Sequence[str]) -> str:
    """Return how a scope is shown: a backward pass in the function goes through those of its forward pass again."""
    return f"transpose({name})" if "transpose" in transforms else name
