"""The check that the writer of the database works."""

from __future__ import annotations

import threading
import time

from app.clock import now
from app.storage.database import Database
from app.storage.facts import set_fact

INTERVAL_S = 1.0  # between two durable writes, whoever asks


class Pulse:
    """Lets the writer store the time. As anybody may ask for that, it does so at most once a second.

    The other requests let the writer begin and end a transaction, which shows that it works and that the
    database isn't locked, but doesn't touch the disk.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written_at: float | None = None  # by time.monotonic(); None: the last attempt failed

    def check(self, database: Database) -> None:
        """Raise what keeps the writer from writing."""
        with self._lock:
            at = time.monotonic()
            is_due = self._written_at is None or at - self._written_at >= INTERVAL_S
            if is_due:
                self._written_at = at
        if not is_due:
            database.write_internal(lambda _: None)
            return
        try:
            database.write_internal(set_fact, "pulse", str(now()))
        except Exception:
            self._written_at = None
            raise
