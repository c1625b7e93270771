"""The identity of a run, by which one is not gone on with as if it were another."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ..._depth import deep_calls
from ..._evaluate.batches import Batches
from ..._evaluate.run_identity import contents, digest, program
from ..._jax.jaxpr.jaxprs import trace
from ..._jax.settings import settings
from ..._points.point import Points
from ..._version import __version__
from ..._walk.walk import walk
from ..step.asked import Asked
from ..step.mean_loss import mean_loss


@deep_calls()
def identity(asked: Asked, params: Any, state: Any, data: Batches, points: Points, held_out: bool) -> dict[str, str]:
    """Return texts, by what each is about, that differ between runs that are not the same.

    Not in it is what may change: how many epochs there are, what is done with what is not finite, who is told. Nor what
    runs outside of JAX, as of `jw.evaluate`.

    Arguments:
        params, state: as they are at the beginning.
        data: the batches of the first epoch, of which only the first is looked at.
        points: those watched.
        held_out: whether there are data to evaluate.
    """
    rows = [jax.ShapeDtypeStruct((data.size, *row.shape), row.dtype) for row in data.form.rows]
    batch, loss = data.arguments(rows), mean_loss(asked.fun)
    which = {"at": asked.at, "by": asked.by, "source": asked.source}
    optimizer = optax.with_extra_args_support(asked.optimizer)
    update = lambda state, params: optimizer.update(params, state, params, value=jnp.zeros(()), grad=params)
    texts = {
        "structure of params": _structure(params),
        "batches": data.written_form(),
        "function": program(trace(loss, params, *batch)[0]),
        "points": ", ".join(points),
        "optimizer": program(trace(update, state, params)[0]),
        "params": digest(contents(jax.tree.leaves(params))),
        "first batch": digest(contents(jax.tree.leaves(data.first))),
        "keep": "None" if asked.keep is None else _program_of_keep(asked, which, params, batch),
        "every": str(asked.every),
        "evaluate": "given" if held_out else "not given",
        "jaxwalk": __version__,
        "optax": metadata.version("optax"),
    }
    return texts | settings()


def _program_of_keep(asked: Asked, which: dict[str, Any], params: Any, batch: tuple) -> str:
    watched = walk(mean_loss(asked.fun), **which, has_aux=True, keep=asked.keep)
    return program(trace(lambda *args: jax.tree.leaves(watched(*args)), params, *batch)[0])


def _structure(params: Any) -> str:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return ", ".join(f"{jax.tree_util.keystr(path)} {leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves)
