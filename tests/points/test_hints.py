"""Where most of what a function does lies in installed packages, the points say what else could be walked."""

import importlib.util

import jax
import jax.example_libraries.stax as stax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._source import packages

pytestmark = pytest.mark.once

X = np.ones(3, np.float32)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A module of an installed package."""
    folder = tmp_path / "site-packages" / "nets"
    folder.mkdir(parents=True)
    file = folder / "layers.py"
    file.write_text(
        "import jax, jax.numpy as jnp, jaxwalk as jw\n"
        "from jax.ad_checkpoint import checkpoint_name\n"
        "def scoped(x):\n    with jax.named_scope('layer'):\n        return jnp.sin(x) * 2\n"
        "def tagged(x):\n    return checkpoint_name(checkpoint_name(x * 2, 'a') * 2, 'b')\n"
    )
    spec = importlib.util.spec_from_file_location("nets.layers", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_body_in_a_package_names_the_source_to_give():
    init, apply = stax.serial(stax.Dense(4), stax.Relu, stax.Dense(2))
    _, params = init(jax.random.key(0), (3,))

    def net(params, x):
        return jnp.sum(apply(params, x))

    for by in (None, "lines"):
        points = jw.points(net, params, X, by=by)
        assert list(points) == ["net/return"]
        (hint,) = points.hints
        assert hint.endswith(
            " operations are made in `jax.example_libraries.stax`, an installed package: its lines are points with"
            " `source=jax.example_libraries.stax`."
        )
        assert hint in repr(points)
    assert len(jw.points(net, params, X, source=jax.example_libraries.stax)) > 5


def test_ones_own_lines_need_no_hint():
    def net(x):
        return jnp.sum(jnp.sin(x))

    assert jw.points(net, X).hints == ()
    assert jw.points(lambda x: jnp.sum(jw.tag(x, "x")), X).hints == ()


def test_where_every_scope_is_a_packages_lines_are_offered(package):
    def net(x):
        return jnp.sum(package.scoped(x) + 1)

    points = jw.points(net, X)
    assert list(points) == ["layer"]
    assert points.hints == (
        'Every point is made in `nets`, not by a line of your own: `by="lines"` takes the values of these.',
    )
    assert jw.points(net, X, by="scopes").hints == ()

    def around(x):
        with jax.named_scope("own"):
            return jnp.sum(package.scoped(x) + 1)

    assert jw.points(around, X).hints == ()


def test_tags_of_a_package_are_not_shown_among_others(package):
    points = jw.points(lambda x: jnp.sum(jw.tag(package.tagged(x), "own")), X)
    assert list(points) == ["a", "b", "own"]
    assert [line.split()[:2] for line in repr(points).splitlines()[2:3]] == [["3", "own"]]
    assert "Not shown: 2 tags of `nets`, an installed package." in repr(points)
    alone = jw.points(lambda x: jnp.sum(package.tagged(x)), X)
    assert "Not shown" not in repr(alone)
    assert alone.hints[0].startswith("Every point is made in `nets`")


def test_packages_of_files():
    assert packages.package_of(__file__) == ""
    assert packages.package_of(np.linalg.__file__) == "numpy"
    assert packages.package_of(jw.__file__) is None
    assert packages.package_of(stax.__file__) == "jax.example_libraries.stax"
    assert packages.package_of(importlib.util.__file__) is None
