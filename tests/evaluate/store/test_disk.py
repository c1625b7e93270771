"""Files that are there whole or not at all: in the place of a file, and of nothing else."""

import os

import pytest

from jaxwalk._evaluate.store import disk

pytestmark = pytest.mark.once


def test_a_file_takes_the_place_of_a_file(tmp_path):
    for data in (b"one", b"two"):
        disk.write(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
def test_what_is_no_file_stays(tmp_path, kind):
    path, victim = tmp_path / "path", tmp_path / "victim"
    victim.write_text("precious")
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(victim if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(OSError, match="it is a device, or another" if kind == "pipe" else "it is a symbolic link"):
        disk.write(path, b"new")
    assert sorted(os.listdir(tmp_path)) == ["path", "victim"]
    assert victim.read_text() == "precious"


def test_a_link_in_the_place_of_the_file_that_is_not_yet_whole_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    disk.temporary(tmp_path / "path").symlink_to(victim)
    disk.write(tmp_path / "path", b"new")
    assert (victim.read_text(), (tmp_path / "path").read_bytes()) == ("precious", b"new")
    assert not (tmp_path / "path").is_symlink()
