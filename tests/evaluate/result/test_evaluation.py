"""The table of an evaluation has a column of findings, if they are given; they are not saved."""

import jax.numpy as jnp
import pytest

import jaxwalk as jw

pytestmark = pytest.mark.once

HEALTH = jw.Health([jw.Finding("dead", "twice", 1.0, 0.9, "", ""), jw.Finding("update", None, 20.0, 10.0, "", "")])


def test_the_table_of_points_has_a_column_of_health(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    fun = lambda w, x, y: jnp.sum(jw.tag(jw.tag(2 * w * x, "twice") - y, "apart") ** 2)
    found = jw.evaluate(fun, jnp.ones(2), [(jnp.ones((3, 2)), jnp.ones((3, 2)))], progress=False)
    known = found.with_health(HEALTH)
    columns, twice, apart = (line.split() for line in repr(known).splitlines()[1:4])
    assert columns[-1] == "health"
    assert twice[-1] == "dead"
    assert apart[-1] != "dead"
    assert "2 findings; `Evaluation.health` says what each means, and what to try." in repr(known)
    assert "At none of these points: update." in repr(known)
    assert "health" not in repr(found)
    known.save(tmp_path / "found.npz")
    assert jw.Evaluation.load(tmp_path / "found.npz").health is None
    with pytest.raises(jw.ArgumentError, match=r"`health` is 3, which is no `Health`; give what `jw.health` returned"):
        found.with_health(3)
