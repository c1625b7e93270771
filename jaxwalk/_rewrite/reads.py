"""What some equations of a jaxpr read, as a value of its own: an identity before them, by which they alone read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .._jax.jaxpr import jaxprs, types
from .._jax.jaxpr.jaxprs import Closed, is_literal
from .._jax.jaxpr.kinds import edited
from .._jax.shards import Loop
from .._points.point import Site

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Var


class Read(NamedTuple):
    """A value as some equations read it, others that read it left aside: there it can be visited.

    Attributes:
        name: under which it is visited.
        calls: of the equations, as of a `Site`.
        equations: these, in order. Of two reads of one value, those of one are all among those of the other, or none.
        variable: which of their operands.
        loops: what gives it leading axes, as of a `Point`.
    """

    name: str
    calls: tuple[tuple[int, int], ...]
    equations: tuple[int, ...]
    variable: Var
    loops: tuple[Loop, ...] = ()

    @property
    def type(self) -> Any:
        return types.struct(self.variable.aval)


def with_reads(
    closed: Closed, sites: Mapping[Site, str], reads: Sequence[Read]
) -> tuple[Closed, dict[Site, str], list[Read]]:
    """Return a jaxpr in which each read of its equations is the result of an equation of its own; the sites, with
    those of these; and the reads in what its equations run."""
    jaxpr, here, numbers = _inserted(closed.jaxpr, [read for read in reads if not read.calls])
    inner = [(read, *read.calls[0]) for read in reads if read.calls]
    moved = [read._replace(calls=((numbers[index], branch), *read.calls[1:])) for read, index, branch in inner]
    return closed._replace(jaxpr=jaxpr), {_renumbered(s, numbers): name for s, name in sites.items()} | here, moved


def within(reads: Sequence[Read], call: tuple[int, int]) -> list[Read]:
    """Return those of `reads` that are in one jaxpr of an equation, as they are seen from there."""
    return [read._replace(calls=read.calls[1:]) for read in reads if read.calls[0] == call]


def _inserted(jaxpr: Jaxpr, reads: Sequence[Read]) -> tuple[Jaxpr, dict[Site, str], list[int]]:
    """Return the jaxpr with an equation for each read; where these are; and the new number of each that was there.

    Of two reads of one value, that of more equations comes first, and the other reads what comes of it.
    """
    before: dict[int, list[tuple[str, JaxprEqn]]] = {}
    eqns = list(jaxpr.eqns)
    ordered = sorted(reads, key=lambda read: -len(read.equations))
    for read, identity in zip(ordered, _identities(ordered), strict=True):
        first = read.equations[0]
        place = next(i for i, v in enumerate(jaxpr.eqns[first].invars) if v is read.variable)
        identity = identity.replace(invars=[eqns[first].invars[place]])
        before.setdefault(first, []).append((read.name, identity))
        for index in read.equations:
            eqns[index] = _reading(eqns[index], jaxpr.eqns[index], read.variable, identity.outvars[0])
    found: list[JaxprEqn] = []
    sites: dict[Site, str] = {}
    numbers: list[int] = []
    for index, eqn in enumerate(eqns):
        for name, identity in before.get(index, ()):
            sites[Site((), len(found))] = name
            found.append(identity)
        numbers.append(len(found))
        found.append(eqn)
    return jaxpr.replace(eqns=found), sites, numbers


def _identities(reads: Sequence[Read]) -> list[JaxprEqn]:
    """Return for each read an equation from a variable of its type to another, no two of them the same."""
    # One trace of a new function: of one that JAX has traced before, it gives the same variables again.
    return jaxprs.trace(lambda *values: [edited(value) for value in values], *(read.type for read in reads))[
        0
    ].jaxpr.eqns


def _reading(eqn: JaxprEqn, original: JaxprEqn, old: Var, new: Any) -> JaxprEqn:
    """Return an equation that reads `new` where it originally read `old`."""
    pairs = zip(eqn.invars, original.invars, strict=True)
    return eqn.replace(invars=[new if not is_literal(v) and v is old else now for now, v in pairs])


def _renumbered(site: Site, numbers: Sequence[int]) -> Site:
    if not site.calls:
        return site._replace(equation=numbers[site.equation])
    (index, branch), *inner = site.calls
    return site._replace(calls=((numbers[index], branch), *inner))
