import copy
import pickle

import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._errors import argument, counted, first_line, shown, with_options

pytestmark = pytest.mark.once

OPTIONS = {"out": "--out", "resume=True": "--resume"}


def test_options_are_named_for_arguments_and_for_nothing_else():
    error = jw.StoreError(f"`{argument('out')}` is `out`; give `{argument('resume=True')}`, not `resume=True`.")
    for same in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(same) is jw.StoreError
        assert str(same) == same.args[0] == "`out` is `out`; give `resume=True`, not `resume=True`."
        assert with_options(same, OPTIONS) == "`--out` is `out`; give `--resume`, not `resume=True`."
        assert with_options(same, {}) == str(same)
        assert same.argument == "out"
    assert jw.PointError("`x` is not there.").argument is None


def test_errors_show_the_place_where_users_find_them():
    assert repr(jw.PointError) == "<class 'jaxwalk.PointError'>"
    assert {getattr(jw, name).__module__ for name in jw.__all__ if name.endswith(("Error", "Warning"))} == {"jaxwalk"}


def test_plurals():
    assert [counted(n, "point") for n in (0, 1, 2)] == ["0 points", "1 point", "2 points"]
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]


def test_the_first_line_of_an_error():
    class Mute(Exception):
        def __str__(self):
            raise ValueError

    assert [first_line(ValueError(text)) for text in ("", "One.\nTwo.", " so ")] == ["", "One", "so"]
    assert first_line(Mute()) == ""


def test_what_an_error_cites_is_one_line_of_text():
    error = jw.DataError(f"`{argument('out')}` holds `\x1b[2J`\nand `\u202e`.")
    assert str(error) == r"`out` holds `\x1b[2J`\nand `\u202e`."
    assert with_options(error, OPTIONS) == r"`--out` holds `\x1b[2J`\nand `\u202e`."
    assert str(jw.DataError("`\0` marks nothing")) == r"`\x00` marks nothing"
    assert str(jw.DataError(str(error))) == str(error)


def test_a_value_is_shown_or_described():
    values = (np.int64(3), np.bool_(True), np.zeros(3), np.zeros(()), "\x1b", b"hidden", [*range(40)])
    described = [
        "np.int64(3)",
        "np.True_",
        "an array of shape (3,)",
        "an array of shape ()",
        r"'\x1b'",
        "b'hidden'",
        "a list",
    ]
    assert [*map(shown, values)] == described
