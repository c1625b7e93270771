import numpy as np
import pytest

from jaxwalk._table import Table, brief, html, number, numbers, text

TABLE = Table("Title", ("name", "size", "empty"), [("a", "1", ""), ("long name", "10", "")], right=("size",))


def test_text_is_aligned_and_leaves_out_empty_columns():
    assert text(TABLE).splitlines() == ["Title", "  name       size", "  a             1", "  long name    10"]
    assert text(Table("Nothing", ("name",), [])) == "Nothing"


def test_html_is_escaped():
    page = html(Table("<T>", ("a",), [("<b>",)]))
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert page.startswith("<table>")


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


def test_brief():
    assert brief(np.zeros((3, 2), np.float32)) == "float32[3, 2]"
    assert brief("text") == "str"
