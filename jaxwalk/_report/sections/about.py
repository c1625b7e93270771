"""What computed the page: versions, device, command, time."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform

import jax
import numpy as np

from ..._errors import counted
from ..._version import __version__
from ..record import Record
from ..section import Section


def about(record: Record) -> Section:
    """Return the versions, the device, the command if there was one, and the time."""
    device = jax.devices()[0]
    facts = {
        "command": record.command,
        "made": datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
        "jaxwalk": __version__,
        "jax, jaxlib": f"{jax.__version__}, {importlib.metadata.version('jaxlib')}",
        "NumPy": np.__version__,
        "Python": platform.python_version(),
        "device": f"{counted(jax.device_count(), 'device')}, {device.platform}: {device.device_kind}",
    }
    return Section("about", "About this page", "about.html", {"facts": {k: v for k, v in facts.items() if v}})
