"""An evaluation on disk: its rows are those of the walk, and what ended early goes on as if it had not."""

import errno
import os
import random
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet
import pytest
from jax import lax
from killed import finished as end
from killed import killed, parts

import jaxwalk as jw
from jaxwalk._cli.data.dataset import DataBatches, Dataset
from jaxwalk._evaluate.placement import Placement
from jaxwalk._evaluate.store import disk
from jaxwalk._evaluate.store.store import Store

pytestmark = pytest.mark.once

numbers = np.random.default_rng(0)
PARAMS = {"in": numbers.normal(size=(3, 4)).astype(np.float32), "out": numbers.normal(size=(4,)).astype(np.float32)}
X, Y = numbers.normal(size=(43, 3)).astype(np.float32), numbers.normal(size=43).astype(np.float32)
SIZE, PART = 5, 10  # data in a batch, in a part


@pytest.fixture(autouse=True, scope="module")
def _small_parts():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("jaxwalk._evaluate.programs.GROUP", PART)
        patched.setattr(os, "fsync", lambda descriptor: None)  # only a power cut needs what is synced
        yield


def fun(params, x, y):
    hidden = jw.tag(x @ params["in"], "enc/π.1")
    return 0.5 * (jw.tag(jax.nn.relu(hidden), "act") @ params["out"] - y) ** 2


def batches(size=SIZE, x=X, y=Y):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def failing(after, error):
    yield from batches()[:after]
    raise error


class Counted:
    """Batches, and how many of them have been taken."""

    def __init__(self, of):
        self.of, self.taken = of, 0

    def __iter__(self):
        for batch in self.of:
            self.taken += 1
            yield batch


def evaluate(out, data=None, fun=fun, params=PARAMS, keep=None, resume=False, **options):
    data = batches() if data is None else data
    return jw.evaluate(fun, params, data, keep=keep, out=out, resume=resume, progress=False, **options)


def product(output, delta):
    return jnp.sum(output * delta)


def rows(out):
    return pyarrow.parquet.read_table(out / "rows")


def begun(out, **options):
    """20 data in two parts, and the error that ended it."""
    with pytest.raises(RuntimeError, match="gone") as caught:
        evaluate(out, failing(4, RuntimeError("gone")), **options)
    return caught.value


def check_rows(out, x=X, y=Y, fun=fun, params=PARAMS, rtol=1e-5):
    walks = jax.jit(jax.vmap(jw.walk(fun), (None, 0, 0)))(params, x, y)
    table = rows(out)
    names = [name for name in walks.deltas if name not in walks.points.same()]
    assert table.column_names == ["index", "loss", *(f"delta_l2/{name}" for name in names)]
    np.testing.assert_array_equal(table["index"], np.arange(len(x)))
    np.testing.assert_allclose(table["loss"], np.asarray(walks.value, np.float64), rtol=rtol)
    for name in names:
        delta = np.asarray(walks.deltas[name], np.float64).reshape(len(x), -1)
        np.testing.assert_allclose(table[f"delta_l2/{name}"], np.sqrt((delta**2).sum(1)), rtol=rtol)


def assert_same(a, b, tmp_path):
    """To the last bit."""
    for name, found in (("a", a), ("b", b)):
        found.save(tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What is there of an evaluation that came to its end."""
    out = tmp_path_factory.mktemp("finished")
    evaluate(out)
    return out


@pytest.fixture(scope="module")
def whole(finished):
    """What it found."""
    return evaluate(finished, resume=True)


# Rows ----------------------------------------------------------------------------------------------------


def test_rows_are_losses_and_norms_of_the_walk(tmp_path):
    found = evaluate(tmp_path / "out")
    check_rows(tmp_path / "out")
    assert found.count == 43
    assert len(os.listdir(tmp_path / "out" / "rows")) == 5


def test_a_scan_a_branch_and_names_of_all_kinds(tmp_path):
    def deep(params, x, y):
        names = iter(("a/b", "a/b", "a#2.c", "index", "loss", "δ 'x' \"y\", z"))
        tagged = lambda v: jw.tag(v, next(names))
        h, _ = lax.scan(lambda h, w: (tagged(jnp.tanh(h * w)), None), x, params["out"])
        h = lax.cond(y > 0, lambda h: tagged(h * 2), lambda h: tagged(-h), h)
        for _ in range(3):
            h = tagged(jnp.sin(h))
        return jnp.sum(h * x)

    evaluate(tmp_path / "out", fun=deep, keep=jw.stats.norms)
    check_rows(tmp_path / "out", fun=deep)


def test_a_nan_is_a_row_too(tmp_path):
    x = X.copy()
    x[[3, 17], 0] = np.nan, np.inf
    assert evaluate(tmp_path / "out", batches(x=x)).nonfinite == 2
    check_rows(tmp_path / "out", x)
    assert np.isnan(rows(tmp_path / "out")["loss"].to_numpy()[3])


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_dtypes(tmp_path, dtype):
    with jax.enable_x64(dtype == "float64"):
        params, x, y = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (PARAMS, X, Y))
        options = {"params": params, "keep": product}
        kept = evaluate(tmp_path / "whole", batches(x=x, y=y), **options)
        check_rows(tmp_path / "whole", x, y, params=params, rtol=1e-12 if dtype == "float64" else 0.05)
        data = [*batches(x=x, y=y)[:4], (x[:6], y[:6])]
        with pytest.raises(jw.ArgumentError, match="Batch 4"):
            evaluate(tmp_path / "out", data, **options)
        again = evaluate(tmp_path / "out", batches(x=x, y=y), **options, resume=True)
    assert rows(tmp_path / "out").equals(rows(tmp_path / "whole"))
    assert rows(tmp_path / "out").schema.field("loss").type == ("double" if dtype == "float64" else "float")
    assert_same(kept, again, tmp_path)


# Going on ------------------------------------------------------------------------------------------------


def test_what_is_finished_is_read_and_nothing_is_walked(tmp_path, monkeypatch):
    keep = jw.stats.combine(jw.stats.norms, jw.stats.moments)
    found = evaluate(tmp_path / "out", keep=keep)
    data = Counted(batches())
    monkeypatch.setattr("jaxwalk._evaluate.loop.Loop.groups", None)
    assert_same(evaluate(tmp_path / "out", data, keep=keep, resume=True), found, tmp_path)
    assert data.taken == len(batches())


@pytest.mark.parametrize("after", [3, 8])
def test_after_an_error_it_goes_on_from_there(tmp_path, after):
    with pytest.raises(ZeroDivisionError) as caught:
        evaluate(tmp_path / "out", failing(after, ZeroDivisionError()), keep=product)
    assert caught.value.evaluation.count == SIZE * after
    assert len(rows(tmp_path / "out")) == SIZE * after
    note = f"`evaluate` had done {5 * after} data: see `evaluation` of this error; {5 * after} of them are in `out`"
    assert caught.value.__notes__ == [note + ": with `resume=True` the same call goes on from there."]
    found = evaluate(tmp_path / "out", (batch for batch in batches()), keep=product, resume=True)
    check_rows(tmp_path / "out")
    whole = evaluate(None, keep=product)
    assert [datum.index for datum in found.culprits] == [datum.index for datum in whole.culprits]
    for name, kept in whole.kept.items():
        for key, value in kept.items():
            np.testing.assert_allclose(found.kept[name][key], value, rtol=1e-5)


def test_after_errors_again_and_again_no_datum_is_lost_or_counted_twice(tmp_path):
    for after in (1, 1, 3, 6, 9):
        with pytest.raises(ZeroDivisionError) as caught:
            evaluate(tmp_path, failing(after, ZeroDivisionError()), resume=True)
        assert caught.value.evaluation.count == min(SIZE * after, len(X))
    assert evaluate(tmp_path, resume=True).count == len(X)
    check_rows(tmp_path)


def test_short_and_empty_batches(tmp_path):
    short = [(X[:5], Y[:5]), (X[5:5], Y[5:5]), (X[5:7], Y[5:7]), *batches(5, X[7:], Y[7:]), *[(X[:0], Y[:0])] * 5]
    with pytest.raises(StopAsyncIteration):
        evaluate(tmp_path / "out", failed(short[:3], StopAsyncIteration()))
    assert evaluate(tmp_path / "out", short, resume=True).count == 43
    check_rows(tmp_path / "out")
    assert evaluate(tmp_path / "out", short, resume=True).count == 43


def failed(first, error):
    yield from first
    raise error


def test_an_interrupt_comes_through_and_what_was_done_is_on_disk(tmp_path, whole):
    with pytest.raises(KeyboardInterrupt) as caught:
        evaluate(tmp_path / "out", failing(8, KeyboardInterrupt()))
    assert caught.value.evaluation.count == len(rows(tmp_path / "out")) == 40
    assert_same(evaluate(tmp_path / "out", resume=True), whole, tmp_path)
    check_rows(tmp_path / "out")


def test_what_is_under_way_is_kept_when_ctrl_c_comes_in_the_batches(tmp_path, whole):
    before = signal.getsignal(signal.SIGINT)

    def pressed():
        yield from batches()[:3]
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError

    with pytest.raises(KeyboardInterrupt) as caught:
        evaluate(tmp_path / "out", pressed())
    assert caught.value.evaluation.count == len(rows(tmp_path / "out")) == 15
    assert "`evaluate` had done 15 data" in caught.value.__notes__[0]
    assert signal.getsignal(signal.SIGINT) is before
    assert evaluate(tmp_path / "out", resume=True).count == 43
    check_rows(tmp_path / "out")


def test_what_is_under_way_is_kept_when_ctrl_c_comes_in_a_step(tmp_path, monkeypatch):
    put, sent = Placement.batch, []

    def pressed(self, leaves):
        sent.append(len(leaves))
        if sent.count(2) == 2:  # two batches that were joined, not what counts in them
            os.kill(os.getpid(), signal.SIGINT)
        return put(self, leaves)

    monkeypatch.setattr(Placement, "batch", pressed)
    with pytest.raises(KeyboardInterrupt) as caught:
        evaluate(tmp_path)
    assert caught.value.evaluation.count == len(rows(tmp_path)) == 20


def test_there_was_nothing_to_go_on_with(tmp_path):
    assert evaluate(tmp_path / "out", resume=True).count == 43
    check_rows(tmp_path / "out")


@pytest.mark.parametrize(("what", "kills"), [("alone", 3), ("method", 1), ("command", 1), ("two", 1)])
def test_killed_at_any_moment_it_ends_the_same(tmp_path, what, kills):
    """`python tests/killed.py 20` kills more, at moments of the whole run."""
    cache, out, moment = tmp_path / "cache", tmp_path / "out", random.Random(0)
    whole = end(tmp_path / "whole", cache, what)
    count = len(whole[1])
    for kill in range(kills):
        there, late = moment.randrange(count * kill // kills, count * (kill + 1) // kills), moment.uniform(0, 0.01)

        def may_go_on(there=there, late=late):
            return parts(out) <= there or time.sleep(late)

        assert killed(out, cache, may_go_on, what, which=kills % 2 if what == "two" else 0) in range(there, count + 1)
    assert end(out, cache, what) == whole


# What is another evaluation ------------------------------------------------------------------------------


def refused(out, match, error=jw.StoreError, **changed):
    before = sorted(path.name for path in out.rglob("*"))
    with pytest.raises(error, match=match) as caught:
        evaluate(out, resume=True, **changed)
    assert sorted(path.name for path in out.rglob("*")) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


CHANGES = {
    "function` has changed": {"fun": lambda params, x, y: fun(params, x, y) + 1},
    "params` has changed": {"params": PARAMS | {"out": np.nextafter(PARAMS["out"], np.float32(9))}},
    "points` was enc/π.1, act and is act": {"at": "act"},
    "points` was enc/π.1, act and is fun/": {"by": "lines"},
    "batch size` was 5 and is 4": {"data": batches(4)},
    "first batch` has changed": {"data": batches(x=X[::-1])},
    "statistics` was none and is dead \\(": {"keep": jw.stats.dead},
    "top` was 20 and is 21": {"top": 21},
}


@pytest.mark.parametrize("said", CHANGES, ids=lambda said: said.partition("`")[0])
def test_what_has_changed_is_said(finished, said):
    found = refused(finished, f"cannot be resumed, since .*`{said}", **CHANGES[said])
    assert found.endswith("give what it began with, or another directory.")
    assert " and is " not in found or "changed" not in found  # nothing that another change explains


def test_the_same_function_written_again_goes_on(finished):
    def fun(params, x, y):
        # On other lines, with other names for what is within.
        u = jw.tag(x @ params["in"], "enc/π.1")
        error = jw.tag(jax.nn.relu(u), "act") @ params["out"] - y
        return 0.5 * error**2

    assert evaluate(finished, fun=fun, resume=True).count == 43


def test_data_that_have_become_fewer(tmp_path):
    begun(tmp_path)
    said = "`batches` ended after 3 of the 4 batches that are done already; give the same data, or another directory."
    refused(tmp_path, said, jw.DataError, data=batches()[:3])
    with pytest.raises(jw.DataError) as caught:
        evaluate(tmp_path, batches()[:3], resume=True)
    assert caught.value.evaluation.count == 20
    assert evaluate(tmp_path, batches()[:4], resume=True).count == 20


def test_what_is_refused_is_not_said_to_go_on(tmp_path):
    begun(tmp_path)
    with pytest.raises(jw.DataError) as caught:
        evaluate(tmp_path, batches(y=Y + (np.arange(43, dtype=np.float32) == 7)), resume=True)
    (note,) = caught.value.__notes__
    assert note == "`evaluate` had done 20 data: see `evaluation` of this error; 20 of them are in `out`."


def test_a_part_holds_no_more_culprits_than_rows(tmp_path):
    whole = evaluate(None, top=10**6)
    begun(tmp_path, top=10**6)
    assert_same(evaluate(tmp_path, top=10**6, resume=True), whole, tmp_path)
    for path in (tmp_path / "state").iterdir():
        with np.load(path) as state:
            assert max(len(array) for name, array in state.items() if array.ndim) <= max(PART, len(state["text"]))
            assert sum(array.size for name, array in state.items() if name != "text") < 100


def test_data_that_are_cut_otherwise(tmp_path):
    """Else two data would be lost."""
    data = [*batches()[:2], (X[10:13], Y[10:13])]
    with pytest.raises(RuntimeError):
        evaluate(tmp_path, failed(data, RuntimeError()))
    said = "Batch 2 of `batches` has 5 rows, and had 3 when the evaluation in `out` went through it; give the same"
    refused(tmp_path, said, jw.DataError)
    evaluate(tmp_path, [*data, *batches(5, X[13:], Y[13:])], resume=True)
    check_rows(tmp_path)


def test_data_that_have_become_more_after_the_end(finished):
    more = batches(x=np.concatenate([X, X]), y=np.concatenate([Y, Y]))
    refused(
        finished,
        "`batches` has 18 batches, and had 9 when the evaluation in `out` came to its end; give the same data, or",
        jw.DataError,
        data=more,
    )
    said = "`batches` goes on after the 9 batches with which the evaluation in `out` came to its end; give the same"
    refused(finished, said, jw.DataError, data=iter(more[:8] + batches()[8:] + more[:1]))
    said = "`batches` ended after 8 of the 9 batches that are done already"
    refused(finished, said, jw.DataError, data=iter(batches()[:8]))
    with pytest.raises(RuntimeError) as caught:
        evaluate(finished, failing(3, RuntimeError()), resume=True)
    assert caught.value.evaluation.count == 43
    assert evaluate(finished, iter(batches()), resume=True).count == 43


def test_rows_that_have_become_more(tmp_path):
    blocks = lambda rows: lambda start, size: iter([(X[:rows], Y[:rows])])
    with_rows = lambda rows: DataBatches(Dataset(tmp_path, rows, [], blocks(rows)), SIZE)
    evaluate(tmp_path / "out", with_rows(40))
    said = "`batches` has 43 rows, and had 40 when"
    refused(tmp_path / "out", said, jw.DataError, data=with_rows(43))
    assert evaluate(tmp_path / "out", [*with_rows(40)], resume=True).count == 40


@pytest.mark.parametrize("changed", [7, 42])
@pytest.mark.parametrize("wrap", [list, iter, lambda data: [tuple(map(jnp.asarray, batch)) for batch in data]])
def test_one_number_of_what_is_done_has_changed(finished, changed, wrap):
    y = Y.copy()
    y[changed] += 1
    which = "One of the batches 0 to 1" if changed == 7 else "Batch 8"
    said = f"{which} of `batches` is not what it was when the evaluation in `out` went through (it|them); give the same"
    refused(finished, said, jw.DataError, data=wrap(batches(y=y)))


@pytest.mark.parametrize("is_read_again", [True, False])
def test_numbers_on_an_accelerator_are_not_compared_but_rows_are(tmp_path, monkeypatch, is_read_again):
    monkeypatch.setattr("jaxwalk._evaluate.batch_checksums._is_on_host", lambda leaf: False)
    with pytest.raises(RuntimeError):
        evaluate(tmp_path, failed([*batches()[:2], (X[10:13], Y[10:13])], RuntimeError()))
    if is_read_again:
        monkeypatch.undo()
    refused(tmp_path, "Batch 2 of `batches` has 5 rows, and had 3", jw.DataError)
    y = Y + np.arange(43, dtype=np.float32) // 5  # another in all but the first batch
    data = [*batches(y=y)[:2], (X[10:13], y[10:13]), *batches(5, X[13:], y[13:])]
    assert evaluate(tmp_path, data, resume=True).count == 43


def test_rows_in_another_order_are_other_data(finished):
    order = np.r_[0:5, 9:4:-1, 10:43]
    refused(finished, "One of the batches 0 to 1 of `batches` is not what it was", jw.DataError,
            data=batches(x=X[order], y=Y[order]))  # fmt: skip


def test_on_other_devices(tmp_path, whole):
    data = batches(4)
    with pytest.raises(RuntimeError):
        evaluate(tmp_path / "out", failed(data[:6], RuntimeError()))
    for devices in (2, 4):
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("data",))
        found = evaluate(tmp_path / "out", data, resume=True, mesh=mesh)
        assert (found.count, found.culprits[0].index) == (43, whole.culprits[0].index)
    check_rows(tmp_path / "out")


# Where it cannot be written ------------------------------------------------------------------------------


def full_at(monkeypatch, name):
    """No space is left when a file of this name is written."""

    def write(path, data):
        if path.name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data)

    real = disk.write
    monkeypatch.setattr(disk, "write", write)


@pytest.mark.parametrize("part", [0, 2, 4])
def test_a_full_disk(tmp_path, monkeypatch, whole, part):
    with monkeypatch.context() as patched:
        full_at(patched, f"part-{part:05d}.parquet")
        intact = ["no part is there yet", "", "the 2 parts there stay whole", "", "the 4 parts there stay whole"][part]
        said = f"Part {part} cannot be written to `.*`: No space left on device; {intact}: free space there and go on"
        with pytest.raises(jw.StoreError, match=said) as caught:
            evaluate(tmp_path / "out")
    found = caught.value.evaluation
    assert found.count >= min(PART * (part + 1), 43)  # it is computed, though not written
    assert f"{found.count} data: see `evaluation` of this error; {PART * part} of them" in caught.value.__notes__[-1]
    if part:
        assert len(rows(tmp_path / "out")) == PART * part
    assert_same(evaluate(tmp_path / "out", resume=True), whole, tmp_path)
    check_rows(tmp_path / "out")


def test_a_disk_that_is_full_at_the_end(tmp_path, monkeypatch, whole):
    opened = Store.open

    def then_full(*args):
        store = opened(*args)
        full_at(monkeypatch, "manifest.json")
        return store

    with monkeypatch.context() as patched:
        patched.setattr(Store, "open", then_full)
        with pytest.raises(
            jw.StoreError, match=r"The end cannot be written to .* the 5 parts there stay whole"
        ) as caught:
            evaluate(tmp_path / "out")
    assert_same(caught.value.evaluation, whole, tmp_path)


def test_both_the_data_and_the_disk_fail(tmp_path, monkeypatch):
    """What the data raise comes through, with what the disk said."""
    full_at(monkeypatch, "part-00001.npz")
    error = begun(tmp_path)
    assert error.evaluation.count == 20
    assert error.__notes__[0].startswith("Part 1 cannot be written to ")
    assert "see `evaluation` of this error; 10 of them are in `out`" in error.__notes__[1]
    assert len(rows(tmp_path)) == 10


def test_sentences(tmp_path):
    def counting(params, x, y):
        jw.tag(jnp.argmax(x), "i")
        return y

    (tmp_path / "file").write_text("")
    cases = [
        (
            jw.ArgumentError,
            "`resume=True` goes on with what is in `out`, but no `out` is given",
            None,
            {"resume": True},
        ),
        (jw.StoreError, "`out` is `.*/file`, which is a file; give a directory.", tmp_path / "file", {}),
        (jw.ArgumentError, "`out` is 3; give the path of a directory.", 3, {}),
        (jw.ArgumentError, r"`out` is 'a\\x00b', which holds a NUL byte; give the path of a directory.", "a\0b", {}),
        (jw.StoreError, "`out` is .*, which cannot be written: File name too long; mend", tmp_path / ("x" * 300), {}),
        (jw.ArgumentError, "`top` is 0; it must be an integer of at least 1.", None, {"top": 0}),
        (jw.ArgumentError, "`top` is True; it must be", None, {"top": True}),
        (jw.ArgumentError, "`keep` is 3; give one of `jw.stats`", None, {"keep": 3}),
        (
            jw.PointError,
            "No point has a δ to evaluate, as `i`: Its dtype is int32: .* by `at`.",
            None,
            {"fun": counting},
        ),
    ]
    for kind, said, out, options in cases:
        with pytest.raises(kind, match=said):
            evaluate(out, **options)
