"""An `Evaluation` in a file, and one that an earlier version saved."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._evaluate.result import archive
from jaxwalk._evaluate.store import npz as npz

SAVED = Path(__file__).parent / "saved" / "evaluation.npz"
SHOWN = """
10 data through 3 points, mean loss 0.306
  X  point   shape  data  output_max  delta_l2  delta_max  note
  1  hidden  (3,)     10      0.8455     1.904      3.976
  2  twice   (3,)      6       1.691     1.185      1.988  conditional
  3  scores  ()       10       1.936    0.6785      1.525
Also in `kept`: `output_l1`, `output_l2`, `output_rms`, `delta_l1`, `delta_rms`, `dead` and 3 more.
The 3 data of largest loss
  datum    loss  ‖δ‖ hidden  ‖δ‖ twice  ‖δ‖ scores
      1   1.162       5.362      2.681       1.525
      6  0.5232       3.598      1.799       1.023
      0  0.5132       1.782          0       1.013
"""


def test_what_an_earlier_version_saved_is_read(tmp_path):
    """Its arrays are under their own names, beside a text `said`."""
    found = jw.Evaluation.load(SAVED)
    assert repr(found) == SHOWN.strip()
    assert SHOWN.strip().endswith(repr(found.culprits))
    found.save(tmp_path / "again.npz")
    assert repr(jw.Evaluation.load(tmp_path / "again.npz")) == repr(found)


def test_a_point_keeps_its_other_names():
    def fun(x):
        with jax.named_scope(".blocks.0"):
            z = jw.tag(x * 2, "z")
        return jnp.sum(jax.lax.stop_gradient(z))

    points = jw.points(fun, jnp.ones(3), by="tags")
    (point,) = map(archive._point, json.loads(json.dumps(archive._described(points))))
    assert (point.name, point.path, point.aliases) == ("blocks.0/z", "blocks/0/z", ("blocks/0/z", "z"))
    assert point.stopped


@pytest.fixture(scope="module")
def found():
    return jw.Evaluation.load(SAVED)


def rewritten(path, change):
    """Write an evaluation whose header and arrays were changed."""
    header, arrays = npz.unpack(path)
    change(header, arrays)
    path.write_bytes(npz.pack(header, arrays))


@pytest.mark.once
@pytest.mark.parametrize(
    "change",
    [
        lambda header, arrays: arrays.pop("index"),
        lambda header, arrays: arrays.pop("seen 0"),
        lambda header, arrays: arrays.update({"seen 0": np.zeros(3)}),
        lambda header, arrays: arrays.update({"kept 99/a": np.zeros(3)}),
        lambda header, arrays: arrays.update({"norms": np.zeros((1, 1))}),
        lambda header, arrays: header.update({"jaxwalk evaluation": "1"}),
        lambda header, arrays: header.update({"points": 3}),
        lambda header, arrays: header["points"][0].update({"dtype": "no dtype"}),
        lambda header, arrays: header["points"][0].update({"axes": [["scan", 10**12]]}),
        lambda header, arrays: header.clear(),
    ],
)
def test_what_is_no_saved_evaluation(tmp_path, found, change):
    path = tmp_path / "evaluation.npz"
    found.save(path)
    rewritten(path, change)
    with pytest.raises(jw.DataError, match=r"evaluation\.npz` is no saved evaluation; give what `Evaluation.save`"):
        jw.Evaluation.load(path)


@pytest.mark.once
def test_other_files_are_no_saved_evaluations(tmp_path, found):
    np.save(tmp_path / "x.npy", np.zeros(3))
    np.savez_compressed(tmp_path / "large.npz", said=np.zeros(2**24, np.uint8))
    (tmp_path / "text.npz").write_text("text")
    for name in ("x.npy", "large.npz", "text.npz"):
        with pytest.raises(jw.DataError, match="is no saved evaluation"):
            jw.Evaluation.load(tmp_path / name)
    with pytest.raises(jw.DataError, match="cannot be read: No such file or directory; give the path"):
        jw.Evaluation.load(tmp_path / "absent.npz")
    path = tmp_path / "newer.npz"
    found.save(path)
    rewritten(path, lambda header, arrays: header.update({"jaxwalk evaluation": 99}))
    with pytest.raises(jw.DataError, match="was saved by a newer jaxwalk; read it with that"):
        jw.Evaluation.load(path)


@pytest.mark.once
@pytest.mark.parametrize("path", [3, "", "/", "a\0b", None])
def test_what_is_no_path_of_a_file(found, path):
    for use in (found.save, jw.Evaluation.load):
        with pytest.raises(jw.ArgumentError, match=r"`path` is .*; give the path of a file\."):
            use(path)


@pytest.mark.once
def test_links_directories_and_devices_are_not_replaced(tmp_path, found):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for path, what in ((tmp_path / "link", "a symbolic link"), (tmp_path, "a directory"), ("/dev/null", "a device")):
        with pytest.raises(jw.StoreError, match=f"is {what}, which is not replaced; give the path of a file"):
            found.save(path)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "old"


@pytest.mark.once
def test_results_of_names_that_files_have(tmp_path):
    keep = lambda output, delta: {"a": 10 * jnp.sum(output), "a.npy": jnp.sum(delta)}
    found = jw.evaluate(lambda w, x: jnp.sum(jw.tag(x * w, "h")), 1.0, [jnp.ones((4, 2))], keep=keep, progress=False)
    found.save(tmp_path / "found.npz")
    loaded = jw.Evaluation.load(tmp_path / "found.npz")
    assert {name: float(value) for name, value in loaded.kept["h"].items()} == {"a": 20, "a.npy": 2}
