"""The documentation: each public name has its place in the reference, and each page its own in the menu."""

import re
from pathlib import Path

import pytest

import jaxwalk as jw

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def referred():
    return re.findall(
        r"^::: (\S+)$", "\n".join(p.read_text("utf-8") for p in (ROOT / "docs/reference").glob("*.md")), re.M
    )


def test_every_public_name_is_in_the_reference_once():
    spaces = {"jaxwalk": jw, "jaxwalk.attribute": jw.attribute, "jaxwalk.plot": jw.plot, "jaxwalk.stats": jw.stats}
    public = [f"{space}.{name}" for space, module in spaces.items() for name in module.__all__]
    assert sorted(referred()) == sorted(set(public) | set(spaces) - {"jaxwalk"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_of_python_are_run(page):
    """An example without a prompt is none that doctest finds."""
    for block in re.findall(r"^```(?:python|pycon|py)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
        assert block.startswith(">>> ")
        assert block.endswith("\n\n"), "the fence would be taken for what the last example prints"


def test_every_picture_is_there_light_and_dark():
    for page in (*PAGES, ROOT / "README.md"):
        for picture in re.findall(r"\]\((\S+?\.(?:svg|png))", page.read_text("utf-8")):
            path = page.parent / picture
            assert path.exists()
            assert "-light" not in picture or Path(str(path).replace("-light", "-dark")).exists()
