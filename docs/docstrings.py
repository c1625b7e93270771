"""What the reference makes of docstrings: their examples are blocks of code, and a statistic has its own words.

Read by mkdocstrings (`extensions` in mkdocs.yml).
"""

import inspect
import re

import griffe

from jaxwalk import stats


class Docstrings(griffe.Extension):
    """Changes every docstring before it is parsed."""

    def on_instance(self, *, obj, **_):
        if obj.is_attribute and isinstance(found := vars(stats).get(obj.name), stats.Statistic):
            obj.docstring, obj.value = griffe.Docstring(inspect.getdoc(found), parent=obj), None
        if obj.docstring:
            obj.docstring.value = "\n\n".join(map(on_a_page, obj.docstring.value.split("\n\n")))


def on_a_page(paragraph):
    """Return an example with a fence around it; any other text with its single asterisks as they are."""
    if paragraph.lstrip("\n").startswith(">>>"):
        return f"```pycon\n{paragraph}\n```"
    return re.sub(r"(`[^`]*`)|(?<!\*)\*(?!\*|args)", lambda found: found[1] or r"\*", paragraph)
