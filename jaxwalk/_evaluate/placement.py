"""Where an evaluation's arrays are: on one device, or divided among those of a mesh, of one process or of several."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from .._errors import ArgumentError, counted, shown


class Placement(NamedTuple):
    """Where arrays are placed.

    Attributes:
        mesh: the devices, or None for the one that JAX takes.
        divided: how a batch is divided along its leading axis.
        whole: how what is not divided is placed, on all of them.
        groups: among how many devices a batch is divided.
        processes: how many processes feed batches, each its own rows of it.
        home: with no mesh, where the first array lies that was put on devices, and what it is of, if there is one.
    """

    mesh: Mesh | None = None
    divided: NamedSharding | None = None
    whole: NamedSharding | None = None
    groups: int = 1
    processes: int = 1
    home: tuple[frozenset[Any], str] | None = None

    def context(self) -> contextlib.AbstractContextManager:
        """Return a context in which the mesh is the one that JAX goes by, whatever was set around it."""
        return contextlib.nullcontext() if self.mesh is None else jax.set_mesh(self.mesh)

    def check(self, leaves: Sequence[Any]) -> None:
        """Raise an ArgumentError where a batch's arrays lie elsewhere, and there is no mesh."""
        if self.mesh is None:
            for leaf in leaves:
                _check_home(leaf, "a batch of `batches`", self.home)

    def batch(self, leaves: Sequence[Any]) -> list[Any]:
        """Put a batch's arrays on their devices; the copy goes on while this process does other things.

        With no mesh the compiled step does so itself, in less time: NumPy's arrays are given to it as they are.
        """
        if self.divided is None:
            return list(leaves)
        if jax.process_count() == 1:
            return jax.device_put(list(leaves), self.divided)  # in one call, since each call takes a while
        return [jax.make_array_from_process_local_data(self.divided, np.asarray(leaf)) for leaf in leaves]

    def params(self, leaves: Sequence[Any]) -> list[Any]:
        """Put parameters on all the devices; those that are divided among them already stay as they are."""
        if self.mesh is None or self.whole is None:
            return list(leaves)
        return [_on_mesh(leaf, self.mesh, self.whole) for leaf in leaves]


def count_processes(mesh: Any) -> int:
    """Return how many processes feed batches: those that have devices of the mesh, or all."""
    if isinstance(mesh, Mesh):
        return len({device.process_index for device in mesh.devices.flat})
    return jax.process_count()


def placement(mesh: Any, size: int, params: Any = None, first: Any = None) -> Placement:
    """Decide where batches of `size` data, in each process, are placed, the first of them `first`.

    Batches are divided along the first axis of the mesh. With several processes and no mesh, that is all devices.

    Raises:
        ArgumentError: `mesh` is no mesh, or does not divide a batch. There is none, and arrays lie on different
            devices, or on a mesh that is part of their types.
    """
    if mesh is None and jax.process_count() > 1:
        mesh = Mesh(np.array(jax.devices()), ("data",))
    if mesh is None:
        return Placement(home=_home(params, first))
    if not isinstance(mesh, Mesh):
        raise ArgumentError(
            f'`mesh` is {shown(mesh)}; give a `jax.sharding.Mesh`, such as `jax.make_mesh((4,), ("data",))`, or None.'
        )
    processes = count_processes(mesh)
    if processes > 1 and processes < jax.process_count():
        raise ArgumentError(
            f"`mesh` has devices of {processes} of the {jax.process_count()} processes; give one of all of them, or of"
            " this one alone."
        )
    axis, devices = mesh.axis_names[0], mesh.devices.shape[0]
    if size * processes % devices:
        raise ArgumentError(
            f"`mesh` divides a batch among {counted(devices, 'device')} along its axis `{axis}`, but batches have"
            f" {counted(size * processes, 'row')}, which {devices} does not divide; give a multiple of {devices}."
        )
    # Shardings are requests to the compiler and not part of types, whatever axis types the user's mesh has.
    mesh = Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * mesh.devices.ndim)
    divided, whole = (NamedSharding(mesh, PartitionSpec(*spec)) for spec in ((axis,), ()))
    return Placement(mesh, divided, whole, devices, processes)


def _home(params: Any, first: Any) -> tuple[frozenset[Any], str] | None:
    home = None
    for what, tree in (("`params`", params), ("batch 0 of `batches`", first)):
        for leaf in jax.tree.leaves(tree):
            _check_home(leaf, what, home)
            if home is None and _is_put(leaf):
                home = frozenset(leaf.sharding.device_set), what
    return home


def _check_home(leaf: Any, what: str, home: tuple[frozenset[Any], str] | None) -> None:
    if not _is_put(leaf):
        return
    mesh, there = getattr(leaf.sharding, "mesh", None), leaf.sharding.device_set
    if mesh is not None and AxisType.Explicit in mesh.axis_types:
        raise ArgumentError(f"An array in {what} is on a mesh of {counted(len(there), 'device')}; give it as `mesh=`.")
    if home is not None and there != home[0]:
        both = f"An array in {what} is on {_named(there)}, and another in {home[1]} on {_named(home[0])}"
        raise ArgumentError(f"{both}; put all on one device by `jax.device_put`, or give `mesh=`.")


def _is_put(leaf: Any) -> bool:
    """Say whether JAX leaves it where it is."""
    return isinstance(leaf, jax.Array) and leaf.committed


def _named(devices: Iterable[Any]) -> str:
    names = sorted(f"{device.platform}:{device.id}" for device in devices)
    return names[0] if len(names) == 1 else f"{len(names)} devices"


def _on_mesh(leaf: Any, mesh: Mesh, whole: NamedSharding) -> jax.Array:
    sharding = getattr(leaf, "sharding", None)
    if isinstance(sharding, NamedSharding) and sharding.device_set == whole.device_set:
        if isinstance(sharding.mesh, Mesh) and sharding.mesh.axis_names == mesh.axis_names:
            return jax.device_put(leaf, NamedSharding(mesh, sharding.spec))
        return leaf
    if jax.process_count() == 1:
        return jax.device_put(leaf, whole)
    return jax.make_array_from_process_local_data(whole, np.asarray(leaf))
