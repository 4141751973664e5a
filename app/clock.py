"""The time, and its units. All code asks `now()`, so that tests can set the clock."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S
MINUTES_PER_DAY = 24 * 60


def since_boot() -> float:
    """Return the seconds since the machine started. They never jump, and go on while it sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC)


source: Callable[[], float] = time.time  # tests replace this
elapsed: Callable[[], float] = since_boot  # tests replace this, too

TIMESYNC_FILE = Path("/run/systemd/timesync/synchronized")  # systemd-timesyncd touches it after each update
MAX_DIFFERENCE_S = DAY_S  # between our clock and one that counts as confirmed
STA_UNSYNC = 0x40  # a bit of adjtimex(2): no time server has set the clock
TIME_ERROR = 5  # a result of adjtimex(2): the clock isn't synchronized


def now() -> float:
    """Return the time in seconds since the epoch."""
    return source()


def is_synchronized(at: float) -> bool:
    """Return True when the operating system got its time from a time server, and `at` is about that time."""
    times = (_time_of_kernel(), _time_of_timesync())
    return any(known is not None and abs(at - known) <= MAX_DIFFERENCE_S for known in times)


class _Timex(ctypes.Structure):
    """The beginning of struct timex, see adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("rest", ctypes.c_long * 40),  # more than the rest needs on any platform
    )


def _time_of_kernel() -> float | None:
    """Return the kernel's time if it is synchronized; None if it isn't, or can't be asked."""
    if sys.platform != "linux":
        return None
    try:
        libc = ctypes.CDLL(None)
        timex = _Timex(modes=0)  # 0: only read
        state = libc.adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    is_set = 0 <= state < TIME_ERROR and not timex.status & STA_UNSYNC
    return float(timex.seconds) if is_set else None


def _time_of_timesync() -> float | None:
    """Return when systemd-timesyncd last set the clock, or None.

    A service with ProtectClock= may not ask the kernel, but it can see this file.
    """
    try:
        return os.stat(TIMESYNC_FILE).st_mtime
    except OSError:
        return None
