"""Counts of the tickets of some days, by how they ended and how long they took.

They are counted in SQL, so that a year of them doesn't keep the interpreter from other requests. What was
counted of the past days of a large place is kept in memory; see kept_counts.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy.engine import Connection

from app.clock import HOUR_S
from app.core.days import day_begins, day_of, day_of_series, days_between, next_day
from app.core.kept_counts import MIN_TICKETS, Days, kept_counts
from app.core.models import CALLS, Place, Queue
from app.core.queries import BOTH, BY_OWNER, PART, SELECT_VISITS, WHOLE
from app.storage.database import Database
from app.storage.sql import load_all, run

FIRST_DAY = "1970-01-01"
YEAR_DAYS = 365
LARGE_YEAR = 50_000  # tickets; fewer are counted in a quarter of a second

ENDS = ("served", "left", "cancelled", "not_here", "expired", "open")  # how a ticket can have ended
MEASURES = ("wait", "service", "total")  # what is measured of the tickets that were served

_VISITS_TO_COUNT = f"""({SELECT_VISITS}) AS visit
                       WHERE queue_id = coalesce(:queue, queue_id) AND taken_at <= :until
                       AND scope <> :left_out"""

# Everything that is counted about the tickets, in few rows. The column `kind` says what a row is about:
#   tickets: the tickets that were taken in the hour `x` of the week (0 to 167; days begin when those of the
#     place do), by how they ended, queue and servicer; `line_s`: how many seconds they waited in that hour
#   later: how many seconds the tickets of earlier hours waited in the hour `x` (`line_s`)
#   wait, service, total: how many tickets were served with a wait, service or total of `x` seconds
# Tickets that passed through several queues, and their visits, have rows of their own, by `scope`.
_COUNT_TICKETS = f"""
    WITH RECURSIVE
    later (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM later WHERE n < 24),
    tickets AS MATERIALIZED (
        SELECT scope,
               queue_id,
               coalesce(servicer_id, 0) AS servicer_id,
               CASE WHEN state = 'done' THEN 'served'
                    WHEN state = 'cancelled' AND EXISTS (
                        SELECT 1 FROM event
                        WHERE event.ticket_id = visit.ticket_id AND event.kind = 'cancel'
                        AND event.detail = '{BY_OWNER}' AND event.happened_at = visit.ended_at)
                        THEN 'cancelled'
                    WHEN state = 'cancelled' THEN 'left'
                    WHEN state = 'no_show' THEN 'not_here'
                    WHEN state = 'expired' OR (state = 'waiting' AND series < :today) THEN 'expired'
                    ELSE 'open' END AS ended,
               taken_at + :shift AS came,
               coalesce(first_called_at, ended_at, :waits_until) + :shift AS went,
               CAST(taken_at + :shift AS BIGINT) / 3600 AS hour,
               CASE WHEN state = 'done' THEN first_called_at - taken_at END AS wait,
               CASE WHEN state = 'done' THEN ended_at - coalesce(started_at, called_at) END AS service,
               CASE WHEN state = 'done' THEN ended_at - taken_at END AS total
        FROM {_VISITS_TO_COUNT})
    SELECT 'tickets' AS kind, scope, hour % 168 AS x, ended, queue_id, servicer_id, count(*) AS tickets,
           sum(CASE WHEN went < 3600 * (hour + 1) THEN went ELSE 3600 * (hour + 1) END - came) AS line_s,
           sum(wait) AS wait, sum(service) AS service, sum(total) AS total
    FROM tickets GROUP BY scope, hour % 168, ended, queue_id, servicer_id
    UNION ALL
    SELECT 'later', '', (hour + n) % 168, '', 0, 0, 0,
           sum(CASE WHEN went < 3600 * (hour + n + 1) THEN went - 3600 * (hour + n) ELSE 3600 END), 0, 0, 0
    FROM tickets JOIN later ON went > 3600 * (hour + n)
    WHERE went > 3600 * (hour + 1) AND scope <> '{WHOLE}' GROUP BY (hour + n) % 168
    UNION ALL
    SELECT 'wait', scope, CAST(round(wait) AS BIGINT), '', queue_id, 0, count(*), 0, 0, 0, 0
    FROM tickets WHERE ended = 'served' GROUP BY scope, CAST(round(wait) AS BIGINT), queue_id
    UNION ALL
    SELECT 'service', scope, CAST(round(service) AS BIGINT), '', 0, servicer_id, count(*), 0, 0, 0, 0
    FROM tickets WHERE ended = 'served' GROUP BY scope, CAST(round(service) AS BIGINT), servicer_id
    UNION ALL
    SELECT 'total', scope, CAST(round(total) AS BIGINT), '', 0, 0, count(*), 0, 0, 0, 0
    FROM tickets WHERE ended = 'served' GROUP BY scope, CAST(round(total) AS BIGINT)"""

# Of each series: how many joined, the longest wait in seconds, how many waits missed the goal, and how many
# tickets haven't ended.
_COUNT_SERIES = """
    SELECT series, count(*) AS joined,
           sum(CASE WHEN state = 'done' THEN 1 ELSE 0 END) AS served,
           coalesce(max(CASE WHEN state = 'done' THEN first_called_at - taken_at END), -1e9)
               AS longest_wait_s,
           sum(CASE WHEN state = 'done' AND first_called_at - taken_at >= :goal_s THEN 1 ELSE 0 END)
               AS missed,
           sum(CASE WHEN state IN ('waiting', 'called', 'serving') THEN 1 ELSE 0 END) AS not_ended
    FROM {} GROUP BY series"""
_COUNT_SERIES_OF_QUEUE = _COUNT_SERIES.format(_VISITS_TO_COUNT)
_COUNT_SERIES_OF_PLACE = _COUNT_SERIES.format(
    "ticket WHERE place_id = :place AND series >= :first AND series < :beyond AND taken_at <= :until"
)


@dataclass
class Tally:
    """Tickets as they were counted."""

    ended: Counter[str] = field(default_factory=Counter)  # by ENDS
    sums_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(MEASURES, 0.0))
    # For each measure: the number of tickets by their whole seconds.
    times: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in MEASURES})

    def number_below(self, measure: str, limit_s: int) -> int:
        """Return the number of tickets with less than `limit_s`."""
        return sum(tickets for seconds, tickets in self.times[measure].items() if seconds < limit_s)


@dataclass
class Day:
    """The counts of one day."""

    joined: int = 0
    served: int = 0
    longest_wait_s: float = -1e9
    missed: int = 0  # waits that missed the goal


@dataclass(frozen=True)
class _Counted:
    """The rows that were counted of some days."""

    rows: list[tuple[Any, ...]]  # of _COUNT_TICKETS
    series: list[tuple[Any, ...]]  # of _COUNT_SERIES
    tickets: int
    not_ended: int  # tickets that may still change


@dataclass
class Counts:
    """The counts of several days together."""

    all: Tally = field(default_factory=Tally)
    queues: dict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))  # by id
    servicers: dict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))  # by id
    # By the hour of the week, counted from the Thursday on which 1970 began:
    joined: Counter[int] = field(default_factory=Counter)
    line_s: dict[int, float] = field(default_factory=lambda: defaultdict(float))  # seconds spent in line
    days: dict[str, Day] = field(default_factory=lambda: defaultdict(Day))

    def hardest_day(self) -> str:
        """Return the day on which the most waits missed the goal; of several, that with the longest wait."""
        return max(self.days, key=lambda day: (self.days[day].missed, self.days[day].longest_wait_s))

    def add(self, counted: _Counted) -> None:
        """Add what was counted of more days."""
        for row in counted.rows:
            kind, scope, x, ended, queue_id, servicer_id, tickets, line_s, wait, service, total = row
            tallies = self.tallies_of(scope, queue_id, servicer_id)
            if kind == "tickets":
                if scope != PART:
                    self.joined[x] += tickets
                if scope != WHOLE:
                    self.line_s[x] += line_s
                for tally in tallies:
                    tally.ended[ended] += tickets
                    tally.sums_s["wait"] += wait or 0.0
                    tally.sums_s["service"] += service or 0.0
                    tally.sums_s["total"] += total or 0.0
            elif kind == "later":
                self.line_s[x] += line_s
            else:
                for tally in tallies:
                    tally.times[kind][x] += tickets
        for series, joined, served, longest_wait_s, missed, _not_ended in counted.series:
            day = self.days[day_of_series(series)]  # a day may have several series
            day.joined += joined
            day.served += served
            day.longest_wait_s = max(day.longest_wait_s, longest_wait_s)
            day.missed += missed

    def tallies_of(self, scope: str, queue_id: int, servicer_id: int) -> list[Tally]:
        """Return the tallies that a row adds to; 0 stands for all queues or servicers together.

        A ticket that passed through several queues counts in all tickets; its visits count in their queues.
        """
        if scope == WHOLE:
            return [self.all]
        tallies = [] if scope == PART else [self.all]
        if queue_id:
            tallies.append(self.queues[queue_id])
        if servicer_id:
            tallies.append(self.servicers[servicer_id])
        return tallies


def count_days(
    database: Database, at: float, place: Place, first: str, last: str, until: float, queue: Queue | None
) -> Counts:
    """Count the tickets that were taken from the day `first` to the day `last`, and until a time.

    What was counted of a large place is kept. Other tickets are read, at most a quarter of a year at once.
    """
    counts = Counts()
    today = day_of(place, at)
    # Nobody waits any more from a day before the latest write. Whoever still waits, does so until now or
    # until that day ended.
    latest_day = max(day_of_series(place.series), FIRST_DAY)
    waits_until = min(at, day_begins(place, next_day(latest_day)))
    first, last = _days_with_tickets(database, place, first, last)
    with database.read() as db:
        place_key, newest = kept_counts.drop_changed(db, place, today)
    for part_first, part_last, shift_s in _parts(place, first, last, today):
        days = Days(
            place_key,
            part_first,
            part_last,
            shift_s,
            queue_id=queue.id if queue else None,
            goal_s=60 * place.wait_goal_minutes,
        )
        is_over = part_last < today and day_begins(place, next_day(part_last)) <= until
        counted = kept_counts.get(days) if is_over else None
        if counted is None:
            with database.read_long() as db:
                if is_over:  # somebody else may have counted it meanwhile
                    counted = kept_counts.get(days)
                if counted is None:
                    counted = _count_part(db, place, days, today, until, waits_until)
                    if is_over and counted.tickets >= MIN_TICKETS and not counted.not_ended:
                        kept_counts.keep(days, newest, counted)
        counts.add(counted)
    return counts


def _count_part(
    db: Connection, place: Place, days: Days, today: str, until: float, waits_until: float
) -> _Counted:
    of_queue = days.queue_id is not None
    parameters = {
        "place": place.id,
        "first": days.first,
        "beyond": next_day(days.last),
        "queue": days.queue_id,
        "until": until,
        "left_out": WHOLE if of_queue else "",
    }
    rows = run(
        db, _COUNT_TICKETS, **parameters, today=today, shift=days.shift_s, waits_until=waits_until
    ).all()
    if of_queue:  # each visit to the queue counts like a ticket that passes through no other
        rows = [row._replace(scope=BOTH) for row in rows]
    series_sql = _COUNT_SERIES_OF_QUEUE if of_queue else _COUNT_SERIES_OF_PLACE
    series = run(db, series_sql, **parameters, goal_s=days.goal_s).all()
    return _Counted(
        rows=[tuple(row) for row in rows],
        series=[tuple(row) for row in series],
        tickets=sum(row.joined for row in series),
        not_ended=sum(row.not_ended for row in series),
    )


def _days_with_tickets(database: Database, place: Place, first: str, last: str) -> tuple[str, str]:
    """Return the given days without those before the first ticket of the place, and after its last.

    If there are none, the first day is after the last.
    """
    sql = """SELECT (SELECT min(series) FROM ticket WHERE place_id = :place AND series < :end) AS first,
                    (SELECT max(series) FROM ticket WHERE place_id = :place AND series < :end) AS last"""
    with database.read() as db:
        row = run(db, sql, place=place.id, end=CALLS).one()
    if row.first is None:
        return "9999-12-31", "0001-01-01"
    return max(first, day_of_series(row.first)), min(last, day_of_series(row.last))


def _parts(place: Place, first: str, last: str, today: str) -> Iterator[tuple[str, str, float]]:
    """Yield the first and last days of parts of at most a quarter of a year, in which clocks aren't changed.

    Today is a part of its own, since it isn't over. Each part comes with the seconds to add to a time so that
    hours counted from 1970 are those of the place.
    """

    def offset_s(day: str) -> float:
        offset = datetime.fromtimestamp(day_begins(place, day), place.zone).utcoffset()
        assert offset is not None
        return offset.total_seconds()

    def part(day: str) -> tuple[str, int, bool, float]:
        quarter = (int(day[5:7]) - 1) // 3
        return day[:4], quarter, day < today, offset_s(day)

    if first <= last:
        days = [next_day(first, number) for number in range(days_between(first, last))]
        for (_, _, _, offset), some in groupby(days, part):
            in_part = list(some)
            yield in_part[0], in_part[-1], offset - HOUR_S * place.day_starts


class YearsOfLargePlaces:
    """Counts the last year of large places ahead, so that nobody waits for it."""

    def __init__(self) -> None:
        self._counted_until: dict[int, str] = {}  # by the id of the place: the day on which that was done

    def count(self, database: Database, at: float) -> None:
        """Count what isn't kept yet."""
        with database.read() as db:
            places = load_all(Place, run(db, "SELECT * FROM place WHERE deleted_at IS NULL"))
        for place in places:
            today = day_of(place, at)
            if self._counted_until.get(place.id) == today:
                continue
            first = next_day(today, 1 - YEAR_DAYS)
            if _is_large(database, place, first, today):
                count_days(database, at, place, first, next_day(today, -1), until=at, queue=None)
            self._counted_until[place.id] = today


def _is_large(database: Database, place: Place, first: str, beyond: str) -> bool:
    sql = """SELECT count(*) FROM (SELECT 1 FROM ticket WHERE place_id = :place
             AND series >= :first AND series < :beyond LIMIT :large) AS counted"""
    with database.read() as db:
        result = run(db, sql, place=place.id, first=first, beyond=beyond, large=LARGE_YEAR)
        return int(result.scalar_one()) == LARGE_YEAR
