"""A check that is made at most once a second, whoever asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

INTERVAL_S = 1.0


class Pulse:
    """Remembers how the last check went. A durable write for each request of anybody would cost too much."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._checked_at: float | None = None  # by time.monotonic()
        self._error: Exception | None = None

    def check(self, write: Callable[[], object]) -> None:
        """Run `write`, unless it was run in the last second, and raise the exception of the last time."""
        with self._lock:  # whoever comes meanwhile waits, and gets the same answer
            if self._checked_at is None or time.monotonic() - self._checked_at >= INTERVAL_S:
                try:
                    write()
                    self._error = None
                except Exception as error:  # noqa: BLE001  # it is raised below, now and for those who wait
                    self._error = error
                self._checked_at = time.monotonic()
            if self._error is not None:
                raise self._error
