"""Results as JSON, NaN and Inf included."""

from __future__ import annotations

import json
import math
from typing import Any

from .._printable import CONTROLS


def as_json(data: Any) -> str:
    """Return data as JSON. A NaN or an Inf, which JSON does not have, is "nan", "inf" or "-inf".

    Control characters are escaped, those too that JSON allows.
    """
    lines = json.dumps(_writable(data), indent=2, ensure_ascii=False, allow_nan=False).split("\n")
    return "\n".join(CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in lines)


def _writable(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _writable(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_writable(value) for value in data]
    return str(data) if isinstance(data, float) and not math.isfinite(data) else data
