"""The rule of `lax.while_loop`: what is recorded at a point inside is that of the last pass, carried through the loop.

δ cannot come back through such a loop, so no tap is ever inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
from jax import lax

from .._jax.jaxpr import call_parameters, types

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

    from .rules import Body, Payload, Records, Result

    # The carry, the records of the body, what the test said.
    _State: TypeAlias = tuple[list[Any], Records, Result | None]


def around_passes(eqn: JaxprEqn, bodies: Sequence[Body], args: Sequence[Any], payload: Payload) -> Result:
    """Return the results of a while equation and the records of the points within it; where no pass runs, zeros.

    If something is recorded in the test, it runs before the loop and at the end of each pass, and what it says is
    carried too.
    """
    parts = call_parameters.while_parts(eqn)
    test, body = bodies
    consts, values = args[: parts.test_consts], args[parts.test_consts :]
    body_consts, carry = values[: parts.body_consts], values[parts.body_consts :]

    def tested(carry: Sequence[Any]) -> Result:
        return test.run(test.own(payload), [*consts, *carry])

    def state(carry: Sequence[Any], passed: Records) -> _State:
        return list(carry), passed, tested(carry) if test.records else None

    def goes_on(state: _State) -> Any:
        carry, _, said = state
        (goes_on,), _ = said or tested(carry)
        return goes_on

    def one_pass(state_before: _State) -> _State:
        return state(*body.run(body.own(payload), [*body_consts, *state_before[0]]))

    start = state(carry, jax.tree.map(types.zeros, body.records))
    outs, passed, said = lax.while_loop(goes_on, one_pass, start)
    return outs, passed if said is None else said[1] | passed
