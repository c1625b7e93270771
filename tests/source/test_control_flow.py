"""The ways through a function, told by the lines of its instructions."""

from jaxwalk._source.control_flow import ControlFlow


def offsets(code):
    """The first instruction of each line, counted from the function's own."""
    found = {}
    for offset, line in zip(range(0, len(code.co_code), 2), code.co_positions(), strict=True):
        found.setdefault((line[0] or code.co_firstlineno) - code.co_firstlineno, offset)
    return found


def looping(items):
    a = 1
    for item in items:
        if item:
            a = 2
        else:
            a = 3
        with open(item):
            a = 4
    return a


def test_forward_and_back():
    flow, at = ControlFlow(looping.__code__), offsets(looping.__code__)
    assert flow.goes_forward(at[1], at[9])
    assert flow.goes_forward(at[4], at[8])
    assert flow.goes_forward(at[8], at[9])  # out of the loop
    assert not flow.goes_forward(at[8], at[4])
    assert not flow.goes_forward(at[4], at[6])  # the other branch: only in another turn
    assert not flow.goes_forward(at[4], at[4])


def test_loops_do_not_reach_into_handlers_of_exceptions():
    flow, at = ControlFlow(looping.__code__), offsets(looping.__code__)
    (loop,) = flow.loops
    assert loop.holds(at[3], at[4], at[6], at[8])
    assert not loop.holds(at[1])
    assert not loop.holds(at[9])


def nested(n):
    while n:
        n -= 1
        for i in range(n):
            n -= i
    return list(range(n))


def test_the_innermost_loop_comes_first():
    flow, at = ControlFlow(nested.__code__), offsets(nested.__code__)
    around = [loop for loop in flow.loops if loop.holds(at[4])]
    assert len(around) == 2
    assert around[1].holds(at[2])
    assert not around[0].holds(at[2])


def test_inside_a_call_the_offset_may_lie_behind_the_instruction():
    flow, at = ControlFlow(looping.__code__), offsets(looping.__code__)
    assert flow.goes_forward(at[4] + 1, at[9])
