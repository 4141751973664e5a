"""Statistics for the owner: how many customers came, how it ended, and how long it took.

A ticket belongs to the day on which it was taken. One that passes through several queues counts once, and in
each of them; see SELECT_VISITS in queries.py. Waits, services and totals are of customers who were
served. Tickets are counted in SQL, so that a year of them doesn't keep the interpreter from other requests.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import accumulate, groupby
from typing import Any

from sqlalchemy.engine import Connection

from app.clock import HOUR_S
from app.core import desk_stats
from app.core.days import day_begins, day_of, day_of_series, days_between, next_day
from app.core.desk_stats import HardestDay
from app.core.kept_counts import MIN_TICKETS, Days, kept_counts
from app.core.models import CALLS, Place, Queue
from app.core.queries import BOTH, BY_OWNER, PART, SELECT_VISITS, VISIT_BEGAN, VISIT_CALLED, WHOLE
from app.storage.database import Database
from app.storage.sql import load, load_all, load_first, run

MAX_IDLE_DAYS = 31  # at most this many days are searched for idle desks, since that looks at every customer
BINS = 12  # at most, in a distribution
BIN_WIDTHS_S = (5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200)
FIRST_DAY = "1970-01-01"
YEAR_DAYS = 365
LARGE_YEAR = 50_000  # tickets; fewer are counted in a quarter of a second


# ----- results


@dataclass(frozen=True)
class Figures:
    """Customers who were served, with their average durations in seconds; None if there were none."""

    served: int
    wait: float | None
    total: float | None
    service: float | None


@dataclass(frozen=True)
class Bin:
    """Number of tickets that took at least `from_s` and less than `to_s`; None: or longer."""

    from_s: int
    to_s: int | None
    tickets: int


@dataclass(frozen=True)
class Distribution:
    """How durations are distributed. They were rounded to seconds before."""

    median_s: float
    p90_s: int  # nine of ten took at most this
    longest_s: int
    bins: list[Bin]


@dataclass(frozen=True)
class Measure:
    """The wait, the service or the total of all customers who were served."""

    average_s: float
    tickets: int
    distribution: Distribution | None  # None where it isn't counted


@dataclass(frozen=True)
class TicketStats:
    """Tickets by how they ended. The measures are None if nobody was served."""

    joined: int
    served: int
    left: int  # by themselves
    cancelled: int  # by the owner
    not_here: int
    expired: int
    open: int
    wait: Measure | None
    service: Measure | None
    total: Measure | None


@dataclass(frozen=True)
class HourStats:
    """One hour of one weekday, over all days on which somebody took a number."""

    weekday: int  # 0: Monday
    hour: int  # as clocks show it
    column: int  # hours since the day began
    joined: int
    line: float  # average number of people in line


@dataclass(frozen=True)
class DayStats:
    """The customers of one day."""

    day: str
    joined: int
    served: int


@dataclass(frozen=True)
class LongestWait:
    """The ticket with the longest wait of those that were served."""

    number: str
    queue: str  # its name
    taken_at: float
    called_at: float
    wait_s: float


@dataclass(frozen=True)
class WeekBefore:
    """The same weekdays of the week before."""

    first: str
    last: str
    tickets: TicketStats


@dataclass(frozen=True)
class QueueStats:
    """The tickets of one queue."""

    slug: str
    name: str
    tickets: TicketStats


@dataclass(frozen=True)
class ServicerStats:
    """The tickets of one servicer."""

    id: int
    name: str
    desk: str | None
    served: int
    not_here: int
    service: Measure | None
    idle_s: float | None


@dataclass(frozen=True)
class PeriodStats:
    """Everything about the tickets that were taken on some days."""

    tickets: TicketStats
    days: int  # on which somebody took a number
    goal_minutes: int
    within_goal: int  # number of waits that were shorter than the goal
    hours: list[HourStats]
    before: WeekBefore | None  # for up to a week
    longest: LongestWait | None
    idle_s: float | None  # how long desks were free while people waited; None: not for these days, or a queue
    hardest_day: HardestDay | None  # None: nobody was served at a desk; or not for a queue
    queues: list[QueueStats]
    servicers: list[ServicerStats]
    per_day: list[DayStats]  # from the first day with a customer to the last, days without any included


def figures(db: Connection, queue: Queue, since: float, until: float) -> Figures:
    """Return the figures of a queue for customers who were done between two times."""
    sql = f"""SELECT count(*) AS served, avg(called - began) AS wait, avg(ended_at - began) AS total,
                     avg(ended_at - coalesce(started_at, called_at)) AS service
              FROM (SELECT {VISIT_BEGAN} AS began, {VISIT_CALLED} AS called, called_at, started_at, ended_at
                    FROM ticket WHERE queue_id = :queue AND ended_at IS NOT NULL AND ended_at >= :since
                    AND ended_at < :until AND state = 'done'
                    UNION ALL
                    SELECT came_at, first_called_at, called_at, started_at, ended_at
                    FROM step WHERE queue_id = :queue AND ended_at >= :since AND ended_at < :until) AS done"""
    return load(Figures, run(db, sql, queue=queue.id, since=since, until=until).one())


# ----- the statistics of some days


def period_stats(
    database: Database, at: float, place: Place, first: str, last: str, queue: Queue | None
) -> PeriodStats:
    """Return the statistics of the days from `first` to `last`, both included; of one queue, or of all.

    The week before is counted until the same time of the day as the last day, if that isn't over.
    """
    counts = _count_days(database, at, place, first, last, until=at, queue=queue)
    before = None
    if days_between(first, last) <= 7:
        before = _week_before(database, at, place, first, last, queue)
    idle: dict[int, float] | None = None
    hardest_day = None
    with database.read_long() as db:
        longest = _longest_wait(db, place, counts, queue)
        if queue is None:
            if len(counts.days) <= MAX_IDLE_DAYS:
                idle = desk_stats.idle_seconds(db, at, place, list(counts.days))
            if counts.all.ended["served"]:
                hardest_day = desk_stats.hardest_day(
                    db, at, place, counts.hardest_day(), is_one_of_several=len(counts.days) > 1
                )
        queues = _queue_stats(db, place, counts)
        servicers = _servicer_stats(db, place, counts, idle)
    return PeriodStats(
        tickets=counts.all.stats(),
        days=len(counts.days),
        goal_minutes=place.wait_goal_minutes,
        within_goal=counts.all.number_below("wait", 60 * place.wait_goal_minutes),
        hours=_hour_stats(place, at, counts),
        before=before,
        longest=longest,
        idle_s=None if idle is None else sum(idle.values()),
        hardest_day=hardest_day,
        queues=queues,
        servicers=servicers,
        per_day=_day_stats(counts),
    )


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
                _count_days(database, at, place, first, next_day(today, -1), until=at, queue=None)
            self._counted_until[place.id] = today


def _is_large(database: Database, place: Place, first: str, beyond: str) -> bool:
    sql = """SELECT count(*) FROM (SELECT 1 FROM ticket WHERE place_id = :place
             AND series >= :first AND series < :beyond LIMIT :large) AS counted"""
    with database.read() as db:
        result = run(db, sql, place=place.id, first=first, beyond=beyond, large=LARGE_YEAR)
        return int(result.scalar_one()) == LARGE_YEAR


def _day_stats(counts: _Counts) -> list[DayStats]:
    if not counts.days:
        return []
    first, last = min(counts.days), max(counts.days)
    days = [next_day(first, number) for number in range(days_between(first, last))]
    none = _Day()
    found = [(day, counts.days.get(day, none)) for day in days]
    return [DayStats(day, of_day.joined, of_day.served) for day, of_day in found]


def _week_before(
    database: Database, at: float, place: Place, first: str, last: str, queue: Queue | None
) -> WeekBefore:
    first_before = next_day(first, -7)
    last_before = next_day(last, -7)
    until = day_begins(place, last_before) + (at - day_begins(place, last))
    counts = _count_days(database, at, place, first_before, last_before, until, queue)
    return WeekBefore(first_before, last_before, counts.all.stats())


def _queue_stats(db: Connection, place: Place, counts: _Counts) -> list[QueueStats]:
    sql = "SELECT id, slug, name FROM queue WHERE place_id = :place ORDER BY position, id"
    return [
        QueueStats(row.slug, row.name, counts.queues[row.id].stats())
        for row in run(db, sql, place=place.id)
        if row.id in counts.queues
    ]


def _servicer_stats(
    db: Connection, place: Place, counts: _Counts, idle: dict[int, float] | None
) -> list[ServicerStats]:
    sql = "SELECT id, name, desk FROM servicer WHERE place_id = :place ORDER BY id"
    servicers = []
    for row in run(db, sql, place=place.id):
        if row.id in counts.servicers:
            stats = counts.servicers[row.id].stats()
            idle_s = None if idle is None else idle.get(row.id, 0.0)
            servicers.append(
                ServicerStats(row.id, row.name, row.desk, stats.served, stats.not_here, stats.service, idle_s)
            )
    return servicers


def _longest_wait(db: Connection, place: Place, counts: _Counts, queue: Queue | None) -> LongestWait | None:
    if not counts.all.ended["served"]:
        return None
    day = max(counts.days, key=lambda day: counts.days[day].longest_wait_s)
    sql = f"""SELECT number, queue.name AS queue, visit.taken_at, visit.first_called_at AS called_at,
                     visit.first_called_at - visit.taken_at AS wait_s
              FROM ({SELECT_VISITS}) AS visit JOIN ticket ON ticket.id = ticket_id
              JOIN queue ON queue.id = coalesce((SELECT queue_id FROM step WHERE ticket_id = visit.ticket_id
                                                 AND number = 1 AND scope = '{WHOLE}'), visit.queue_id)
              WHERE visit.queue_id = coalesce(:queue, visit.queue_id) AND scope <> :left_out
              AND visit.state = 'done' ORDER BY wait_s DESC, ticket_id LIMIT 1"""
    result = run(
        db,
        sql,
        place=place.id,
        first=day,
        beyond=next_day(day),
        queue=queue.id if queue else None,
        left_out=WHOLE if queue else PART,
    )
    return load_first(LongestWait, result)


def _hour_stats(place: Place, at: float, counts: _Counts) -> list[HourStats]:
    """Return the hours in which anybody was in line.

    The line is averaged over the days on which somebody took a number; today counts for the part of the hour
    that has passed.
    """
    today = day_of(place, at)
    passed_h = (at - day_begins(place, today)) / HOUR_S
    days_by_weekday = Counter(date.fromisoformat(day).weekday() for day in counts.days)
    hours = []
    for week_hour, line_s in counts.line_s.items():
        weekday = (week_hour // 24 + 3) % 7  # 1970-01-01 was a Thursday
        column = week_hour % 24
        days = float(days_by_weekday[weekday])
        if today in counts.days and weekday == date.fromisoformat(today).weekday():
            days -= 1 - min(1.0, max(0.0, passed_h - column))
        if days > 0:
            hours.append(
                HourStats(
                    weekday=weekday,
                    hour=(column + place.day_starts) % 24,
                    column=column,
                    joined=counts.joined[week_hour],
                    line=round(line_s / HOUR_S / days, 2),
                )
            )
    return sorted(hours, key=lambda hour: (hour.weekday, hour.column))


# ----- counting

_ENDS = ("served", "left", "cancelled", "not_here", "expired", "open")
_MEASURES = ("wait", "service", "total")

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
class _Tally:
    """Tickets as they were counted."""

    ended: Counter[str] = field(default_factory=Counter)  # by _ENDS
    sums_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_MEASURES, 0.0))
    # For each measure: the number of tickets by their whole seconds.
    times: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in _MEASURES})

    def number_below(self, measure: str, limit_s: int) -> int:
        """Return the number of tickets with less than `limit_s`."""
        return sum(tickets for seconds, tickets in self.times[measure].items() if seconds < limit_s)

    def stats(self) -> TicketStats:
        """Return the statistics of these tickets."""
        return TicketStats(
            joined=self.ended.total(),
            served=self.ended["served"],
            left=self.ended["left"],
            cancelled=self.ended["cancelled"],
            not_here=self.ended["not_here"],
            expired=self.ended["expired"],
            open=self.ended["open"],
            wait=self._measure("wait"),
            service=self._measure("service"),
            total=self._measure("total"),
        )

    def _measure(self, name: str) -> Measure | None:
        served = self.ended["served"]
        if not served:
            return None
        times = self.times[name]
        return Measure(
            average_s=round(self.sums_s[name] / served, 1),
            tickets=served,
            distribution=distribution_of(times) if times else None,
        )


@dataclass
class _Day:
    """What was counted on one day."""

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
class _Counts:
    """What was counted on several days."""

    all: _Tally = field(default_factory=_Tally)
    queues: dict[int, _Tally] = field(default_factory=lambda: defaultdict(_Tally))  # by id
    servicers: dict[int, _Tally] = field(default_factory=lambda: defaultdict(_Tally))  # by id
    # By the hour of the week, counted from the Thursday on which 1970 began:
    joined: Counter[int] = field(default_factory=Counter)
    line_s: dict[int, float] = field(default_factory=lambda: defaultdict(float))  # seconds spent in line
    days: dict[str, _Day] = field(default_factory=lambda: defaultdict(_Day))

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

    def tallies_of(self, scope: str, queue_id: int, servicer_id: int) -> list[_Tally]:
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


def _count_days(
    database: Database, at: float, place: Place, first: str, last: str, until: float, queue: Queue | None
) -> _Counts:
    """Count the tickets that were taken from the day `first` to the day `last`, and until a time.

    What was counted of a large place is kept. Other tickets are read, at most a quarter of a year at once.
    """
    counts = _Counts()
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


# ----- distributions


def distribution_of(times: Counter[int]) -> Distribution:
    """Return the distribution of durations, given the number of tickets by their whole seconds."""
    count = times.total()
    seconds = sorted(times)
    counted = list(accumulate(times[each] for each in seconds))

    def nth(rank: int) -> int:
        return seconds[bisect_left(counted, rank)]

    longest_s = seconds[-1]
    # A few very long ones must not squeeze all the others into one bin.
    p98_s = nth(math.ceil(98 * count / 100))
    return Distribution(
        median_s=(nth((count + 1) // 2) + nth(count // 2 + 1)) / 2,
        p90_s=nth(math.ceil(9 * count / 10)),
        longest_s=longest_s,
        bins=_bins(times, p98_s, longest_s),
    )


def _bins(times: Counter[int], p98_s: int, longest_s: int) -> list[Bin]:
    """Return bins of the same width; what doesn't fit is in the last one, which then has no upper end."""
    wide_enough = (width for width in BIN_WIDTHS_S if width * BINS > p98_s)
    width_s = next(wide_enough, BIN_WIDTHS_S[-1])
    tickets_in = Counter[int]()
    for seconds, tickets in times.items():
        tickets_in[min(max(0, seconds) // width_s, BINS - 1)] += tickets
    bins = []
    for number in range(max(tickets_in) + 1):
        is_open = number == BINS - 1 and longest_s >= width_s * BINS
        to_s = None if is_open else width_s * (number + 1)
        bins.append(Bin(width_s * number, to_s, tickets_in[number]))
    return bins
