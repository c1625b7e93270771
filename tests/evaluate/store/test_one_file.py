import os

import pytest

import jaxwalk as jw
from jaxwalk._evaluate.store.one_file import check, path_of, replace

pytestmark = pytest.mark.once


def test_a_trial_leaves_nothing(tmp_path):
    check(tmp_path / "page.html")
    assert os.listdir(tmp_path) == []
    replace(tmp_path / "page.html", b"whole")
    check(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == b"whole"


def test_a_trial_meets_what_writing_would(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("elsewhere")
    for path, said in (
        (tmp_path / "none" / "page.html", "cannot be written: No such file or directory; give another path."),
        (tmp_path / "file" / "page.html", "cannot be written: Not a directory; give another path."),
        (tmp_path / "link", "is a symbolic link, which is not replaced; give the path of a file."),
        (tmp_path, "is a directory, which is not replaced; give the path of a file."),
    ):
        for call in (check, lambda file: replace(file, b"")):
            with pytest.raises(jw.StoreError) as error:
                call(path)
            assert str(error.value) == f"`{path}` {said}"


@pytest.mark.parametrize("path", ["", "/", "a\0b", 3, None])
def test_what_is_no_path_of_a_file(path):
    with pytest.raises(jw.ArgumentError, match="give the path of a file"):
        path_of(path)
