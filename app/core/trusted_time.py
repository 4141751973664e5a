"""The newest time that a server has trusted, which tells whether a clock is behind.

clock_check.py decides which times are trusted.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from app.clock import DAY_S, HOUR_S
from app.storage.facts import find_fact

TRUSTED_AT = "clock_trusted_at"  # name of a fact
# By how much a clock that isn't doubtful differs from the trusted time. The server may have been off for a
# day, but time never goes back: only a clock that was set by hand does, for example to winter time.
MAX_AHEAD_S = DAY_S
MAX_BEHIND_S = 2 * HOUR_S


def is_behind(db: Connection, at: float) -> bool:
    """Return True if a server has trusted a time that is much later than `at`."""
    trusted_at = find_fact(db, TRUSTED_AT)
    return trusted_at is not None and at < float(trusted_at) - MAX_BEHIND_S
