"""Running a flat program with a bound beside every value, and writing down every decision."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._jax import jaxprs, kinds
from .choices import Choice
from .decided import Decisions
from .program import Flat, Op, Ref, is_float, is_number
from .rounding.bounds import Rounded, bound, constant
from .rounding.propagate import propagate
from .sides import Sides, chosen

Choices = dict[str, Choice]


class Analysis:
    """The decisions in a flat program and how to find their margins.

    Attributes:
        decided: every decision that a derivative of the results depends on.
        estimated: the operations whose rounding error is estimated and not bounded (after `run` is traced).
    """

    def __init__(self, flat: Flat) -> None:
        self.flat, self.decisions = flat, Decisions(flat)
        self.decided = self.decisions.every
        self.estimated: dict[str, None] = {}

    def run(self, args: Sequence[Rounded]) -> tuple[list[Rounded], Choices]:
        """The results, and every `Choice` by key. Under `jit`, what is not asked for is not computed."""
        self._keys = {decided.key: decided for decided in self.decided}
        return self._run(self.flat, args, "")

    def _run(self, flat: Flat, args: Sequence[Rounded], path: str) -> tuple[list[Rounded], Choices]:
        env: dict[int, Rounded] = dict(zip(flat.ins, args, strict=True))
        for number, value in flat.consts.items():
            env[number] = constant(value)
        for number in flat.ones:
            aval = flat.avals[number]
            env[number] = Rounded(jnp.ones(aval.shape, aval.dtype))

        def read(ref: Ref) -> Rounded:
            return env[ref] if is_number(ref) else _literal(ref)

        choices: Choices = {}
        for index, op in enumerate(flat.ops):
            key = f"{path}{index}"
            xs = [read(ref) for ref in op.ins]
            if op.kind in _INSIDE:
                outs, found = _INSIDE[op.kind](self, op, xs, f"{key}.")
                choices |= found
            else:
                outs = self._outs(op, xs)
            env.update(zip(op.outs, outs, strict=True))
            if key in self._keys:
                found = self._keys[key].by.choices(op, xs, [out.value for out in outs])
                choices |= {f"{key}:{part}": _as_arrays(choice) for part, choice in found.items()}
        for key, choice in list(choices.items()):
            decided = self._keys[key.partition(":")[0]]
            if decided.op.outs[0] in env and (found := self.decisions.sides(flat).get(decided.op.outs[0])):
                del choices[key]
                choices |= {f"{key}{i}": _sided(flat, decided.op, s, read, choice) for i, s in enumerate(found)}
        return [read(ref) for ref in flat.outs], choices

    def _outs(self, op: Op, xs: Sequence[Rounded]) -> list[Rounded]:
        if op.kind == "root":
            return []
        if op.kind in ("cut", "name"):
            return [xs[0]]
        values = [jnp.asarray(z) if not hasattr(z, "dtype") else z for z in self._values(op, xs)]
        errors, estimated = propagate(op.eqn, xs, values)
        if estimated:
            where = f" at {op.source}" if op.source else ""
            self.estimated[f"`{op.eqn.primitive}`{where}"] = None
        return [Rounded(z, e) for z, e in zip(values, errors, strict=True)]

    def _values(self, op: Op, xs: Sequence[Rounded]) -> list[Any]:
        return jaxprs.apply(op.eqn, [x.value for x in xs])

    def _scan(self, op: Op, xs: Sequence[Rounded], path: str) -> tuple[list[Rounded], Choices]:
        parts = kinds.scan_parts(op.eqn)
        consts, carry = xs[: parts.consts], xs[parts.consts : parts.consts + parts.carry]
        stacked = xs[parts.consts + parts.carry :]
        fixed: list[Any] = []

        def step(carry, row):
            rows = [Rounded(value, error) for value, error in zip(row[0], _filled(stacked, row[1]), strict=True)]
            outs, choices = self._run(op.bodies[0], [*consts, *_unpacked(carry), *rows], path)
            carry, ys = outs[: parts.carry], outs[parts.carry :]
            fixed[:] = [y.error if _is_static(y) else ... for y in ys]
            return _packed(carry), ([y.value for y in ys], [y.error for y in ys if not _is_static(y)], choices)

        rows = [x.value for x in stacked], [x.error for x in stacked if not _is_static(x)]
        options = {name: value for name, value in parts.options.items() if name in ("reverse", "unroll")}
        carry, (ys, errors, choices) = lax.scan(step, _packed(carry), rows, length=parts.length, **options)
        moving = iter(errors)
        whole = [Rounded(y, next(moving) if e is ... else e) for y, e in zip(ys, fixed, strict=True)]
        return [*_unpacked(carry), *whole], choices

    def _cond(self, op: Op, xs: Sequence[Rounded], path: str) -> tuple[list[Rounded], Choices]:
        index, *operands = xs

        def branch(number: int) -> Callable[[], Any]:
            def taken():
                outs, choices = self._run(op.bodies[number], operands, f"{path}{number}.")
                return _packed(outs), choices

            return taken

        branches = [branch(number) for number in range(len(op.bodies))]
        nothing = [jax.eval_shape(branch)[1] for branch in branches]

        def whole(number: int) -> Callable[[], Any]:
            def taken():
                outs, choices = branches[number]()
                return outs, {k: v for other in nothing for k, v in _made(other).items()} | choices

            return taken

        outs, choices = lax.switch(index.value.astype(jnp.int32), [whole(i) for i in range(len(branches))])
        return _unpacked(outs), choices

    def _while(self, op: Op, xs: Sequence[Rounded], path: str) -> tuple[list[Rounded], Choices]:
        """The closest decision over all steps: how many there are is not known."""
        test, body = op.bodies
        first, second = op.eqn.params["cond_nconsts"], op.eqn.params["body_nconsts"]
        asked, fixed, carry = xs[:first], xs[first : first + second], xs[first + second :]

        def ask(carry: Sequence[Rounded]) -> tuple[Any, Choices]:
            (go,), choices = self._run(test, [*asked, *carry], f"{path}0.")
            return go.value, _spread(choices)  # inside `vmap`, one answer a datum

        def step(state):
            carry, closest = _unpacked(state[0]), state[1]
            go, choices = ask(carry)
            outs, found = self._run(body, [*fixed, *carry], f"{path}1.")
            moved = jax.tree.map(functools.partial(_where_going, go), _packed(outs), state[0])
            return moved, _closer(closest, choices | _spread(found))

        shapes = jax.eval_shape(lambda c: step((c, {}))[1], _packed(carry))
        start = _made(shapes)
        carry, closest = lax.while_loop(lambda s: jnp.any(ask(_unpacked(s[0]))[0]), step, (_packed(carry), start))
        carry = _unpacked(carry)
        return carry, closest | _closer({k: closest[k] for k in ask(carry)[1]}, ask(carry)[1])


_INSIDE: dict[str, Callable[..., tuple[list[Rounded], Choices]]] = {
    "scan": Analysis._scan,
    "cond": Analysis._cond,
    "while": Analysis._while,
}


def _literal(ref: Any) -> Rounded:
    return constant(np.asarray(ref.val, ref.aval.dtype))


def _sided(flat: Flat, op: Op, s: Sides, read: Callable[[Ref], Rounded], choice: Choice) -> Choice:
    distance = -choice.distance if s.second else choice.distance
    found = chosen(flat, op, s, read, distance, choice.bound)
    if found.smooth is not None:
        distance = jnp.where(found.smooth, jnp.inf, distance)
    return _as_arrays(Choice(distance, choice.bound, found.left, found.right, found.used))


def _as_arrays(choice: Choice) -> Choice:
    """One dtype throughout, so that branches and steps agree."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf).astype(choice.bound.dtype), choice)


def _is_static(x: Rounded) -> bool:
    return x.error is None or not hasattr(x.error, "dtype")


def _filled(xs: Sequence[Rounded], errors: Sequence[Any]) -> list[Any]:
    moving = iter(errors)
    return [x.error if _is_static(x) else next(moving) for x in xs]


def _packed(xs: Sequence[Rounded]) -> list[tuple[Any, Any]]:
    """As arrays alone: what a loop can carry."""
    return [(jnp.asarray(x.value), bound(x) if is_float(x.value) else None) for x in map(_as_array, xs)]


def _as_array(x: Rounded) -> Rounded:
    return x if hasattr(x.value, "dtype") else Rounded(jnp.asarray(x.value), x.error)


def _unpacked(carry: Sequence[tuple[Any, Any]]) -> list[Rounded]:
    return [Rounded(value, error) for value, error in carry]


def _made(choices: Mapping[str, Choice]) -> Choices:
    """Choices of these shapes in which nothing is decided."""

    def fill(choice: Choice) -> Choice:
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), choice)
        return zeros._replace(distance=jnp.full_like(zeros.distance, jnp.inf))

    return {key: fill(choice) for key, choice in choices.items()}


def _where_going(go: Any, new: Any, old: Any) -> Any:
    return jnp.where(jnp.reshape(go, go.shape + (1,) * (new.ndim - go.ndim)), new, old)


def _spread(choices: Choices) -> Choices:
    """With derivatives entry by entry."""
    return {
        key: jax.tree.map(lambda leaf, shape=choice.distance.shape: jnp.broadcast_to(leaf, shape), choice)
        for key, choice in choices.items()
    }


def _closer(one: Choices, other: Choices) -> Choices:
    """Entry by entry the choice that is closer to its threshold, in units of its bound."""

    def pick(a: Choice, b: Choice) -> Choice:
        nearer = jnp.abs(b.distance) - b.bound < jnp.abs(a.distance) - a.bound
        nearer = nearer | jnp.isinf(a.distance)
        return jax.tree.map(lambda x, y: jnp.where(nearer, y, x), a, b)

    return {key: pick(one[key], choice) if key in one else choice for key, choice in other.items()}
