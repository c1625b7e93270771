import pytest

from jaxwalk._show.outline import tree

pytestmark = pytest.mark.once


def shown(names, **options):
    return [(row.text, row.name, row.below) for row in tree(names, **options)]


def test_a_name_may_have_others_below_it():
    assert shown(["a/b", "a", "c"]) == [("a", "a", 1), ("  b", "a/b", 0), ("c", "c", 0)]


def test_what_only_leads_on_is_one_row():
    assert shown(["net/h/0/attn", "net/h/0/mlp", "net/head"]) == [
        ("net/", None, 3),
        ("  h/0/", None, 2),
        ("    attn", "net/h/0/attn", 0),
        ("    mlp", "net/h/0/mlp", 0),
        ("  head", "net/head", 0),
    ]


def test_too_many_rows_are_folded_and_counted():
    names = [f"block{i}/layer{j}" for i in range(3) for j in range(50)]
    rows = tree(names, limit=20)
    assert [(row.text, row.below, row.folded) for row in rows] == [(f"block{i}/", 50, True) for i in range(3)]
    assert len(tree(names)) == 153
    assert not any(row.folded for row in tree(names))


def test_a_flat_list_is_never_folded():
    assert len(tree([f"x{i}" for i in range(500)], limit=20)) == 500


def test_nothing():
    assert tree([]) == []


def test_what_is_divided_elsewhere_too_keeps_its_marks():
    names = ["enc.0.q", "enc.0/z", "enc.0", "enc.1.q", "head"]
    paths = {name: name.replace(".", "/") for name in names}
    found = [(row.text, row.name) for row in tree(names, paths)]
    assert found == [
        ("enc.", None),
        ("  0", "enc.0"),
        ("    .q", "enc.0.q"),
        ("    z", "enc.0/z"),
        ("  1.q", "enc.1.q"),
        ("head", "head"),
    ]
