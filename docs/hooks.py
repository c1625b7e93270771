"""What the site makes of pages that are written to be read in the repository, too. Called by mkdocs.

Formulas become MathML, which a browser shows by itself: no script, and nothing from the network. A picture that is
there light and dark is shown as the page is.
"""

import html
import re

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)
PICTURE = re.compile(r"(!\[[^\]]*\])\((\S+)-light\.svg\)")


def on_page_markdown(markdown, **_):
    """Return the page with both variants of each picture."""
    return PICTURE.sub(r"\1(\2-light.svg#only-light)\1(\2-dark.svg#only-dark)", markdown)


def on_page_content(content, **_):
    """Return the page with MathML for what `pymdownx.arithmatex` has marked."""
    return FORMULA.sub(lambda found: mathml(*found.groups()), content)


def mathml(element, latex):
    """Return a formula as MathML: in a paragraph of its own, or in the text."""
    return convert(html.unescape(latex), display="block" if element == "div" else "inline")
