"""Days and clock times in a place's own time zone.

The day of a place starts at its `day_starts` hour. Where clocks skip that hour, it starts at the next one
that exists; where the hour comes twice, at the first.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache
from itertools import count
from zoneinfo import ZoneInfo, available_timezones

from app.core.models import Place


@cache
def time_zones() -> list[str]:
    """Return the names of all time zones, sorted."""
    return sorted(available_timezones())


def local_time(timezone: str, wanted: datetime) -> float:
    """Return the timestamp of a local time.

    If the clocks show that time twice, it is the first; if they skip it, the next that they show.
    """
    zone = ZoneInfo(timezone)
    first = min(wanted.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    # Where clocks skip the hour, `first` lies before the change: count the seconds until after it.
    return next(at for at in count(first) if datetime.fromtimestamp(at, zone).replace(tzinfo=None) >= wanted)


def iso_in(at: float | None, zone: ZoneInfo) -> str | None:
    """Return a time as ISO 8601 with the offset of a time zone."""
    return None if at is None else datetime.fromtimestamp(at, zone).isoformat(timespec="seconds")


def is_between(timezone: str, opens: int, closes: int, at: float) -> bool:
    """Return True if a time is within the hours that begin and end at these minutes of the local day.

    Hours that begin and end at the same minute have no end; those that end before they begin last over
    midnight.
    """
    if opens == closes:
        return True
    local = datetime.fromtimestamp(at, ZoneInfo(timezone))
    minute = 60 * local.hour + local.minute
    if opens < closes:
        return opens <= minute < closes
    return minute >= opens or minute < closes


def day_begins(place: Place, day: str) -> float:
    """Return when a day of a place begins."""
    return _day_begins(place.timezone, day, place.day_starts)


@lru_cache(maxsize=10_000)
def _day_begins(timezone: str, day: str, hour: int) -> float:
    return local_time(timezone, datetime.combine(date.fromisoformat(day), time(hour)))


def day_of_series(series: str) -> str:
    """Return the day that a series belongs to: 2026-11-21 also for 2026-11-21.2."""
    return series[:10]


def day_of(place: Place, at: float) -> str:
    """Return the day of a place that a time belongs to."""
    day = datetime.fromtimestamp(at, place.zone).date() + timedelta(1)
    while at < day_begins(place, day.isoformat()):
        day -= timedelta(1)
    return day.isoformat()


def next_day(day: str, days: int = 1) -> str:
    """Return the day after a day, or `days` days after it."""
    return (date.fromisoformat(day) + timedelta(days)).isoformat()


def days_between(first: str, last: str) -> int:
    """Return the number of days from `first` to `last`, both included."""
    return (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
