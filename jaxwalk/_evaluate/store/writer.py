"""Parts written to a store in the background, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from .store import Store


class PartWriter:
    """Writes parts to a store, one at a time; with no store, nothing. An error comes with the next call.

    Attributes:
        data: how many data are in the store.
    """

    def __init__(self, store: Store | None, data: int):
        self.data = data
        self._store, self._pool = store, ThreadPoolExecutor(1)
        self._pending: tuple[Future[None], int] | None = None

    @property
    def is_open(self) -> bool:
        return self._store is not None

    def write(
        self, rows: Mapping[str, np.ndarray], header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> None:
        """Begin to write the next part, once the one before is there; arguments as of `Store.write`."""
        self.wait()
        if self._store is not None:
            future = self._pool.submit(self._store.write, self._store.parts, rows, header, arrays)
            self._pending = future, len(rows["index"])

    def wait(self) -> None:
        """Wait until what was given is on disk.

        Raises:
            StoreError: it cannot be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending[0].result()
            self.data += pending[1]

    def finish(self, header: Mapping[str, Any]) -> None:
        """Mark the evaluation as complete, once all is there."""
        self.wait()
        if self._store is not None:
            self._store.finish(header)

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
