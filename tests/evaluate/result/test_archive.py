"""An `Evaluation` in a file, and one that an earlier version saved."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp

import jaxwalk as jw
from jaxwalk._evaluate.result import archive

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
