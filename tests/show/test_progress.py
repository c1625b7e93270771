"""The bar: what it says, and that it is silent where nobody would see it."""

import io
import re
import sys

import pytest
from rich.console import Console

import jaxwalk._show.progress as room
from jaxwalk._show.progress import progress

pytestmark = pytest.mark.once


@pytest.fixture
def screen(monkeypatch):
    """What a terminal of 100 columns shows, all drawings one below the other; every advance is drawn."""
    console = Console(file=io.StringIO(), force_terminal=True, force_jupyter=False, width=100, color_system=None)
    monkeypatch.setattr(room, "_console", lambda: console)
    monkeypatch.setattr(room, "SECONDS", 0)
    return lambda: [
        line.rstrip() for line in re.split(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]", console.file.getvalue()) if line
    ]


def test_a_bar(screen):
    with progress(60_000) as bar:
        bar.advance(1_000)
        bar.advance(500)
        bar.advance(58_500)
    drawn = screen()
    assert drawn[0] == f" walk {' ' * 34}      0 of 60,000 data  -:--:-- left"
    assert any(line.startswith(f" walk {'━' * 34} 60,000") for line in drawn)
    assert any(" 1,000 of 60,000 data" in line for line in drawn)
    assert any(re.search(r" 1,500 of 60,000 data [\d,]+ data/s \d:\d\d:\d\d left$", line) for line in drawn)
    assert re.search(r"━ 60,000 of 60,000 data [\d,]+ data/s 0:00:0\d$", drawn[-1])


def test_without_a_total(screen):
    with progress(None) as bar:
        bar.advance(1_000)
        bar.advance(500)
    assert re.search(r"^ walk 1,500 data [\d,]+ data/s 0:00:0\d$", screen()[-1])


def test_what_was_done_before_counts(screen):
    with progress(10, done=4) as bar:
        bar.advance(1)
    assert bar.count == 5
    assert " 4 of 10 data" in screen()[0]
    assert " 5 of 10 data" in screen()[-1]


def test_where_it_broke_off_is_left_on_screen(screen):
    def broken():
        with progress(10) as bar:
            bar.advance(3)
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        broken()
    assert " 3 of 10 data" in screen()[-1]


def test_draws_now_and_then():
    drawn = []
    bar = room.Progress(drawn.append)
    for _ in range(1000):
        bar.advance(2)
    assert bar.count == 2000
    assert drawn[0] == 2
    assert len(drawn) < 1000


@pytest.mark.parametrize("how", ["not enabled", "no terminal", "no rich"])
def test_silence(how, capsys, monkeypatch):
    if how == "no rich":
        monkeypatch.setitem(sys.modules, "rich.console", None)
    if how != "no terminal":
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress(3, enabled=how != "not enabled") as bar:
        bar.advance(3)
    assert bar.count == 3
    assert capsys.readouterr() == ("", "")


def test_a_terminal_is_seen(capsys, monkeypatch):
    """The counterpart of silence: with all three there, something is drawn, and on standard error."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress(3) as bar:
        bar.advance(3)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3 of 3 data" in err


def test_a_narrow_terminal_has_no_bar(screen):
    room._console().width = 73
    with progress(3) as bar:
        bar.advance(3)
    assert "━" not in "".join(screen())
    assert re.search("^ walk 3 of 3 data", screen()[-1])


def test_in_a_notebook(monkeypatch):
    IPython = pytest.importorskip("IPython.display")
    shown = []

    class Handle:
        def update(self, bar):
            shown.append(bar._repr_mimebundle_([], [])["text/plain"])

    monkeypatch.setattr(room, "_console", lambda: Console(file=io.StringIO(), force_jupyter=True, width=100))
    monkeypatch.setattr(IPython, "display", lambda bar, display_id: Handle())
    with progress(3) as bar:
        bar.advance(3)
    assert "3 of 3 data" in shown[-1]
