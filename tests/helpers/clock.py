"""Time in tests: a clock that stands still, and time zones in which no day ends during a test."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

# Fixtures that run the program in a process of its own, where the clock is the real one.
REAL_PROCESSES = {"command", "start_server", "shared_server", "live_server", "instances"}


def zone_at_hour(hour: int) -> str:
    """Return a time zone in which it is now this hour of the day.

    The day of a place there doesn't end while a test runs, whatever the real time is.
    """
    ahead = (hour - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}"


class Clock:
    """A clock that replaces the service's own. It stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = 0.0
        self.set("2026-11-21 10:00")
        self.noon_zone = "UTC"  # a time zone in which it is about the middle of the day

    def set_to_now(self) -> None:
        """Set it to the real time, for a database that a real server opens later."""
        self.at = time.time()
        self.noon_zone = zone_at_hour(12)

    def __call__(self) -> float:
        return self.at

    def set(self, when: str, timezone: str = "UTC", fold: int = 0) -> None:
        """Set the local time; `fold=1` is the second pass of an hour that a clock change repeats."""
        self.at = datetime.fromisoformat(when).replace(tzinfo=ZoneInfo(timezone), fold=fold).timestamp()

    def advance(self, **by: float) -> None:
        """Move the clock: `advance(minutes=5)`; negative values move it back."""
        self.at += timedelta(**by).total_seconds()
