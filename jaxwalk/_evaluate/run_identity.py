"""The identity of an evaluation, by which one is not resumed as if it were another."""

from __future__ import annotations

import hashlib
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._jax.jaxpr import call_parameters, jaxprs
from .._jax.jaxpr.jaxprs import Closed
from .._jax.leaves import is_value
from .._jax.settings import settings
from .._points.point import Points
from .._version import __version__
from ..stats._statistic import Statistic
from .store.directory import METHOD, OF_METHOD

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, Literal, Var

PASSING = r" at \S+:\d+|0x[0-9a-fA-FX]+"
"""What `repr` shows of a function and may differ where the program does not: its line, its address."""


def identity(
    function: Closed,
    walk: Closed,
    params: Iterable[Any],
    points: Points,
    statistic: Statistic | None,
    kept_at: Statistic | Mapping[str, Statistic] | None,
    first: Any,
    method: str | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
    **others: object,
) -> dict[str, str]:
    """Return texts, by what each is about, that differ between evaluations that are not the same.

    A program is what was traced, with the arrays that it closes over; where it stands in the source does not matter,
    nor on which devices it runs, unless it says so itself, as by `jax.shard_map`. With it come the settings of JAX and
    XLA, and the versions, that make other numbers of the same program. Not in it is what runs outside of JAX: a
    callback on the host, the code behind `jax.ffi`, the device and its libraries.

    Arguments:
        function: of one datum; of a method, the attribution of it, and with it the method and its options.
        walk: of a batch, as it runs: the loss and δ at the points, under `jax.vmap`. Rules of its own that a function
            has for its derivative, or for a batch, are in here alone.
        params: the arrays.
        points: those chosen.
        statistic: what is kept, or None.
        kept_at: the same, or by point what it is there.
        first: the first batch.
        method: the name of the method of attribution, or None.
        options: its options. They are all in the program of it, and here to be told by name.
        others: more that must be the same.
    """
    texts = {
        **_function(program(function), method),
        "walk of a batch": program(walk),
        "params": digest(contents(params)),
        **{f"{name}{OF_METHOD}": _option(value) for name, value in options.items()},
        "points": ", ".join(points),
        "statistics": _statistic_text(statistic, points, kept_at) if statistic and method is None else "none",
        "first batch": digest(contents(jax.tree.leaves(first))),
        "jaxwalk": __version__,
    }
    return texts | settings() | {name.replace("_", " "): str(value) for name, value in others.items()}


def _option(value: Any) -> str:
    """Return a number or a name as it is written; a digest of arrays; of a function, that it is one."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, (str, int, float)):
        return repr(value)
    leaves, tree = jax.tree.flatten(value)
    if all(is_value(leaf) for leaf in leaves):
        return digest([str(tree).encode(), *contents(leaves)])
    return f"a {type(value).__name__}"


def _function(digest: str, method: str | None) -> dict[str, str]:
    return {"function": digest} if method is None else {METHOD: f"{method} ({digest[:12]})"}


def _statistic_text(statistic: Statistic, points: Points, kept_at: Any = None) -> str:
    """Return its name, which another may have too, and a digest of how its states come about and merge.

    `finish` may change.
    """
    at = kept_at if isinstance(kept_at, Mapping) else dict.fromkeys(points, statistic)
    felt = [p for p in points.values() if p.has_delta and p.name in at]
    values = {(p.shape[len(p.axes) :], np.dtype(p.dtype), id(at[p.name])): at[p.name] for p in felt}
    ordered = sorted(values.items(), key=lambda item: str(item[0][:2]))
    parts = [part.encode() for (shape, dtype, _), one in ordered for part in _parts(one, shape, dtype)]
    return f"{statistic.name} ({digest(parts)[:12]})"


def _parts(statistic: Statistic, shape: tuple[int, ...], dtype: Any) -> Iterator[str]:
    value = jax.ShapeDtypeStruct(shape, dtype)
    state = jax.eval_shape(statistic.of, value, value)
    yield from _programs(statistic.of, value, value)
    yield from _programs(statistic.merge, state, state)
    if statistic.merge_all is not None:
        yield from _programs(statistic.merge_all, _rows(state), jax.ShapeDtypeStruct((2,), bool))


def _programs(fun: Callable, *args: Any) -> Iterator[str]:
    """Give the program of `fun`, and that under `jax.vmap`, for which it may have a rule."""
    yield program(jaxprs.trace(fun, *args)[0])
    yield program(jaxprs.trace(jax.vmap(fun), *map(_rows, args))[0])


def _rows(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), tree)


# Programs ------------------------------------------------------------------------------------------------


def program(closed: Closed) -> str:
    """Return a digest of a traced program: of every equation, and of every array that it, or a function in it, closes
    over.

    It is read by its structure and not as JAX prints it: arrays that a jit within closes over are not in the print.
    """
    return _program(closed, {})


def _program(closed: Closed, known: dict[Any, tuple[Closed, str]]) -> str:
    key = (id(closed.jaxpr), *map(id, closed.consts))
    if key not in known:  # `closed` is held, so that no other object gets these ids
        known[key] = closed, digest([*_equations(closed.jaxpr, known), *contents(closed.consts)])
    return known[key][1]


def _equations(jaxpr: Jaxpr, known: dict[Any, tuple[Closed, str]]) -> Iterator[bytes]:
    names: dict[Var | Literal, str] = {}
    numbers = itertools.count()

    def name(variable: Var | Literal) -> str:
        if jaxprs.is_literal(variable):
            return _literal(variable)
        if variable not in names:
            names[variable] = str(next(numbers))
        return names[variable]

    def written(variables: Iterable[Var | Literal]) -> str:
        return ", ".join(f"{name(v)}: {v.aval}" for v in variables)

    yield f"{written(jaxpr.constvars)}; {written(jaxpr.invars)}".encode()
    for eqn in jaxpr.eqns:
        if call_parameters.is_reshard(eqn):
            names[eqn.outvars[0]] = name(eqn.invars[0])
            continue
        params = _text(call_parameters.params_but_devices(eqn))
        within = [_program(inner, known) for inner in jaxprs.jaxprs_of(eqn)]
        yield f"{written(eqn.outvars)} = {eqn.primitive}[{params}] {within} {written(eqn.invars)}".encode()
    yield written(jaxpr.outvars).encode()


def _literal(variable: Any) -> str:
    value = np.asarray(variable.val)
    return f"{value.dtype} {value.tobytes().hex()}"


def _text(value: Any) -> str:
    """Return a parameter of an equation as text; `_equations` looks at the programs among them."""
    if hasattr(value, "eqns"):
        return "program"
    if isinstance(value, (np.ndarray, np.generic, jax.Array)) and value.dtype != object:
        return digest(contents([value]))
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        return f"[{', '.join(sorted(f'{key!r}: {_text(item)}' for key, item in value.items()))}]"
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):  # whole, and to the last digit
        return re.sub(r"\{[^{}]*\}", _ordered, re.sub(PASSING, "", repr(value)))


def _ordered(found: re.Match[str]) -> str:
    """Order what a set holds, which its `repr` shows in any order."""
    return ", ".join(sorted(found[0].strip("{}").split(", ")))


# Digests -------------------------------------------------------------------------------------------------


def digest(parts: Iterable[Any]) -> str:
    """Return the SHA-256 of some buffers, one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def contents(arrays: Iterable[Any]) -> Iterator[Any]:
    """Give arrays as buffers of bytes: the dtype, the shape and the numbers of each; of an array that is divided among
    processes, those that are here."""
    for array in arrays:
        if isinstance(array, jax.Array) and jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            yield str(array.dtype).encode()
            array = jax.random.key_data(array)
        parts = array.addressable_shards if isinstance(array, jax.Array) and not array.is_fully_addressable else None
        for part in [array] if parts is None else [shard.data for shard in parts]:
            part = np.asarray(part)
            yield f"{part.dtype}{part.shape}".encode()
            yield np.ascontiguousarray(part).reshape(-1).view(np.uint8)  # not copied: parameters may be large
