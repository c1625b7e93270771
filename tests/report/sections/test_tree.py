import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._points.ordered_mapping import Named
from jaxwalk._points.point import Point, Points, Site
from jaxwalk._report.page import html_of
from jaxwalk._report.record import record_of
from jaxwalk._report.sections import tree
from jaxwalk._walk.result import Walk

pytestmark = pytest.mark.once


def walk_of(names):
    """A walk whose outputs are its δ, without a function that had to be traced."""
    points = Points(Point(n, i, "tag", (2,), jnp.dtype("float32"), site=Site((), i)) for i, n in enumerate(names, 1))
    values = Named({name: np.float32([i, -i]) for i, name in enumerate(names)})
    return Walk(jnp.float32(1), None, None, points, values, values, Named({}))


def rows(nodes, level=0):
    for node in nodes:
        yield "  " * level + node.text, node.place, [mark for mark, _ in node.marks]
        yield from rows(node.children, level + 1)


def test_points_stand_below_what_they_are_in_and_groups_count_marks():
    section = tree.points(record_of(walk_of(["net/a", "net/b/c", "net/b", "head"])))
    assert list(rows(section.content["nodes"])) == [
        ("net/", None, ["dead", "blocked"]),
        ("  a", 0, ["dead", "blocked"]),
        ("  b", 2, []),
        ("    c", 1, []),
        ("head", 3, []),
    ]
    assert section.title == "4 points"


def test_many_rows_are_folded_and_few_are_not():
    few = tree.points(record_of(walk_of([f"net/block{i}/{j}" for i in range(5) for j in range(4)])))
    assert [node.is_open for node in few.content["nodes"][0].children] == [True] * 5
    many = tree.points(record_of(walk_of([f"net/block{i}/{j}" for i in range(20) for j in range(8)])))
    (top,) = many.content["nodes"]
    assert top.is_open
    assert not any(node.is_open for node in top.children)


def test_of_more_points_than_open_those_with_a_mark_come_first(monkeypatch):
    monkeypatch.setattr(tree, "DETAILS", 2)
    section = tree.points(record_of(walk_of(["b0", "b1", "b2", "b3"])))
    assert [node.detail is not None for node in section.content["nodes"]] == [True, True, False, False]
    assert section.content["notes"] == ["2 points open, those with a mark first; the other 2 do not."]


def test_what_a_point_tells():
    def fun(x):
        return jnp.sum(jw.tag(jnp.maximum(x, 0), "relu"))

    (node,) = tree.points(record_of(jw.walk(fun)(jnp.array([1.0, -1.0])))).content["nodes"]
    detail = node.detail
    assert detail.facts["value"] == "X and δ number 1: float32[2], 16 B with its δ"
    assert detail.facts["named by"].startswith("a tag at test_tree.py:")
    assert "jnp.maximum(x, 0)" in detail.code
    assert [(side.symbol, side.told) for side in detail.sides] == [
        ("output", "rms 0.7071, max 1, 50 % zero"),
        ("δ", "rms 1, max 1"),
    ]
    assert (node.output.text, node.output.length) == ("0.707", 100.0)


def test_a_page_of_two_thousand_points_is_small():
    names = [f"net/block{i // 40}/part{i % 40 // 8}/value{i % 8}" for i in range(2000)]
    assert 1e6 < len(html_of(record_of(walk_of(names))).encode()) < 5e6
