"""Points in `jax.shard_map` and `jax.pmap`: checked by an ε placed by hand, by finite differences, without them."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxwalk as jw

pytestmark = pytest.mark.usefixtures("float64")

X = np.random.default_rng(0).normal(size=(4, 4))
W = np.random.default_rng(1).normal(size=(4, 4)) / 2
BOTH = ("a", "b")


def mesh_of(axis_type):
    return jax.make_mesh((2, 2), BOTH, axis_types=(axis_type,) * 2)


def shared(fun, over, specs, checked, **options):
    """`fun(x, eps)` on each shard; `over`: of each ε, the axes of the mesh that come first, one entry a shard."""

    def on_a_shard(x, eps):
        return fun(x, {name: lax.squeeze(e, range(len(over[name]))) for name, e in eps.items()})

    into, out = specs
    into = (into, {name: P(*axes) for name, axes in over.items()})
    return jax.shard_map(on_a_shard, in_specs=into, out_specs=out, check_vma=checked, **options)


# Each: fun(x, eps, mark, checked) -> loss; mark(value, name, eps). -----------------------------------------


def sums(x, eps, mark, checked):
    def fun(x, eps):
        y = mark(jnp.sin(x), "y", eps)
        z = mark(lax.psum(y, "a"), "z", eps)
        return z * mark(lax.psum(z * z, "b"), "w", eps) * y

    over = {"y": BOTH, "z": ("b",) if checked else BOTH, "w": () if checked else BOTH}
    spec = P("a", "b")
    return jnp.sum(shared(fun, over, (spec, spec), checked, mesh=mesh_of(AxisType.Auto))(x, eps) ** 2)


def scan_inside(x, eps, mark, checked):
    def step(c, e):
        c = mark(jnp.tanh(c + lax.ppermute(c, "a", [(0, 1), (1, 0)])), "c", e)
        return c, jnp.sum(c)

    def fun(x, eps):
        c, s = lax.scan(jax.checkpoint(step), x, eps, length=3)
        return c * jnp.sum(s)

    spec = P("a", "b")
    return jnp.sum(shared(fun, {"c": BOTH}, (spec, spec), checked, mesh=mesh_of(AxisType.Auto))(x, eps) ** 2)


def scan_around(x, eps, mark, checked):
    def fun(x, eps):
        g = mark(lax.all_gather(x, "a", tiled=True), "g", eps)
        h = jax.jit(lambda g, eps: mark(jnp.sin(g), "h", eps))(g, eps)
        return lax.psum_scatter(h, "a", tiled=True) + x

    spec = P("a", "b")
    divided = shared(fun, {"g": BOTH, "h": BOTH}, (spec, spec), checked, mesh=mesh_of(AxisType.Auto))
    c, _ = lax.scan(lambda c, e: (jax.checkpoint(divided)(c, e), None), x, eps, length=3)
    return jnp.sum(c**2)


def branches(x, eps, mark, checked):
    def fun(x, eps):
        yes = lambda x, eps: mark(jnp.sin(x), "yes", eps)
        no = lambda x, eps: mark(jnp.cos(x), "no", eps)
        return lax.cond(jnp.sum(x) > 0, yes, no, x, eps)  # each shard goes its own way

    spec = P("a", "b")
    divided = shared(fun, {"yes": BOTH, "no": BOTH}, (spec, spec), checked, mesh=mesh_of(AxisType.Auto))
    return jnp.sum(lax.cond(jnp.sum(x) < 99, divided, lambda x, eps: x, x, eps) ** 2 * X)


def one_axis(x, eps, mark, checked):
    """Of the mesh's two axes one is divided by hand, the other by the compiler; explicitly, where the mesh is so."""

    def fun(x, eps):
        y = mark(jnp.sin(x), "y", eps)
        return mark(lax.psum(y, "a"), "z", eps) * y

    over = {"y": ("a",), "z": () if checked else ("a",)}
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        mesh = mesh_of(AxisType.Auto)
    else:
        x = jax.sharding.reshard(x, P("a", "b"))
        eps = {name: jax.sharding.reshard(e, P(*over[name], None, "b")) for name, e in eps.items()}
    divided = shared(fun, over, (P("a"), P("a")), checked, mesh=mesh, axis_names={"a"})
    return jnp.sum(divided(x, eps) ** 2)


def one_in_another(x, eps, mark, checked):
    """JAX has no derivative of this one where both are checked."""

    def inner(y, eps):
        return mark(jnp.cos(y) * lax.psum(y, "b"), "z", eps)

    def outer(x, eps):
        y = mark(jnp.sin(x), "y", eps)
        spec = P(None, "b")
        return shared(inner, {"z": ("b",)}, (spec, spec), True, axis_names={"b"})(y, {"z": eps["z"]})

    over, options = {"y": ("a",), "z": ("a",)}, {"mesh": mesh_of(AxisType.Auto), "axis_names": {"a"}}
    return jnp.sum(shared(outer, over, (P("a"), P("a")), False, **options)(x, eps) ** 2)


def pmapped(x, eps, mark, checked):
    def fun(x, scale, eps):
        y = mark(jnp.sin(x) * scale, "y", eps)
        return mark(lax.pmean(y, "i"), "z", eps) * y

    return jnp.sum(jax.pmap(fun, axis_name="i", in_axes=(0, None, 0))(x, 2.0, eps) ** 2)


class Case:
    """A function, the shape of each ε, the axes of its points, and whether shards are checked and the mesh explicit."""

    def __init__(self, fun, shapes, axes, checked=True, explicit=False):
        self.fun, self.shapes, self.axes = functools.partial(fun, checked=checked), shapes, axes
        self.zeros = {name: np.zeros(shape) for name, shape in shapes.items()}
        self.explicit = explicit

    def mesh(self):
        return jax.set_mesh(mesh_of(AxisType.Explicit)) if self.explicit else contextlib.nullcontext()

    def tagged(self, x):
        return self.fun(x, self.zeros, lambda value, name, eps: jw.tag(value, name))

    @functools.cached_property
    def displaced(self):
        return jax.jit(lambda x, eps: self.fun(x, eps, lambda value, name, eps: value + eps[name]))

    @functools.cached_property
    def expected(self):
        return jax.jit(jax.grad(self.displaced, 1))(X, self.zeros)


A, B, ANY_A, ANY_B = "mesh axis a", "mesh axis b", "unchecked mesh axis a", "unchecked mesh axis b"
EACH, EACH_ANY = [A, B], [ANY_A, ANY_B]
CASES = {
    "sums": Case(sums, {"y": (2, 2, 2, 2), "z": (2, 2, 2), "w": (2, 2)}, {"y": EACH, "z": [B], "w": []}),
    "sums, unchecked": Case(sums, dict.fromkeys("yzw", (2, 2, 2, 2)), dict.fromkeys("yzw", EACH_ANY), checked=False),
    "scan inside": Case(scan_inside, {"c": (2, 2, 3, 2, 2)}, {"c": [*EACH, "scan"]}),
    "scan inside, unchecked": Case(scan_inside, {"c": (2, 2, 3, 2, 2)}, {"c": [*EACH_ANY, "scan"]}, checked=False),
    "scan around": Case(scan_around, dict.fromkeys("gh", (3, 2, 2, 4, 2)), {name: ["scan", *EACH] for name in "gh"}),
    "branches": Case(branches, dict.fromkeys(("no", "yes"), (2, 2, 2, 2)), {"no": EACH, "yes": EACH}),
    "one axis": Case(one_axis, {"y": (2, 2, 4), "z": (2, 4)}, {"y": [A], "z": []}),
    "explicit": Case(one_axis, {"y": (2, 2, 4), "z": (2, 4)}, {"y": [A], "z": []}, explicit=True),
    "one in another": Case(one_in_another, {"y": (2, 2, 4), "z": (2, 2, 2, 2)}, {"y": [ANY_A], "z": [ANY_A, B]}),
    "pmap": Case(pmapped, dict.fromkeys("yz", (4, 4)), {name: ["unchecked mesh axis i"] for name in "yz"}),
}
case = pytest.mark.parametrize("name", CASES)


@case
def test_deltas_are_those_of_an_epsilon(name):
    case = CASES[name]
    with case.mesh():
        walk = jax.jit(jw.walk(case.tagged, argnums=0))(X)
        assert {name: [axis.kind for axis in p.axes] for name, p in walk.points.items()} == case.axes
        for point, delta in walk.deltas.items():
            assert delta.shape == walk.points[point].shape == walk.outputs[point].shape == case.shapes[point]
            np.testing.assert_allclose(delta, case.expected[point], rtol=1e-9, atol=1e-12)
        value, gradient = jax.jit(jax.value_and_grad(case.tagged))(X)
        np.testing.assert_allclose(walk.value, value, rtol=1e-12)
        np.testing.assert_allclose(walk.grads, gradient, rtol=1e-12)


@case
def test_that_epsilon_is_right_by_finite_differences(name):
    """Where shards are not checked, copies of one value move together: the δ of the one value is the sum of theirs."""
    case = CASES[name]
    with case.mesh():
        for point, shape in case.shapes.items():
            unchecked = [i for i, kind in enumerate(case.axes[point]) if "unchecked" in kind and point in "zw"]
            lengths = [1 if i in unchecked else n for i, n in enumerate(shape)]
            move = np.broadcast_to(np.random.default_rng(2).normal(size=lengths), shape)
            loss = lambda size, point=point, move=move: case.displaced(X, case.zeros | {point: size * move})
            slope = (loss(1e-6) - loss(-1e-6)) / 2e-6
            np.testing.assert_allclose(np.vdot(case.expected[point], move), slope, rtol=1e-6)


@case
def test_keep_runs_on_each_shard(name):
    case = CASES[name]
    scale = np.full((), 2.0)  # what `keep` closes over
    keep = lambda output, delta: (jnp.sum(output) * scale, jnp.sum(delta**2), 1, jnp.sum(output * delta))
    with case.mesh():
        walk, kept = jax.jit(lambda x: (jw.walk(case.tagged)(x), jw.walk(case.tagged, keep=keep)(x).kept))(X)
        for point, (size, square, one, product) in kept.items():
            output, delta, lead = walk.outputs[point], walk.deltas[point], len(case.axes[point])
            over = tuple(range(lead, delta.ndim))
            np.testing.assert_allclose(size, 2 * jnp.sum(output, over), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(square, jnp.sum(delta**2, over), rtol=1e-9, atol=1e-12)
            if not walk.points[point].conditional:  # in a branch that a shard does not take, `keep` does not run
                np.testing.assert_array_equal(one, np.ones(delta.shape[:lead]))
            np.testing.assert_allclose(product, jnp.sum(output * delta, over), rtol=1e-9, atol=1e-12)


@case
def test_outputs_vjp_and_intervene(name):
    case = CASES[name]
    point = next(iter(case.shapes))
    with case.mesh():
        value, found = jax.jit(jw.outputs(case.tagged))(X)
        np.testing.assert_allclose(jax.jit(jw.intervene(case.tagged, dict(found)))(X), value, rtol=1e-12)
        moved = jw.intervene(case.tagged, {point: lambda value: value + 0.25})
        by_hand = case.displaced(X, case.zeros | {point: np.full(case.shapes[point], 0.25)})
        np.testing.assert_allclose(jax.jit(moved)(X), by_hand, rtol=1e-9)
        assert list(jw.points(moved, X)) == list(case.shapes)
        deltas, _ = jax.jit(lambda x: jw.vjp(case.tagged, x)[2](1.0))(X)
        np.testing.assert_allclose(deltas[point], case.expected[point], rtol=1e-9, atol=1e-12)


def test_the_same_program_without_shards():
    def whole(x, eps):
        y = jnp.sin(x) + eps["y"]
        z = jnp.tile(y[:2] + y[2:] + eps["z"], (2, 1))
        w = z[:2, :2] ** 2 + z[:2, 2:] ** 2 + eps["w"]
        return jnp.sum((z * jnp.tile(w, (2, 2)) * y) ** 2)

    expected = jax.grad(whole, 1)(X, {"y": np.zeros((4, 4)), "z": np.zeros((2, 4)), "w": np.zeros((2, 2))})
    deltas = jw.walk(CASES["sums"].tagged)(X).deltas
    np.testing.assert_allclose(deltas["y"].transpose(0, 2, 1, 3).reshape(4, 4), expected["y"], rtol=1e-12)
    np.testing.assert_allclose(deltas["z"].transpose(1, 0, 2).reshape(2, 4), expected["z"], rtol=1e-12)
    np.testing.assert_allclose(deltas["w"], expected["w"], rtol=1e-12)


def over_a(fun, checked=True):
    mesh = mesh_of(AxisType.Auto)
    return lambda x: jnp.sum(jax.shard_map(fun, mesh=mesh, in_specs=P("a"), out_specs=P("a"), check_vma=checked)(x))


def test_points_say_over_which_axes_of_the_mesh_they_vary():
    fun = lambda x: jw.tag(jw.tag(jnp.sin(x), "y") * jw.tag(lax.psum(x, "a"), "z"), "yz")
    assert "axis 0: mesh axis a of 2" in repr(jw.points(over_a(fun), X))
    assert "axis 1: unchecked mesh axis b of 2" in repr(jw.points(over_a(fun, checked=False), X))
    assert jw.points(over_a(fun), X)["z"].axes == ()
    assert jw.points(jax.pmap(lambda x: jw.tag(x, "x")), X)["x"].axes == (("pmap", 4),)


@pytest.mark.parametrize(("by", "name"), [("scopes", "sine"), ("lines", "layer/y")])
def test_scopes_and_lines_inside(by, name):
    def layer(x):
        with jax.named_scope("sine"):
            y = jnp.sin(x)
        return y * y

    walk = jw.walk(over_a(layer), f"**/{name}", by=by)(X)
    (delta,) = walk.deltas.values()
    np.testing.assert_allclose(delta.reshape(4, 4), 2 * np.sin(X), rtol=1e-12)


def test_a_branch_that_shards_choose_for_themselves_with_a_value_that_is_the_same_on_all():
    fun = lambda x: x * lax.cond(x[0, 0] > 0, lambda: jw.tag(jnp.ones(()), "one"), lambda: jnp.zeros(()))
    assert "by its type the same on all of them" in jw.points(over_a(fun), X)["one"].opaque
    with pytest.raises(jw.PointError, match=r"`jax.lax.pcast\(x, \('a',\), to='varying'\)`"):
        jw.walk(over_a(fun), "one")(X)


def test_the_first_nan_is_that_of_the_first_equation_on_any_shard():
    """Shards run side by side: none is before the other."""

    def fun(x):
        number = lax.axis_index("a").astype(x.dtype)
        y = jw.tag(jnp.sqrt(x - number), "y")  # NaN on the second shard
        return jw.tag(jnp.log(number - 0.5) + y, "z")  # NaN on the first shard too

    first = jw.walk(over_a(fun))(np.full((4, 4), 0.5)).first_nonfinite()
    assert (first.point, first.array, first.index) == ("y", "output", (1, 0, 0))


def test_random_keys_and_integers_inside():
    def fun(x):
        key = jw.tag(jax.random.fold_in(jax.random.key(0), lax.axis_index("a")), "key")
        number = jw.tag(lax.axis_index("a"), "number").astype(x.dtype)
        return x * number + jax.random.normal(key, x.shape)

    _, found = jax.jit(jw.outputs(over_a(fun)))(X)
    np.testing.assert_array_equal(found["number"], [0, 1])
    assert found["key"].shape == (2,)


def test_some_shards_can_be_edited_and_so_can_their_delta():
    fun = over_a(lambda x: jw.tag(jnp.sin(x), "y") ** 2)
    by_hand = jnp.sum(jnp.sin(X[:2]) ** 2)
    for edit in (lambda y: jnp.zeros_like(X[:2]), np.zeros((2, 4))):  # neither varies over the mesh by itself
        np.testing.assert_allclose(jw.intervene(fun, {"y[1]": edit})(X), by_hand, rtol=1e-12)
    gradient = jax.grad(jw.intervene(fun, deltas={"y[0]": lambda output, delta: jnp.zeros(delta.shape)}))(X)
    np.testing.assert_allclose(gradient, np.sin(2 * X) * [[0], [0], [1], [1]], rtol=1e-12)


def test_an_edit_of_a_value_that_shards_share_may_not_vary():
    fun = over_a(lambda x: x * jw.tag(lax.psum(jnp.sum(x), "a"), "total"))
    edited = jw.intervene(fun, {"total": lambda total: total * lax.axis_index("a").astype(total.dtype)})
    with pytest.raises(jw.ArgumentError, match=r"The edit of `total` varies over `a` of the mesh; .* `jax.lax.psum`"):
        edited(X)


def test_statistics_are_of_each_shard():
    walk = jax.jit(jw.walk(over_a(lambda x: jw.tag(jnp.sin(x), "y") ** 2), keep=jw.stats.norms))(X)
    expected = np.linalg.norm(np.sin(X).reshape(2, -1), axis=1)
    np.testing.assert_allclose(walk.kept["y"]["output_l2"], expected, rtol=1e-12)
