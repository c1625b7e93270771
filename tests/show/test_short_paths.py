import pytest

from jaxwalk._show.short_paths import short_paths

pytestmark = pytest.mark.once


def test_the_middle_of_a_path_is_left_out():
    names = ["encoder/block/3/attention/self/q", "decoder/block/3/attention/self/q", "head"]
    assert short_paths(names, 28) == ["encoder/…/3/attention/self/q", "decoder/…/3/attention/self/q", "head"]


def test_what_all_begin_with_tells_nothing():
    names = [f"GPT2/encoder/h/{i}/attn/{part}" for i in range(3) for part in "qk"]
    assert short_paths(names, 14)[:3] == ["…/h/0/attn/q", "…/h/0/attn/k", "…/h/1/attn/q"]


@pytest.mark.parametrize("width", [8, 12, 16, 24, 40])
def test_no_two_names_read_the_same(width):
    names = [f"net/{side}/layers.{i}.block/{part}/out" for side in "ab" for i in range(5) for part in ("attn", "mlp")]
    names += ["net", "net/out", "net/a/out", "net/b/mlp/out"]
    short = short_paths(names, width)
    assert len(set(short)) == len(names)
    assert all(cut == name or len(cut) <= width for cut, name in zip(short, names))


def test_what_nothing_short_tells_apart_stays_whole():
    names = ["a/b/c", "a/x/c", "a/b/d", "a/x/d"]
    assert short_paths(names, 4) == names
    assert short_paths(["one_long_name_without_parts"], 5) == ["one_long_name_without_parts"]
