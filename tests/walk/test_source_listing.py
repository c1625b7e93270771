import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw

X = np.array([1.0, -2.0], np.float32)


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")


def net(x):
    a = x * 2
    for i in range(8):
        a = a + i

    b = square(a)
    return jnp.sum(b)


def square(x):
    return x * x


def choosing(x):
    a = jnp.abs(x)
    for _ in range(8):
        a = jnp.maximum(a, 1)
    return jnp.sum(a)


def test_kinks_are_listed_beside_their_lines():
    x = np.float32([2, 0])
    walk = jw.walk(choosing)(x).with_kinks(jw.kinks(choosing, x))
    start = choosing.__code__.co_firstlineno
    lines = [" ".join(line.split()) for line in repr(jw.listing(walk)).splitlines()]
    assert lines[1].endswith("|δ| max kinks")
    assert lines[3].startswith(f"{start + 1} a = jnp.abs(x) choosing/a (2,) float32 1 2")
    assert [line.endswith(" 1 tie") for line in lines[3:11]] == [False, False, False, True, True, True, True, False]
    assert lines[-1] == "7 kinks: there δ is one of two; see `Walk.kinks`."
    assert f"<p>{lines[-1]}</p>" in jw.listing(walk)._repr_html_()
    assert "kinks" not in repr(jw.listing(jw.walk(choosing)(x)))


def text(**options):
    lines = repr(jw.listing(jw.walk(net, by="lines", **options)(X))).splitlines()
    return [" ".join(line.split()) for line in lines]


def test_every_line_of_every_function_walked():
    lines = text()
    start = net.__code__.co_firstlineno
    assert lines[0] == "net, test_source_listing.py"
    assert lines[2] == f"{start} def net(x):"
    assert lines[3] == f"{start + 1} a = x * 2 net/a (2,) float32 3 4 54 60"
    assert f"{start + 5} b = square(a) net/b (2,) float32 738 900 1 1 is `net/b/square/return` too" in lines
    assert lines[-1].startswith(
        f"{square.__code__.co_firstlineno + 1} return x * x net/b/square/return (2,) float32 738"
    )
    assert "square, test_source_listing.py" in lines


def test_passes_in_the_middle_are_folded():
    lines = text()
    looped = lines[lines.index(f"{net.__code__.co_firstlineno + 2} for i in range(8):") + 1 :][:5]
    assert looped[0].endswith("a = a + i net/a#2 (2,) float32 3 4 54 60")
    assert looped[2].startswith("net/a#4 ")
    assert looped[3] == "… 4 more (2,) float32 5 to 20 8 to 23 54 60"
    assert looped[4].startswith("net/a#9 ")


def test_html():
    page = jw.listing(jw.walk(net, by="lines")(X))._repr_html_()
    assert page.count("<table ") == 2
    assert "font-family:monospace" in page
    assert "    a = x * 2" in page  # indented as it is written


def test_tags_and_what_is_kept_have_a_place_too():
    fun = lambda x: jnp.sum(jw.tag(x * 2, "double"))
    listed = repr(jw.listing(jw.walk(fun, keep=lambda o, d: jnp.sum(d))(X)))
    assert "double" in listed
    assert "2" in listed.splitlines()[-1]


def test_nothing_to_list():
    walk = jw.walk(net, by="lines")(X)
    nowhere = jw.Points([])
    bare = type(walk)(walk.value, None, None, nowhere, walk.outputs, walk.deltas, walk.kept)
    with pytest.raises(jw.PointError, match="says where in the source it is"):
        jw.listing(bare)


def test_without_source_there_is_one_table_and_a_note():
    """As at the plain prompt of Python before 3.13."""
    text = "def net(x):\n    a = x * 2\n    b = half(a)\n    return (a * b).sum()\ndef half(x):\n    return x / 2\n"
    names = {}
    exec(compile(text, "<prompt>", "exec"), names)
    walk = jw.walk(names["net"], by="lines")(X)
    listed = jw.listing(walk)
    lines = [" ".join(line.split()) for line in repr(listed).splitlines()]
    assert lines[:2] == ["<prompt>", "line point shape dtype |output| mean |output| max |δ| mean |δ| max note"]
    assert [line.split()[:2] for line in lines[2:-2]] == [
        ["2", "net:2"],
        ["3", "net:3"],
        ["4", "net:4"],
        ["6", "net:3/half:6"],
    ]
    assert lines[-1].startswith("There is no source of `<prompt>` to show; put the function into a file")
    assert listed._repr_html_().count("<table ") == 1
    assert "no source" not in repr(jw.listing(jw.walk(net, by="lines")(X)))


def test_a_narrow_terminal_cuts_the_source_and_keeps_the_lines(monkeypatch):
    def net(x):
        long_name = jnp.sin(x) * 1.0 + jnp.cos(x) * 2.0 + jnp.tanh(x) * 3.0 + jnp.exp(x) * 4.0
        return jnp.sum(long_name)

    walk = jw.walk(net, by="lines")(jnp.ones(2))
    for columns in (80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown = repr(jw.listing(walk)).splitlines()
        assert max(map(len, shown)) <= columns
        assert any("long_name = jnp" in line and "…" in line for line in shown)
    monkeypatch.setenv("COLUMNS", "500")
    assert "jnp.exp(x) * 4.0  " in repr(jw.listing(walk))
