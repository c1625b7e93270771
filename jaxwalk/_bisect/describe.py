"""From an equation that makes a NaN or an Inf to what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from .._jax.jaxpr import jaxprs, kinds, primitives
from .._jax.jaxpr.types import is_float
from .._jax.leaves import is_array
from .._jax.origin import called_name, library_function, places_of
from .._points.point import Points
from .._source.user_files import is_users
from .advice import advice
from .makers import Maker, all_bad, first_entry
from .record import NonfiniteEquation, Operand
from .values import Value, bad_entries

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn


def described(maker: Maker, points: Points, **others: Any) -> NonfiniteEquation:
    """Return what is told of an equation, with what is known from elsewhere."""
    which, index = first_entry(maker.made)
    result = maker.results[which]
    value = np.asarray(result.array)[index]
    is_backward = maker.cotangents is not None
    feeding = [maker.operands[maker.places[which]]] if is_backward else maker.operands
    name = _name(maker.eqn)
    places = [place for eqn in (maker.eqn, *reversed(maker.place.callers)) for place in places_of(eqn)]
    file, line = places[0] if places else ("", 0)
    kind = "NaN" if np.isnan(value) else "Inf"
    at_index = lambda x: operand(x, index, np.shape(result.array))
    arrived = [x for x in maker.cotangents or () if x is not None]
    return NonfiniteEquation(
        point=_point_before(feeding, points),
        array="delta" if is_backward else "output",
        index=index,
        value=value,
        file=file,
        line=line,
        equation=name,
        operands=tuple(map(at_index, maker.operands)),
        cotangents=tuple(map(at_index, arrived)),
        by_operand=maker.places[which] if is_backward else None,
        scopes=maker.place.scopes,
        steps=maker.place.steps,
        function=_library_function(maker),
        try_="" if maker.is_whole else advice(_rule(maker.eqn), is_backward, kind, is_low(maker)),
        called_at=_called_at(places),
        **others,
    )


def operand(value: Value, index: tuple[int, ...], shape: tuple[int, ...]) -> Operand:
    """Return what is told of an operand; `index` and `shape` are of the entry of the result, and of the result."""
    dtype, own = value.array.dtype, tuple(np.shape(value.array))
    if not (jnp.issubdtype(dtype, jnp.number) or dtype == jnp.bool_):
        return Operand(own, dtype, None, None, None, 0)
    array = np.asarray(value.array)
    fits = len(own) == len(shape) and all(n in (1, m) for n, m in zip(own, shape, strict=True))
    at = tuple(i if n > 1 else 0 for i, n in zip(index, own)) if fits else ()
    number = array[at] if fits or not own else None
    bad = bad_entries(array) if is_float(array) else None
    finite = array if bad is None else array[~bad]
    has_order = finite.size > 0 and not np.iscomplexobj(array) and dtype != jnp.bool_
    low, high = (finite.min(), finite.max()) if has_order else (None, None)
    return Operand(own, dtype, number, low, high, 0 if bad is None else int(bad.sum()))


def argument_names(args: tuple, kwargs: dict[str, Any]) -> list[str]:
    """Return what the inputs of a traced function are called: "args[0]['w']", "mask"."""
    leaves = jax.tree_util.tree_leaves_with_path((args, kwargs))
    return [_called(path) for path, leaf in leaves if is_array(leaf)]


def result_names(shapes: Any) -> list[str]:
    """Return what the results of a function are called: "the result", "`result[1]['loss']`"."""
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(shapes)]
    return [f"`result{keystr(path)}`" if path else "the result" for path in paths]


def where_bad(values: Sequence[Value | None]) -> list[int]:
    """Return which of some values have a NaN or an Inf."""
    return [i for i, value in enumerate(values) if value is not None and all_bad(value) is not None]


def _called(path: tuple) -> str:
    if path[0].idx == 0:
        return f"args{keystr(path[1:])}"
    return f"{path[1].key}{keystr(path[2:])}"


def _library_function(maker: Maker) -> str:
    """Return the name of JAX's own function that an equation is in, as "norm"; "" if it is in none."""
    if any(True for _ in places_of(maker.eqn)):
        return ""
    return next((name for eqn in reversed(maker.place.callers) if (name := library_function(eqn))), "")


def _point_before(feeding: Sequence[Value], points: Points) -> str | None:
    number = max((x.point for x in feeding), default=0)
    return next((point.name for point in points.values() if point.number == number and point.opaque is None), None)


def _called_at(places: Sequence[tuple[str, int]]) -> tuple[str, int] | None:
    """Return the user's line that called what the equation is in, if it is in an installed library."""
    has = is_users(None).has
    if not places or has(places[0][0]):
        return None
    return next((place for place in places if has(place[0])), None)


def _name(eqn: JaxprEqn) -> str:
    """Return what an equation computes; of one that calls a function, what that is called."""
    if kinds.kinds()(eqn) in ("jit", "checkpoint", "custom_jvp", "custom_vjp"):
        return library_function(eqn) or called_name(eqn) or str(eqn.primitive)
    return primitives.names()(eqn) or str(eqn.primitive)


def _rule(eqn: JaxprEqn) -> str:
    kind = kinds.kinds()(eqn)
    return kind if kind in ("custom_jvp", "custom_vjp") else _name(eqn)


def is_closed(maker: Maker) -> bool:
    """Tell whether an equation runs a program that was not entered, as a `shard_map` does, or a kernel."""
    kind = kinds.kinds()(maker.eqn)
    return bool(jaxprs.jaxprs_of(maker.eqn)) and (kind is None or kind == "shard_map") and not maker.is_whole


def is_low(maker: Maker) -> bool:
    """Tell whether an equation computes in 16 bits or fewer."""
    array = maker.results[first_entry(maker.made)[0]].array
    return is_float(array) and array.dtype.itemsize <= 2
