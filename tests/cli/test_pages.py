"""What `--report` writes, beside what the commands print."""

import json
import os
import sys

import numpy as np
import pytest

from jaxwalk.__main__ import main

pytestmark = pytest.mark.once

MODEL = """
import jax, jax.numpy as jnp, jaxwalk as jw
params = {"dense": jnp.array([[1.0, -1.0, -1.0], [1.0, -1.0, -2.0]])}
model = jw.chain(dense=lambda w, x: x @ w, act=jax.nn.relu)
def objective(params, x, y):
    out = model(params, x)
    jw.tag(jnp.argmax(out), "guess")
    return jnp.sum((out - y) ** 2)
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "model.py").write_text(MODEL)
    np.savez(tmp_path / "data.npz", x=np.float32([[1, 2], [1, 3], [np.nan, 4]]), y=np.float32([0, 0, 10]))
    return [str(tmp_path / "model.py"), "--data", str(tmp_path / "data.npz")]


def run(capsys, *arguments):
    status = main([*arguments])
    return status, *capsys.readouterr()


def test_the_worked_example_as_a_page(capsys, tmp_path):
    path = tmp_path / "the example.html"
    status, out, err = run(capsys, "--report", str(path))
    assert (status, err) == (0, "")
    assert f"The page is in `{path}`." in " ".join(out.split())
    page = path.read_text(encoding="utf-8")
    for text in (
        "The worked example: 3 patients, three layers, one loss",
        "X³ = W²₁·X²₁ + W²₂·X²₂ + W²₃·X²₃",
        "Culprits: who is to blame for the loss of x³",
        "x³ stands on the kink of L3",
        f"jaxwalk --report &#39;{path}&#39;",
    ):
        assert text in page


def test_a_survey_as_a_page_and_its_data_alone_on_standard_output(capsys, files, tmp_path):
    path = tmp_path / "page.html"
    status, out, _ = run(capsys, "--report", str(path), "walk", *files, "--json", "--no-progress")
    assert status == 0
    assert json.loads(out)["data"] == 3
    page = path.read_text(encoding="utf-8")
    for text in (
        "model.py, through data.npz",
        "1 datum with a NaN or Inf: 2. In datum 2 its x has one already, before the model.",
        "% of the units are exactly zero",
        "int32: no delta",
        "The 3 data of largest loss",
        f"jaxwalk --report {path} walk",
    ):
        assert text in page


@pytest.mark.parametrize("command", [[], ["walk"]])
def test_a_page_that_cannot_be_written_is_refused_at_once(capsys, files, tmp_path, command, monkeypatch):
    monkeypatch.setattr("jaxwalk._cli.main._command", lambda module: pytest.fail("it began"))
    path = tmp_path / "none" / "page.html"
    status, out, err = run(capsys, *command, *(files if command else []), "--report", str(path))
    assert (status, out) == (2, "")
    assert err == f"jaxwalk: `--report`: `{path}` cannot be written: No such file or directory; give another path.\n"
    assert sorted(os.listdir(tmp_path)) == ["data.npz", "model.py"]


def test_fractions_are_no_page(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["--exact", "--report", str(tmp_path / "page.html")])
    assert "--report shows the numbers of a run, and --exact has fractions; leave one of them out" in (
        capsys.readouterr().err
    )


def test_a_model_that_changes_the_folder_is_told_of_the_page_too(capsys, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(f"import os\nos.makedirs('sub')\nos.chdir('sub')\n{MODEL}")
    status, _, err = run(capsys, "walk", *files, "--report", "page.html")
    assert status == 2
    assert "changes the working directory; give absolute paths by `--report`." in err
