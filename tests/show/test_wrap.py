import pytest

from jaxwalk._show.table import Table, text
from jaxwalk._show.wrap import wrapped

pytestmark = pytest.mark.once


def test_what_is_short_stays_as_it_is():
    assert wrapped("  a  b ", 7) == ["  a  b "]
    assert wrapped("", 3) == [""]


def test_further_lines_begin_below_the_first_word_or_what_follows_its_two_spaces():
    assert wrapped("  one two three", 9) == ["  one two", "  three"]
    assert wrapped("L1  X² = X¹ W¹ + W²", 12) == ["L1  X² = X¹", "    W¹ + W²"]


def test_how_many_more_there_are_stays_on_one_line():
    assert wrapped("[0, 0], [0, 1], … 29 more", 20) == ["[0, 0], [0, 1],", "… 29 more"]


def test_what_has_no_space_is_cut_after_a_slash_or_anywhere():
    assert wrapped("encoder/block/mlp", 10) == ["encoder/", "block/mlp"]
    assert wrapped("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert all(len(line) <= 5 for line in wrapped("  " + "word " * 9 + "w" * 20, 5))


def test_cells_go_on_below_themselves_and_numbers_are_not_cut():
    cells = ("h", "123456789012345", "what to know of it")
    table = Table("A title of some words", ("point", "max", "note"), [cells], ("max",))
    assert text(table, 40).splitlines() == [
        "A title of some words",
        "  point              max  note",
        "  h      123456789012345  what to know",
        "                          of it",
    ]
    assert cells[1] in text(table, 20)
