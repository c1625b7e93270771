"""The page, parsed: which sections it has, what stands in them, and that nothing but text comes of a name."""

import collections
import html.parser

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._points.ordered_mapping import Named
from jaxwalk._points.point import Points
from jaxwalk._report.page import html_of
from jaxwalk._report.record import record_of
from jaxwalk._walk.result import Walk

pytestmark = pytest.mark.once

ODD = '"><script>alert(1)</script> & $x_1$ \x1b[2J\n\u202e'
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(html.parser.HTMLParser):
    """The elements of a page, its ids, and the text of each section."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.ids, self.targets, self.open = collections.Counter(), [], [], []
        self.sections = collections.defaultdict(str)
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements[tag] += 1
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.targets += [attributes["href"]] if tag == "a" else []
        assert not any(name.startswith("on") for name in attributes)
        if tag not in VOID:
            self.open.append((tag, attributes.get("id")))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        within = next((id for tag, id in self.open if tag == "section"), "")
        self.sections[within] += data


def page_of(result, **options):
    return Page(html_of(record_of(result, **options)))


def fun(x):
    hidden = jw.tag(jax.nn.relu(x * 2), "encoder/hidden")
    jw.tag(jnp.argmax(x), "encoder/guess")
    return jnp.sum(jw.tag(hidden**2, "square"))


X = jnp.array([1.0, 0.0, -1.0])


def test_a_walk():
    page = page_of(jw.walk(fun)(X).with_kinks(jw.kinks(fun, X)))
    assert list(page.sections)[1:] == ["findings", "flow", "points", "listing", "culprits", "kinks", "about"]
    assert page.elements["script"] == 0
    assert page.elements["svg"] == 1 + 2 * 2  # the flow, output and δ of two points; a single number has none
    for text in ("encoder/", "int32[]", "its dtype is int32".capitalize(), "test_page.py"):
        assert text in page.sections["points"]
    assert "hidden**2" in page.sections["listing"]
    assert "1 tie" in page.sections["points"]
    assert "relu" in page.sections["kinks"]
    assert jax.__version__ in page.sections["about"]


def test_ids_are_there_once_and_links_lead_to_one():
    page = page_of(jw.walk(fun)(X))
    assert len(page.ids) == len(set(page.ids))
    assert {target.removeprefix("#") for target in page.targets} <= set(page.ids)


def test_an_evaluation():
    batches = [(np.float32([[1, 2, 3], [4, 5, 6]]), np.zeros(2, np.float32))]
    found = jw.evaluate(lambda w, x, y: fun(x) - y, {}, batches, at="square", keep=jw.stats.summary)
    page = page_of(found, title="Mine")
    assert "Mine2 data through 1 point, mean loss" in page.sections[""].replace("\n", "")
    assert "delta_l2" in page.sections["points"]
    assert "over 2 data" in page.sections["points"]
    assert "The 2 data of largest loss" in page.sections["culprits"]


def test_of_names_nothing_comes_but_text():
    def odd(x):
        jw.tag(x, ODD)
        return jnp.sum(jax.nn.relu(jw.tag(x * 2, f"{ODD}/{ODD}")))

    keep = lambda output, delta: {ODD: output.sum(), "output_rms": output[0], "output_max": output[1]}
    walk = jw.walk(odd)(X).with_kinks(jw.kinks(odd, X))
    for result in (walk, jw.walk(odd, keep=keep)(X)):
        page = page_of(result, title=ODD)
        assert page.elements["script"] == page.elements["img"] == 0
        assert "<script>alert(1)</script>" in page.sections["points"]
        assert not {"\x1b", "\u202e"} & {*"".join(page.sections.values())}
        assert r"\x1b[2J\n\u202e" in page.sections["points"]


CASES = {
    "no point": lambda: Walk(X[0], None, None, Points(), Named({}), Named({}), Named({})),
    "zeros": lambda: jw.walk(fun)(jnp.zeros(3)),
    "nan": lambda: jw.walk(fun)(jnp.full(3, jnp.nan)),
    "inf": lambda: jw.walk(fun)(jnp.full(3, jnp.inf)),
    "complex": lambda: jw.walk(lambda x: jnp.sum(jnp.abs(jw.tag(x.astype(complex), "c"))))(X),
    "integers": lambda: jw.walk(lambda x: jnp.sum(x) * jw.tag(jnp.arange(3), "i").sum().astype(x.dtype))(X),
    "booleans": lambda: jw.walk(lambda x: jnp.sum(jnp.where(jw.tag(x > 0, "b"), x, 0)))(X),
    "a scalar": lambda: jw.walk(lambda x: jw.tag(x, "s"))(jnp.float32(2)),
    "of size 0": lambda: jw.walk(lambda x: jnp.sum(jw.tag(x, "empty")))(jnp.zeros((0, 3))),
    "bfloat16": lambda: jw.walk(lambda x: jnp.sum(jw.tag(x, "b")))(X.astype("bfloat16")),
    "vmap": lambda: jax.vmap(jw.walk(fun))(jnp.stack([X, 2 * X])),
    "keep": lambda: jw.walk(fun, keep=jw.stats.summary)(X),
    "keep of one's own": lambda: jw.walk(fun, keep=lambda o, d: d.sum())(X),
    "opaque": lambda: jw.walk(lambda x: jnp.sum(jax.nn.relu(x)) + jw.tag(x[0], "a"), by="lines")(X),
}


@pytest.mark.parametrize("case", CASES)
def test_it_can_be_made_of(case):
    page = page_of(CASES[case]())
    assert "findings" in page.sections
    assert page.sections["about"]


def test_what_tells_no_sizes_says_so():
    page = page_of(CASES["keep of one's own"]())
    assert "What was kept tells no sizes; keep `jw.stats.norms`" in page.sections["findings"]
    assert "flow" not in page.sections
