import pytest

from jaxwalk._printable import printable

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("\x9b2J \x7f \0 \t\r\n", r"\x9b2J \x7f \x00 \t\r\n"),
        ("a\u202egpj.exe \u2066b\u2069 \u200f\u061c\u2028", r"a\u202egpj.exe \u2066b\u2069 \u200f\u061c\u2028"),
        ("name-\udcff", r"name-\udcff"),  # of a file, in bytes that are no UTF-8
        (r"C:\new \x1b", r"C:\new \x1b"),
        ("δW² größe 層 👩‍🔬 ‖δ‖ …", "δW² größe 層 👩‍🔬 ‖δ‖ …"),
    ],
)
def test_what_steers_a_terminal_is_escaped_and_nothing_else(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
