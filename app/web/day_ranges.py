"""Ranges of days: those that an owner may want to see, and the bars of a chart that shows one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from app.clock import now
from app.core.days import day_of, days_between, next_day
from app.core.models import Place
from app.web.present import date_in_words, month_in_words

MAX_SHIFTED_DAYS = 10_000  # a longer period has no "Earlier" and "Later"
MAX_DAY_BARS = 62  # a chart of more days shows weeks, one of more weeks months
MAX_WEEK_BARS = 60


@dataclass(frozen=True)
class Period:
    """The days that one bar of a chart stands for."""

    label: str  # under the bar
    title: str  # in full
    days: list[str]


def suggested_ranges(place: Place, first: str, last: str) -> dict[str, tuple[str, str]]:
    """Return the days that an owner may want to see next, by the name of the link."""
    today = day_of(place, now())
    opened = day_of(place, place.created_at)
    ranges = {
        "Today": (today, today),
        "Yesterday": (next_day(today, -1), next_day(today, -1)),
        "Last 7 days": (next_day(today, -6), today),
        "Last 30 days": (next_day(today, -29), today),
        "A year": (next_day(today, -364), today),
    }
    length = days_between(first, last)
    if length < MAX_SHIFTED_DAYS:
        if first > opened:
            ranges["Earlier"] = (next_day(first, -length), next_day(first, -1))
        if last < today:
            ranges["Later"] = (next_day(last), next_day(last, length))
    return ranges


def periods_of(days: list[str]) -> list[Period]:
    """Return the bars of a chart of these days: one for each day, or for each week or month."""
    if len(days) <= MAX_DAY_BARS:
        return [Period(str(int(day[8:])), date_in_words(day), [day]) for day in days]
    by_week = len(days) <= MAX_WEEK_BARS * 7
    periods = []
    for key, some in groupby(days, _week_of if by_week else _month_of):
        title = f"Week of {date_in_words(key)}" if by_week else month_in_words(key)
        label = str(int(key[8:])) if by_week else month_in_words(key)[:3]
        periods.append(Period(label, title, list(some)))
    return periods


def _week_of(text: str) -> str:
    day = date.fromisoformat(text)
    return (day - timedelta(day.weekday())).isoformat()


def _month_of(day: str) -> str:
    return f"{day[:7]}-01"
