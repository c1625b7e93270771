"""Where an equation comes from: its scopes, the frames it was called from, its line of source."""

from __future__ import annotations

import collections
import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from .jaxpr.jaxprs import evaluate, jaxprs_of, trace
from .jaxpr.kinds import over_one_device, with_no_mesh

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

Frames: TypeAlias = Sequence[tuple[CodeType, int]]  # the outermost first: code, and the offset of its instruction

LIBRARIES = tuple(str(file.parent) + os.sep for file in map(Path, (jax.__file__, Path(__file__).parent)))

# The first character of a scope whose name is a path from the model: it names its values whatever scopes are around.
ROOT = "."


class ScopeElement(NamedTuple):
    """An element of a name stack: a scope, or a transform ("vmap", "jvp", "transpose") that what follows is in."""

    name: str
    is_transform: bool
    identity: int  # equal for the equations of one opening of a scope, and for no others in their jaxpr


def name_stack(eqn: JaxprEqn) -> list[ScopeElement]:
    """Return the scopes and transforms that an equation is in, the outermost first, in the jaxpr that holds it."""
    stack = eqn.source_info.name_stack.stack
    return [ScopeElement(element.name, isinstance(element, _transform_class()), id(element)) for element in stack]


@functools.cache
def _transform_class() -> type:
    return type(_eqns(jax.vmap)[0].source_info.name_stack.stack[0])


def frames_of(eqn: JaxprEqn) -> Frames:
    """Return the frames that an equation was called from, with offsets in bytes.

    They start at the function that the equation's jaxpr was traced from. (jax does so itself since 0.9; before, those
    around it come first, and may be of another call: traces are cached.)
    """
    traceback = eqn.source_info.traceback
    if traceback is None:
        return []
    codes, offsets = traceback.raw_frames()
    starts = _trace_boundaries()
    boundary = next((i for i, code in enumerate(codes) if id(code) in starts), len(codes)) if starts else len(codes)
    return list(zip(codes[:boundary], offsets[:boundary], strict=True))[::-1]


def stops_at_trace() -> bool:
    """Tell whether the traceback of an equation has no frames beyond the function that its jaxpr was traced from."""
    return not _trace_boundaries()


@functools.cache
def takes_tracebacks() -> CodeType:
    """Return the code of the function of JAX that takes an equation's traceback: the innermost in it."""
    return codes_of(_eqns(lambda f: f)[0])[0]


def traceback_in(returned: Any) -> Any:
    """Return the traceback in what that function returns: the one that the equation then carries, or None."""
    return getattr(returned, "traceback", None)


@functools.cache
def _trace_boundaries() -> Mapping[int, CodeType]:
    """Return the code objects that start a trace, by their ids, where tracebacks reach beyond it.

    They are those around an equation in the body of a jit, a scan ..., that are neither around the jit itself, nor
    around what is called without a trace of its own.
    """
    return with_no_mesh(_boundaries)


def _boundaries() -> Mapping[int, CodeType]:
    with jax.disable_jit(False):
        plain = [collections.Counter(codes_of(_eqns(wrap)[0])) for wrap in _INLINE]
        if sys._getframe().f_code not in plain[0]:
            return {}
        found: set[CodeType] = set()
        for wrap in _BODIES:
            outer = _eqns(wrap)[-1]
            inner = collections.Counter(codes_of(jaxprs_of(outer)[-1].jaxpr.eqns[-1]))
            others = [*plain, collections.Counter(codes_of(outer))]
            found |= {code for code, count in inner.items() if all(count > other[code] for other in others)}
    return {id(code): code for code in found}


def _derived(custom: Any) -> Any:
    if isinstance(custom, jax.custom_jvp):
        custom.defjvps(lambda dx, _, x: dx)
    else:
        custom.defvjp(lambda x: (x, None), lambda _, ct: (ct,))
    return custom


_INLINE: Sequence[Callable] = (
    lambda f: f,
    jax.vmap,
    lambda f: jax.jit(f, inline=True),
    lambda f: lambda x: jax.jvp(f, (x,), (x,)),
    lambda f: lambda x: jax.vjp(f, x)[0],
    lambda f: lambda x: jax.linearize(f, x)[0],
    lambda f: jax.grad(lambda x: f(x)[0]),
)
_BODIES: Sequence[Callable] = (
    jax.jit,
    jax.checkpoint,
    lambda f: lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0],
    lambda f: lambda x: lax.cond(x[0] > 0, f, f, x),
    lambda f: lambda x: lax.while_loop(lambda c: c[0] > 0, f, x),
    over_one_device,
    lambda f: _derived(jax.custom_jvp(f)),
    lambda f: _derived(jax.custom_vjp(f)),
)


def _eqns(wrap: Callable) -> list[JaxprEqn]:
    return trace(wrap(lambda x: lax.sin(x)), jax.ShapeDtypeStruct((1,), jnp.float32))[0].jaxpr.eqns


def codes_of(eqn: JaxprEqn) -> list[CodeType]:
    """Return the code of the frames that an equation was called from, the innermost first."""
    traceback = eqn.source_info.traceback
    return [] if traceback is None else list(traceback.raw_frames()[0])


def module_of(code: CodeType) -> str | None:
    """Return the path, ".blocks.3.mlp", of the module that a frame of this code calls; None if it calls none.

    Modules that `scoped` has named are called by functions that are named so, as no function of Python's can be.
    """
    return code.co_name if code.co_name.startswith(ROOT) else None


def place_of(eqn: JaxprEqn) -> tuple[str, int] | None:
    """Return the (file, line) of the innermost frame outside of JAX and jaxwalk that an equation was called from."""
    traceback = eqn.source_info.traceback
    frames = () if traceback is None else traceback.frames
    return next(((f.file_name, f.line_num) for f in frames if not f.file_name.startswith(LIBRARIES)), None)


def places_of(eqn: JaxprEqn) -> Iterator[tuple[str, int]]:
    """Yield the (file, line) of the frames outside of JAX and jaxwalk that an equation was called from, as `frames_of`
    has them, the innermost first."""
    traceback = eqn.source_info.traceback
    frames = () if traceback is None else traceback.frames[: len(frames_of(eqn))]
    return ((f.file_name, f.line_num) for f in frames if not f.file_name.startswith(LIBRARIES))


def as_at(eqn: JaxprEqn, fun: Callable, *args: Any) -> Any:
    """Call `fun` with pytrees of arrays, as if it were called where `eqn` was: in its scopes, on its line of source."""
    if not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(args)):
        return fun(*args)  # nothing is staged out that could tell where it was
    closed, shapes = trace(fun, *args)
    eqns = [inner.replace(source_info=eqn.source_info) for inner in closed.jaxpr.eqns]
    results = evaluate(closed._replace(jaxpr=closed.jaxpr.replace(eqns=eqns)), jax.tree.leaves(args))
    return jax.tree.unflatten(jax.tree.structure(shapes), results)


def library_function(eqn: JaxprEqn) -> str | None:
    """Return the name of JAX's own function that a call equation calls, as "relu"; None if it is the user's."""
    for closed in jaxprs_of(eqn)[:1]:
        info = getattr(closed.jaxpr, "debug_info", None)
        name, file = getattr(info, "func_name", None), getattr(info, "func_filename", None) or ""
        if name and file.startswith(LIBRARIES[0]):
            return name.lstrip("_")
    return None


def called_name(eqn: JaxprEqn) -> str:
    """Return the name of the function that a call equation calls; "" if it has none."""
    infos = (getattr(closed.jaxpr, "debug_info", None) for closed in jaxprs_of(eqn)[:1])
    return next((name for info in infos if (name := getattr(info, "func_name", ""))), "")


def file_and_line(file: str, line: int) -> str:
    """Return a place in the source as "file.py:12"; "" if there is no file."""
    return f"{os.path.basename(file)}:{line}" if file else ""


def source_of(eqn: JaxprEqn) -> str:
    """Return the line of the user's source that an equation comes from, as "file.py:12", or ""."""
    return file_and_line(*place_of(eqn) or ("", 0))
