"""Numbers: figures and the estimated wait; only reads."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from heapq import heapify, heappop, heapreplace
from itertools import accumulate, groupby
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection, Row

from rooms.counters import COUNTED
from rooms.line import BUSY, TICKETS
from rooms.places import CALLS, day_begins, day_of, iso, next_day, queues_of, shown, tables_of_place
from rooms.storage import Database, run

LATEST = 1000  # so many of a queue's last tickets teach how long a service takes, and how many leave
RECENT = 100  # when the last so many services differ clearly from all of them, they count
SURE = 150  # a mean is never known better than by so many services, since a day changes it
GUESS = 0.3  # the squared coefficient of variation of the owner's guess: it may err by a factor of two
AWAY_S = 300  # a free desk that lets people wait for so long is not at work
# In no download; the content of a mail holds the link of a request.
SECRETS = ("token", "manage_token", "staff_token", "browser", "request_key", "digits", "content")


class Past(NamedTuple):
    """What a ticket that ended tells: seconds it waited, whether its customer left the line, and seconds that
    a desk spent on it (None if none did)."""

    waited: float
    left: bool
    service: float | None


class Learned(NamedTuple):
    """What the past of a line teaches: the mean service in seconds and by how many services it is known, the
    squared coefficient of variation of one, the longest that is believed, the share of those in line who will
    leave it, and whether this is all of its past."""

    service_s: float
    number: float
    scv: float
    longest_s: float
    leave: float
    whole: bool


class Pace(NamedTuple):
    """How fast a line moves: free desks, seconds since each busy one's call, the mean service in seconds, its
    squared coefficient of variation, that of our knowledge of the mean, and the share of those in line who
    will leave it."""

    free: int
    busy: tuple[float, ...]
    service_s: float
    scv: float
    doubt: float
    leave: float


def learn(latest: list[Past], usual_s: float) -> Learned:
    """What the latest tickets of a line teach (newest first), beside the owner's guess of a usual service.

    The guess weighs as much as it is sure, so it fades as customers are served. A change that chance does not
    explain (more than two standard errors) is believed the more the clearer it is.
    """
    # Of those in line, so many will leave: each leaver is one of them for as long as she waits.
    leaving = sum(each.waited for each in latest if each.left)
    leave = min(0.5, leaving / (sum(each.waited for each in latest) + 10 * usual_s))
    services = [each.service for each in latest if each.service is not None]
    number = len(services)
    longest = 10 * sorted([*services, usual_s])[number // 2]  # what is longer, somebody forgot to end
    services = [min(each, longest) for each in services]
    mean = (sum(services) + usual_s) / (number + 1)
    scv = (0.5 + sum((each / mean - 1) ** 2 for each in services)) / (number + 1)
    prior = scv / GUESS
    mean, known = (prior * usual_s + sum(services)) / (prior + number), prior + number
    recent = services[:RECENT]
    if number > 2 * RECENT:
        apart = sum(recent) / RECENT / mean - 1
        belief = max(0.0, 1 - 4 * scv / RECENT / apart**2) if apart else 0.0
        mean *= 1 + belief * apart
        known = 1 / ((1 - belief) ** 2 / known + belief**2 / RECENT)
    return Learned(mean, known, scv, longest, leave, len(latest) < LATEST)


def pace(learned: Learned, free: int, busy: list[float]) -> Pace:
    """The pace of a line with so many free desks, and busy ones that called so many seconds ago."""
    mean, number, scv, longest, leave, whole = learned
    if whole:  # who is being served says that services can take so long (a censored observation)
        mean += 2 * scv / (1 + scv) * sum(min(each, longest) for each in busy) / number
    return Pace(free, tuple(busy), max(1.0, mean), scv, scv / min(number, SURE), leave)


def waits_of(pace: Pace, positions: Iterable[float]) -> Iterator[tuple[float, float]]:
    """The mean and the variance of the wait, in seconds, with so many ahead; for each of these positions.

    Services are taken to be generalised Pareto: exponential, fixed, and what lies between and beyond. Then
    the mean time that a service still takes is linear in the time it has taken, and its coefficient of
    variation stays that of a whole one.
    """
    desks, service, scv = pace.free + len(pace.busy), pace.service_s, pace.scv
    slope, least = (scv - 1) / (scv + 1), service * scv / (scv + 1)
    rests = sorted([max(least, service + slope * each) for each in pace.busy] + pace.free * [service])
    rest, square = sum(rests) / desks, sum(each * each for each in rests) / desks
    apart_s, chance, stay = service / desks, min(1.0, 2 * math.sqrt(scv)), 1 - pace.leave
    rests.append(rests[0] + service)
    for ahead in positions:
        if ahead < pace.free:
            yield 0.0, 0.0
            continue
        ends = 1 + (ahead - pace.free) * stay  # so many services must end before
        # Without chance, desks end their services in turn; with it, as renewal processes do in the long run.
        turns, part = divmod(ends - 1, desks)
        low = int(part)
        turn = turns * service + rests[low] + (part - low) * (rests[low + 1] - rests[low])
        renewal = rest + apart_s * (ends - (1 - scv) / 2 - desks * (1 + scv) / 2)
        mean = chance * max(renewal, apart_s * ends / 2) + (1 - chance) * turn
        own = scv * (square * min(desks, ends) + service * service * max(0.0, ends - desks)) / desks**2
        yield mean, own + pace.doubt * mean * mean + (ends - 1) * pace.leave * apart_s * apart_s


def wait_ranges(pace: Pace, positions: Iterable[float]) -> list[dict[str, int]]:
    """The 10 % to 90 % range of the wait with so many ahead, in seconds, as whole minutes."""
    # Gamma distributed by its mean and variance; the quantiles are Wilson and Hilferty's (PNAS 17, 1931).
    ranges = []
    for mean, variance in waits_of(pace, positions):
        part = variance / (mean * mean) / 9 if mean else 0.0
        low, high = (mean * max(0.0, 1 - part + z * math.sqrt(part)) ** 3 for z in (-1.2816, 1.2816))
        inward = min(15, (high - low) / 12)  # since what is rounded outward to minutes gains as much
        start = 60 * int((low + inward) / 60)
        ranges.append({"from": start, "to": max(start + 60, 60 * math.ceil((high - inward) / 60))})
    return ranges


class Memory:
    """What was learned of each queue; it lasts a second for each twenty tickets that it was learned of."""

    def __init__(self) -> None:
        self._learned: dict[int, tuple[float, float, int, Learned]] = {}

    def of(self, db: Connection, at: float, queue: Row) -> Learned:
        """What the latest tickets of a queue teach."""
        made_at, lasts, usual_s, learned = self._learned.get(queue.id, (at, -1, 0, None))
        if not 0 <= at - made_at < lasts or usual_s != queue.usual_service_s:
            latest = past_of(db, queue)
            learned = learn(latest, queue.usual_service_s)
            self._learned[queue.id] = at, len(latest) / 20, queue.usual_service_s, learned
        return learned


def past_of(db: Connection, queue: Row) -> list[Past]:
    """The latest tickets of a queue that ended, newest first."""
    # A desk is at a customer from her call, or from the end of the one before while she waits already.
    sql = """SELECT coalesce(first_called_at, ended_at) - taken_at AS waited,
                    first_called_at IS NULL AS has_left,
                    CASE WHEN servicer_id IS NOT NULL THEN ended_at - called_at END AS service,
                    called_at - joined_at AS waiting, called_at - (SELECT max(ended_at) FROM ticket AS before
                                 WHERE before.servicer_id = ticket.servicer_id AND before.ended_at IS NOT NULL
                                 AND before.ended_at <= ticket.called_at) AS idle
             FROM ticket WHERE queue_id = :queue AND ended_at IS NOT NULL AND state <> 'expired'
             ORDER BY ended_at DESC LIMIT :latest"""
    found = []
    for waited, left, service, waiting, idle in run(db, sql, queue=queue.id, latest=LATEST):
        pause = 0.0 if service is None or idle is None else min(waiting, idle)
        if 0 < pause <= AWAY_S:
            service += pause
        found.append(Past(waited, bool(left), service))
    return found


class Line(NamedTuple):
    """The line that customers of a queue are in: its pace (None while no desk is on duty), how many wait in
    each queue, and for how many of her queue each counts who waits where the same desks call from."""

    pace: Pace | None
    waiting: dict[int, int]
    counts_as: dict[int, float]

    def length(self, waiting: Mapping[int, int]) -> float:
        """How long a line is, when so many wait in each queue."""
        return sum(self.counts_as.get(queue, 0.0) * number for queue, number in waiting.items())

    def expect(self, *lengths: float) -> list[dict[str, int] | None]:
        """The ranges of the wait behind lines of these lengths."""
        return wait_ranges(self.pace, lengths) if self.pace else [None for _ in lengths]


NO_LINE = Line(None, {}, {})  # of a queue that a counter admits: it has no desks


def lines_of(db: Connection, at: float, place: Row, memory: Memory) -> dict[int, Line]:
    """The lines of a place now, by queue."""
    queues = [queue for queue in queues_of(db, place) if not queue.counter_id]
    sql = """SELECT queue_id, count(*) AS number, min(joined_at) AS since FROM ticket
             WHERE queue_id IN :queues AND state = 'waiting' AND series >= :day GROUP BY queue_id"""
    lines = run(db, sql, queues=[queue.id for queue in queues], day=day_of(place, at)).all()
    since = {line.queue_id: line.since for line in lines}
    waiting = {line.queue_id: line.number for line in lines}
    desks = {queue.id: _desks_of(db, at, place, queue.id, since.get(queue.id, at)) for queue in queues}
    learned = {queue.id: memory.of(db, at, queue) for queue in queues}
    found = {}
    for queue in queues:
        mine, counts_as = desks[queue.id], {queue.id: 1.0}
        for other in waiting.keys() & desks.keys() - {queue.id}:
            shared = len(mine.keys() & desks[other].keys()) / max(1, len(desks[other]))
            counts_as[other] = shared * learned[other].service_s / learned[queue.id].service_s
        busy = [max(0.0, at - called_at) for called_at in mine.values() if called_at is not None]
        its = pace(learned[queue.id], len(mine) - len(busy), busy) if mine else None
        found[queue.id] = Line(its, waiting, counts_as)
    return found


def _desks_of(db: Connection, at: float, place: Row, queue_id: int, since: float) -> dict[int, float | None]:
    # The desks on duty in a queue, each with the time of its call, if it is busy. One that is free though
    # people have been waiting `since` long ago is not at work; if all are so, it is as if they called now.
    sql = """SELECT id, created_at, (SELECT called_at FROM ticket WHERE servicer_id = servicer.id
                                     AND state IN ('called', 'serving')
                                     AND (claimed_until IS NULL OR claimed_until > :at)) AS called_at,
                    (SELECT max(ended_at) FROM ticket WHERE servicer_id = servicer.id
                     AND ended_at IS NOT NULL) AS ended_at
             FROM servicer WHERE place_id = :place AND on_duty = 1 AND removed_at IS NULL AND (all_queues = 1
             OR id IN (SELECT servicer_id FROM servicer_queue WHERE queue_id = :queue))"""
    desks = run(db, sql, place=place.id, queue=queue_id, at=at).all()
    recent = at - AWAY_S
    at_work = [
        each for each in desks if each.called_at or max(each.ended_at or 0, each.created_at, since) >= recent
    ]
    return {each.id: each.called_at for each in at_work} or {each.id: at for each in desks}


def hit_rate(db: Connection, queue: Row, since: float) -> dict[str, int]:
    """How many who had been shown a range were called since then, and how many of them within it."""
    sql = f"""SELECT count(*) AS called, coalesce(sum(CASE WHEN first_called_at - taken_at
                     BETWEEN wait_from AND wait_to THEN 1 ELSE 0 END), 0) AS within
              FROM (SELECT * FROM ticket WHERE queue_id = :queue AND ended_at >= :since UNION ALL
                    SELECT * FROM ticket WHERE place_id = :place AND queue_id = :queue AND {BUSY}) AS called
              WHERE first_called_at >= :since AND wait_to IS NOT NULL"""
    return dict(run(db, sql, queue=queue.id, place=queue.place_id, since=since).one()._mapping)


# What the steps of a line mean for those who wait in it; a desk is named where no ticket is.
STEP_WORDS = {
    "call": "{} was called",
    "cancel": "{} left the line",
    "no-show": "{} was not here",
    "put-back": "{} waits again",
    "bring-back": "{} came back",
    "move": "{} came from another line",
    "pause": "{} pauses",
    "resume": "{} goes on",
}


def steps_of(db: Connection, place: Row, ticket: Row, most: int = 5) -> list[dict[str, Any]]:
    """The last steps of a ticket's line since it was taken, newest first, without names."""
    sql = """SELECT happened_at, kind, coalesce(number, servicer.desk, 'A desk') AS who, number,
                    ticket.priority, ticket.joined_at, ticket.id AS ticket_id
             FROM event LEFT JOIN ticket ON ticket.id = ticket_id
             LEFT JOIN servicer ON servicer.id = event.servicer_id
             WHERE event.place_id = :place AND kind IN :kinds
             AND event.id > (SELECT min(id) FROM event WHERE ticket_id = :ticket)
             AND CASE WHEN ticket_id IS NOT NULL THEN event.queue_id = :queue AND ticket_id <> :ticket
                 ELSE all_queues = 1 OR servicer.id IN (SELECT servicer_id FROM servicer_queue
                                                        WHERE queue_id = :queue) END
             ORDER BY event.id DESC LIMIT :most"""
    values = {"place": place.id, "ticket": ticket.id, "queue": ticket.queue_id, "most": most}
    mine, steps = (ticket.priority, ticket.joined_at, ticket.id), []
    for step in run(db, sql, kinds=list(STEP_WORDS), **values):
        why = ""
        if step.kind == "call" and (step.priority, step.joined_at, step.ticket_id) > mine:
            why = ", before its turn"
        elif step.kind == "call" and step.priority < ticket.priority:
            why = ": priority"
        at = iso(step.happened_at, ZoneInfo(place.timezone))
        text = STEP_WORDS[step.kind].format(step.who) + why
        steps.append({"at": at, "kind": step.kind, "number": step.number, "text": text})
    return steps


def figures(db: Connection, queue: Row, since: float, until: float) -> dict[str, Any]:
    """Customers served (done) between two instants, and their average wait, service and total in seconds."""
    sql = f"""SELECT count(*) AS served, avg(wait_s) AS wait, avg(total_s) AS total, avg(service_s) AS service
              FROM ({TICKETS} WHERE ticket.queue_id = :queue AND ended_at IS NOT NULL AND ended_at >= :since
                    AND ended_at < :until AND state = 'done') AS done"""
    return dict(run(db, sql, queue=queue.id, since=since, until=until).one()._mapping)


def tickets_between(db: Connection, place: Row, first: str, last: str, after: int) -> list[Row]:
    """The next thousand tickets, by id above `after`, of a place's days from `first` to `last` inclusive."""
    sql = f"""{TICKETS} WHERE ticket.place_id = :place AND ticket.id > :after
              AND ticket.series >= :first AND ticket.series < :beyond ORDER BY ticket.id LIMIT 1000"""
    return run(db, sql, place=place.id, after=after, first=first, beyond=next_day(last)).all()


def counts_between(
    db: Connection, counter: Row, since: float, until: float, after: int = 0, most: int = 10**9
) -> list[Row]:
    """What was tapped and recounted at a counter between two instants (after an event), in order."""
    sql = """SELECT event.*, detail AS recounted, door.name AS door, ticket.number
             FROM event LEFT JOIN door ON door.id = event.door_id
             LEFT JOIN ticket ON ticket.id = event.ticket_id
             WHERE event.counter_id = :counter AND delta IS NOT NULL AND happened_at < :until
             AND (happened_at, event.id) > (:since, :after) ORDER BY happened_at, event.id LIMIT :most"""
    return run(db, sql, counter=counter.id, since=since, until=until, after=after, most=most).all()


def count_at(db: Connection, at: float, counter: Row, day: str, begins: float) -> int:
    """How many were inside when a day began: by what was counted before, or since, whichever is less."""
    if counter.empties == "day" and day > counter.day:  # nothing was counted since it emptied itself
        return 0
    sql = "SELECT coalesce(min(happened_at), :at) FROM event WHERE counter_id = :counter"
    early = begins - run(db, sql, counter=counter.id, at=at).scalar_one() < at - begins
    sql = f"""SELECT coalesce(sum(delta), 0) FROM event WHERE counter_id = :counter AND kind IN :counted
              AND happened_at {"<=" if early else ">"} :begins"""
    counted = run(db, sql, counter=counter.id, counted=COUNTED, begins=begins).scalar_one()
    return counted if early else counter.inside - counted


def day_of_counter(db: Connection, at: float, place: Row, counter: Row, day: str) -> dict[str, Any]:
    """How many were inside over a day, as JSON: at its start, after each minute in which that changed (`x` is
    from 0 to 1), at the peak; people in and out by door, recounts, and how many taps were not counted."""
    zone = ZoneInfo(place.timezone)
    begins, ends = (day_begins(place.timezone, each, place.day_starts) for each in (day, next_day(day)))
    start = count = count_at(db, at, counter, day, begins)
    counts, minutes, doors, recounts, not_counted = [(start, begins)], {}, {}, [], 0
    for event in counts_between(db, counter, begins, ends):
        if event.kind not in COUNTED:
            not_counted += 1
            continue
        if event.kind in ("tap", "undo"):
            passed = doors.setdefault(event.door_id, {"name": event.door, "in": 0, "out": 0})
            came = (event.delta > 0) == (event.kind == "tap")  # else somebody went, or that is taken back
            passed["in" if came else "out"] += event.delta if came else -event.delta
        else:
            drift = {"door": event.door, "count": int(event.recounted), "drift": event.delta}
            recounts.append({"at": iso(event.happened_at, zone)} | drift)
        if event.happened_at > begins:  # or it is in the start
            count += event.delta
            counts.append((count, event.happened_at))
            minutes[event.happened_at // 60] = counts[-1]
    points = [
        {"at": iso(when, zone), "count": inside, "x": round((when - begins) / (ends - begins), 5)}
        for inside, when in minutes.values()
    ]
    high, reached = max(counts, key=lambda each: (each[0], -each[1]))
    peak = {"count": high, "at": iso(reached, zone)} if points or start else None
    content = {"day": day, "start": start, "count": count, "capacity": counter.capacity, "peak": peak}
    content |= {"begins": iso(begins, zone), "ends": iso(ends, zone), "until": iso(min(at, ends), zone)}
    content |= {"points": points, "top": max(counter.capacity, high), "bottom": min(0, min(counts)[0])}
    return content | {"recounts": recounts, "doors": list(doors.values()), "not_counted": not_counted}


def everything(database: Database, place: Row) -> Iterator[tuple[str, dict[str, Any]]]:
    """All rows of a place, as (table, row), without what its links are made of; in many short reads."""
    for table, mine in reversed(tables_of_place().items()):
        sql = f"SELECT * FROM {table} WHERE {mine} AND id > :after ORDER BY id LIMIT 1000"
        after, rows = 0, [place]
        while rows:
            with database.read() as db:
                rows = run(db, sql, place=place.id, after=after).all()
            for row in rows:
                after = row.id
                yield table, {key: value for key, value in row._mapping.items() if key not in SECRETS}


# ----- the figures of any days

MEASURES = ("wait", "service", "total")
COUNTS = ("served", "left", "not_here", "expired", "open")  # how it ended, as TALLY numbers it
BINS = 12  # of a distribution; the last has no upper end where it must not
BIN_S = (5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200)
MOST_DAYS = 31  # for which each customer at a desk is looked at
MORE_DESKS = 5  # at most, to be tried
SHOWN = """place_id = :place AND series >= :first AND series < :beyond
           AND queue_id = coalesce(:queue, queue_id) AND taken_at <= :until"""
# Days of a place in few rows: how many tickets by hour of the week (0 to 167), how they ended, queue and
# servicer, and for how long they waited in that hour; the same of `later` hours; and how many had a wait,
# service and total of so many seconds (of those who were served, as everywhere). Counted in SQL, so that a
# year is no work for the interpreter, which has everybody else to answer.
TALLY = f"""
WITH RECURSIVE later (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM later WHERE n < 24),
tickets AS MATERIALIZED (
    SELECT queue_id, coalesce(servicer_id, 0) AS servicer_id,
           CASE WHEN state = 'done' THEN 0 WHEN state = 'cancelled' THEN 1 WHEN state = 'no_show' THEN 2
                WHEN state = 'expired' OR (state = 'waiting' AND series < :today) THEN 3 ELSE 4 END AS ended,
           taken_at + :shift AS came, coalesce(first_called_at, ended_at, :waits_until) + :shift AS went,
           CAST(taken_at + :shift AS BIGINT) / 3600 AS hour,
           CASE WHEN state = 'done' THEN first_called_at - taken_at END AS wait,
           CASE WHEN state = 'done' THEN ended_at - coalesce(started_at, called_at) END AS service,
           CASE WHEN state = 'done' THEN ended_at - taken_at END AS total
    FROM ticket WHERE {SHOWN})
SELECT 'tickets' AS kind, hour % 168 AS x, ended, queue_id, servicer_id, count(*) AS many,
       sum(CASE WHEN went < 3600 * (hour + 1) THEN went ELSE 3600 * (hour + 1) END - came) AS line,
       sum(wait) AS wait, sum(service) AS service, sum(total) AS total
FROM tickets GROUP BY hour % 168, ended, queue_id, servicer_id
UNION ALL
SELECT 'later', (hour + n) % 168, 0, 0, 0, 0,
       sum(CASE WHEN went < 3600 * (hour + n + 1) THEN went - 3600 * (hour + n) ELSE 3600 END), 0, 0, 0
FROM tickets JOIN later ON went > 3600 * (hour + n) WHERE went > 3600 * (hour + 1) GROUP BY (hour + n) % 168
UNION ALL
SELECT 'wait', CAST(round(wait) AS BIGINT), 0, queue_id, 0, count(*), 0, 0, 0, 0
FROM tickets WHERE ended = 0 GROUP BY CAST(round(wait) AS BIGINT), queue_id
UNION ALL
SELECT 'service', CAST(round(service) AS BIGINT), 0, 0, servicer_id, count(*), 0, 0, 0, 0
FROM tickets WHERE ended = 0 GROUP BY CAST(round(service) AS BIGINT), servicer_id
UNION ALL
SELECT 'total', CAST(round(total) AS BIGINT), 0, 0, 0, count(*), 0, 0, 0, 0
FROM tickets WHERE ended = 0 GROUP BY CAST(round(total) AS BIGINT)"""
# Each series: how many joined, the longest wait, and how many waits missed the goal.
SERIES = f"""
SELECT series, count(*) AS joined,
       coalesce(max(CASE WHEN state = 'done' THEN first_called_at - taken_at END), -1e9) AS longest,
       sum(CASE WHEN state = 'done' AND first_called_at - taken_at >= :goal THEN 1 ELSE 0 END) AS missed
FROM ticket WHERE {SHOWN} GROUP BY series"""


class Tally:
    """Tickets as they were counted: how they ended, and how many took so many whole seconds."""

    def __init__(self) -> None:
        self.ended: Counter[int] = Counter()
        self.sums = dict.fromkeys(MEASURES, 0.0)
        self.times: dict[str, Counter[int]] = {name: Counter() for name in MEASURES}

    def measure(self, name: str) -> dict[str, Any] | None:
        """The average of a measure; and where each was counted, what spread() has to say."""
        if not self.ended[0]:
            return None
        content = {"average": round(self.sums[name] / self.ended[0], 1), "many": self.ended[0]}
        return content | (spread(self.times[name]) if self.times[name] else {})

    def content(self) -> dict[str, Any]:
        """As JSON: customers by how it ended, and each measure."""
        content = {"joined": self.ended.total()} | {name: self.ended[n] for n, name in enumerate(COUNTS)}
        return content | {name: self.measure(name) for name in MEASURES}


class Days(NamedTuple):
    """What was counted over days: of all, by queue and by servicer; customers and seconds in line by hour of
    the week; and of each day how many joined, the longest wait, and how many waits missed the goal."""

    all: Tally
    queues: defaultdict[int, Tally]
    servicers: defaultdict[int, Tally]
    joined: Counter[int]
    line: Counter[int]
    days: dict[str, list[float]]


def spread(times: Counter[int]) -> dict[str, Any]:
    """Median, 90 % (nine of ten took at most that) and longest of times, in whole seconds.

    `bins` is their distribution: how many took `from` so many seconds and less than `to`, or any more.
    """
    n, ordered = times.total(), sorted(times)
    up_to = list(accumulate(times[each] for each in ordered))
    nth = [ordered[bisect_left(up_to, rank)] for rank in ((n + 1) // 2, n // 2 + 1, -(-9 * n // 10))]
    last = ordered[bisect_left(up_to, -(-98 * n // 100))]  # a few very long ones don't squeeze all the others
    width = next((each for each in BIN_S if each * BINS > last), BIN_S[-1])
    bins = [{"from": width * each, "to": width * (each + 1), "many": 0} for each in range(BINS)]
    for each, many in times.items():
        bins[min(max(0, each) // width, BINS - 1)]["many"] += many
    if ordered[-1] >= width * BINS:
        bins[-1]["to"] = None
    bins = bins[: max(number for number, each in enumerate(bins, 1) if each["many"])]
    return {"median": (nth[0] + nth[1]) / 2, "p90": nth[2], "longest": ordered[-1], "bins": bins}


def count_days(
    database: Database, place: Row, at: float, first: str, last: str, until: float, queue: Row | None
) -> Days:
    """Counts the tickets that were taken on these days, until then; reads a quarter of a year at a time."""
    found = Days(Tally(), defaultdict(Tally), defaultdict(Tally), Counter(), Counter(), {})
    zone, today = ZoneInfo(place.timezone), day_of(place, at)
    newest = max(place.series[:10], "1970-01-01")  # of a day before, no ticket waits any more
    values = {"today": today, "until": until, "place": place.id, "queue": queue and queue.id}
    over = day_begins(place.timezone, next_day(newest), place.day_starts)
    values |= {"waits_until": min(at, over), "goal": 60 * place.wait_goal_minutes}

    def part(day: str) -> tuple[str, int, float]:  # in which no clock is changed
        begins = datetime.fromtimestamp(day_begins(place.timezone, day, place.day_starts), zone)
        return day[:4], (int(day[5:7]) - 1) // 3, begins.utcoffset().total_seconds()

    with database.read() as db:
        sql = """SELECT (SELECT min(series) FROM ticket WHERE place_id = :place AND series < :end) AS first,
                        (SELECT max(series) FROM ticket WHERE place_id = :place AND series < :end) AS last"""
        there = run(db, sql, place=place.id, end=CALLS).one()
    first, last = max(first, (there.first or "9999")[:10]), min(last, (there.last or "0001")[:10])
    length = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1 if first <= last else 0
    for (_, _, offset), some in groupby((next_day(first, n) for n in range(length)), part):
        days, shift = list(some), offset - 3600 * place.day_starts
        values |= {"first": days[0], "beyond": next_day(days[-1]), "shift": shift}
        with database.read_long() as db:
            for row in run(db, TALLY, **values):
                _add(found, *row)
            for series, *counts in run(db, SERIES, **values):
                day = found.days.setdefault(series[:10], [0, -1e9, 0])
                day[:] = day[0] + counts[0], max(day[1], counts[1]), day[2] + counts[2]
    return found


def _add(
    found: Days,
    kind: str,
    x: int,
    ended: int,
    queue: int,
    servicer: int,
    many: int,
    line: float,
    *sums: float,
) -> None:
    # One row of TALLY.
    tallies = [found.all]
    tallies += [found.queues[queue]] if queue else []
    tallies += [found.servicers[servicer]] if servicer else []
    if kind in MEASURES:
        for tally in tallies:
            tally.times[kind][x] += many
        return
    found.joined[x] += many
    found.line[x] += line
    for tally in tallies if many else ():
        tally.ended[ended] += many
        for name, seconds in zip(MEASURES, sums, strict=True):
            tally.sums[name] += seconds or 0.0


def owners_numbers(
    database: Database, place: Row, at: float, first: str, last: str, queue: Row | None
) -> dict[str, Any]:
    """The owner's numbers of the tickets taken on these days, as JSON; times in seconds.

    Wait, service and total are of those who were served. Up to a week has the same weekdays `before` beside
    it; where the days end today, these until the same time. `desks` and `idle_s` are of all queues together.
    """
    found = count_days(database, place, at, first, last, at, queue)
    content = found.all.content() | {"days": len(found.days), "goal_minutes": place.wait_goal_minutes}
    within = sum(many for s, many in found.all.times["wait"].items() if s < 60 * place.wait_goal_minutes)
    content |= {"within_goal": within, "hours": hours_of(place, at, found), "before": None}
    if first > next_day(last, -7):
        earlier = [next_day(day, -7) for day in (first, last)]
        passed = at - day_begins(place.timezone, last, place.day_starts)
        until = day_begins(place.timezone, earlier[1], place.day_starts) + passed
        before = count_days(database, place, at, *earlier, until, queue).all.content()
        content["before"] = {"from": earlier[0], "to": earlier[1]} | before
    with database.read_long() as db:
        sql = "SELECT id, slug, name FROM queue WHERE place_id = :place ORDER BY id"
        lines = {row.id: row for row in run(db, sql, place=place.id)}
        sql = "SELECT id, name, desk FROM servicer WHERE place_id = :place ORDER BY id"
        people = {row.id: row for row in run(db, sql, place=place.id)}
        content |= {"longest": longest_wait(db, place, found, queue)}
        content |= desks_content(db, place, at, found) if queue is None else NO_DESKS
    idle = content.pop("idle")
    content["queues"] = [
        {"slug": lines[each].slug, "name": lines[each].name} | found.queues[each].content()
        for each in sorted(found.queues)
    ]
    content["servicers"] = []
    for each in sorted(found.servicers):
        tally, row = found.servicers[each], people[each]
        counts = {name: tally.content()[name] for name in ("served", "not_here", "service")}
        person = {"id": row.id, "name": row.name, "desk": row.desk}
        content["servicers"].append(
            person | counts | {"idle_s": None if idle is None else round(idle[each], 2)}
        )
    return content


def hours_of(place: Row, at: float, found: Days) -> list[dict[str, Any]]:
    """By weekday (0: Monday) and hour (its `column`: hours since the day began): how many joined, and how
    many stood in line on the average.

    The average is over the days on which anybody joined; today, over the part of the hour that has passed.
    """
    today, hours = day_of(place, at), []
    passed = (at - day_begins(place.timezone, today, place.day_starts)) / 3600
    weekdays = Counter(date.fromisoformat(day).weekday() for day in found.days)
    for x in sorted(found.joined, key=lambda x: ((x // 24 + 3) % 7, x % 24)):  # 1970 began with a Thursday
        weekday, hour = (x // 24 + 3) % 7, x % 24
        days = float(weekdays[weekday])
        if today in found.days and weekday == date.fromisoformat(today).weekday():
            days -= 1 - min(1.0, max(0.0, passed - hour))
        if days > 0:
            line = round(found.line[x] / 3600 / days, 2)
            content = {"weekday": weekday, "hour": (hour + place.day_starts) % 24, "column": hour}
            hours.append(content | {"joined": found.joined[x], "line": line})
    return hours


def longest_wait(db: Connection, place: Row, found: Days, queue: Row | None) -> dict[str, Any] | None:
    """Whose wait was the longest of those who were served, and when; as JSON."""
    sql = """SELECT ticket.number, queue.name AS queue, taken_at, first_called_at AS called_at,
                    first_called_at - taken_at AS wait_s
             FROM ticket JOIN queue ON queue.id = queue_id
             WHERE ticket.place_id = :place AND ticket.series >= :day AND ticket.series < :beyond
             AND queue_id = coalesce(:queue, queue_id) AND state = 'done'
             ORDER BY wait_s DESC, ticket.id LIMIT 1"""
    if not found.all.ended[0]:
        return None
    day = max(found.days, key=lambda day: found.days[day][1])
    values = {"place": place.id, "day": day, "beyond": next_day(day), "queue": queue and queue.id}
    return shown(run(db, sql, **values).one(), place, "number queue taken_at called_at wait_s")


# ----- the desks of a day

NO_DESKS = {"desks": None, "idle_s": None, "idle": None}


class AtDesks(NamedTuple):
    """A day at the desks: who was called to one, in the order of taking; when each desk was there, as pairs
    of instants; and for how many seconds it stood idle while people waited."""

    customers: list[Row]
    shifts: dict[int, list[list[float]]]
    idle: Counter[int]


def at_desks(db: Connection, place: Row, at: float, day: str) -> AtDesks:
    """What a day at the desks was like.

    A desk is there from "Start serving" or Resume (or its first call) until Pause, or else the end of its
    last customer; who forgets to press Pause is not there all night. It stood idle, while people waited, from
    when it was free until its next call, as far as the customer whom it then called was in line already.
    """
    sql = """SELECT servicer_id, state, taken_at, first_called_at, called_at,
                    CASE WHEN ended_at < :at THEN ended_at ELSE :at END AS ended_at
             FROM ticket WHERE place_id = :place AND series >= :day AND series < :beyond
             AND servicer_id IS NOT NULL ORDER BY taken_at"""
    since, until = (day_begins(place.timezone, each, place.day_starts) for each in (day, next_day(day)))
    values = {"place": place.id, "day": day, "beyond": next_day(day), "at": min(at, until)}
    found = AtDesks(run(db, sql, **values).all(), {}, Counter())
    sql = """SELECT servicer_id, kind, happened_at FROM event
             WHERE servicer_id IN :desks AND kind IN ('start-serving', 'pause', 'resume')
             AND happened_at >= :since AND happened_at < :until"""
    ids = list({each.servicer_id for each in found.customers})
    presses = run(db, sql, desks=ids, since=since, until=until).all() if ids else []
    steps = [(press.happened_at, 1, press.servicer_id, press) for press in presses]
    steps += [(each.called_at, 2, each.servicer_id, each) for each in found.customers]
    steps += [
        (each.ended_at, 0, each.servicer_id, each)
        for each in found.customers
        if each.ended_at > each.called_at
    ]
    free: dict[int, float] = {}  # the desks that are there, and since when each has been at nothing else
    for when, step, desk, what in sorted(steps, key=lambda step: step[:3]):
        shifts = found.shifts.setdefault(desk, [])
        if step == 2 and desk in free and what.called_at == what.first_called_at:
            found.idle[desk] += max(0.0, when - max(free[desk], what.taken_at))
        if step and desk not in free:
            shifts.append([when, when])
        if shifts:
            shifts[-1][1] = max(when, shifts[-1][1])
        if step or desk in free:
            free[desk] = when
        if step == 1 and what.kind == "pause":
            del free[desk]
    return found


def replay(customers: list[tuple[float, float]], shifts: list[list[float]]) -> list[float]:
    """Seconds that each would have waited if, in the order of taking, each got the first desk that is there
    and free. A customer is an instant and the seconds at the desk; the desk that stays longest serves all."""
    free = [tuple(each) for each in shifts]
    free.remove(last := max(free, key=lambda each: each[1]))
    free.append((last[0], math.inf))
    heapify(free)
    waits = []
    for taken_at, service in customers:
        while taken_at >= free[0][1] or free[0][0] >= free[0][1]:
            heappop(free)
        begins = max(taken_at, free[0][0])
        heapreplace(free, (begins + service, free[0][1]))
        waits.append(begins - taken_at)
    return waits


def nine_of_ten(customers: list[Row], waits: list[float]) -> float:
    """Within how many seconds nine of ten were called, of those who were served."""
    served = sorted(wait for each, wait in zip(customers, waits, strict=True) if each.state == "done")
    return served[-(-9 * len(served) // 10) - 1]


def more_desks(day: AtDesks, goal_s: float, begins: float) -> dict[str, Any]:
    """How many more desks, in the fewest whole hours, would have kept nine of ten waits under the goal.

    By a replay of the day's own arrivals and service times; `more` is 0 where the desks that were there would
    have done, and None where MORE_DESKS would not. `from` and `to` are hours since the day began.
    """
    shifts = [each for some in day.shifts.values() for each in some]
    taken = [(each.taken_at, each.ended_at - each.called_at) for each in day.customers]
    ends = max(each.called_at for each in day.customers)
    opens = int((day.customers[0].taken_at - begins) // 3600)
    closes = int((ends - begins) // 3600) + 1

    def would(more: int, start: int, stop: int) -> float:
        extra = [[begins + 3600 * start, begins + 3600 * stop]] * more
        return nine_of_ten(day.customers, replay(taken, shifts + extra))

    found = {"more": 0, "from": opens, "to": closes, "would_wait_s": would(0, opens, closes)}
    while found["would_wait_s"] >= goal_s and found["more"] < MORE_DESKS:
        found |= {"more": found["more"] + 1, "would_wait_s": would(found["more"] + 1, opens, closes)}
    if found["would_wait_s"] >= goal_s:
        return found | {"more": None}
    stop = opens + 1
    for start in range(opens, closes if found["more"] else opens):
        stop = max(stop, start + 1)
        while stop <= closes and (waited := would(found["more"], start, stop)) >= goal_s:
            stop += 1
        if stop <= closes and stop - start < found["to"] - found["from"]:
            found |= {"from": start, "to": stop, "would_wait_s": waited}
    return found


def desks_content(db: Connection, place: Row, at: float, found: Days) -> dict[str, Any]:
    """How long desks stood idle while people waited (of up to MOST_DAYS days), and the replay of the day on
    which most waits missed the goal; as JSON."""
    idle: Counter[int] | None = Counter() if len(found.days) <= MOST_DAYS else None
    for day in found.days if idle is not None else ():
        idle += at_desks(db, place, at, day).idle
    content = {"idle": idle, "idle_s": None if idle is None else round(idle.total(), 2), "desks": None}
    if not found.all.ended[0]:
        return content
    hardest = max(found.days, key=lambda day: (found.days[day][2], found.days[day][1]))
    day = at_desks(db, place, at, hardest)
    if not any(each.state == "done" for each in day.customers):
        return content
    goal_s, zone = 60.0 * place.wait_goal_minutes, ZoneInfo(place.timezone)
    waited = nine_of_ten(day.customers, [each.first_called_at - each.taken_at for each in day.customers])
    desks = {"day": hardest, "hardest": len(found.days) > 1, "goal_s": goal_s, "waited_s": round(waited, 2)}
    begins = day_begins(place.timezone, hardest, place.day_starts)
    if waited >= goal_s:
        result = more_desks(day, goal_s, begins)
        result |= {end: iso(begins + 3600 * result[end], zone) for end in ("from", "to")}
        desks |= result | {"would_wait_s": round(result["would_wait_s"], 2)}
    return content | {"desks": desks}
