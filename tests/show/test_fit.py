"""What shows itself is as wide as the terminal, and says what it leaves out."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._show.fit import as_html, as_text
from jaxwalk._show.table import Table

pytestmark = pytest.mark.once

BLOCKS, LAYERS = 9, ("query_projection", "key_projection", "value_projection", "attention", "mlp", "norm", "residual")
DEEP = "a_language_model/encoder/transformer_blocks"


def deep(x, blocks=BLOCKS):
    for block in range(blocks):
        for layer in LAYERS:
            x = jw.tag(x * 1.01, f"{DEEP}/{block}/{layer}")
    return jnp.sum(jax.nn.relu(jw.tag(x, f"{DEEP}/the_last_of_them/{'long_' * 30}name")))


X = np.float32([0.0, 1.0, -2.0])


@pytest.fixture(scope="module")
def shown():
    """Everything that shows itself, of a deep model."""
    few = lambda x: deep(x, blocks=1)
    walk, kinks = jw.walk(deep)(X), jw.kinks(few, X)
    found = jw.evaluate(lambda w, x: few(w * x), 1.0, [np.stack([X] * 3)], keep=jw.stats.norms, progress=False)
    bad = jw.walk(lambda x: jnp.sum(jw.tag(jnp.log(x), "/".join(["a_long_name"] * 12))))(X)
    chain = jw.chain(**{f"a_layer_of_a_long_name_{i}": jnp.tanh for i in range(12)})
    statistic = jw.stats.combine(*(jw.stats.averaged(lambda o, d: o.sum(), name=f"statistic_{i}") for i in range(12)))
    return {
        "walk": walk, "points": walk.points, "point": next(iter(walk.points.values())), "deltas": walk.deltas,
        "kept": jw.walk(few, keep=jw.stats.norms)(X), "known": jw.walk(few)(X).with_kinks(kinks),
        "culprits": walk.culprits(100), "kinks": kinks, "kink": kinks[0], "listing": jw.listing(walk),
        "evaluation": found, "datum": found.culprits[0], "data": found.culprits,
        "nonfinite": bad.first_nonfinite(), "chain": chain, "statistic": statistic,
    }  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 100, None])
def test_no_line_is_wider_than_the_terminal(shown, width, monkeypatch):
    monkeypatch.delenv("COLUMNS") if width is None else monkeypatch.setenv("COLUMNS", str(width))
    for name, one in shown.items():
        assert max(map(len, repr(one).splitlines())) <= (width or 100), name


def test_nothing_is_longer_than_some_screens(shown, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    longest = {name: len(repr(one).splitlines()) for name, one in shown.items() if name != "listing"}
    assert max(longest.values()) < 150, longest


def test_a_walk_of_alike_layers_folds_and_says_so(shown, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = repr(shown["walk"])
    assert f"/0…{BLOCKS - 1}/mlp ×{BLOCKS}" in text
    assert " ".join(text.split()).endswith(
        "64 rows are shown as 8, “×3” for 3 that are alike but for their numbers; `points`, `outputs`, `deltas` of the"
        " walk by name have each. Names with “…” are cut in the middle; `points`, `outputs`, `deltas` of the walk by"
        " name have each."
    )
    assert f"All rows: shape (3,), dtype {X.dtype}." in text
    assert "×" not in repr(jw.walk(deep, f"{DEEP}/0/*")(X))


def test_points_of_alike_layers_are_a_short_tree(shown, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lines = [" ".join(line.split()) for line in repr(shown["points"]).splitlines()]
    assert f"0…{BLOCKS - 1}/ 7 rows" in lines
    assert f"1…{7 * (BLOCKS - 1) + 1} query_projection ×{BLOCKS}" in lines
    assert f"All rows: kind tag, shape (3,), dtype {X.dtype}." in lines
    assert len(lines) < 25


def test_what_a_long_list_leaves_out_is_counted(shown, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lines = repr(shown["culprits"]).splitlines()
    assert lines[0] == "100 culprits"
    assert any(line.split() == ["…", "40", "more"] for line in lines)
    assert "40 of 100 rows are left out; the list has each." in lines


def test_of_two_terminals_the_wider_shows_all(monkeypatch):
    walk = jw.walk(lambda x: jnp.sum(jw.tag(x, "x") ** 2))(X)
    monkeypatch.setenv("COLUMNS", "40")
    narrow = repr(walk)
    monkeypatch.delenv("COLUMNS")
    cells = lambda text: set(re.findall(r"\S+", text))
    assert cells(repr(walk)) <= cells(narrow)


def test_pages_scroll_and_have_no_colours_of_their_own(shown):
    for name in ("walk", "points", "evaluation", "listing", "kinks", "deltas"):
        page = shown[name]._repr_html_()
        assert page.count("overflow:auto") == page.count("<table ") > 0
        assert not re.search(r"#[0-9a-f]{3,6}\b|color:(?!inherit|rgba\(128,128,128)", page), name
        assert "font-family:monospace" in page


def test_a_page_of_many_rows_has_a_part_of_them():
    rows = [(str(i), f"layer_{'abcdefghij'[i % 10]}{'x' * i}", "1") for i in range(600)]
    table = Table("Title", ("X", "point", "max"), rows, ("X", "max"), paths=("point",), more="`all` has each")
    assert as_html(table).count("<tr") == 502
    assert "100 of 600 rows are left out; `all` has each." in as_html(table)
    assert "540 of 600 rows are left out; `all` has each." in as_text(table)


def test_names_in_notes_are_cut_where_there_is_no_room(monkeypatch):
    def twice(x):
        with jax.named_scope(f"{DEEP}/1"), jax.named_scope(f"{LAYERS[1]}/weights"):
            x = x * 2
        return jnp.sum(x)

    monkeypatch.setenv("COLUMNS", "100")
    text = repr(jw.walk(twice)(X))
    assert "is `…/key_projection/weights` too" in " ".join(text.split())
    monkeypatch.setenv("COLUMNS", "500")
    assert f"is `{DEEP}/1/key_projection/weights` too" in repr(jw.walk(twice)(X))


def test_columns_called_after_points_fold_before_a_table_is_divided(monkeypatch):
    names = [f"‖δ‖ encoder/layers/{i}/{part}/output" for i in range(2) for part in ("attention", "mlp")]
    table = Table("A title", ("datum", *names), [("3", "1.234", "2.345", "3.456", "4.567")], ("datum", *names))
    table = table._replace(lead=("datum",), folds=names)
    monkeypatch.setenv("COLUMNS", "60")
    title, *head, row = as_text(table).splitlines()
    assert (title, len(head), row.split()) == ("A title", 5, ["3", "1.234", "2.345", "3.456", "4.567"])
    assert max(map(len, head)) <= 60
    assert ("".join(head).count("‖δ‖"), "".join(head).count("encoder/")) == (4, 4)
    monkeypatch.setenv("COLUMNS", "30")
    assert as_text(table).count("datum") == 2


@pytest.mark.parametrize("width", [60, 80])
def test_the_data_of_points_with_long_names_are_one_table(width, monkeypatch):
    fun = lambda w, x: jnp.sum(jw.tag(jnp.tanh(jw.tag(w * x, f"{DEEP}/0/value")), f"{DEEP}/1/value"))
    data = jw.evaluate(fun, 1.0, [np.stack([X] * 3)], keep=None, progress=False).culprits
    monkeypatch.setenv("COLUMNS", str(width))
    lines = repr(data).splitlines()
    assert ("".join(lines).count("datum "), max(map(len, lines)) <= width) == (1, True)
