import os
import stat
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import jaxwalk as jw

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def walk():
    return jw.walk(lambda x: jnp.sum(jw.tag(x * x, "square")))(jnp.array([1.0, 2.0]))


def test_it_is_there_whole_in_place_of_what_was_there(walk, tmp_path):
    path = tmp_path / "walk.html"
    path.write_text("before")
    jw.report(walk, path)
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert os.listdir(tmp_path) == ["walk.html"]
    assert stat.S_ISREG(path.lstat().st_mode)


def test_what_was_kept_may_tell_no_sizes(tmp_path):
    """The page is without the picture of the flow then, and tells the rest."""
    walked = jw.walk(lambda x: jnp.sum(jax.nn.relu(jw.tag(2 * x, "twice"))), keep=jw.stats.dead)(jnp.array([1.0, -1.0]))
    jw.report(walked, tmp_path / "walk.html")
    page = (tmp_path / "walk.html").read_text(encoding="utf-8")
    assert "twice" in page
    assert 'id="flow"' not in page
    assert 'id="findings"' in page


def test_what_is_refused(walk, tmp_path):
    link, folder = tmp_path / "link.html", tmp_path / "folder"
    link.symlink_to(tmp_path / "target.html")
    folder.mkdir()
    for path, said in (
        (link, "`{}` is a symbolic link, which is not replaced; give the path of a file."),
        (folder, "`{}` is a directory, which is not replaced; give the path of a file."),
        (tmp_path / "none" / "walk.html", "`{}` cannot be written: No such file or directory; give another path."),
    ):
        with pytest.raises(jw.StoreError) as error:
            jw.report(walk, path)
        assert str(error.value) == said.format(path)
    assert sorted(os.listdir(tmp_path)) == ["folder", "link.html"]


def test_arguments_that_do_not_fit(walk, tmp_path):
    file = tmp_path / "walk.html"
    for call, said in (
        (lambda: jw.report(3, file), "`result` is 3; give the `Walk` or the `Evaluation` that `jw.walk` or"),
        (lambda: jw.report(walk, 3), "`path` is 3; give the path of a file."),
        (lambda: jw.report(walk, file, title=3), "`title` is 3; give text, or leave it out."),
    ):
        with pytest.raises(jw.ArgumentError) as error:
            call()
        assert str(error.value).startswith(said)
    with pytest.raises(jw.ArgumentError, match="The walk is being traced, and has no numbers"):
        jax.jit(lambda x: jw.report(jw.walk(lambda x: jnp.sum(jw.tag(x, "x")))(x), file))(jnp.ones(2))
    assert not file.exists()


@pytest.mark.parametrize(
    ("package", "said"),
    [
        (
            "jinja2",
            "`report` needs Jinja2, the extra `report`: `uv sync --extra report`, or `pip install 'PATH[report]",
        ),
        (
            "matplotlib",
            "Pictures need matplotlib, the extra `plot`: `uv sync --extra plot`, or `pip install 'PATH[plot]",
        ),
    ],
)
def test_without_what_it_needs_it_says_what_to_install(package, said, tmp_path):
    code = f"""
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {package!r}:
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Without())
from jaxwalk.__main__ import main
sys.exit(main(["--report", {str(tmp_path / "page.html")!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"jaxwalk: `--report`: {said}" in done.stderr
    assert done.stdout == ""
    assert os.listdir(tmp_path) == []
