"""Modules of Equinox and Flax NNX that open a scope named by their path in the model."""

from __future__ import annotations

import copy
import functools
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

import jax
from jax import tree_util

from .._errors import ArgumentError, shown
from .._jax.origin import ROOT

Model = TypeVar("Model")
Path = tuple[str, ...]


def scoped(model: Model, *, name: str | None = None) -> Model:
    """Return the same model, whose modules open a `jax.named_scope` named by their path in it when they are called.

    Equinox modules open scopes that hold their class alone (`eqx.nn.Linear`), Flax NNX modules open none. In the model
    that this returns, the module at `model.blocks[3].mlp` opens the scope `.blocks.3.mlp`, which shows in jaxprs, in
    profiles and in XLA's dumps. The dot in front says that the rest is a path from the model; the model itself opens
    the scope of its class, `.MLP`. Attributes and fields are named by name, entries of lists and tuples by index, of
    dicts by key. Each module becomes an instance of a subclass of its class, of the same name, with another
    `__call__`; the paths are static, so that scoping a model again gives an equal treedef and nothing is compiled
    again. Values and gradients are those of the model given.

    Arguments:
        model: an `equinox.Module` or a `flax.nnx.Module`. It is not changed. A model that is scoped already, or that
            holds modules that are, is named anew from here.
        name: put in front of all paths, in the place of the class: `.actor`, `.actor.blocks.3.mlp`.

    Returns:
        A model of the same structure; `model` itself, if it is scoped so already. Of an Equinox module, its leaves are
        the arrays of `model`. Of an NNX module, its modules are new objects, and its Variables, Rngs and all else that
        is no module are the objects of `model`: what is trained or counted in one shows in the other.

    Raises:
        ArgumentError: `model` is a module of neither library; a path cannot name a scope (a key or `name` holds "/" or
            a parenthesis, `name` is empty or begins with a dot); two modules would have one path.

    Only `__call__` opens a scope: other methods, modules without a `__call__`, and modules that a closure or a
    `functools.partial` hides are as they were. A module at two places: an Equinox model is a tree, so each place has
    its path; an NNX model is a graph, so the module stays one object, named by its first path (attributes sorted by
    name, as NNX orders them). What is returned pickles if `model` does; of an NNX model pickle the model, not its
    GraphDef, which holds classes.

    For other code: Flax linen and Haiku modules open scopes named by themselves; around the call of a Penzai layer,
    or any code by hand, write `with jax.named_scope("name"): ...`.

    >>> import equinox as eqx, jax, jax.numpy as jnp, jaxwalk as jw
    >>> mlp = jw.scoped(eqx.nn.MLP(2, 1, width_size=3, depth=1, key=jax.random.key(0)))
    >>> for eqn in jax.make_jaxpr(mlp)(jnp.ones(2)).eqns[:2]:
    ...     print(eqn.primitive, eqn.source_info.name_stack)
    dot_general .MLP/eqx.nn.MLP/.layers.0/eqx.nn.Linear
    add .MLP/eqx.nn.MLP/.layers.0/eqx.nn.Linear
    """
    if not _is_module(model):
        raise ArgumentError(
            f"`model` is {shown(model)}, and `jw.scoped` names modules of Equinox and Flax NNX; Flax linen and Haiku"
            " modules open scopes by themselves, and elsewhere wrap code in `jax.named_scope(name)`."
        )
    if name is not None and not (isinstance(name, str) and name and not name.startswith(ROOT)):
        fix = "it must be a string that is not empty and does not begin with a dot, or None"
        raise ArgumentError(f"`name` is {shown(name)}; {fix}.")
    return _Scoping()(model, () if name is None else (name,))


class _Scoping:
    """One call of `scoped`: makes of a value and its path the value with the modules in it scoped."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._copies: dict[int, Any] = {}  # of NNX's objects, by id: they are shared

    def __call__(self, value: Any, path: Path) -> Any:
        if isinstance(value, _loaded("flax.nnx", "Variable")):
            return value
        if isinstance(value, _loaded("flax.nnx", "Pytree")):
            if id(value) not in self._copies:
                self._copies[id(value)] = blank = self._blank(value, path)
                self._copies[id(value)] = self._filled(blank, value, path)
            return self._copies[id(value)]
        if _is_module(value):
            return self._filled(self._blank(value, path), value, path)
        return self._container(value, path)

    def _blank(self, module: Any, path: Path) -> Any:
        """Return an object without attributes yet, of the class that `module` shall have."""
        plain = _plain(type(module))
        if not (_is_module(module) and callable(module)):
            return object.__new__(plain)
        return object.__new__(_subclass(plain, self._scope(plain, path), not tree_util.all_leaves([module])))

    def _filled(self, blank: Any, module: Any, path: Path) -> Any:
        """Return `blank` with the attributes of `module`; or `module` itself, if that would change nothing."""
        old = vars(module)
        new = {name: self(old[name], (*path, name)) for name in sorted(old, key=_order)}
        if type(blank) is type(module) and all(new[name] is old[name] for name in old):
            return module
        vars(blank).update({name: new[name] for name in old})
        return blank

    def _container(self, value: Any, path: Path) -> Any:
        names, old = _entries(value)
        new = [self(item, (*path, name)) for name, item in zip(names, old, strict=True)]
        return value if all(a is b for a, b in zip(new, old, strict=True)) else _rebuilt(value, new)

    def _scope(self, plain: type, path: Path) -> str:
        name = ".".join(path or (plain.__name__,))
        if any(mark in name for mark in "/()"):
            fix = "JAX divides and marks scopes with `/`, `(` and `)`: use other keys, or another name"
            raise ArgumentError(f"`model` has a module at `{name}`, which cannot name a scope; {fix}.")
        if name in self._paths:
            fix = 'rename an attribute or a key, or give the paths a `name="model"` in front'
            raise ArgumentError(f"`model` has two modules at `{name}`, which would be one name; {fix}.")
        self._paths.add(name)
        return ROOT + name


def _is_module(value: Any) -> bool:
    return isinstance(value, (_loaded("equinox", "Module"), _loaded("flax.nnx", "Module")))


def _loaded(library: str, name: str) -> Any:
    """Return a class of a library. Of a library that is not imported there are no objects either."""
    return getattr(sys.modules.get(library), name, ())


def _order(name: str) -> tuple[bool, int, str]:
    """Return the key by which NNX sorts attributes: those of an `nnx.List` are its indices."""
    return (False, int(name), "") if name.isdecimal() else (True, 0, name)


def _entries(value: Any) -> tuple[Iterable[str], list[Any]]:
    """Return the names and values of what a pytree that is no module holds, one level down; a leaf holds nothing."""
    if type(value) in (dict, defaultdict):  # JAX would sort the keys
        return map(str, value), list(value.values())
    entries, _ = tree_util.tree_flatten_with_path(value, is_leaf=lambda x: x is not value)
    entries = [(path, item) for path, item in entries if path]
    return [tree_util.keystr(path, simple=True) for path, _ in entries], [item for _, item in entries]


def _rebuilt(value: Any, items: list[Any]) -> Any:
    """Return a container like `value`, of other items."""
    if type(value) in (dict, defaultdict):
        new = copy.copy(value)
        new.update(zip(value, items, strict=True))
        return new
    return tree_util.tree_structure(value, is_leaf=lambda x: x is not value).unflatten(items)


class _Origin(NamedTuple):
    """What a scoped class is made from: all that a pickle of an instance needs."""

    plain: type
    scope: str
    is_pytree: bool


class _Scoped:
    """The first base of all scoped classes."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        """Skip the hooks of the user's classes: they ran for the class itself, and would list this one beside it."""
        if issubclass(cls, pytree := _loaded("flax.nnx", "Pytree")):
            pytree.__init_subclass__.__func__(cls, pytree=vars(cls)["_scoped_origin"].is_pytree)

    def __reduce_ex__(self, protocol: Any) -> Any:
        reduced = super().__reduce_ex__(protocol)
        if isinstance(reduced, str):
            return reduced
        function, args, *state = reduced
        origin = vars(type(self))["_scoped_origin"]
        return _remade, tuple(origin if part is type(self) else part for part in (function, *args)), *state


def _remade(*parts: Any) -> Any:
    """Make an instance from a pickle, where the scoped class is given by its origin."""
    function, *args = (_subclass(*part) if isinstance(part, _Origin) else part for part in parts)
    return function(*args)


def _plain(cls: type) -> type:
    """Return the class that a scoped class is made from; any other class itself."""
    return vars(cls)["_scoped_origin"].plain if "_scoped_origin" in vars(cls) else cls


_SUBCLASSES: dict[_Origin, type] = {}


def _subclass(plain: type, scope: str, is_pytree: bool) -> type:
    """Return the subclass of `plain` whose `__call__` opens `scope`: there is but one, since a treedef holds it."""
    origin = _Origin(plain, scope, is_pytree)
    return _SUBCLASSES.get(origin) or _SUBCLASSES.setdefault(origin, _made(origin))


def _made(origin: _Origin) -> type:
    plain, scope, _ = origin

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        with jax.named_scope(scope):
            return super(cls, self).__call__(*args, **kwargs)  # type: ignore[misc]

    # The frames that an equation was called from then say which module it is of.
    __call__.__code__ = __call__.__code__.replace(co_name=scope)
    original = next(vars(base)["__call__"] for base in plain.__mro__ if "__call__" in vars(base))
    namespace = {
        "__call__": functools.update_wrapper(__call__, original, updated=()),
        "__doc__": plain.__doc__,
        "__module__": plain.__module__,
        "__qualname__": plain.__qualname__,
        "_scoped_origin": origin,
    }
    with warnings.catch_warnings():  # the libraries have warned when `plain` was defined
        warnings.simplefilter("ignore")
        cls = type(plain)(plain.__name__, (_Scoped, plain), namespace)
    return cls
