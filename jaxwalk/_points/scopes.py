"""Paths by `jax.named_scope`: Flax linen and Haiku modules, and many others, open one when they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._jax import jaxprs, origin
from .paths import Entries, Entry, Path


class ScopePaths:
    """Per equation the scopes that it is in, the outermost first. Each opening of a scope is an entry of its own.

    Arguments:
        with_einsum: whether those count that `jnp.einsum` opens by itself, named by its subscripts.
    """

    def __init__(self, with_einsum: bool):
        self._with_einsum = with_einsum
        self._openings: dict[int, frozenset[int]] = {}

    def __call__(self, jaxpr: Any, around: Path, outer: Entries) -> tuple[Sequence[Path], Entries]:
        """The name stack of an equation is relative to the jaxpr that holds it: `around` is put before."""
        entries = dict(outer)
        return [self._path(eqn, around, entries) for eqn in jaxpr.eqns], entries

    def is_in_any(self, eqn: Any) -> bool:
        """Whether an equation is in a scope that was opened in its own jaxpr."""
        return any(self._counts(element) for element in origin.name_stack(eqn))

    def goes_on_in(self, eqn: Any, entry: Entry) -> bool:
        """A scope may be both around a scan and in it: what does not depend on the steps has been taken out."""
        return any(entry.opening in self._openings_in(closed.jaxpr) for closed in jaxprs.jaxprs_of(eqn))

    def _openings_in(self, jaxpr: Any) -> frozenset[int]:
        if id(jaxpr) not in self._openings:
            here = {element.identity for eqn in jaxpr.eqns for element in origin.name_stack(eqn)}
            inner = [self._openings_in(c.jaxpr) for eqn in jaxpr.eqns for c in jaxprs.jaxprs_of(eqn)]
            self._openings[id(jaxpr)] = frozenset(here).union(*inner)
        return self._openings[id(jaxpr)]

    def _counts(self, element: origin.ScopeElement) -> bool:
        return not element.is_transform and (self._with_einsum or "->" not in element.name)

    def _path(self, eqn: Any, around: Path, entries: dict[Any, Entry]) -> Path:
        path, transforms = around, ()
        for depth, element in enumerate(origin.name_stack(eqn), 1):
            if element.is_transform:
                transforms = (*transforms, element.name)
            elif self._counts(element):
                parent = path[-1] if path else None
                key = (parent, transforms, element.identity)
                if key not in entries:
                    label = _label(element.name, transforms)
                    entries[key] = Entry(label, parent, stack=depth, opening=element.identity)
                path, transforms = (*path, entries[key]), ()
        return path


def _label(name: str, transforms: Sequence[str]) -> str:
    """A backward pass inside the function goes through the scopes of its forward pass again, transposed."""
    return f"transpose({name})" if "transpose" in transforms else name
