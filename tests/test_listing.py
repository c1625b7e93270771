import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw

X = np.array([1.0, -2.0], np.float32)


def net(x):
    a = x * 2
    for i in range(8):
        a = a + i

    b = square(a)
    return jnp.sum(b)


def square(x):
    return x * x


def text(**options):
    lines = repr(jw.listing(jw.walk(net, by="lines", **options)(X))).splitlines()
    return [" ".join(line.split()) for line in lines]


def test_every_line_of_every_function_walked():
    lines = text()
    start = net.__code__.co_firstlineno
    assert lines[0] == "net, test_listing.py"
    assert lines[2] == f"{start} def net(x):"
    assert lines[3] == f"{start + 1} a = x * 2 net/a (2,) float32 3 4 54 60"
    assert f"{start + 5} b = square(a) net/b (2,) float32 738 900 1 1" in lines
    assert lines[-1].startswith(
        f"{square.__code__.co_firstlineno + 1} return x * x net/b/square/return (2,) float32 738"
    )
    assert "square, test_listing.py" in lines


def test_passes_in_the_middle_are_folded():
    lines = text()
    looped = lines[lines.index(f"{net.__code__.co_firstlineno + 2} for i in range(8):") + 1 :][:5]
    assert looped[0].endswith("a = a + i net/a#2 (2,) float32 3 4 54 60")
    assert looped[2].startswith("net/a#4 ")
    assert looped[3] == "… 4 more (2,) float32 5 to 20 8 to 23 54 60"
    assert looped[4].startswith("net/a#9 ")


def test_html():
    page = jw.listing(jw.walk(net, by="lines")(X))._repr_html_()
    assert page.count("<table>") == 2
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
