"""At which point a decision is told: where its result is, or where it reads what it decides by."""

from __future__ import annotations

from collections.abc import Iterator

from ..program import Name, Operation, Program

_MOVERS = {
    "select_n", "convert", "copy", "broadcast_in_dim", "reshape", "transpose", "squeeze", "slice", "dynamic_slice",
    "gather", "rev", "bitwise_not", "bitwise_and", "bitwise_or",
}  # fmt: skip


class NearbyNames:
    """The names of values around each operation of a program.

    Arguments:
        program: the program.
        before: the last name before it.
        ahead: the first name of what is made of its results.

    Attributes:
        before: per operation, the last name given to a value that it depends on.
    """

    def __init__(self, program: Program, before: Name | None, ahead: Name | None) -> None:
        self.program = program
        self.before = _before(program, before)
        self._after = _after(program, ahead)
        self._read_by: dict[int, list[Operation]] = {}
        for op in program.ops:
            for number in op.ins:
                self._read_by.setdefault(number, []).append(op)

    def after(self, op: Operation) -> Name | None:
        """Return the first name given to a value that depends on an operation's results."""
        return next((self._after[out] for out in op.outs if out in self._after), None)

    def nearest(self, index: int, op: Operation) -> str | None:
        """Return the point at which a decision is told.

        It is the one ahead that the decision makes, within a scope or a line that it leaves, or but for moving it
        about; else the last one before, whose value is decided by; else the first one ahead.
        """
        ahead, before = self.after(op), self.before[index]
        makes = ahead is not None and (
            ahead.is_line
            or (ahead.opening is not None and ahead.opening in op.origin.scopes)
            or ahead in self._made_of(op)
        )
        found = ahead if makes or before is None else before
        return None if found is None else found.name

    def _made_of(self, op: Operation) -> Iterator[Name]:
        """Yield the first names of what becomes of an operation's results, where it is no more than moved about.

        What one function of JAX's does with them, or a derivative rule, belongs to the decision.
        """
        ahead, seen = list(op.outs), set(op.outs)
        while ahead:
            number = ahead.pop()
            if (names := self.program.names.get(number)) is not None:
                yield names[0]
                continue
            if number in self.program.outs and number in self._after:
                yield self._after[number]
            for reader in self._read_by.get(number, ()):
                if self._belongs(reader, op):
                    results = [result for result in (*reader.outs, *reader.ruled) if result not in seen]
                    seen.update(results)
                    ahead.extend(results)

    def _belongs(self, reader: Operation, op: Operation) -> bool:
        same_call = op.origin.function is not None and reader.origin[2:4] == op.origin[2:4]
        return reader.kind in ("name", "rule") or reader.name in _MOVERS or reader.origin.in_rule or same_call


def _before(program: Program, around: Name | None) -> list[Name | None]:
    own = {number: names[-1] for number, names in program.names.items()}
    named = dict.fromkeys(program.ins, around) | own
    found = []
    for op in program.ops:
        found.append(next((named[n] for n in reversed(op.ins) if named.get(n) is not None), None))
        named |= {out: own.get(out, found[-1]) for out in op.outs}
    return found


def _after(program: Program, around: Name | None) -> dict[int, Name]:
    own = {number: names[0] for number, names in program.names.items()}
    named = ({} if around is None else dict.fromkeys(program.outs, around)) | own
    for op in reversed(program.ops):
        ahead = next((named[out] for out in (*op.outs, *op.ruled) if out in named), None)
        if ahead is not None and op.kind != "cut":
            named.update({number: ahead for number in op.ins if number not in own})
    return named
