"""Calling hours of a call list: the part of a contact's day in which callers are given their call.

They are minutes of the day in the contact's time zone. A list whose hours begin and end at the same
minute has none; hours that end before they begin last over midnight.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.clock import MINUTES_PER_DAY
from app.core.days import is_between, local_time
from app.core.models import Queue


def is_open(call_list: Queue, timezone: str, at: float) -> bool:
    """Return True if a contact in this time zone may be called at a time."""
    return is_between(timezone, call_list.calling_from, call_list.calling_to, at)


def opens_at(call_list: Queue, timezone: str, at: float) -> float:
    """Return the first time from `at` on at which a contact in this time zone may be called."""
    if is_open(call_list, timezone, at):
        return at
    today = datetime.fromtimestamp(at, ZoneInfo(timezone)).date()
    opening = time(*divmod(call_list.calling_from % MINUTES_PER_DAY, 60))
    openings = (local_time(timezone, datetime.combine(today + timedelta(days), opening)) for days in range(3))
    return next(opening_at for opening_at in openings if opening_at > at)
