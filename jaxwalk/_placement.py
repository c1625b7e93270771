"""Where an evaluation's arrays are: on one device, or divided among those of a mesh, of one process or of several."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ._errors import ArgumentError, counted, shown


class Placement(NamedTuple):
    """What goes where.

    Attributes:
        mesh: the devices, or None for the one that JAX takes.
        divided: how a batch is divided along its leading axis.
        whole: how what is not divided is placed, on all of them.
        groups: among how many devices a batch is divided.
        processes: how many processes feed batches, each its own rows of it.
    """

    mesh: Mesh | None = None
    divided: NamedSharding | None = None
    whole: NamedSharding | None = None
    groups: int = 1
    processes: int = 1

    def context(self) -> contextlib.AbstractContextManager:
        """In which the mesh is the one that JAX goes by, whatever was set around it."""
        return contextlib.nullcontext() if self.mesh is None else jax.set_mesh(self.mesh)

    def batch(self, leaves: Sequence[Any]) -> list[Any]:
        """A batch's arrays on their devices; the copy goes on while this process does other things."""
        if self.divided is None or jax.process_count() == 1:
            return jax.device_put(list(leaves), self.divided)  # in one call: each takes a while
        return [jax.make_array_from_process_local_data(self.divided, np.asarray(leaf)) for leaf in leaves]

    def params(self, leaves: Sequence[Any]) -> list[Any]:
        """Parameters on all the devices; those that are divided among them already stay as they are."""
        if self.mesh is None or self.whole is None:
            return list(leaves)
        return [_on_mesh(leaf, self.mesh, self.whole) for leaf in leaves]


def placement(mesh: Any, size: int) -> Placement:
    """How batches of `size` data, in each process, are placed.

    Batches are divided along the first axis of the mesh. With several processes and no mesh, that is all devices.

    Raises:
        ArgumentError: `mesh` is no mesh, or does not divide a batch.
    """
    if mesh is None and jax.process_count() > 1:
        mesh = Mesh(np.array(jax.devices()), ("data",))
    if mesh is None:
        return Placement()
    if not isinstance(mesh, Mesh):
        raise ArgumentError(
            f'`mesh` is {shown(mesh)}; give a `jax.sharding.Mesh`, such as `jax.make_mesh((4,), ("data",))`, or None.'
        )
    processes = len({device.process_index for device in mesh.devices.flat})
    axis, devices = mesh.axis_names[0], mesh.devices.shape[0]
    if size * processes % devices:
        raise ArgumentError(
            f"`mesh` divides a batch among {counted(devices, 'device')} along its axis `{axis}`, but batches have"
            f" {counted(size * processes, 'row')}, which {devices} does not divide; give a multiple of {devices}."
        )
    # Shardings are asked of the compiler, not made part of types, whatever the mesh was made for.
    mesh = Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * mesh.devices.ndim)
    divided, whole = (NamedSharding(mesh, PartitionSpec(*spec)) for spec in ((axis,), ()))
    return Placement(mesh, divided, whole, devices, processes)


def _on_mesh(leaf: Any, mesh: Mesh, whole: NamedSharding) -> jax.Array:
    sharding = getattr(leaf, "sharding", None)
    if isinstance(sharding, NamedSharding) and sharding.device_set == whole.device_set:
        if isinstance(sharding.mesh, Mesh) and sharding.mesh.axis_names == mesh.axis_names:
            return jax.device_put(leaf, NamedSharding(mesh, sharding.spec))  # the same, of a mesh of automatic axes
        return leaf
    if jax.process_count() == 1:
        return jax.device_put(leaf, whole)
    return jax.make_array_from_process_local_data(whole, np.asarray(leaf))
