"""Where findings are is said once a kind, with how many points, and apart what is not in the table or picture."""

import pytest

import jaxwalk as jw
from jaxwalk._health.places import names_at, names_by_point, notes_of, told

pytestmark = pytest.mark.once

HEALTH = jw.Health(
    [
        jw.Finding("dead", "a", 1.0, 0.9, "", "", points=("a", "b")),
        jw.Finding("dead", "c", 1.0, 0.9, "", ""),
        jw.Finding("blocked", "b", 1.0, 0.0, "", ""),
        jw.Finding("update", None, 20.0, 10.0, "", "", weights=("kernel", "bias", "scale")),
        jw.Finding("still", None, 0.0, 0.0, "", ""),
    ]
)


def test_names_of_findings_by_point():
    assert names_by_point(HEALTH) == {"a": ("dead",), "b": ("dead", "blocked"), "c": ("dead",)}
    assert names_at(HEALTH, "b") == ["dead", "blocked"]
    assert names_at(HEALTH, "kernel") == []


def test_what_is_elsewhere_is_said():
    assert list(told(HEALTH, ["a", "c"])) == [
        "Found: dead at 2 points, first `a`.",
        "Found, but at none of these points: blocked at `b`; update at `kernel`, `bias` and 1 more; still.",
    ]
    assert list(told(jw.Health(), ["a"])) == []
    assert list(notes_of(HEALTH, ["a"], "Walk.health"))[1] == "At none of these points: dead, blocked, update, still."
    assert list(notes_of(jw.Health(), ["a"], "Walk.health")) == ["Healthy: `jw.health` found nothing."]
