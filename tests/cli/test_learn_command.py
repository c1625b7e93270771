import json

import pytest

from jaxwalk.__main__ import main

pytestmark = pytest.mark.once


def test_tables(capsys):
    assert main(["learn"]) == 0
    shown = capsys.readouterr().out
    for said in (
        "0.09245",
        "4.3e+06",
        "0.01027",
        "sign(δ²) = −sign(w²)",
        "far too large a step",
        "α = 1e-7",
        "blocked",
    ):
        assert said in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_fractions(capsys):
    assert main(["learn", "--exact"]) == 0
    shown = capsys.readouterr().out
    for said in ("23199997/11600", "−(0, 2000/3, 1000)", "1849/180000", "289/1800", "43/100"):
        assert said in shown
    assert "rounding" not in shown


def test_data_and_another_rate(capsys):
    assert main(["--exact", "learn", "--json", "--rate", "1/3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(e["rate"], e["batch"]) for e in found["epochs"]] == [("1/3", False), ("1/3", True)]
    assert found["epochs"][0]["updates"][2]["w2"] == ["1/200", "23199991/34800", "5800001/5800"]
    assert [s["weight"] for s in found["signs"]] == ["stay", "stay", "grow", "shrink", "shrink", "grow", "stay"]


def test_other_patients(capsys, tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("broccoli,strawberries,workout,expectation\n200,0,0,0\n")
    assert main(["learn", "--csv", str(path), "--json", "--rate", "0.001"]) == 0
    (one, _) = json.loads(capsys.readouterr().out)["epochs"]
    assert one["updates"][0]["delta_w2"] == [200.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["learn", "--rate", "0"], "'0' is not a number above 0, such as 1, 1e-7 or 1/3"),
        (["learn", "--rate", "nan"], "'nan' is not a number above 0"),
        (["--report", "page.html", "learn"], "--report is for a walk, and `learn` writes no page; leave it out"),
    ],
)
def test_refused(capsys, arguments, said):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
