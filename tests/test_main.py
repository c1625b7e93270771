import json

import numpy as np
import pytest

from jaxwalk.__main__ import main

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


@pytest.fixture
def files(tmp_path):
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
        "predicted, δ1 · (0, 0, 1) -0.0001724",
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


def test_walk_prints_a_line_per_point(capsys, files):
    status, out, err = run(capsys, "walk", *files, "--top", "2")
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "5 points, over 4 data" in lines
    assert "2 dense (3,) 3.188 7 0 % 3.375 6 25 %" in lines
    assert "3 act (3,) 2.688 7 25 % 3.375 6 25 %" in lines
    assert any(line.startswith("4 guess () 0 0 100 % unused; int32: no delta") for line in lines)
    assert any("output, datum 1" in line and "unused" in line for line in lines if "dropped" in line)
    assert lines[lines.index("datum loss") + 2 :][:2] == ["0 27", "2 27"]
    assert "Not used of the data file: ids." in lines


def test_walk_as_data(capsys, files):
    status, out, _ = run(capsys, "walk", *files, "--json")
    data = json.loads(out)
    assert (status, data["data"]) == (0, 4)
    points = {p["point"]: p for p in data["points"]}
    assert list(points) == ["input", "dense", "act", "guess", "dropped"]
    assert points["guess"]["delta"] is None
    assert points["guess"]["output"]["max"] == 0
    assert points["dropped"]["output"]["first_nonfinite"] == 1
    assert points["dropped"]["output"]["mean"] == "nan"
    assert points["dropped"]["delta"]["max"] == 0
    assert points["act"]["output"]["zeros"] == 0.25
    assert [row["datum"] for row in data["largest_loss"]] == [0, 2, 3, 1]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "import jaxwalk as jw\nparams = 1\ndef objective(params, x, y): return jw.tag(x, 'x')",
            "must be a real scalar",
        ),
        ("params = 1\ndef objective(params, x, y): return x @ x.shape", "`objective` of"),
        ("params = 1\ndef objective(params, x): return x", "fails on the first datum: TypeError"),
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
    assert "cannot be read as csv" in err


@pytest.mark.parametrize("top", ["0", "-1", "many"])
def test_top_must_be_positive(files, top):
    with pytest.raises(SystemExit, match="2"):
        main(["walk", *files, "--top", top])


def test_more_data_than_one_batch(capsys, files, tmp_path):
    x = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=np.zeros(600, np.float32))
    data = json.loads(run(capsys, "walk", *files, "--json")[1])
    assert data["data"] == 600
    out = np.maximum(x.sum(1), 0)
    np.testing.assert_allclose(data["mean_loss"], 3 * np.mean(out**2), rtol=1e-5)
    np.testing.assert_allclose(data["points"][2]["output"]["max"], out.max(), rtol=1e-6)


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
    assert json.loads(run(capsys, "--json", "walk", *files)[1])["data"] == 4


def test_what_the_model_prints_is_not_among_the_results(capsys, files, tmp_path):
    (tmp_path / "model.py").write_text("print('hello')\n" + MODEL)
    _, out, err = run(capsys, "walk", *files, "--json")
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


def test_branches_not_taken_count_as_zeros(capsys, files, tmp_path):
    (tmp_path / "model.py").write_text(
        "import jax, jax.numpy as jnp, jaxwalk as jw\nparams = 1.0\n"
        "def objective(params, x, y):\n"
        "    return jax.lax.cond(y > 1, lambda x: jw.tag(2 * x, 'p'), lambda x: jw.tag(3 * x, 'q'), x).sum()\n"
    )
    points = {p["point"]: p for p in json.loads(run(capsys, "walk", *files, "--json")[1])["points"]}
    assert points["p"]["delta"]["zeros"] == points["p"]["output"]["zeros"] == 0.75
    assert points["q"]["delta"]["zeros"] == 0.25


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
    points = json.loads(run(capsys, "walk", *files, "--json")[1])["points"]
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


def test_the_worked_example_in_fractions(capsys):
    status, out, err = run(capsys, "--exact")
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in (
        "In fractions, nothing rounded. w² = (1/200, −3/11600, 1/5800).",
        "x¹ (100, 2000, 100) 0 0",
        "x² (200, 0, 0) 1 1",
        "x³ (0, 2000, 3000) 0 0",
        "x³ 0 1 1/2 wrong",
        "x² 1 1 0 right",
        "x³ −1 −1 −(1/200, −3/11600, 1/5800)",
        "x³ −(0, 2000, 3000)",
    ):
        assert line in lines
    assert max(map(len, out.splitlines())) <= 80


def test_fractions_as_data(capsys, tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("broccoli,strawberries,workout,expectation\n0,2000,3000,1\n100.1,0,0,0.5\n")
    first, second = json.loads(run(capsys, "--exact", "--json", "--csv", str(path))[1])["patients"]
    assert (first["o2"], first["loss"], first["delta3"]) == ("0", "1/2", "-1")
    assert first["delta2"] == ["-1/200", "3/11600", "-1/5800"]
    assert (second["o3"], second["delta4"], second["correct"]) == ("1001/2000", "1/2000", True)


def test_fractions_do_not_go_with_walk(files, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--exact", "walk", *files])
    assert "--exact is for the worked example" in capsys.readouterr().err
