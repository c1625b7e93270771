import argparse
import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import stopped
from jaxwalk import _signals
from jaxwalk.__main__ import main
from jaxwalk._cli import walk_survey
from jaxwalk._cli.data.dataset import DataBatches
from jaxwalk._cli.main import _interrupted
from jaxwalk._show.table import Table
from jaxwalk._show.terminal import show

pytestmark = pytest.mark.once

MODEL = """
import jax, jax.numpy as jnp, jaxwalk as jw
params = {"dense": jnp.ones((2, 3))}
model = jw.chain(dense=lambda w, x: x @ w, act=jax.nn.relu)
def objective(params, x, y):
    out = model(params, x)
    jw.tag(jnp.argmax(out), "guess")
    jw.tag(jnp.log(x), "dropped")
    return jnp.sum((out - y) ** 2)
"""

QUICK = ["--at", "act", "--no-kinks"]  # compiled in a second


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "model.py").write_text(MODEL)
    x = np.float32([[1, 2], [1, -3], [3, 4], [0.5, 0.25]])
    np.savez(tmp_path / "data.npz", x=x, y=np.float32([0, 0, 10, 0]), ids=np.arange(4))
    return [str(tmp_path / "model.py"), "--data", str(tmp_path / "data.npz")]


def run(capsys, *arguments):
    status = main([*arguments])
    return status, *capsys.readouterr()


def test_the_main_job_prints_the_walkthrough(capsys):
    status, out, err = run(capsys)
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in (
        "x³ 0 2000 3000 good shape (1)",
        "x² (200, 0, 0) 1 1",
        "x³ 0 1 0.5 wrong",
        "x¹ 0 0 (0, 0, 0)",
        "x¹ (0, 0, 0) (0, 0, 0)",
        "x³ -1 -1 (-0.005, 0.0002586, -0.0001724)",
        "x³ (-0.005, 0.0002586, -0.0001724) (0, -2000, -3000)",
        "X⁴ (L3) 0 -1",
        "predicted, δ¹ · (0, 0, 1) -0.0001724",
    ):
        assert line in lines
    assert "x³ stands on the kink of L3" in out


def test_the_main_job_as_data(capsys):
    status, out, _ = run(capsys, "--json")
    data = json.loads(out)
    assert status == 0
    assert [p["patient"] for p in data["patients"]] == ["x¹", "x²", "x³"]
    assert [p["correct"] for p in data["patients"]] == [True, True, False]
    np.testing.assert_allclose(data["patients"][2]["delta_w2"], [0, -2000, -3000], rtol=1e-6)
    assert data["culprits"]["patient"] == data["prediction"]["patient"] == "x³"
    assert len(data["notes"]) == 1


def test_other_patients(capsys, tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("expectation,broccoli,strawberries,workout\n1,100,0,0\n1,200,0,0\n0.5,300,0,0\n")
    status, out, _ = run(capsys, "--csv", str(path), "--json")
    data = json.loads(out)
    assert status == 0
    np.testing.assert_allclose([p["o3"] for p in data["patients"]], [0.5, 1, 1.5], rtol=1e-6)
    np.testing.assert_allclose([p["delta4"] for p in data["patients"]], [-0.5, 0, 1], rtol=1e-6)
    assert data["culprits"]["patient"] == "x³"
    assert run(capsys, "--csv", str(path))[0] == 0


def test_patients_who_are_all_right(capsys, tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("broccoli,strawberries,workout,expectation\n200,0,0,1\n")
    status, out, _ = run(capsys, "--csv", str(path))
    assert status == 0
    assert "No loss, no culprits" in out


def lines_of(out):
    return [" ".join(line.split()) for line in out.splitlines()]


def test_walk_prints_a_line_per_point(capsys, files, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # else the table may be divided into two
    status, out, err = run(capsys, "walk", *files, "--top", "2", "--no-kinks")
    assert (status, err) == (0, "")
    lines = lines_of(out)
    assert "5 points, over 4 data" in lines
    assert "2 dense (3,) 3.188 7 0 % 3.375 6 25 %" in lines
    assert "3 act (3,) 2.688 7 25 % 3.375 6 25 %" in lines
    assert "4 guess () 0 0 100 % unused; int32: no delta" in lines
    assert "5 dropped (2,) 0.6572 1.386 37.5 % 1 0 0 100 % unused" in lines
    assert lines[lines.index("datum loss largest ‖δ‖") + 2 :][:2] == [
        "0 27 input 25.46, dense = act 10.39",
        "2 27 input 25.46, dense = act 10.39",
    ]
    assert "Not used of `--data`: `ids`." in lines
    assert "NaN/Inf: how many data have one there. The other columns leave these numbers out." in lines


def test_walk_as_data(capsys, files):
    status, out, _ = run(capsys, "walk", *files, "--json")
    data = json.loads(out)
    assert (status, data["data"], data["nonfinite"]["data"]) == (0, 4, 0)
    points = {p["point"]: p for p in data["points"]}
    assert list(points) == ["input", "dense", "act", "guess", "dropped"]
    assert points["guess"]["delta"] is None
    assert points["guess"]["note"] == "unused; int32: no delta"
    assert points["guess"]["output"]["max"] == 0
    assert points["dropped"]["output"]["nonfinite_data"] == 1
    assert points["dropped"]["delta"]["max"] == 0
    assert points["act"]["output"]["zeros"] == 0.25
    assert points["act"]["kinks"] == 0
    assert [row["datum"] for row in data["largest_loss"]] == [0, 2, 3, 1]
    np.testing.assert_allclose(data["largest_loss"][0]["norms"]["act"], np.sqrt(3 * 6**2), rtol=1e-6)


def test_tables_fit_eighty_columns(capsys, files, tmp_path, monkeypatch):
    """With points in a scan, a long name, points without δ, NaN."""
    (tmp_path / "model.py").write_text(
        "import jax, jax.numpy as jnp, jaxwalk as jw\nparams = jnp.ones(15)\n"
        "def objective(params, x, y):\n"
        "    step = lambda c, w: (jw.tag(w * c, 'encoder/a_block_of_a_rather_long_name/attention/output'), None)\n"
        "    out = jax.lax.scan(step, x, params)[0]\n"
        "    jw.tag(jnp.argmax(x), 'index')\n"
        "    return jnp.sum(jw.tag(jnp.log(out), 'log')) + y\n"
    )
    monkeypatch.setenv("COLUMNS", "80")
    status, out, err = run(capsys, "walk", *files, "--no-kinks")
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    lines = lines_of(out)
    assert lines.count("… 3 more steps") == 2
    assert any("axis 0: scan of 15" in line for line in lines)
    assert any(
        line.startswith("1 datum with a NaN or Inf: 1. Of datum 1 the first is in the output of") for line in lines
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "import jaxwalk as jw\nparams = 1\ndef objective(params, x, y): return jw.tag(x, 'x')",
            "`objective` returns an array of shape (2,) for one datum; return one float for it.",
        ),
        ("params = 1\ndef objective(params, x, y): return x @ x.shape", "`objective` of"),
        ("params = 1\ndef objective(params, x): return x", "fails on the first datum: TypeError"),
        ("params = 1\ndef objective(params, x, y): return 1.0", "has no points"),
        (
            "params = 1\ndef objective(params, x, y): return x[0] if x.sum() > 0 else x[1]",
            "in place of Python's `if` write `jnp.where` or `jax.lax.cond`",
        ),
    ],
)
def test_a_model_that_does_not_fit(capsys, files, tmp_path, model, message):
    (tmp_path / "model.py").write_text(model)
    status, out, err = run(capsys, "walk", *files)
    assert (status, out) == (2, "")
    assert err.startswith("jaxwalk: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_file_that_does_not_fit(capsys, tmp_path):
    status, out, err = run(capsys, "--csv", str(tmp_path / "absent.csv"))
    assert (status, out) == (2, "")
    assert "absent.csv` is not there; give the path of a csv." in err


@pytest.mark.parametrize("top", ["0", "-1", "many"])
def test_top_must_be_positive(files, top):
    with pytest.raises(SystemExit, match="2"):
        main(["walk", *files, "--top", top])


def test_more_data_than_one_batch(capsys, files, tmp_path):
    x = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=np.zeros(600, np.float32))
    data = json.loads(run(capsys, "walk", *files, *QUICK, "--json")[1])
    assert data["data"] == 600
    out = np.maximum(x.sum(1), 0)
    np.testing.assert_allclose(data["mean_loss"], 3 * np.mean(out**2), rtol=1e-5)
    np.testing.assert_allclose(data["points"][0]["output"]["max"], out.max(), rtol=1e-6)


def test_the_main_job_fits_eighty_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(capsys)
    assert "(-0.005, 0.0002586, -0.0001724)   (0, -2000, -3000)" in out
    assert max(map(len, out.splitlines())) <= 80


def test_csv_does_not_go_with_walk(files, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--csv", "patients.csv", "walk", *files])
    assert "--csv is for the worked example" in capsys.readouterr().err


def test_json_may_stand_before_the_command(capsys, files):
    assert json.loads(run(capsys, "--json", "walk", *files, *QUICK)[1])["data"] == 4


def test_what_the_model_prints_is_not_among_the_results(capsys, files, tmp_path):
    (tmp_path / "model.py").write_text("print('hello')\n" + MODEL)
    _, out, err = run(capsys, "walk", *files, *QUICK, "--json")
    assert json.loads(out)["data"] == 4
    assert "hello" in err


def test_one_patient_does_not_blur_the_others(capsys, tmp_path):
    """What counts as rounding is each patient's own."""
    path = tmp_path / "patients.csv"
    path.write_text("broccoli,strawberries,workout,expectation\n1e8,0,0,1\n100,0,0,1\n3e38,3e38,3e38,1\n")
    status, out, _ = run(capsys, "--csv", str(path))
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert status == 0
    assert "x² (100, 0, 0) 0.5 0.5" in lines
    assert "x² 0.5 1 0.125 right" in lines
    assert any(line.startswith("x³") and "inf" in line for line in lines)
    data = json.loads(run(capsys, "--csv", str(path), "--json")[1])
    assert data["patients"][2]["loss"] == "inf"


def test_a_branch_is_of_the_data_that_took_it(capsys, files, tmp_path):
    (tmp_path / "model.py").write_text(
        "import jax, jax.numpy as jnp, jaxwalk as jw\nparams = 1.0\n"
        "def objective(params, x, y):\n"
        "    x = jax.lax.cond(y > 1, lambda x: jw.tag(2 * x, 'p'), lambda x: jw.tag(3 * x, 'q'), x)\n"
        "    return jax.lax.cond(y > 99, lambda x: jw.tag(2 * x, 'never'), lambda x: x, x).sum()\n"
    )
    points = {p["point"]: p for p in json.loads(run(capsys, "walk", *files, "--json", "--no-kinks")[1])["points"]}
    assert (points["p"]["output"]["max"], points["p"]["output"]["mean"], points["p"]["delta"]["zeros"]) == (8, 7, 0)
    assert (points["q"]["output"]["max"], points["q"]["delta"]["mean"]) == (9, 1)
    assert points["never"]["note"] == "conditional; no datum came here"


def test_a_random_key_has_no_size(capsys, files, tmp_path):
    (tmp_path / "model.py").write_text(
        "import jax, jax.numpy as jnp, jaxwalk as jw\nparams = jax.random.key(0)\n"
        "def objective(params, x, y):\n"
        "    key = jw.tag(jax.random.fold_in(params, 1), 'key')\n"
        "    return jw.tag(x * jax.random.normal(key), 'noisy').sum()\n"
    )
    status, out, err = run(capsys, "walk", *files)
    assert (status, err) == (0, "")
    assert "noisy" in out


def test_a_model_that_names_nothing_is_walked_by_its_lines(capsys, files, tmp_path):
    (tmp_path / "model.py").write_text(
        "params = 3.0\ndef objective(params, x, y):\n    h = params * x\n    return h.sum()\n"
    )
    points = json.loads(run(capsys, "walk", *files, "--json", "--no-kinks")[1])["points"]
    assert [p["point"] for p in points] == ["objective/h", "objective/return"]
    assert points[0]["output"]["max"] == 12
    assert points[0]["delta"]["max"] == 1


def test_the_formulas_of_the_worked_example(capsys):
    _, out, _ = run(capsys)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in (
        "L2 X³ = W²₁·X²₁ + W²₂·X²₂ + W²₃·X²₃",
        "L3 X⁴ = X³ if X³ ≥ 0 else 0",
        "loss Loss = (X⁴ − Y)²/2",
        "loss δ⁴ = X⁴ − Y",
        "L3 δ³ = δ⁴ if X³ ≥ 0 else 0",
        "L2 δ² = (δ³·W²₁, δ³·W²₂, δ³·W²₃)",
        "L2 δW² = (δ³·X²₁, δ³·X²₂, δ³·X²₃)",
        "L1 δ¹ = δ²",
    ):
        assert line in lines


def test_the_worked_example_in_fractions(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    status, out, err = run(capsys, "--exact")
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in (
        "In fractions, nothing rounded. W² = (1/200, −3/11600, 1/5800).",
        "x¹ (100, 2000, 100) 0 0",
        "x² (200, 0, 0) 1 1",
        "x³ (0, 2000, 3000) 0 0",
        "x³ 0 1 1/2 wrong",
        "x² 1 1 0 right",
        "x³ −1 −1 −(1/200, −3/11600, 1/5800)",
        "x³ −(0, 2000, 3000)",
    ):
        assert line in lines
    assert "x³ stands on the kink of L3: o² is exactly 0. L3 takes 0 to its side of X³ ≥ 0" in " ".join(lines)
    assert "x² stands" not in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("options", [[], ["--exact"]])
def test_the_worked_example_fits_60_columns_and_writes_each_thing_in_one_way(capsys, monkeypatch, options):
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = run(capsys, *options)
    lines = out.splitlines()
    assert max(map(len, lines)) <= 60
    assert not re.search(r"[oδ]\d|w²", out)  # δ⁴, not δ4
    for i, heading in enumerate(lines[:-2]):  # no column begins or ends elsewhere than its heading
        if set(lines[i + 1].strip()) == {"─"} and "x    " in heading:
            starts = [m.start() for m in re.finditer(r"(?<=   )\S", heading)]
            ends = [m.end() for m in re.finditer(r"\S(?=   |$)", heading)]
            for row in itertools.takewhile(str.strip, lines[i + 2 :]):
                cells = [m.span() for m in re.finditer(r"\S+( \S+)*", row)][1:]
                assert all(a in starts or b in ends for a, b in cells)


def test_fractions_as_data(capsys, tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("broccoli,strawberries,workout,expectation\n0,2000,3000,1\n100.1,0,0,0.5\n")
    data = json.loads(run(capsys, "--exact", "--json", "--csv", str(path))[1])
    assert [note[:40] for note in data["notes"]] == ["x¹ stands on the kink of L3: o² is exact"]
    first, second = data["patients"]
    assert (first["o2"], first["loss"], first["delta3"]) == ("0", "1/2", "-1")
    assert first["delta2"] == ["-1/200", "3/11600", "-1/5800"]
    assert (second["o3"], second["delta4"], second["correct"]) == ("1001/2000", "1/2000", True)


def test_fractions_do_not_go_with_walk(files, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--exact", "walk", *files])
    assert "--exact is for the worked example" in capsys.readouterr().err


# Data, and how they are gone through ----------------------------------------------------------------------


def test_columns_of_a_table(capsys, files, tmp_path):
    rows = "1,2,0.0,7\n1,-3,0.0,8\n3,4,10.0,9\n0.5,0.25,0.0,10\n"
    (tmp_path / "data.csv").write_text("a,b,c,id\n" + rows)
    arguments = ["walk", files[0], "--data", str(tmp_path / "data.csv"), *QUICK]
    data = json.loads(run(capsys, *arguments, "--x", "a,b", "--y", "c", "--json")[1])
    assert data["notes"][0] == "Not used of `--data`: `id`."
    np.testing.assert_allclose(data["largest_loss"][0]["loss"], 27)
    status, _, err = run(capsys, *arguments, "--x", "a,b")
    assert (status, err.count("\n")) == (2, 1)
    assert "lacks the column `y`" in err
    assert "choose others by `--y`" in err


def test_rows_are_kept_and_gone_on_with(capsys, files, tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet")
    out = str(tmp_path / "out")
    arguments = ["walk", *files, *QUICK, "--out", out, "--batch-size", "1", "--json"]
    monkeypatch.setattr("jaxwalk._evaluate.programs.GROUP", 1)
    batches, fail = DataBatches.__iter__, [KeyboardInterrupt]

    def cut_short(self):
        for number, batch in enumerate(batches(self)):
            if number == 3 and fail:
                raise fail.pop()
            yield batch

    monkeypatch.setattr(DataBatches, "__iter__", cut_short)
    status, printed, err = run(capsys, *arguments)
    assert (status, printed) == (130, "")
    assert err.startswith(f"jaxwalk: stopped; `{out}` holds ")
    assert 0 < len(pq.read_table(f"{out}/rows")) < 4

    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert err == (
        f"jaxwalk: `--out` is `{out}`, which holds an evaluation; give `--resume` to go on with it, or another"
        " directory.\n"
    )
    fail.append(RuntimeError("the disk is gone"))
    status, _, err = run(capsys, *arguments, "--resume")
    assert status == 2
    assert "in a batch: RuntimeError: the disk is gone" in err
    assert err.endswith(f"The 3 data before that are kept in `{out}`.\n")

    status, printed, _ = run(capsys, *arguments, "--resume")
    assert status == 0
    assert json.loads(printed)["data"] == 4
    rows = pq.read_table(f"{out}/rows")
    assert rows["index"].to_pylist() == [0, 1, 2, 3]
    np.testing.assert_allclose(rows["loss"], [27, 0, 27, 1.6875])
    assert "delta_l2/act" in rows.column_names

    status, _, err = run(capsys, *arguments, "--resume", "--top", "2")
    assert status == 2
    assert "since `--top` was 10 and is 2" in err
    data = np.load(tmp_path / "data.npz")
    np.savez(tmp_path / "data.npz", **{name: np.concatenate([data[name], data[name][:1]]) for name in data})
    status, _, err = run(capsys, *arguments, "--resume")
    assert status == 2
    assert "`--data` has 5 rows, and had 4 when the evaluation in `--out` came to its end; give the same data" in err


def test_devices(capsys, files):
    assert len(jax.devices()) >= 2
    data = json.loads(run(capsys, "walk", *files, "--json", "--at", "act,guess", "--devices", "2")[1])
    act, guess = data["points"]
    assert (act["point"], act["output"]["max"], act["output"]["zeros"], act["kinks"]) == ("act", 7, 0.25, 0)
    assert (guess["point"], guess["output"]["zeros"]) == ("guess", 1)
    assert [row["datum"] for row in data["largest_loss"]] == [0, 2, 3, 1]


def test_virtual_devices(files):
    """In a process of its own: they are asked for before JAX starts."""
    arguments = ["walk", *files, "--devices", "3", "--json", *QUICK]
    code = f"import sys\nfrom jaxwalk.__main__ import main\nstatus = main({arguments})\n"
    code += "import jax\nprint(jax.device_count(), file=sys.stderr)\nsys.exit(status)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "3"), done.stderr
    assert json.loads(done.stdout)["data"] == 4


def test_points_by_line_and_by_name(capsys, files):
    options = ["--no-kinks", "--json", "--by", "lines"]
    status, out, _ = run(capsys, "walk", *files, *options, "--at", "objective/o*", "--at", "objective/return")
    assert status == 0
    assert [p["point"] for p in json.loads(out)["points"]] == ["objective/out", "objective/return"]
    assert "kinks" not in json.loads(out)["points"][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--at", "nope"], "`--at='nope'` matches no point. Near it: `dropped`."),
        (
            ["--at", "guess"],
            "No point that is asked for has a δ; `guess`: its dtype is int32: it has an output and no δ",
        ),
        (
            ["--by", "scopes"],
            "`--by scopes` finds no `jax.named_scope` in `objective`; use `--by lines`, or tag values",
        ),
        (["--x", "a"], "lacks the array `a`; it holds `x`, `y`, `ids`"),
        (["--x", "x,ids"], "holds arrays, not columns; give one name by `--x`"),
        (["--data", "absent.npz"], "`absent.npz` is not there; give the path of an npz"),
        (["--data", __file__], "test_main.py` is no npz, csv, parquet or folder by its name"),
        (["--devices", "3", "--batch-size", "4"], "`--batch-size` is 4, which 3 devices do not divide"),
        (["--devices", "5"], "`--devices` is 5, and `--data` has 4 rows; give no more than that"),
        (["--out", "/dev/null/out"], "`--out` is `/dev/null/out`, which"),
    ],
)
def test_options_that_do_not_fit(capsys, files, options, message):
    status, out, err = run(capsys, "walk", *files, *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("jaxwalk: ")
    assert message in err


def test_more_devices_than_there_are(capsys, files, tmp_path):
    there = len(jax.devices())
    np.savez(tmp_path / "data.npz", x=np.ones((there + 1, 2)), y=np.ones(there + 1))
    status, _, err = run(capsys, "walk", *files, "--devices", str(there + 1))
    assert status == 2
    assert f"`--devices` is {there + 1}, and JAX has {there} devices (cpu); give no more than that." in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resume"], "--resume goes on with what is in --out; name its directory"),
        (["--frob"], "unrecognized arguments: --frob"),
        (["more"], "unrecognized arguments: more"),
        (["--data", ""], "argument --data: it is empty; give a path"),
        (["--out", ""], "argument --out: it is empty; give a path"),
        (["--x", "a,,b"], "'a,,b' has an empty name; divide names by commas"),
        (["--by", "modules"], "invalid choice: 'modules'"),
        (["--by", "tags", "--source", "numpy"], "--source says whose lines are points, but --by is tags; leave it out"),
        (["--out", "a\0b"], "it holds a NUL byte, which no path has"),
        (["--batch-size", "0"], "'0' is not an integer of at least 1"),
    ],
)
def test_options_that_are_none(capsys, files, options, message):
    with pytest.raises(SystemExit, match="2"):
        main(["walk", *files, *options])
    err = capsys.readouterr().err
    assert err.startswith("usage: jaxwalk walk [-h]")
    assert message in err


def test_a_command_that_is_none(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["frob"])
    err = capsys.readouterr().err
    assert "COMMAND ..." in err
    assert "argument COMMAND: invalid choice: 'frob'" in err


WORDS = """
import jaxwalk as jw
params = 1.0
def objective(params, x, y):
    jw.tag(x, "h")
    out = jw.tag(x.sum() * params, "out")
    {}
"""


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("return out", "`--at='z*'` matches no point. There are: `h`, `out`.\n"),
        (
            "raise ValueError('give `out` and `batches` a value; `resume=True`')",
            "fails on the first datum: ValueError: give `out` and `batches` a value; `resume=True` (model.py:7).\n",
        ),
        (
            "return jw.walk(lambda x: jw.tag(x, 'out'), at='z')(out).value",
            "fails on the first datum: PointError: `at='z'` matches no point. There are: `out` (model.py:7).\n",
        ),
    ],
)
def test_what_a_user_has_named_is_not_translated(capsys, files, tmp_path, last, message):
    (tmp_path / "model.py").write_text(WORDS.format(last))
    status, _, err = run(capsys, "walk", *files, "--at", "z*")
    assert status == 2
    assert err.endswith(message)


def test_columns_that_do_not_fit_are_named(capsys, files, tmp_path):
    (tmp_path / "data.csv").write_text(',a,b,price,y\n0,1,2,"1,000",3\n')
    status, _, err = run(capsys, "walk", files[0], "--data", str(tmp_path / "data.csv"))
    assert status == 2
    assert "(model.py:3)" in err or "(model.py:4)" in err
    assert err.endswith(
        "x is the columns ``, `a`, `b`; choose others by `--x`. Not numbers, and not used of `--data`: `price`.\n"
    )


def test_sigterm_stops_it_as_ctrl_c_does(capsys, files, monkeypatch):
    def killed(*_, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            _signals.check()
            time.sleep(0.01)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("jaxwalk._cli.walk_command.survey", killed)
    assert run(capsys, "walk", *files) == (143, "", "jaxwalk: stopped.\n")
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_once_the_model_is_read(tmp_path):
    """`python tests/stopped.py 60` sends more signals, at moments of the whole run."""
    stopped.make(tmp_path)
    process = stopped.started(tmp_path, tmp_path / "out")
    assert process.stderr.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    said, _, wrong = stopped.ended(process, signal.SIGINT)
    assert (wrong, process.returncode) == ([], 130), said


def test_what_is_said_before_jax_is_imported(files, tmp_path):
    """In a process of its own, in which JAX is not there yet."""
    (tmp_path / "file").write_text("")
    held = tmp_path / "held"
    held.mkdir()
    (held / "thing").write_text("")
    walks = [
        (["walk", "absent.py", *files[1:]], "`absent.py` is not a Python file that is there; give the path of one."),
        (["walk", files[0], "--data", "absent.npz"], "`--data`: `absent.npz` is not there; give the path of an npz"),
        (["walk", *files, "--out", str(tmp_path / "file")], "which is a file; give a directory."),
        (["walk", *files, "--out", str(tmp_path / "file" / "x")], "which cannot be written: Not a directory; mend"),
        (["walk", *files, "--out", str(held)], "which is not empty and no evaluation: it holds `thing`; give"),
        (["walk", *files, "--out", "x" * 300], "which cannot be written: File name too long; mend that"),
    ]
    code = f"""
import contextlib, io, sys
from jaxwalk.__main__ import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
    main(["walk", "--help"])
assert "--source" in out.getvalue()
for arguments, _ in {walks!r}:
    assert main(arguments) == 2
assert "jax" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    for line, (_, message) in zip(done.stderr.splitlines(), walks, strict=True):
        assert line.startswith("jaxwalk: ")
        assert message in line


def test_where_the_rows_are_is_said(capsys, files, tmp_path):
    pytest.importorskip("pyarrow")
    status, out, _ = run(capsys, "walk", *files, *QUICK, "--out", str(tmp_path / "out"))
    said = (
        f"A row per datum, its loss and the norm of δ at each point, is in `{tmp_path / 'out' / 'rows'}`, as Parquet."
    )
    assert status == 0
    assert "".join(said.split()) in "".join(out.split())


def test_an_empty_cell_is_told_and_not_the_models(capsys, files, tmp_path):
    (tmp_path / "data.csv").write_text("a,b,y\n1,2,0.0\n3,,1.0\n,,1.0\n")
    status, out, _ = run(capsys, "walk", files[0], "--data", str(tmp_path / "data.csv"), *QUICK, "--json")
    data = json.loads(out)
    assert status == 0
    assert "3 empty cells of `--data` are read as NaN, the first in the column `b` of datum 1." in data["notes"]
    assert "2 data with a NaN or Inf: 1, 2. In datum 1 its x has one already, before the model." in data["notes"][0]


def test_lines_of_an_installed_package(capsys, files, tmp_path):
    package = tmp_path / "site-packages" / "installed_by_a_test"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("def doubled(x):\n    twice = x * 2\n    return twice\n")
    (tmp_path / "model.py").write_text(
        f"import sys\nsys.path.append({str(package.parent)!r})\nimport installed_by_a_test as package\n"
        "params = 1.0\ndef objective(params, x, y):\n    h = package.doubled(x) * params\n    return h.sum()\n"
    )
    options = ["--no-kinks", "--json"]
    names = lambda *more: [p["point"] for p in json.loads(run(capsys, "walk", *files, *options, *more)[1])["points"]]
    assert names() == ["objective/h", "objective/return"]
    assert names("--source", "installed_by_a_test")[0] == "objective/h/doubled/twice"
    assert names("--source", "*/installed_by_a_test/*")[0] == "objective/h/doubled/twice"
    status, _, err = run(capsys, "walk", *files, *options, "--source", "no_such_module")
    assert status == 2
    assert "`--source` is `no_such_module`, a module that cannot be imported: ModuleNotFoundError" in err


def test_names_are_folded_at_their_slashes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    name = "encoder/convolution/return"
    columns = ("point", "a", "b", "largest ‖δ‖")
    show([Table("", columns, [(name, "0.123456789", "0.123456789", f"{name} 12.25, {name} 3")])])
    cells = [line[1:].split("   ") for line in capsys.readouterr().out.splitlines()]
    assert "".join(line[0].strip() for line in cells[4:]) == name
    assert [line[0].strip() for line in cells[4:6]] == ["encoder/", "convolution/"]
    assert [line[-1].strip() for line in cells[-3:-1]] == ["convolution/", "return 3"]


def test_what_cannot_be_judged_says_so(capsys, files, monkeypatch):
    def broken(*_, **options):
        raise NotImplementedError("no rule")

    monkeypatch.setattr(walk_survey, "kinks_over", broken)
    data = json.loads(run(capsys, "walk", *files, "--json", "--at", "act")[1])
    assert data["notes"][-1] == "Kinks are not counted: NotImplementedError: no rule."


@pytest.mark.parametrize("how", ["sys.exit()", "raise BaseException", "raise ValueError('\\x1b[2J')"])
def test_whatever_an_objective_raises_is_a_sentence(capsys, files, tmp_path, how):
    (tmp_path / "model.py").write_text(f"import sys\nparams = 1.0\ndef objective(params, x, y):\n    {how}\n")
    status, out, err = run(capsys, "walk", *files)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "fails on the first datum: " in err
    assert err[:-1].isprintable()
    assert "(model.py:4)" in err


def test_what_is_shown_of_data_is_text(capsys, files, tmp_path):
    """Names of columns, in what is told of them, tables, errors and JSON."""
    steer = "\x1b]0;owned\x07\x9b2J"
    (tmp_path / "data.csv").write_text(f"{steer}a,{steer}b,y\n1,2,3\n4,5,6\n")
    (tmp_path / "model.py").write_text(
        f"import jaxwalk as jw\nparams = 1.0\ndef objective(params, x, y):\n"
        f"    return jw.tag(x * params, {steer!r}).sum()\n"
    )
    walk = ["walk", files[0], "--data", str(tmp_path / "data.csv"), "--no-kinks"]
    shown = r"\x1b]0;owned\x07\x9b2J"
    for options in ([], ["--json"], ["--x", f"{steer}c"], ["--at", f"{steer}*?"], ["--top", "1", f"--{steer}"]):
        with contextlib.suppress(SystemExit):
            main([*walk, *options])
        out, err = capsys.readouterr()
        assert all(line.isprintable() for line in (out + err).split("\n"))
        assert shown in (out + err) or "\\u001b]0;owned\\u0007\\u009b2J" in out


def test_a_file_that_changes_the_folder_from_which_paths_are_meant(capsys, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text("import os\nos.chdir('/')\n" + MODEL)
    status, _, err = run(capsys, "walk", files[0], "--data", "data.npz", "--out", "out", *QUICK)
    assert status == 2
    assert "model.py` changes the working directory; give absolute paths by `--data` and `--out`." in err
    assert run(capsys, "walk", *files, *QUICK)[0] == 0


def test_the_last_words_are_text(tmp_path):
    options = argparse.Namespace(out=tmp_path / "\x1b[2J")
    assert r"\x1b[2J` holds 0 parts of the rows" in _interrupted(options)


def test_a_debugger_at_work_is_told(capsys, files, tmp_path):
    (tmp_path / "model.py").write_text("import sys\nsys.settrace(lambda *event: None)\n" + MODEL)
    try:
        status, out, _ = run(capsys, "walk", *files, *QUICK, "--json")
    finally:
        sys.settrace(None)
    assert status == 0
    note = json.loads(out)["notes"][-1]
    assert "`sys.settrace` is in use" in note
    assert ("are a guess" in note) == (sys.version_info < (3, 12))  # before, nothing else tells what runs


def test_source_that_is_not_met_is_named_as_an_option(capsys, files, tmp_path):
    (tmp_path / "model.py").write_text("params = 1.0\ndef objective(params, x, y):\n    return (x * params).sum()\n")
    status, _, err = run(capsys, "walk", *files, "--source", "*/of_nobody/*")
    assert status == 2
    assert err == (
        "jaxwalk: `--source` is ['*/of_nobody/*'], but no line of such a file is in what `objective` does; mend or drop"
        " it.\n"
    )
