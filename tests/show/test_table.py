import numpy as np
import pytest

from jaxwalk._show.fit import fitted
from jaxwalk._show.table import Table, brief, html, labelled, number, numbers, text

pytestmark = pytest.mark.once

TABLE = Table("Title", ("name", "size", "empty"), [("a", "1", ""), ("long name", "10", "")], right=("size",))


def test_text_is_aligned_and_leaves_out_empty_columns():
    assert text(TABLE).splitlines() == ["Title", "  name       size", "  a             1", "  long name    10"]
    assert text(Table("Nothing", ("name",), [])) == "Nothing"


WIDE = Table(
    "Title",
    ("point", "shape", "a_min", "a_max", "b_min", "b_max", "note"),
    [("hidden", "(3,)", *("1234567",) * 4, "what to know"), ("out", "()", *("1",) * 4, "")],
    ("a_min", "a_max", "b_min", "b_max"),
    ["A note."],
)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (72, [("shape", "a_min", "a_max", "b_min", "b_max", "note")]),
        (50, [("a_min", "a_max", "b_min", "b_max"), ("shape", "note")]),
        (34, [("a_min", "a_max"), ("b_min", "b_max"), ("shape", "note")]),
        (20, [("a_min",), ("a_max",), ("b_min",), ("b_max",), ("shape",), ("note",)]),
    ],
)
def test_a_table_that_is_wider_than_the_terminal(columns, expected):
    parts = fitted(WIDE._replace(lead=["point"]), columns)
    assert [tuple(part.columns) for part in parts] == [("point", *names) for names in expected]
    assert all(len(line) <= columns for part in parts for line in text(part).splitlines()[:2])
    for part in parts:
        for name, *cells in zip(part.columns, *part.rows, strict=True):
            saying = [row for row in WIDE.rows if row[0] == "hidden" or tuple(part.columns) != ("point", "note")]
            assert cells == [row[WIDE.columns.index(name)] for row in saying]
    assert [part.title for part in parts] == ["Title", *[""] * (len(parts) - 1)]
    assert [part.notes for part in parts] == [*[()] * (len(parts) - 1), ["A note."]]


def test_no_rows_are_as_wide_as_nothing():
    assert [text(part) for part in fitted(Table("Nothing", ("name",), [], lead=["name"]), 3)] == ["Nothing"]


def test_html_is_escaped():
    page = html(Table("<T>", ("a",), [("<b>",)]))
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert page.startswith("<div")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (np.float32(1 / 3), "0.3333"),
        (np.float32(123456), "1.235e+05"),
        (np.float16(1 / 3), "0.333"),
        (np.float64(-0.0), "0"),
        (np.int32(123456), "123456"),
        (np.bool_(True), "True"),
        (np.complex64(1 + 0.5j), "1+0.5j"),
        (np.float32("nan"), "nan"),
    ],
)
def test_a_number_shows_no_more_than_its_dtype_carries(value, shown):
    assert number(value) == shown


def test_bfloat16_carries_two_digits():
    assert number(np.asarray(1 / 3).astype("bfloat16")) == "0.33"


def test_numbers():
    assert numbers(np.arange(3.0)) == "(0, 1, 2)"
    assert numbers(np.arange(1)) == "(0,)"
    assert numbers(np.float32(2)) == "2"
    assert numbers(np.arange(10), limit=2) == "(0, 1, …)"
    assert numbers(np.eye(2, dtype=int)) == "((1, 0), (0, 1))"


def test_labels_of_a_pytree():
    assert labelled(np.float32(2)) == "2"
    assert labelled({"b": np.array([True, False]), "a": {"c": np.arange(2)}}) == "b 1 of 2, a/c (0, 1)"
    assert labelled((1 * np.ones(()), {"x": np.zeros(1000)}, *np.ones(3))).endswith(
        "1/x (0, 0, 0, 0, 0, 0, …), 2 1, … 2 more"
    )


def test_brief():
    assert brief(np.zeros((3, 2), np.float32)) == "float32[3, 2]"
    assert brief("text") == "str"


def test_control_characters_of_names_and_cells_are_escaped():
    table = Table("\x1b[2JTitle", ("a\nb", "\x9bsize"), [("\x07x", "1"), ("y", "10")], ("\x9bsize",), ["A\u202e note."])
    assert text(table).splitlines() == [
        r"\x1b[2JTitle", r"  a\nb   \x9bsize", r"  \x07x         1", "  y            10", r"A\u202e note.",
    ]  # fmt: skip
    assert "\x07" not in html(table)
    assert r"\x07x" in html(table)
    assert [text(part) for part in fitted(table._replace(lead=["a\nb"]), 100)] == [text(table)]
