"""Batches as they come: what they may be, and a sentence for each that they may not be."""

import collections
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._evaluate.batches import COUNTS, FAILED, open_batches

X, Y = np.arange(12, dtype=np.float32).reshape(6, 2), np.arange(6, dtype=np.int32)
Pair = collections.namedtuple("Pair", "x y")


class ByNumber:
    """Items by number alone."""

    def __len__(self):
        return 2

    def __getitem__(self, number):
        return [(X[:4], Y[:4]), (X[4:], Y[4:])][number]


class Tensor:
    """What turns into an array, as PyTorch's tensors do."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


def all_of(batches):
    return list(open_batches(batches))


# What they may be ----------------------------------------------------------------------------------------


def test_the_form_is_that_of_the_first():
    data = open_batches(iter([(X, {"y": Y})]))
    assert (data.size, data.total) == (6, None)
    assert data.form.paths == ["[0]", "[1]['y']"]
    assert [(row.shape, row.dtype) for row in data.form.rows] == [((2,), np.float32), ((), np.int32)]


def test_a_short_one_is_filled_up_and_marked():
    whole, short, none = all_of([(X[:4], Y[:4]), (X[4:], Y[4:]), (X[:0], Y[:0])])
    assert whole.counts.tolist() == [COUNTS] * 4
    assert short.counts.tolist() == [COUNTS] * 2 + [0] * 2
    np.testing.assert_array_equal(short.leaves[0], X[[4, 5, 4, 4]])
    np.testing.assert_array_equal(short.leaves[1], Y[[4, 5, 4, 4]])
    assert none.counts.tolist() == [0] * 4
    assert [leaf.shape for leaf in none.leaves] == [(4, 2), (4,)]


@pytest.mark.parametrize(
    ("batch", "arguments"),
    [
        ((X, Y), (X[0], Y[0])),
        ([X, Y], (X[0], Y[0])),
        (X, (X[0],)),
        ({"x": X}, ({"x": X[0]},)),
        (Pair(X, Y), (Pair(X[0], Y[0]),)),
        ((X, None), (X[0], None)),
        ((Tensor(X), jnp.asarray(Y)), (X[0], Y[0])),
    ],
)
def test_what_the_arguments_of_a_datum_are(batch, arguments):
    data = open_batches([batch])
    (found,) = data
    assert jax.tree.structure(data.datum) == jax.tree.structure(arguments)
    of_first = data.arguments([leaf[0] for leaf in found.leaves])
    jax.tree.map(np.testing.assert_array_equal, of_first, arguments)


@pytest.mark.parametrize("batches", [ByNumber(), list(ByNumber()), iter(ByNumber()), (b for b in ByNumber())])
def test_any_iterable(batches):
    data = open_batches(batches)
    assert data.total in (8, None)
    assert [int((batch.counts == COUNTS).sum()) for batch in data] == [4, 2]


def test_nobody_else_writes_to_them():
    buffer = X.copy()
    (batch,) = all_of([buffer])
    buffer[:] = -1
    np.testing.assert_array_equal(batch.leaves[0], X)


def test_nobody_else_writes_to_an_array_of_jax_that_lies_in_a_buffer():
    """On a CPU, JAX takes an array of NumPy's as it is, if it begins at the right place."""
    buffer = np.ones((100, 300), np.float32)
    place = jax.devices()[-1]
    for wrapped in (jnp.asarray(buffer), jax.device_put(buffer, place)):
        buffer[:] = 1
        (batch,) = all_of([wrapped])
        buffer[:] = -1
        np.testing.assert_array_equal(batch.leaves[0], np.ones((100, 300)))
        assert batch.leaves[0].committed == wrapped.committed
        assert batch.leaves[0].devices() == wrapped.devices()


@pytest.mark.parametrize(
    ("given", "held"),
    [("float64", "float32"), ("int64", "int32"), ("uint64", "uint32"), ("complex128", "complex64"), ("bool", "bool")],
)
def test_they_come_in_the_dtype_of_jax(given, held):
    (batch,) = all_of([X.astype(given)])
    assert batch.leaves[0].dtype == held
    with jax.enable_x64(True):
        (batch,) = all_of([X.astype(given)])
    assert batch.leaves[0].dtype == given


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_what_is_infinite_or_too_small_passes(dtype):
    (batch,) = all_of([np.array([np.inf, -np.inf, np.nan, 1e-300, 3e38], dtype)])
    np.testing.assert_array_equal(batch.leaves[0].real, np.array([np.inf, -np.inf, np.nan, 0, 3e38], np.float32))
    with jax.enable_x64(True):
        assert all_of([np.array([1e300], dtype)])[0].leaves[0] == 1e300


def test_narrow_dtypes_stay():
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float8_e4m3fn, np.int8, np.uint8):
        assert all_of([X.astype(dtype)])[0].leaves[0].dtype == dtype


def test_an_array_made_of_python_numbers_is_as_any_other():
    """Else its dtype would give way to that of the params, and of the next batch it would not."""
    weak = jnp.full((2,), 0.1)
    assert weak.weak_type
    assert not all_of([weak])[0].leaves[0].weak_type
    params = jnp.asarray(3, jnp.bfloat16)
    with jax.numpy_dtype_promotion("standard"):
        run = lambda batches: jw.evaluate(lambda p, x: jw.tag(x * p, "a"), params, batches, keep=None, progress=False)
        assert run([weak, weak]).loss == run([np.asarray(weak)] * 2).loss == run([weak, np.asarray(weak)]).loss


def test_random_keys_are_filled_up_too():
    keys = jax.random.split(jax.random.key(0), 3)
    short = all_of([keys[:2], keys[2:]])[1]
    np.testing.assert_array_equal(jax.random.key_data(short.leaves[0][0]), jax.random.key_data(keys[2]))
    assert open_batches([keys]).empty(FAILED).leaves[0].shape == (3,)


def test_nothing_is_rows_that_do_not_count():
    nothing = open_batches([(X, Y)]).empty(FAILED)
    assert nothing.counts.tolist() == [FAILED] * 6
    assert [leaf.shape for leaf in nothing.leaves] == [(6, 2), (6,)]


# What they may not be ------------------------------------------------------------------------------------

LONG = np.ones(3, np.longdouble)
GIVE = "; give pytrees of arrays, such as (x, y), with one row per datum."
ONE_PROGRAM = "give all the same, since one program is compiled for all."
exhausted = iter([X])
next(exhausted)

OPENING = {
    "`batches` is empty; give at least one batch. A generator can be gone through once.": [],
    "`batches` is 3, which cannot be iterated over" + GIVE: 3,
    "`batches` is None, which cannot be iterated over" + GIVE: None,
    "`batches` is 'data.npz', which cannot be iterated over" + GIVE: "data.npz",
    "`batches` is b'data', which cannot be iterated over" + GIVE: b"data",
    "`batches` is an array of shape (), which cannot be iterated over" + GIVE: np.array(1.0),
    "The first of `batches` is None, which holds no array" + GIVE: [None],
    "The first of `batches` is (), which holds no array" + GIVE: [()],
    "The first of `batches` is (None, None), which holds no array" + GIVE: [(None, None)],
    "The first of `batches` has no rows; as many as it has are walked at once: give at least one.": [(X[:0], Y[:0])],
    "Batch 0 of `batches` has 6 rows at `batch[0]` and 5 at `batch[1]`; give one row per datum in each.": [(X, Y[:5])],
    "Batch 0 of `batches` has 1 row at `batch[0]` and 6 at `batch[1]`; give one row per datum in each.": [(X[:1], Y)],
    "Batch 0 of `batches` holds a single number at `batch[1]`" + GIVE: [(X, 1.0)],
    "Batch 0 of `batches` holds a single number at `batch[0]`" + GIVE: [[1, 2, 3]],
    "Batch 0 of `batches` holds a single number at `batch['y']`" + GIVE: [{"x": X, "y": np.float32(1)}],
    "Batch 0 of `batches` holds a single number at `batch[1][0]`" + GIVE: [(X, [0, 1])],
    "Batch 0 of `batches` holds 'x' at `batch`" + GIVE: {"x": X},
    "Batch 0 of `batches` holds an array of dtype object at `batch[0]`" + GIVE: [(np.array([X, None], object), Y)],
    "Batch 0 of `batches` holds an array of dtype <U1 at `batch[1]`" + GIVE: [(X, np.array(list("abcdef")))],
    "Batch 0 of `batches` holds an array of dtype datetime64[D] at `batch`" + GIVE: [np.array(["2024-01-01"], "M8[D]")],
    f"Batch 0 of `batches` holds an array of dtype {np.dtype(np.longdouble)} at `batch`" + GIVE: [
        np.ones(3, np.longdouble)
    ],
    "Batch 0 of `batches` holds a set at `batch[0]`" + GIVE: [(set(map(str, range(20))), Y)],
    "Batch 0 of `batches` holds a masked array at `batch[0]`, whose mask would be lost; fill it.": [
        (np.ma.masked_less(X, 3), Y)
    ],
    "Batch 0 of `batches` holds integers at `batch` that do not fit JAX's int32; set JAX_ENABLE_X64=1.": [
        np.array([1, 2**40])
    ],
    "Batch 0 of `batches` holds integers at `batch` that do not fit JAX's uint32; set JAX_ENABLE_X64=1.": [
        np.array([1, 2**40], np.uint64)
    ],
    "Batch 0 of `batches` holds numbers at `batch` that do not fit JAX's float32; set JAX_ENABLE_X64=1.": [
        np.linspace(0, 1e300, 99)
    ],
    "Batch 0 of `batches` holds numbers at `batch` that do not fit JAX's complex64; set JAX_ENABLE_X64=1.": [
        np.array([1, -1e300j])
    ],
}


@pytest.mark.parametrize("said", OPENING, ids=range(len(OPENING)))
def test_what_cannot_be_open_batches(said):
    with pytest.raises((jw.ArgumentError, jw.DataError)) as caught:
        open_batches(OPENING[said])
    assert str(caught.value) == said


def test_an_exhausted_generator():
    with pytest.raises(jw.DataError, match="A generator can be gone through once"):
        open_batches(exhausted)


LATER = {
    "Batch 1 of `batches` has the structure PyTreeDef(*), and the first had PyTreeDef((*, *)); give all the same.": X,
    "Batch 1 of `batches` has the structure PyTreeDef([*, *]), and the first had PyTreeDef((*, *));"
    " give all the same.": [X, Y],
    "Batch 1 of `batches` has the structure PyTreeDef((*, None)), and the first had PyTreeDef((*, *));"
    " give all the same.": (X, None),
    "Batch 1 of `batches` has rows of shape (1,) at `batch[0]`, and the first had (2,); " + ONE_PROGRAM: (X[:, :1], Y),
    "Batch 1 of `batches` has rows of shape () at `batch[0]`, and the first had (2,); " + ONE_PROGRAM: (X[:, 0], Y),
    "Batch 1 of `batches` has rows of dtype float16 at `batch[0]`, and the first had float32; " + ONE_PROGRAM: (
        X.astype(np.float16),
        Y,
    ),
    "Batch 1 of `batches` has rows of dtype bool at `batch[1]`, and the first had int32; " + ONE_PROGRAM: (X, Y > 2),
    "Batch 1 of `batches` has 12 rows, and the first had 6; none may have more than the first, since one program is"
    " compiled for all.": (np.concatenate([X, X]), np.concatenate([Y, Y])),
    "Batch 1 of `batches` has 6 rows at `batch[0]` and 5 at `batch[1]`; give one row per datum in each.": (X, Y[:5]),
    "Batch 1 of `batches` holds a single number at `batch[1]`; give pytrees of arrays, such as (x, y), with one row per"
    " datum.": (X, 1),
    "Batch 1 of `batches` holds integers at `batch[1]` that do not fit JAX's int32; set JAX_ENABLE_X64=1.": (
        X,
        Y.astype(np.int64) + 2**40,
    ),
}


@pytest.mark.parametrize("said", LATER, ids=range(len(LATER)))
def test_what_does_not_fit_the_first(said):
    with pytest.raises(jw.ArgumentError) as caught:
        all_of([(X, Y), LATER[said]])
    assert str(caught.value) == said


def test_the_first_that_does_not_fit_says_its_number():
    with pytest.raises(jw.ArgumentError, match="Batch 2 of `batches` has 3 rows"):
        all_of([X[:2], X[:2], X[:3]])


def test_what_the_iterable_raises_comes_through():
    def failing():
        yield X
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        all_of(failing())
    with pytest.raises(ZeroDivisionError):
        open_batches(1 / 0 for _ in "a")


@pytest.mark.parametrize(
    ("fun", "is_"),
    [
        (lambda p, x, y: x, "it has shape (2,)"),
        (lambda p, x, y: (x[0], y), "`fun` returns a tuple of 2"),
        (lambda p, x, y: y, "its dtype is int32"),
        (lambda p, x, y: None, "`fun` returns a NoneType"),
    ],
)
def test_the_loss_is_of_one_datum(fun, is_):
    with pytest.raises(jw.ArgumentError) as caught:
        jw.evaluate(fun, None, [(X, Y)], progress=False)
    assert str(caught.value) == (
        f"The loss of one datum must be a real scalar, but {is_}; `evaluate` gives `fun` one datum at a time, without"
        " the axis of the batch: return one float for it."
    )


def test_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        all_of([np.array([1e-300, np.nan]), np.array([np.inf, -np.inf])])
