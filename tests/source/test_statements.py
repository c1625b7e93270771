import json
import os

import pytest

import jaxwalk as jw
from jaxwalk._source.code_positions import UserCode
from jaxwalk._source.statements import function_at, lines_of, statement_at, text_of
from jaxwalk._source.user_files import is_users


def test_whose_a_file_is():
    check = is_users(None).has
    assert check(__file__)
    assert check("<ipython-input-3-abc>")
    assert check("/tmp/ipykernel_12/345.py")
    assert not check(json.__file__)
    assert not check(pytest.__file__)
    assert not check(jw.__file__)
    assert not check("<frozen importlib._bootstrap>")


@pytest.mark.parametrize("source", [json, "*/json/*", [json], (os, "*/json/__init__.py")])
def test_source_adds_files(source):
    check = is_users(source).has
    assert check(json.__file__)
    assert check(__file__)
    assert not check(pytest.__file__)


@pytest.mark.parametrize("source", [3, "", [3], {"a": 1}.__class__])
def test_what_is_no_source(source):
    with pytest.raises(jw.ArgumentError, match="`source` is"):
        is_users(source)


def test_lines():
    def fun(x):
        a, (b, _) = x
        fun.d = fun.e = (
            a +
            b
        )  # fmt: skip
        fun["f/g"] = 1
        return [
            c + 1
            for c in x
        ]  # fmt: skip

    code = fun.__code__
    user_code = UserCode(None)
    found = {user_code.statement(code, offset) for offset in range(4, len(code.co_code), 2)}
    labels = {line.line - code.co_firstlineno: line.label for line in found}
    assert labels[1] == "a,b,_"
    assert labels[2] == "fun.d=fun.e"
    assert labels[6] is None  # a "/" would make two parts of a name
    assert labels[7] == "return"


class Outer:
    @staticmethod
    def method(x):
        def inner(y):
            return y

        return inner(x)


def test_functions():
    first = Outer.method.__code__.co_firstlineno
    method, inner = function_at(__file__, first + 1), function_at(__file__, first + 3)
    assert (method.name, method.first) == ("Outer.method", first)
    assert inner.name == "inner"
    assert lines_of(__file__, method)[:2] == ["@staticmethod", "def method(x):"]
    assert text_of(__file__, first + 1) == "def method(x):"
    assert function_at(__file__, 1) is None
    assert text_of("<gone>", 3) == ""


def test_a_line_that_is_deep_leaves_the_others_as_they_are(tmp_path):
    deep = f"deep = {' + '.join(['1'] * 1500)}\n"
    branches = "if deep == 0:\n    pass\n" + "".join(f"elif deep == {i}:\n    pass\n" for i in range(1, 600))
    target = f"a[{' + '.join(['1'] * 1500)}] = 0\n"
    path = tmp_path / "long.py"
    path.write_text(f"def fun(x):\n    y = x\n    return y\n{deep}{target}{branches}")
    assert function_at(str(path), 2) == ("fun", 1, 3)
    assert statement_at(str(path), 2, 4).label == "y"
    assert statement_at(str(path), 4, 0).label == "deep"


def test_a_deep_line_is_read_wherever_it_is_asked_for(tmp_path):
    path = tmp_path / "deep.py"
    path.write_text(f"y = 0\ndeep = {' + '.join(['1'] * 2500)}\n")
    below = lambda depth: below(depth - 1) if depth else statement_at(str(path), 1, 0)
    assert below(250).label == "y"
