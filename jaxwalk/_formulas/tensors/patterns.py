"""Patterns among the factors of a product that are written shorter: softmax and its derivative, 1 − a²."""

from __future__ import annotations

from .term import Builder, Shape, Term, is_number


def softmax_axes(top: Term, bottom: Term) -> Shape | None:
    """Return the axes of a softmax: exp(x − max x) over the sum of the same."""
    if top.op != "function" or top.detail != "exp" or bottom.op != "reduce" or bottom.args[0] is not top:
        return None
    kind, axes, keeps = bottom.detail
    difference = top.args[0]
    if kind != "sum" or not (keeps or bottom.shape == ()) or difference.op != "minus":
        return None
    x, shift = difference.args
    is_max = shift.op == "reduce" and shift.args[0] is x and shift.detail[:2] == ("max", axes)
    return axes if is_max and (shift.detail[2] or shift.shape == ()) else None


def softmax_back(terms: Builder, factors: list[Term]) -> Term | None:
    """Write e ⊙ (δ/s − Σ(δ ⊙ s⁻² ⊙ e)), with S = e/s a softmax, as S ⊙ (δ − Σ(δ ⊙ S)): s is the same along Σ."""
    if len(factors) != 2:
        return None
    for e, rest in (factors, factors[::-1]):
        if rest.op != "minus" or rest.args[0].op != "divide" or rest.args[1].op != "reduce":
            continue
        (delta, s), total = rest.args[0].args, rest.args[1]
        if (axes := softmax_axes(e, s)) is None or total.detail[:2] != ("sum", axes):
            continue
        parts = list(total.args[0].args) if total.args[0].op == "times" else []
        own = list(delta.args) if delta.op == "times" else [delta]
        wanted = [*own, terms.make("power", (s,), s.shape, -2), e]
        if sorted(map(id, parts)) != sorted(map(id, wanted)) or total.args[0].shape != e.shape:
            continue
        softmax = terms.make("softmax", e.args[0].args[:1], e.shape, axes)
        weighted = terms.times([delta, softmax], e.shape)
        weighted = terms.make("reduce", (weighted,), total.shape, ("sum", axes, total.detail[2]))
        return terms.times([softmax, terms.minus(delta, weighted, e.shape)], e.shape)
    return None


def softmax_in(terms: Builder, factors: list[Term]) -> list[Term]:
    """Write (a / s) ⊙ e, with S = e/s a softmax, as a ⊙ S."""
    if len(set(factors)) < len(factors):
        return factors
    for one in factors:
        for e in factors:
            if one.op == "divide" and (axes := softmax_axes(e, one.args[1])) is not None:
                softmax = terms.make("softmax", e.args[0].args[:1], e.shape, axes)
                rest = [f for f in factors if f is not one and f is not e]
                return [*rest, *([] if is_number(one.args[0], 1) else [one.args[0]]), softmax]
    return factors


def conjugates(terms: Builder, factors: list[Term]) -> list[Term]:
    """Write (1 − a) ⊙ (1 + a) as 1 − a²."""
    if len(set(factors)) < len(factors):
        return factors
    for one in factors:
        for other in factors:
            ones = [is_number(t.args[0], 1) if t.op in ("minus", "plus") else False for t in (one, other)]
            if all(ones) and (one.op, other.op) == ("minus", "plus") and one.args[1] is other.args[1]:
                square = terms.minus(one.args[0], terms.power(one.args[1], 2, one.args[1].shape), one.shape)
                return [*(f for f in factors if f is not one and f is not other), square]
    return factors
