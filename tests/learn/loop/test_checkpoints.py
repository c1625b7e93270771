"""`jw.learn` with `out` and `resume`: killed, stopped or broken off, it goes on as if nothing had been."""

import jax
import jax.numpy as jnp
import killed_learning
import numpy as np
import optax
import pytest

import jaxwalk as jw

pytest.importorskip("orbax.checkpoint")

X = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
BATCHES = [X[i : i + 2] for i in range(0, 6, 2)]
WEIGHTS = np.ones(2, np.float32)
SGD = optax.sgd(0.1, momentum=0.9)


def fun(weights, x):
    return (jw.tag(x @ weights, "y") - 1.0) ** 2


def keep(output, delta):
    return {"delta_max": jnp.max(jnp.abs(delta))}


def learn(out, fun=fun, params=WEIGHTS, batches=BATCHES, optimizer=SGD, **options):
    options = {"epochs": 3, "keep": keep, "progress": False, "resume": True, **options}
    with jax.numpy_dtype_promotion("standard"):  # as optax needs it
        return jw.learn(fun, params, batches, optimizer, out=out, **options)


def same(a, b):
    """The same to the last bit."""
    leaves = lambda found: jax.tree.leaves((found.params, found.opt_state, found.history.kept, found.history.weights))
    for one, other in zip(leaves(a), leaves(b), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(a.history.steps, b.history.steps)
    np.testing.assert_array_equal(a.history.loss, b.history.loss)
    assert [e.loss for e in a.history.evaluations] == [e.loss for e in b.history.evaluations]
    assert a.history.notes == b.history.notes
    assert a.history.findings == b.history.findings


class Broken(RuntimeError):
    pass


def broken_at(step):
    def log(number, numbers):
        if number == step:
            raise Broken

    return log


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return learn(tmp_path_factory.mktemp("whole"), evaluate=BATCHES[:1])


@pytest.mark.parametrize("step", [0, 4, 8])
def test_what_is_gone_on_with_ends_as_if_there_had_been_no_break(step, whole, tmp_path):
    with pytest.raises(Broken) as caught:
        learn(tmp_path, log=broken_at(step), evaluate=BATCHES[:1])
    assert "see `learned` of this error, and `out`" in caught.value.__notes__[0]
    same(learn(tmp_path, evaluate=BATCHES[:1]), whole)


def test_what_is_finished_is_read_and_may_go_on_for_more_epochs(whole, tmp_path):
    learn(tmp_path, epochs=2, evaluate=BATCHES[:1])
    for _ in range(2):
        same(learn(tmp_path, evaluate=BATCHES[:1]), whole)
    with pytest.raises(jw.ArgumentError, match="`epochs` is 1, and the run in `out` has done 3; give at least as many"):
        learn(tmp_path, epochs=1, evaluate=BATCHES[:1])


@pytest.mark.once
def test_killed_runs(tmp_path):
    expected = killed_learning.finished(tmp_path / "whole")
    killed_learning.killed(tmp_path / "killed", 0.2)
    assert killed_learning.finished(tmp_path / "killed") == expected


def test_after_a_stop_at_nan_it_goes_on_with_skip(tmp_path):
    batches = [BATCHES[0], np.full((2, 2), np.nan, np.float32), BATCHES[1]]
    with pytest.raises(jw.NonfiniteError):
        learn(tmp_path, batches=batches, epochs=1)
    with pytest.raises(jw.NonfiniteError, match="In step 1 "):
        learn(tmp_path, batches=batches, epochs=1)
    found = learn(tmp_path, batches=batches, epochs=1, on_nonfinite="skip")
    assert found.history.total == 3
    np.testing.assert_array_equal(found.params, learn(None, batches=BATCHES[:2], epochs=1, resume=False).params)


def by_epoch(epoch):
    return [BATCHES[i] for i in np.random.default_rng(epoch).permutation(3)]


def test_batches_of_an_epoch_are_asked_for_by_its_number(tmp_path):
    asked = []
    expected = learn(None, batches=by_epoch, resume=False)
    with pytest.raises(Broken):
        learn(tmp_path, batches=by_epoch, log=broken_at(7))
    same(learn(tmp_path, batches=lambda epoch: asked.append(epoch) or by_epoch(epoch)), expected)
    assert asked == [0, 2]  # the first epoch's first batch says what they are like


class Shuffled:
    """Another order each time it is gone through, as of a data loader with a state of its own."""

    def __init__(self):
        self.numbers = np.random.default_rng(0)

    def __iter__(self):
        return iter([BATCHES[i] for i in self.numbers.permutation(3)])


def test_what_shuffles_itself_is_brought_to_where_it_was(tmp_path):
    expected = learn(None, batches=Shuffled(), resume=False)
    with pytest.raises(Broken):
        learn(tmp_path, batches=Shuffled(), log=broken_at(7))
    same(learn(tmp_path, batches=Shuffled()), expected)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run that broke off in its second epoch."""
    place = tmp_path_factory.mktemp("begun")
    with pytest.raises(Broken):
        learn(place, log=broken_at(4))
    return place


other = BATCHES[:1] + [2 * BATCHES[1]] + BATCHES[2:]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optimizer": optax.sgd(0.2, momentum=0.9)}, "cannot be resumed, since `optimizer` has changed"),
        ({"optimizer": optax.adam(0.1)}, "cannot be resumed, since `optimizer` has changed"),
        ({"params": {"w": WEIGHTS}, "fun": lambda p, x: fun(p["w"], x)}, "since `structure of params` was"),
        ({"params": 2 * WEIGHTS}, "since `params` has changed"),
        ({"fun": lambda w, x: 2 * fun(w, x)}, "since `function` has changed (and `keep`)"),
        ({"keep": lambda output, delta: {"delta_max": jnp.max(delta)}}, "since `keep` has changed"),
        ({"every": 2}, "since `every` was 1 and is 2; give what it began with, or another directory."),
        ({"evaluate": BATCHES}, "since `evaluate` was not given and is given"),
        ({"batches": BATCHES[1:]}, "since `first batch` has changed"),
        ({"batches": other}, "One of the batches 0 to 2 of `batches` is not what it was when the run in `out` went"),
        (
            {"batches": BATCHES[:2]},
            "`batches` ended after 2 of the 3 batches that are done already; give the same data",
        ),
        ({"batches": [*BATCHES, X[:1]]}, "`batches` has more than 3 batches; give the same data, or another directory"),
        ({"resume": False}, "which holds a run; give `resume=True` to go on with it, or another directory."),
    ],
)
def test_another_run_is_not_gone_on_with(begun, options, said):
    with pytest.raises((jw.StoreError, jw.DataError)) as caught:
        learn(begun, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_resume_needs_out():
    with pytest.raises(jw.ArgumentError, match="`resume=True` goes on with what is in `out`, but no `out` is given"):
        learn(None)


def test_what_is_something_else_is_not_written_to(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(jw.StoreError, match=r"is not empty and no run: it holds `letter.txt`; give one that is new"):
        learn(tmp_path)
    with pytest.raises(jw.StoreError, match="which is a file; give a directory"):
        learn(tmp_path / "letter.txt")


def test_a_damaged_checkpoint_is_refused(tmp_path):
    learn(tmp_path, epochs=1)
    last = max((tmp_path / "checkpoints").iterdir(), key=lambda place: place.name)
    about = next(path for path in last.rglob("*") if path.is_file() and b"checksum" in path.read_bytes())
    text = about.read_text()
    about.write_text(text.replace('"checksum": ', '"checksum": 1'))
    with pytest.raises(jw.StoreError, match="holds a checkpoint that is damaged: other numbers; restore it, or"):
        learn(tmp_path)
    about.write_text(text[:20])
    with pytest.raises(jw.StoreError, match="holds a checkpoint that is damaged"):
        learn(tmp_path)


def test_two_runs_do_not_write_to_one_directory(tmp_path):
    def log(step, numbers):
        learn(tmp_path)

    with pytest.raises(jw.StoreError, match="which another run is writing to now; wait until it ends"):
        learn(tmp_path, log=log)
