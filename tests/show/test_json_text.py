import json

import pytest

from jaxwalk._show.json_text import as_json

pytestmark = pytest.mark.once


def test_control_characters_are_escaped_and_read_back():
    data = {"\x9b2J": ["\x1b[2J", "\x7f\u202e", "δ, größe"], "loss": float("nan")}
    text = as_json(data)
    assert json.loads(text) == data | {"loss": "nan"}
    assert all(line.isprintable() for line in text.split("\n"))
    assert "größe" in text
