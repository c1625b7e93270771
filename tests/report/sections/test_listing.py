import jax.numpy as jnp
import pytest

import jaxwalk as jw
from jaxwalk._report.record import record_of
from jaxwalk._report.sections import listing

pytestmark = pytest.mark.once


def net(w, x):
    a = x @ w
    for _ in range(7):
        a = jnp.tanh(a)
    return jnp.sum(a**2)


def test_lines_have_their_points_beside_them():
    section = listing.listing(record_of(jw.walk(net, by="lines")(jnp.eye(2), jnp.array([1.0, -2.0]))))
    (function,) = section.content["functions"]
    assert function.title == "net, test_listing.py"
    assert [line.code for line in function.lines][:2] == ["def net(w, x):", "    a = x @ w"]
    beside = [[entry.text for entry in line.entries] for line in function.lines]
    assert beside[:3] == [[], ["net/a"], []]
    assert beside[3] == ["net/a#2", "net/a#3", "net/a#4", "net/a#5", "… 2 more", "net/a#8"]
    assert function.lines[1].entries[0].output.text == "1.58"


def test_what_stands_in_a_library_is_not_listed():
    """jax.numpy's own lines are none of the user's; a scope opened in a package is neither."""
    walk = jw.walk(lambda x: jnp.sum(jw.tag(x, "here")))(jnp.ones(2))
    assert listing.listing(record_of(walk)) is not None
    foreign = [listing.package_of(jnp.__file__)]
    assert foreign != [""]


def test_too_many_lines_are_left_out_and_counted(monkeypatch):
    monkeypatch.setattr(listing, "LINES", 3)
    record = record_of(jw.walk(lambda x: net(jnp.eye(2), jw.tag(x, "x")), by="lines")(jnp.ones(2)))
    section = listing.listing(record)
    assert section is None or section.content["left_out"] == 1
