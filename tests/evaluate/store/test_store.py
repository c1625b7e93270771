"""Whatever ends an evaluation, and whenever: a part is there whole or not at all, and the next run goes on from it."""

import errno
import json
import os
import random
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxwalk._errors import ArgumentError, JaxwalkError, StoreError
from jaxwalk._evaluate.store import disk
from jaxwalk._evaluate.store.store import Store

pytestmark = pytest.mark.once

IDENTITY = {"function": "0" * 64, "points": "a, b", "batch size": "256"}
NAMES = ("index", "loss", "a", "a.b", "enc/b", "enc/b#2", "δ 'x' \"y\"", "part=1")


@pytest.fixture(autouse=True)
def _no_waiting(request, monkeypatch):
    """Only a power cut needs what is synced, and none comes; `test_the_order_of_syncs` sees to it."""
    if "syncs" not in request.node.name:
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def columns(start, stop):
    index = np.arange(start, stop)
    norms = {name: np.sin(i * index, dtype=(np.float32, np.float64)[i % 2]) for i, name in enumerate(NAMES[1:], 1)}
    return {"index": index, **norms}


def arrays(part):
    return {"sum": np.linspace(0, part, 5), "x/y.npy": np.array([[part]]), "file": np.array(True)}


def write(store, part):
    """Parts of 0, 1, 2, ... rows, one behind the other."""
    start = part * (part - 1) // 2
    store.write(part, columns(start, start + part), {"part": part, "name": f"#{part}"}, arrays(part))


def opened(directory, resume=True, **changes):
    return Store.open(directory, {**IDENTITY, **changes}, resume)


def filled(directory, parts=4, finished=False):
    with opened(directory, resume=False) as store:
        for part in range(parts):
            write(store, part)
        if finished:
            store.finish({"count": 6})
    return directory


def check(directory, parts):
    """The rows, as another reader has them; the states; and nothing else."""
    table = pq.read_table(directory / "rows")
    expected = columns(0, parts * (parts - 1) // 2)
    assert table.column_names == list(NAMES)
    for name, column in expected.items():
        found = table[name].to_numpy()
        assert found.dtype == column.dtype
        np.testing.assert_array_equal(found, column)
    with opened(directory) as store:
        assert store.parts == parts
        for part in range(parts):
            header, found = store.read(part)
            assert header == {"part": part, "name": f"#{part}"}
            assert {name: (a.tolist(), a.dtype) for name, a in found.items()} == {
                name: (a.tolist(), a.dtype) for name, a in arrays(part).items()
            }
    assert not leftovers(directory)
    assert sorted(os.listdir(directory / "state")) == [f"part-{part:05d}.npz" for part in range(parts)]


def leftovers(directory):
    return [str(path) for path in directory.rglob("*") if path.name.startswith(".") and path.name != ".lock"]


def test_what_is_written_is_read(tmp_path):
    filled(tmp_path / "new" / "lr=0.1" / ".run")
    check(tmp_path / "new" / "lr=0.1" / ".run", 4)


def test_an_empty_directory_is_as_good_as_none(tmp_path):
    with opened(tmp_path) as store:
        assert (store.parts, store.finished, store.header) == (0, False, None)


def test_it_goes_on_and_finishes(tmp_path):
    filled(tmp_path, 2)
    with opened(tmp_path) as store:
        write(store, 2)
        store.finish({"count": 3, "loss": float("nan")})
        assert store.finished
        with pytest.raises(StoreError, match="Part 3 is not the next"):
            write(store, 3)
    for _ in range(2):
        with opened(tmp_path) as store:
            assert store.finished
            assert store.header["count"] == 3
    check(tmp_path, 3)


def test_one_column_of_many_is_read(tmp_path):
    for name in NAMES:
        assert pq.read_table(filled(tmp_path / str(NAMES.index(name))) / "rows", columns=[name]).num_rows == 6


def refused(directory, message, resume=True, **changes):
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(StoreError) as raised:
        opened(directory, resume, **changes)
    text = str(raised.value)
    assert re.search(message, text), text
    assert text.endswith(".")
    assert "\n" not in text
    after = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == {path: data for path, data in before.items() if path.name != ".lock"}


def test_an_evaluation_is_not_written_over(tmp_path):
    refused(filled(tmp_path), "holds an evaluation; give `resume=True` to go on with it, or another", resume=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch size": "128"}, r"since `batch size` was 256 and is 128; give what it began with, or another"),
        ({"function": "1" * 64}, "since `function` has changed; give"),
        ({"params": "1"}, "since `params` was not there and is 1; give"),
        ({"points": "a", "batch size": "1"}, "since `points` was a, b and is a, `batch size` was 256 and is 1;"),
    ],
)
def test_another_evaluation_is_not_gone_on_with(tmp_path, changes, message):
    refused(filled(tmp_path), message, **changes)


def test_a_foreign_directory_is_left_alone(tmp_path):
    for name in "abcde":
        (tmp_path / name).write_text("mine")
    refused(tmp_path, "not empty and no evaluation: it holds `a`, `b`, `c` and 2 more; give a directory that is new")
    assert sorted(os.listdir(tmp_path)) == list("abcde")
    (tmp_path / "b1" / "rows").mkdir(parents=True)
    (tmp_path / "b1" / "rows" / "rows.parquet").write_text("mine")
    refused(tmp_path / "b1", "it holds `rows/rows.parquet`;")
    (tmp_path / "b1" / "manifest.json").write_text('{"name": "app", "icons": []}')
    refused(tmp_path / "b1", "`manifest.json` that is damaged, or of something else")
    assert sorted(os.listdir(tmp_path / "b1")) == ["manifest.json", "rows"]


def test_a_place_where_no_directory_can_be(tmp_path):
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file", "which is a file; give a directory")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    refused(tmp_path / "link", "which is a symbolic link to what is not there; give a directory, or mend the link")
    refused(tmp_path / "file" / "inside", "cannot be written: Not a directory; mend that, or give another directory")
    with pytest.raises(ArgumentError, match="`out` is True; give the path of a directory"):
        Store.open(True, IDENTITY)


def test_pyarrow_is_asked_for_first(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(StoreError, match=re.escape("`out` needs pyarrow, the extra `store`: `uv sync --extra store`")):
        opened(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_one_writer_at_a_time(tmp_path):
    with opened(tmp_path):
        for resume in (False, True):
            refused(tmp_path, "which another evaluation is writing now; wait until it ends", resume)
    opened(tmp_path).close()
    with pytest.raises(StoreError, match="has changed"):
        opened(tmp_path, function="1" * 64)
    opened(tmp_path).close()  # who is refused does not keep the lock


def test_a_newer_format_is_refused(tmp_path):
    manifest = json.loads((filled(tmp_path) / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "jaxwalk store": 2}))
    refused(tmp_path, "format 2, newer than this jaxwalk, which reads format 1; install a newer jaxwalk")


def test_a_manifest_with_the_key_of_a_saved_evaluation_is_read(tmp_path):
    """As earlier versions wrote it."""
    manifest = json.loads((filled(tmp_path) / "manifest.json").read_text())
    renamed = {"jaxwalk evaluation": 1, "identity": manifest["identity"], "finished": manifest["finished"]}
    (tmp_path / "manifest.json").write_text(json.dumps(renamed))
    check(tmp_path, 4)
    (tmp_path / "manifest.json").write_text(json.dumps({**renamed, "jaxwalk evaluation": 2}))
    refused(tmp_path, "format 2, newer than this jaxwalk")


DAMAGE = {
    "another digit in the manifest": (
        lambda d: (d / "manifest.json").write_text((d / "manifest.json").read_text().replace(": null", ': "1"')),
        "holds a `manifest.json` that is damaged",
    ),
    "another name in the manifest": (
        lambda d: (d / "manifest.json").write_text((d / "manifest.json").read_text().replace("checksum", "checksul")),
        "holds a `manifest.json` that is damaged",
    ),
    "a gap": (
        lambda d: [os.unlink(d / "rows/part-00002.parquet")],
        "rows/part-00002.parquet` is missing, and part 3 is there",
    ),
    "no first part": (
        lambda d: os.unlink(d / "rows/part-00000.parquet"),
        "rows/part-00000.parquet` is missing, and part 3 is there",
    ),
    "no state": (lambda d: os.unlink(d / "state/part-00001.npz"), "state/part-00001.npz` is missing, and part 3"),
    "rows of another part": (
        lambda d: shutil.copy(d / "rows/part-00003.parquet", d / "rows/part-00002.parquet"),
        r"rows/part-00002.parquet` does not hold the rows that were written to it; restore it, or begin in another dir",
    ),
    "a bit of a row": (lambda d: flip(d / "rows/part-00002.parquet"), "rows/part-00002.parquet` does not hold the"),
    "state of another part": (
        lambda d: shutil.copy(d / "state/part-00003.npz", d / "state/part-00002.npz"),
        "state/part-00002.npz` is of another part or evaluation; restore it",
    ),
    "rows cut short": (lambda d: cut(d / "rows/part-00002.parquet"), "rows/part-00002.parquet` does not hold the rows"),
    "rows of nothing": (lambda d: cut(d / "rows/part-00000.parquet", 0), "rows/part-00000.parquet` does not hold"),
    "state cut short": (lambda d: cut(d / "state/part-00002.npz"), "state/part-00002.npz` cannot be read: "),
    "manifest cut short": (lambda d: cut(d / "manifest.json"), "holds a `manifest.json` that is damaged, or of"),
    "manifest of nothing": (lambda d: cut(d / "manifest.json", 0), "holds a `manifest.json` that is damaged, or of"),
    "a number for the identity": (lambda d: manifest(d, identity=3), "holds a `manifest.json` that is damaged"),
    "a number in the identity": (
        lambda d: manifest(d, identity={"function": 3}),
        "holds a `manifest.json` that is dam",
    ),
    "a number for the end": (lambda d: manifest(d, finished=3), "holds a `manifest.json` that is damaged, or of"),
    "a text for a count": (
        lambda d: manifest(d, finished={"parts": "4", "header": {}}),
        "holds a `manifest.json` that",
    ),
    "a list for a header": (lambda d: manifest(d, finished={"parts": 4, "header": []}), "holds a `manifest.json`"),
    "lists in lists": (lambda d: (d / "manifest.json").write_text("[" * 10**5), "holds a `manifest.json` that is"),
    "a file more": (lambda d: (d / "rows/mine.parquet").write_text(""), "rows/mine.parquet` is no part of an eval"),
    "a number twice": (
        lambda d: shutil.copy(d / "rows/part-00003.parquet", d / "rows/part-000003.parquet"),
        "rows/part-000003.parquet` is no part of an evaluation; take it out of there",
    ),
}


def manifest(directory, **changes):
    """Change what a manifest says, without a checksum, as those of earlier versions are."""
    path = directory / "manifest.json"
    before = json.loads(path.read_text())
    del before["checksum"]
    path.write_text(json.dumps(before | changes))


def cut(path, size=None):
    os.truncate(path, path.stat().st_size * 2 // 3 if size is None else size)


def flip(path):
    data = bytearray(path.read_bytes())
    data[data.index(columns(1, 3)["loss"].tobytes())] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(tmp_path, name):
    damage, message = DAMAGE[name]
    damage(filled(tmp_path))
    refused(tmp_path, message)


def test_a_finished_evaluation_that_lost_its_last_part(tmp_path):
    os.unlink(filled(tmp_path, finished=True) / "rows/part-00003.parquet")
    with pytest.raises(StoreError, match="holds 3 parts of 4 of a finished evaluation; restore the others"):
        opened(tmp_path)


def test_an_end_is_not_written_over_parts_that_are_gone_or_others(tmp_path):
    for change, said in (
        (
            lambda d: os.unlink(d / "rows/part-00001.parquet"),
            "rows/part-00001.parquet`, which .* is no longer there",
        ),
        (
            lambda d: os.unlink(d / "state/part-00001.npz"),
            "state/part-00001.npz`, which this evaluation wrote, is no",
        ),
        (
            lambda d: cut(d / "rows/part-00002.parquet"),
            "rows/part-00002.parquet` is not what this evaluation wrote",
        ),
        (
            lambda d: cut(d / "rows/part-00003.parquet"),
            "rows/part-00003.parquet` is not what this evaluation wrote",
        ),
    ):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        with opened(filled(tmp_path / "run", 3)) as store:
            write(store, 3)
            change(tmp_path / "run")
            with pytest.raises(StoreError, match=said):
                store.finish({})
            assert json.loads((tmp_path / "run/manifest.json").read_text())["finished"] is None


def test_a_directory_that_took_the_place_of_another_is_not_written_to(tmp_path):
    run = tmp_path / "run"
    with opened(filled(run)) as store:
        run.rename(tmp_path / "old")
        for there in (False, True):
            if there:
                filled(run, 2)
            said = "which is no longer the directory in which this evaluation began; restore that, and go"
            with pytest.raises(StoreError, match=said):
                write(store, 4)
            with pytest.raises(StoreError, match=said):
                store.finish({})
    check(run, 2)
    check(tmp_path / "old", 4)


@pytest.mark.parametrize("name", [".probe", "rows/.probe", "state/.probe", ".manifest.json.tmp", ".lock", "rows"])
def test_links_that_somebody_put_there_are_not_followed(tmp_path, name):
    """Not in a new directory, which then holds something else, and not in one that holds an evaluation."""
    victim, link = tmp_path / "victim", tmp_path / "new" / name
    victim.write_text("precious")
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    with pytest.raises(StoreError, match=f"is not empty and no evaluation: it holds `{re.escape(name)}`; give"):
        opened(tmp_path / "new")
    assert [link.is_symlink(), victim.read_text()] == [True, "precious"]


@pytest.mark.parametrize("name", [".probe", "rows/.part-00004.parquet.tmp", "state/.part-00004.npz.tmp", ".lock"])
def test_links_put_into_an_evaluation_are_not_followed(tmp_path, name):
    victim, run = tmp_path / "victim", filled(tmp_path / "run")
    victim.write_text("precious")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(victim)
    if name == ".lock":
        with pytest.raises(StoreError, match="cannot be written: Too many levels of symbolic links; mend that"):
            opened(run)
    else:
        with opened(run) as store:
            write(store, 4)
        check(run, 5)
    assert victim.read_text() == "precious"


def test_what_is_finished_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    run = filled(tmp_path / "run", finished=True)
    (run / ".lock").unlink()
    (run / "rows/.part-00004.parquet.tmp").touch()
    (run / "state/part-00004.npz").touch()
    before = {path: path.stat().st_mtime_ns for path in [run, *run.rglob("*")]}

    def refused(*args):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    for name in ("lock", "probe", "write", "remove"):
        monkeypatch.setattr(disk, name, refused)
    with opened(run) as one, opened(run) as other:
        assert one.finished
        assert one.parts == other.parts == 4
        assert one.read(3)[0] == {"part": 3, "name": "#3"}
        with pytest.raises(StoreError, match="Part 4 is not the next"):
            write(one, 4)
    assert {path: path.stat().st_mtime_ns for path in [run, *run.rglob("*")]} == before
    with pytest.raises(StoreError, match="holds an evaluation; give `resume=True`"):
        opened(run, resume=False)


@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_damaged_array_is_found(is_sealed, tmp_path):
    """At once, or as earlier versions wrote the file, when the array is read."""
    path = filled(tmp_path) / "state/part-00002.npz"
    if not is_sealed:
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b""
    data = path.read_bytes()
    at = data.index(np.linspace(0, 2, 5).tobytes())
    path.write_bytes(data[:at] + b"?" + data[at + 1 :])
    if is_sealed:
        with pytest.raises(StoreError, match=r"state/part-00002.npz` cannot be read: it is not what was written"):
            opened(tmp_path)
        return
    with opened(tmp_path) as store, pytest.raises(StoreError, match=r"state/part-00002.npz` cannot be read: Bad CRC"):
        store.read(2)


def test_what_another_system_leaves_is_passed_over(tmp_path):
    for name in (".nfs0001", "_SUCCESS", ".part-00001.parquet.crc"):
        (filled(tmp_path / name, 3) / "rows" / name).write_text("")
        with opened(tmp_path / name) as store:
            assert store.parts == 3


def test_what_a_killed_process_left_is_removed(tmp_path):
    filled(tmp_path)
    for name in ("rows/.part-00009.parquet.tmp", "state/.part-00004.npz.tmp", "state/part-00004.npz"):
        (tmp_path / name).write_text("half")
    check(tmp_path, 4)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"loss": np.ones(3)}, "Column `loss` has shape (3,) and dtype float64; give each row of `index` one number"),
        ({}, "The rows lack `index`; give one of int64"),
        ({"index": np.ones(3)}, "The rows lack `index`; give one of int64"),
        ({"index": np.arange(3), "loss": np.ones(2)}, "Column `loss` has shape (2,)"),
        ({"index": np.arange(3), "loss": np.ones((3, 1))}, "Column `loss` has shape (3, 1)"),
        ({"index": np.arange(3), "loss": np.ones(3, np.float16)}, "and dtype float16; give each row of `index` one"),
        (columns(6, 9) | {"a": np.ones(3)}, "has other columns than part 0: `a`;"),
        (columns(6, 9) | {"c": np.ones(3)}, "has other columns than part 0: `c`;"),
        ({"index": np.arange(3)}, "has other columns than part 0: `loss`, `a`, "),
        (dict(reversed(columns(6, 9).items())), "has other columns than part 0, in another order;"),
    ],
)
def test_rows_that_do_not_fit(tmp_path, rows, message):
    with opened(filled(tmp_path)) as store:
        with pytest.raises(StoreError, match=re.escape(message)):
            store.write(4, rows, {}, {})
        write(store, 4)
    check(tmp_path, 5)


def test_a_part_out_of_turn_and_an_array_of_objects(tmp_path):
    with opened(filled(tmp_path)) as store:
        for part in (3, 5):
            with pytest.raises(StoreError, match=f"Part {part} is not the next of .*, which has 4"):
                write(store, part)
        with pytest.raises(StoreError, match="The array `x` has dtype object; give numbers"):
            store.write(4, columns(6, 7), {}, {"x": np.array([{}])})
    check(tmp_path, 4)


def test_the_order_of_syncs(tmp_path, monkeypatch):
    """A power cut after any of these leaves a whole part, or none: each file is synced before it has its name."""
    done = []

    def path_of(descriptor):
        return next(path for path in tmp_path.rglob("*") if os.path.samestat(path.stat(), os.fstat(descriptor)))

    def recorded(name, change):
        def record(*args):
            change(*args)
            place = path_of(args[0]) if name == "sync" else args[-1]
            done.append(f"{name} {Path(place).relative_to(tmp_path)}")

        return record

    with opened(tmp_path) as store:
        monkeypatch.setattr(os, "fsync", recorded("sync", os.fsync))
        monkeypatch.setattr(os, "replace", recorded("name", os.replace))
        write(store, 0)
    assert done == [
        "sync state/.part-00000.npz.tmp",
        "name state/part-00000.npz",
        "sync state",
        "sync rows/.part-00000.parquet.tmp",
        "name rows/part-00000.parquet",
        "sync rows",
    ]


# Full disks ----------------------------------------------------------------------------------------------------------


def check_failure(directory, act, message):
    """A failure at part 4 leaves the four before it, no temporary file, and a store that can go on once mended."""
    with opened(filled(directory)) as store:
        with pytest.raises(StoreError) as raised, act():
            write(store, 4)
        assert re.search(message, str(raised.value)), raised.value
        assert isinstance(raised.value, OSError)
        assert isinstance(raised.value, JaxwalkError)
        assert not leftovers(directory)
        assert store.parts == 4
        assert len(os.listdir(directory / "state")) == 4
        assert pq.read_table(directory / "rows").num_rows == 6
    check(directory, 4)
    with opened(directory) as store:
        write(store, 4)
    check(directory, 5)


FULL = "Part 4 cannot be written to .*: {}; the 4 parts there stay whole: {} and go on with `resume=True`."


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux; the next test is for every system")
@pytest.mark.parametrize("path", ["rows/.part-00004.parquet.tmp", "state/.part-00004.npz.tmp"])
def test_a_full_disk(tmp_path, path):
    message = FULL.format("No space left on device", "free space there")
    check_failure(tmp_path, lambda: Full(tmp_path / path), message)


class Full:
    """The system says that the disk is full, at this file."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.open = os.open
        os.open = lambda path, *how: self.open(*(("/dev/full", os.O_WRONLY) if path == self.path else (path, *how)))

    def __exit__(self, *_):
        os.open = self.open


class Limited:
    """The system writes the first bytes of a file and refuses the rest."""

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, self.before[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def test_a_file_cut_off_by_the_system(tmp_path):
    check_failure(tmp_path, Limited, FULL.format("File too large", "mend that"))


def test_no_space_from_the_start(tmp_path):
    for name in ("new", "old"):
        directory = tmp_path / name if name == "new" else filled(tmp_path / name)
        with pytest.raises(StoreError, match="cannot be written: File too large; mend that, or give"), Limited():
            opened(directory)
        opened(directory).close()
        assert not leftovers(directory)


class Ended(BaseException):
    """The process is gone: nothing more that it does reaches the disk."""


class Faulty:
    """The disk from its `at`-th change on: an `error` at that one, or (None) nothing after it, and half of that one."""

    def __init__(self, monkeypatch, at, error):
        self.count, self.at, self.error, self.failed = 0, at, error, False
        self.monkeypatch = monkeypatch
        self.cut = os.ftruncate

    def __enter__(self):
        self.context = self.monkeypatch.context()
        patch = self.context.__enter__()
        for name in ("replace", "unlink", "mkdir"):
            patch.setattr(os, name, self.changing(getattr(os, name)))
        patch.setattr(os, "fsync", self.changing(lambda descriptor: None, self.half))
        patch.setattr(disk, "open", self.changing(open), raising=False)
        return self

    def __exit__(self, *args):
        self.context.__exit__(*args)

    def half(self, descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            self.cut(descriptor, os.fstat(descriptor).st_size // 2)

    def changing(self, change, torn=lambda *_: None):
        def changed(*args, **kwargs):
            self.count += 1
            if self.count == self.at and self.error is not None:
                self.failed = True
                raise OSError(self.error, os.strerror(self.error))
            if self.count >= self.at and self.error is None:
                if self.count == self.at:
                    torn(*args)
                raise Ended
            return change(*args, **kwargs)

        return changed


def run(directory, parts):
    with opened(directory) as store:
        for part in range(store.parts, parts):
            write(store, part)
        if not store.finished:
            store.finish({})


def test_ended_at_every_step(tmp_path, monkeypatch):
    """And the run that goes on, ended at every step in turn."""
    at, ended = 0, True
    while ended:
        at += 1
        directory = tmp_path / str(at)
        ended = cut_short(monkeypatch, at, directory)
        again = 0
        while cut_short(monkeypatch, again := again + 1, directory):
            pass
        check(directory, 3)
        shutil.rmtree(directory)
    assert at > 30


def cut_short(monkeypatch, at, directory):
    try:
        with Faulty(monkeypatch, at, None):
            run(directory, 3)
    except Ended:
        return True
    return False


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES])
def test_an_error_at_every_step(tmp_path, monkeypatch, error):
    failures, steps = [], sys.maxsize
    for at in range(1, 100):
        if at > steps:
            break
        directory = filled(tmp_path / str(at), 2)
        faulty = Faulty(monkeypatch, at, error)
        try:
            with faulty:
                run(directory, 4)
            steps = faulty.count if not faulty.failed else steps
        except StoreError as failure:
            failures.append(str(failure))
        run(directory, 4)
        check(directory, 4)
    assert len(failures) > 25
    assert all(os.strerror(error) in failure for failure in failures)
    assert len([f for f in failures if "cannot be written to" in f]) >= 8  # at a part, not before


# Killed --------------------------------------------------------------------------------------------------------------

# The package without its `__init__`, which imports JAX: these processes start often.
START = """
import sys, types
package = types.ModuleType("jaxwalk")
package.__path__ = [sys.argv[1]]
sys.modules["jaxwalk"] = package
import os
import numpy as np
os.fsync = lambda descriptor: None  # a kill is no power cut; so it meets other moments than waiting for the disk
from jaxwalk._evaluate.store.store import Store
"""

WRITE = """
with Store.open(sys.argv[2], {"function": "f"}, resume=True) as store:
    end = store.parts + int(sys.argv[3]) if len(sys.argv) > 3 else sys.maxsize
    print("open", flush=True)
    while store.parts < end:
        before = store.read(store.parts - 1) if store.parts else ({"count": 0}, {"sum": np.array(0)})
        start = before[0]["count"]
        index = np.arange(start, start + store.parts % 5)
        rows = {"index": index, "loss": index / 2}
        store.write(store.parts, rows, {"count": start + len(index)}, {"sum": before[1]["sum"] + index.sum()})
        print("part", flush=True)
    store.finish({})
"""


def process(code, *args, **kwargs):
    command = [sys.executable, "-c", START + code, str(Path(disk.__file__).parents[2]), *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **kwargs)


def test_killed_again_and_again(tmp_path):
    chance = random.Random(0)
    grown = [0]
    for _ in range(12):
        with process(WRITE, tmp_path) as writer:
            assert writer.stdout.readline() == "open\n"
            for _ in range(chance.randrange(6)):
                assert writer.stdout.readline() == "part\n"
            time.sleep(chance.uniform(0, 0.01))
            writer.kill()
        assert writer.returncode == -signal.SIGKILL
        grown.append(len(list((tmp_path / "rows").glob("part-*.parquet"))))
    assert grown == sorted(grown)
    assert grown[-1] > 12
    with process(WRITE, tmp_path, 5) as writer:
        assert writer.stdout.read() == "open\n" + 5 * "part\n"
    assert writer.returncode == 0
    parts = grown[-1] + 5
    count = sum(part % 5 for part in range(parts))
    table = pq.read_table(tmp_path / "rows")
    assert table["index"].to_pylist() == list(range(count))
    assert table["loss"].to_pylist() == [i / 2 for i in range(count)]
    with Store.open(tmp_path, {"function": "f"}, resume=True) as store:
        assert (store.parts, store.finished) == (parts, True)
        header, found = store.read(parts - 1)
        assert (header["count"], found["sum"]) == (count, count * (count - 1) // 2)
    assert not leftovers(tmp_path)


FORK = """
store = Store.open(sys.argv[2], {"function": "f"})
if os.fork() == 0:
    print("forked", flush=True)
    sys.stdin.read()
    os._exit(0)
os.wait()
"""


def test_a_worker_that_outlives_its_parent_does_not_keep_the_lock(tmp_path):
    with process(FORK, tmp_path, stdin=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == "forked\n"
        with pytest.raises(StoreError, match="which another evaluation is writing now"):
            Store.open(tmp_path, {"function": "f"}, resume=True)
        writer.kill()
        os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)
        Store.open(tmp_path, {"function": "f"}, resume=True).close()
        writer.stdin.close()
        assert writer.stdout.read() == ""  # the worker has ended, too
