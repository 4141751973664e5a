"""Statistics for the owner: how many customers came, how it ended, and how long it took.

A ticket belongs to the day on which it was taken. One that passes through several queues counts once, and in
each of them; see SELECT_VISITS in queries.py. Waits, services and totals are of customers who were
served.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date

from sqlalchemy.engine import Connection

from app.clock import HOUR_S
from app.core import desk_stats
from app.core.days import day_begins, day_of, days_between, next_day
from app.core.desk_stats import HardestDay
from app.core.distributions import Distribution, distribution_of
from app.core.models import Place, Queue
from app.core.queries import PART, SELECT_VISITS, VISIT_BEGAN, VISIT_CALLED, WHOLE
from app.core.ticket_counts import Counts, Day, Tally, count_days
from app.storage.database import Database
from app.storage.sql import load, load_first, run

MAX_IDLE_DAYS = 31  # at most this many days are searched for idle desks, since that looks at every customer


# ----- results


@dataclass(frozen=True)
class Figures:
    """Customers who were served, with their average durations in seconds; None if there were none."""

    served: int
    wait: float | None
    total: float | None
    service: float | None


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
    counts = count_days(database, at, place, first, last, until=at, queue=queue)
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
        tickets=_ticket_stats(counts.all),
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


def _ticket_stats(tally: Tally) -> TicketStats:
    return TicketStats(
        joined=tally.ended.total(),
        served=tally.ended["served"],
        left=tally.ended["left"],
        cancelled=tally.ended["cancelled"],
        not_here=tally.ended["not_here"],
        expired=tally.ended["expired"],
        open=tally.ended["open"],
        wait=_measure(tally, "wait"),
        service=_measure(tally, "service"),
        total=_measure(tally, "total"),
    )


def _measure(tally: Tally, name: str) -> Measure | None:
    served = tally.ended["served"]
    if not served:
        return None
    times = tally.times[name]
    return Measure(
        average_s=round(tally.sums_s[name] / served, 1),
        tickets=served,
        distribution=distribution_of(times) if times else None,
    )


def _day_stats(counts: Counts) -> list[DayStats]:
    if not counts.days:
        return []
    first, last = min(counts.days), max(counts.days)
    days = [next_day(first, number) for number in range(days_between(first, last))]
    none = Day()
    found = [(day, counts.days.get(day, none)) for day in days]
    return [DayStats(day, of_day.joined, of_day.served) for day, of_day in found]


def _week_before(
    database: Database, at: float, place: Place, first: str, last: str, queue: Queue | None
) -> WeekBefore:
    first_before = next_day(first, -7)
    last_before = next_day(last, -7)
    until = day_begins(place, last_before) + (at - day_begins(place, last))
    counts = count_days(database, at, place, first_before, last_before, until, queue)
    return WeekBefore(first_before, last_before, _ticket_stats(counts.all))


def _queue_stats(db: Connection, place: Place, counts: Counts) -> list[QueueStats]:
    sql = "SELECT id, slug, name FROM queue WHERE place_id = :place ORDER BY position, id"
    return [
        QueueStats(row.slug, row.name, _ticket_stats(counts.queues[row.id]))
        for row in run(db, sql, place=place.id)
        if row.id in counts.queues
    ]


def _servicer_stats(
    db: Connection, place: Place, counts: Counts, idle: dict[int, float] | None
) -> list[ServicerStats]:
    sql = "SELECT id, name, desk FROM servicer WHERE place_id = :place ORDER BY id"
    servicers = []
    for row in run(db, sql, place=place.id):
        if row.id in counts.servicers:
            stats = _ticket_stats(counts.servicers[row.id])
            idle_s = None if idle is None else idle.get(row.id, 0.0)
            servicers.append(
                ServicerStats(row.id, row.name, row.desk, stats.served, stats.not_here, stats.service, idle_s)
            )
    return servicers


def _longest_wait(db: Connection, place: Place, counts: Counts, queue: Queue | None) -> LongestWait | None:
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


def _hour_stats(place: Place, at: float, counts: Counts) -> list[HourStats]:
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
