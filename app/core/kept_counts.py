"""Counted tickets of past days, kept in memory: a year of a large place is counted only once.

What is kept of a day is dropped when an event changes one of its tickets. So the figures are always those of
the database, also when another process has changed it.
"""

from __future__ import annotations

import pickle
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from app.core.days import day_of_series
from app.core.models import Place
from app.storage.facts import get_fact
from app.storage.sql import run

MIN_TICKETS = 2_000  # fewer are counted in a few milliseconds, so they aren't kept
MAX_BYTES = 16_000_000  # for all places together
MAX_EVENTS = 100_000  # reading more of them would take longer than counting the tickets again

PlaceKey = tuple[str, int]  # the epoch of the database, and the id of the place


@dataclass(frozen=True)
class Days:
    """Some days of a place, and everything else that their counts depend on."""

    place: PlaceKey
    first: str
    last: str
    shift_s: float  # see _parts() in ticket_counts.py
    queue_id: int | None
    goal_s: int


class KeptCounts:
    """The counts that were used last, compressed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[Days, bytes] = OrderedDict()  # the one that was used last comes last
        self._bytes = 0
        self._seen: dict[PlaceKey, int] = {}  # the latest event of each place that was looked at

    def drop_changed(self, db: Connection, place: Place, today: str) -> tuple[PlaceKey, int]:
        """Drop the counts of days whose tickets have changed. Returns what get() and keep() need."""
        key = get_fact(db, "epoch"), place.id
        sql = "SELECT max(id) FROM event WHERE place_id = :place"
        newest: int = run(db, sql, place=place.id).scalar_one() or 0
        seen = self._seen.get(key)
        if seen is not None and seen != newest:
            changed = None  # maybe all
            if 0 < newest - seen <= MAX_EVENTS:
                changed = _changed_days(db, place, seen, today)
            with self._lock:
                for days in [days for days in self._counts if days.place == key]:
                    if changed is None or any(days.first <= day <= days.last for day in changed):
                        self._drop(days)
        with self._lock:
            self._seen[key] = newest
        return key, newest

    def get(self, days: Days) -> Any:
        """Return what was kept for these days, or None."""
        with self._lock:
            content = self._counts.get(days)
            if content is None:
                return None
            self._counts.move_to_end(days)
        return pickle.loads(zlib.decompress(content))  # it comes from keep(), never from outside

    def keep(self, days: Days, newest: int, counts: Any) -> None:
        """Keep what was counted, unless an event may have happened since.

        :param newest: what drop_changed() returned before the tickets were counted
        """
        content = zlib.compress(pickle.dumps(counts), 1)
        with self._lock:
            if self._seen.get(days.place) != newest:
                return
            if days in self._counts:
                self._drop(days)
            self._counts[days] = content
            self._bytes += len(content)
            while self._bytes > MAX_BYTES:
                self._drop(next(iter(self._counts)))

    def _drop(self, days: Days) -> None:
        self._bytes -= len(self._counts.pop(days))


def _changed_days(db: Connection, place: Place, seen: int, today: str) -> set[str] | None:
    """Return the past days with tickets that later events than `seen` have changed; None: maybe all."""
    sql = """SELECT DISTINCT series, kind = 'wait-again' AS has_moved FROM event
             JOIN ticket ON ticket.id = ticket_id
             WHERE event.place_id = :place AND event.id > :seen
             AND (series < :today OR kind = 'wait-again')"""
    rows = run(db, sql, place=place.id, seen=seen, today=today).all()
    if any(row.has_moved for row in rows):  # from a day that the ticket doesn't name any more
        return None
    return {day_of_series(row.series) for row in rows}


kept_counts = KeptCounts()
