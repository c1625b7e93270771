import pytest

from jaxwalk._show.alike import left_out, ranged, together
from jaxwalk._show.table import Table

pytestmark = pytest.mark.once


def table(rows, **options):
    columns, right = ("X", "point", "shape", "max", "note"), ("X", "max")
    options = {"lead": ("X", "point"), "paths": ("point",), "more": "`all` has each", "alike": True} | options
    return Table("Title", columns, rows, right, **options)


def blocks(count, parts=("attn", "mlp"), **changed):
    names = [f"h/{i}/{part}" for i in range(count) for part in parts]
    return [(str(i), name, "(8,)", changed.get(name, str(i)), "") for i, name in enumerate(names, 1)]


def test_siblings_that_count_on_are_one_row_with_the_range_of_their_numbers():
    short = together(table(blocks(12)), rows=10)
    assert short.rows == [
        ["1…23", "h/0…11/attn ×12", "(8,)", "1 to 23", ""],
        ["2…24", "h/0…11/mlp ×12", "(8,)", "2 to 24", ""],
    ]
    said = "24 rows are shown as 2, “×3” for 3 that are alike but for their numbers; `all` has each."
    assert list(short.notes) == [said]


def test_a_short_table_is_whole_and_so_is_one_that_has_no_other_place():
    assert together(table(blocks(12)), rows=24) == table(blocks(12))
    assert together(table(blocks(12), alike=False), rows=3).rows == blocks(12)
    assert left_out(table(blocks(12), more=""), rows=3).rows == blocks(12)


def test_what_is_not_finite_stands_alone():
    short = together(table(blocks(12, ["mlp"], **{"h/5/mlp": "nan"})), rows=3)
    assert [row[1] for row in short.rows] == ["h/0…4/mlp ×5", "h/5/mlp", "h/6…11/mlp ×6"]
    assert list(short.rows[1]) == ["6", "h/5/mlp", "(8,)", "nan", ""]


def test_another_shape_stands_alone_and_so_does_a_gap():
    rows = blocks(9, ["mlp"])
    rows[0] = ("1", "h/0/mlp", "(4,)", "1", "")
    del rows[4]
    assert [row[1] for row in together(table(rows), rows=3).rows] == ["h/0/mlp", "h/1…3/mlp ×3", "h/5…8/mlp ×4"]


def test_siblings_in_siblings_and_numbers_that_count_on_together():
    grid = [(str(i), f"h/{i // 4}/head{i % 4}", "()", "1", "") for i in range(16)]
    assert [row[1] for row in together(table(grid), rows=3).rows] == ["h/0…3/head0…3 ×16"]
    both = [(str(i), f"net/x#{i + 2}/block/{i}", "()", "1", f"is `y#{i}` too") for i in range(5)]
    assert together(table(both), rows=3).rows == [["0…4", "net/x#2…6/block/0…4 ×5", "()", "1", "is `y#0…4` too"]]


def test_the_middle_is_left_out_and_counted_but_for_what_is_not_finite():
    rows = [(str(i), f"layer_{chr(65 + i)}", "(8,)", "nan" if i == 12 else "1", "") for i in range(26)]
    short = left_out(table(rows), rows=6)
    shown = ["layer_A", "layer_B", "layer_C", "… 9 more", "layer_M", "… 11 more", "layer_Y", "layer_Z"]
    assert [row[1] for row in short.rows] == shown
    assert list(short.notes) == ["20 of 26 rows are left out; `all` has each."]


def test_a_nan_is_the_largest_of_a_range():
    assert ranged(["3", "nan", "-1"]) == "-1 to nan"
    assert ranged(["2", "2"]) == "2"
