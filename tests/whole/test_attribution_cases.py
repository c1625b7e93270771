"""Closed-form cases of derivatives at intermediates, from the test suite of captum, recomputed by hand.

δ is that of the output at a target (0 unless given), with respect to the value at the point; "δ·X" is the entrywise
product with the value there.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw

BIAS = np.array([-10, 1, 1, 1], np.float32)


def L0(x):
    return jw.tag(x, "L0")


def L1(x, name="L1"):
    return jw.tag(jnp.ones((4, 3)) @ x + BIAS, name)


def L2(x):
    return jw.tag(jnp.ones((2, 4)) @ x + jnp.array([-1.0, 1.0]), "L2")


def relu(x):
    return jw.tag(jax.nn.relu(x), "relu")


def M(x):
    return L2(relu(L1(L0(x))))


def Mm(x):
    return L2(relu(L1(L0(x))) + relu(L1(x, "L1alt")))


def MI5(x1, x2, x3):
    return M(5 * (x1 + x2 + x3))


def walk(model, *args, target=0):
    args = [np.asarray(a, np.float32) for a in args]
    return jw.walk(lambda *args: model(*args)[target])(*args)


@pytest.mark.parametrize(
    ("model", "x", "target", "point", "delta"),
    [
        (M, (5, -11, 23), 0, "L0", (4, 4, 4)),
        (M, (5, 2, 1), 1, "L2", (0, 1)),
        (Mm, (5, 2, 1), 1, "L1", (0, 1, 1, 1)),
    ],
)
def test_delta(model, x, target, point, delta):
    np.testing.assert_array_equal(walk(model, x, target=target).deltas[point], np.float32(delta))


def test_the_value_at_a_point():
    np.testing.assert_array_equal(walk(M, (5, 2, 1)).outputs["L2"], [26, 28])


@pytest.mark.parametrize(
    ("model", "args", "point", "product"),
    [
        (M, [(0, 100, 0)], "L0", (0, 400, 0)),
        (M, [(3, 4, 0)], "relu", (0, 8, 8, 8)),
        (Mm, [(3, 4, 0)], "relu", (0, 8, 8, 8)),
        (Mm, [(3, 4, 0)], "relu#2", (0, 8, 8, 8)),
        (Mm, [(3, 4, 0)], "L0", (9, 12, 0)),
        (MI5, [(0, 10, 1), (0, 4, 5), (0, 0, 0)], "relu", (90, 101, 101, 101)),
    ],
)
def test_delta_times_value(model, args, point, product):
    found = walk(model, *args)
    np.testing.assert_array_equal(found.deltas[point] * found.outputs[point], np.float32(product))


@pytest.mark.parametrize(("args", "deltas"), [((4, 2), (1, -1)), ((-1, 5), (0, 0))])
def test_difference_of_relus(args, deltas):
    fun = lambda a, b: jax.nn.relu(jax.nn.relu(jw.tag(a, "a")) - 1 - jax.nn.relu(jw.tag(b, "b")))
    assert tuple(jw.walk(fun)(*map(jnp.float32, args)).deltas.values()) == deltas


def test_weighted_sum_of_relus():
    fun = lambda a, b: jax.nn.relu(3 * jax.nn.relu(jw.tag(a, "a") - 1) + 4 * jax.nn.relu(jw.tag(b, "b")))
    assert tuple(jw.walk(fun)(jnp.float32(-10), jnp.float32(6)).deltas.values()) == (0, 4)


def test_neurons():
    """∂relu[i]/∂x at x = (0, 5, 4): one of them, and their sum."""
    _, _, pullback = jw.vjp(lambda x: relu(L1(L0(x))), np.float32([0, 5, 4]), at="L0")
    neuron = lambda ct: pullback(jnp.asarray(ct, jnp.float32))[0]["L0"]
    np.testing.assert_array_equal(neuron([1, 0, 0, 0]), [0, 0, 0])
    np.testing.assert_array_equal(neuron([0, 1, 0, 0]), [1, 1, 1])
    np.testing.assert_array_equal(neuron([1, 1, 1, 1]), [3, 3, 3])


def test_ties():
    """1 − relu(1 − x): at the tie x = 1, `jax.nn.relu` gives 0 and `jnp.maximum` a half."""
    deltas = lambda relu: [
        float(jw.walk(lambda x: 1 - relu(1 - jw.tag(x, "x")))(jnp.float32(x)).deltas["x"]) for x in (1, 2, 3, 0, -1, 7)
    ]
    assert deltas(jax.nn.relu) == [0, 0, 0, 1, 1, 0]
    assert deltas(lambda x: jnp.maximum(x, 0)) == [0.5, 0, 0, 1, 1, 0]


def test_a_convolution():
    """3×3, of ones, 1 to 2 channels, bias (−50, −75); relu; dense 8 to 4, each row (1,1,1,1,1,−1,−1,−1); relu."""
    rows = jnp.tile(jnp.array([1, 1, 1, 1, 1, -1, -1, -1], jnp.float32), (4, 1))

    def C(image):
        bias = jnp.array([-50.0, -75.0])[:, None, None]
        conv = jax.lax.conv(image[None, None], jnp.ones((2, 1, 3, 3)), (1, 1), "VALID")[0] + bias
        hidden = relu(jw.tag(conv, "conv"))
        return relu(jw.tag(rows @ hidden.ravel(), "dense"))

    image = np.arange(16, dtype=np.float32).reshape(4, 4)
    found = walk(C, image)
    sums = np.array([[image[i : i + 3, j : j + 3].sum() for j in range(2)] for i in range(2)])
    conv = np.stack([sums - 50, sums - 75])
    np.testing.assert_array_equal(found.outputs["conv"], conv)
    dense = np.float32([1, 1, 1, 1, 1, -1, -1, -1]) @ np.maximum(conv, 0).ravel()
    np.testing.assert_array_equal(found.outputs["dense"], np.full(4, dense))
    assert dense > 0
    expected = np.float32([1, 1, 1, 1, 1, -1, -1, -1]).reshape(2, 2, 2) * (conv > 0)
    np.testing.assert_array_equal(found.deltas["conv"], expected)
