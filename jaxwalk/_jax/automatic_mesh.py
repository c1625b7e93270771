"""Explicit axes of a mesh set aside: where values lie is then the compiler's business, and no part of their types."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding


def explicit_mesh(arrays: Sequence[Any]) -> Mesh | None:
    """Return the mesh with explicit axes on which one of `arrays` lies, if there is one."""
    meshes = [s.mesh for x in arrays if isinstance(s := getattr(x, "sharding", None), NamedSharding)]
    return next((m for m in meshes if isinstance(m, Mesh) and AxisType.Explicit in m.axis_types), None)


@contextlib.contextmanager
def automatic_mesh(arrays: Sequence[Any]) -> Iterator[list[Any]]:
    """Within, the axes of the mesh on which `arrays` lie are automatic; yields the arrays, placed on it as they were.

    Nothing changes where no array lies on a mesh with explicit axes.
    """
    if (explicit := explicit_mesh(arrays)) is None:
        yield list(arrays)
        return
    names = explicit.axis_names
    mesh = Mesh(explicit.devices, names, axis_types=(AxisType.Auto,) * len(names))

    def placed(x: Any) -> Any:
        sharding = getattr(x, "sharding", None)
        if not isinstance(sharding, NamedSharding) or sharding.mesh != explicit:
            return x
        return jax.device_put(x, NamedSharding(mesh, sharding.spec))

    with jax.set_mesh(mesh):
        yield list(map(placed, arrays))
