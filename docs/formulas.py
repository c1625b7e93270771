"""Formulas of a page become MathML, which a browser shows by itself: no script, and nothing from the network."""

import html
import re

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)


def on_page_content(content, **_):
    """Return the page with MathML for what `pymdownx.arithmatex` has marked; called by mkdocs."""
    return FORMULA.sub(lambda found: mathml(*found.groups()), content)


def mathml(element, latex):
    """Return a formula as MathML: in a paragraph of its own, or in the text."""
    return convert(html.unescape(latex), display="block" if element == "div" else "inline")
