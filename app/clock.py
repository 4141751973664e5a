"""The time. All code asks `now()`, so that tests can set the clock."""

from __future__ import annotations

import time
from collections.abc import Callable

source: Callable[[], float] = time.time  # tests replace this


def now() -> float:
    """Return the time in seconds since the epoch."""
    return source()
