"""How much memory a walk would hold, against what the device has."""

from __future__ import annotations

import os
import warnings

import jax

from ..._errors import MemoryWarning
from ..._show.table import size


def warn_if_large(nbytes: int) -> None:
    """Warn of arrays that would take more than half of the memory of the device."""
    total = device_memory()
    if total is not None and nbytes > total / 2:
        warnings.warn(
            f"The outputs and deltas of this walk take {size(nbytes)}, more than half of the device's {size(total)};"
            " choose fewer points by `at`, or give `keep`, so that only what it returns leaves the backward pass.",
            MemoryWarning,
            stacklevel=3,
        )


def device_memory() -> int | None:
    """Return the bytes of memory of this process's first device (an accelerator's) or of the machine; or None."""
    stats = jax.local_devices()[0].memory_stats()  # another process's cannot be asked
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
