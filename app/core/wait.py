"""The estimated wait: what is read from the database for it, and for how long it is used.

The formulas are in wait_services.py (what the past teaches), wait_line.py and wait_door.py (the wait behind
those ahead) and wait_range.py (the range that is shown). docs/wait.md explains and evaluates them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from sqlalchemy.engine import Connection

from app.clock import MINUTE_S
from app.core.counters import counters_of
from app.core.days import day_of, day_of_series
from app.core.models import Counter, Place, Queue, WaitRange
from app.core.places import find_place
from app.core.queries import BUSY, CALL_ORDER, IS_HERE, VISIT_BEGAN, VISIT_CALLED
from app.core.queues import find_queue, walk_in_queues
from app.core.wait_door import MAX_MEMORY_S, DoorLine, Exit
from app.core.wait_line import Away, DeskAtWork, DeskLine, Moments, ShortestLine, line_of
from app.core.wait_range import Levels, RangeOutcome, learn_levels, range_of
from app.core.wait_services import MAX_TICKETS, PastTicket, Services, learn
from app.storage.database import Database
from app.storage.sql import run

AWAY_S = 300  # a free desk that lets people wait for so long is not at work
TICKETS_PER_S = 20  # what was learned from 1000 tickets is used for 50 s, from 100 tickets for 5 s
NEWCOMERS_S = 1.0  # how long an estimate for newcomers is used
MAX_LEARNED = 200  # queues for which is kept what was learned; up to 130 kB each
MAX_NEWCOMERS = 1000  # queues for which one is kept
FIRST_ESTIMATES = 64  # at most so many are read at once
MAX_OVERDUE = 100  # customers at the head of a line who are asked whether their range is over
MAX_EXITS = 100  # the latest ones that tell how fast people leave

# Returns the range of the wait for a customer who joins a queue with so many ahead in it.
EstimateForNewcomer = Callable[[int], WaitRange | None]


class _AnyLine(Protocol):
    """The line of desks, or that of a counter."""

    @property
    def queue_ids(self) -> list[int]: ...

    def behind(self, ahead: Mapping[int, float]) -> Moments | None: ...

    def along(self, queue_id: int, waiting: Collection[int]) -> Iterable[Moments | None]: ...


class Forecast(NamedTuple):
    """How long a newcomer waits: on average, and the range that they are shown."""

    mean_s: float
    range: WaitRange


@dataclass(frozen=True)
class Line:
    """The line that the customers of a queue are in.

    A customer who lets others go first is ahead of those behind them only if they are back before these are
    called.
    """

    line: _AnyLine | None  # None: no desk is on duty
    levels: Levels
    waiting: Mapping[int, int]  # number of waiting tickets by the id of their queue
    away: Sequence[Away] = ()  # those of them who let others go first
    more: Callable[[int], _AnyLine | None] | None = None  # the same with so many more desks

    @property
    def queue_ids(self) -> list[int]:
        """Return the ids of the queues in which people may be ahead."""
        return self.line.queue_ids if self.line else []

    def range_behind(
        self, ahead: Mapping[int, int], away: Iterable[Away] = (), promised_s: float | None = None
    ) -> WaitRange | None:
        """Return the range of the wait behind so many in each queue, by id; None if nobody can know.

        :param away: those of them who let others go first
        :param promised_s: time until the end of the range that the customer was shown first; see range_of()
        """
        return self._range(self._behind(ahead, away), promised_s) if self.line else None

    def ranges_along(
        self,
        queue_id: int,
        waiting: Collection[int],
        away_s: Mapping[int, float] | None = None,
        promised_s: Sequence[float | None] = (),
    ) -> tuple[list[WaitRange], WaitRange | None]:
        """Return the range of the wait for each ticket that waits in a queue, and for a newcomer.

        `waiting` holds the id of the queue of each ticket that waits in the place, in the order of the calls.
        `away_s` tells for how many seconds some of them let others go first, by their position in `waiting`.
        `promised_s` tells for each ticket of the queue when its first range ends; see range_of().
        If nobody can know, there are no ranges.
        """
        if self.line is None:
            return [], None
        if away_s:
            *ranges, newcomer = self._ranges_with_away(queue_id, waiting, away_s, promised_s)
        else:
            *ranges, newcomer = map(self._range, self.line.along(queue_id, waiting), _then_none(promised_s))
        known = [each for each in ranges if each is not None]
        return known if len(known) == len(ranges) else [], newcomer

    def forecast(self) -> Forecast | None:
        """Return how long a newcomer waits; None if nobody can know."""
        moments = self._behind(self.waiting, self.away) if self.line else None
        return None if moments is None else Forecast(moments.mean_s, self._range_of(moments))

    def with_more_desks(self, number: int) -> Line | None:
        """Return the line as it would be with so many more desks; None if it isn't one of desks."""
        return None if self.more is None else replace(self, line=self.more(number))

    def _ranges_with_away(
        self,
        queue_id: int,
        waiting: Collection[int],
        away_s: Mapping[int, float],
        promised_s: Iterable[float | None],
    ) -> Iterator[WaitRange | None]:
        promises = _then_none(promised_s)
        ahead: dict[int, int] = {}
        away: list[Away] = []
        for position, other_id in enumerate(waiting):
            rest_s = away_s.get(position)
            if other_id == queue_id:
                wait = self._range(self._behind(ahead, away), next(promises))
                yield not_before(rest_s, wait)
            ahead[other_id] = ahead.get(other_id, 0) + 1
            if rest_s is not None:
                away.append(Away(other_id, rest_s))
        yield self._range(self._behind(ahead, away))

    def _behind(self, ahead: Mapping[int, int], away: Iterable[Away]) -> Moments | None:
        """Return the moments of the wait behind those ahead who are here, or are back before it ends."""
        assert self.line is not None
        here = dict(ahead)
        still_away = [each for each in away if here.get(each.queue_id)]
        for each in still_away:
            here[each.queue_id] -= 1
        while True:
            moments = self.line.behind(here)
            if moments is None:
                return None
            back = [each for each in still_away if each.rest_s <= moments.mean_s]
            if not back:
                return moments
            for each in back:
                here[each.queue_id] += 1
                still_away.remove(each)

    def _range(self, moments: Moments | None, promised_s: float | None = None) -> WaitRange | None:
        return None if moments is None else self._range_of(moments, promised_s)

    def _range_of(self, moments: Moments, promised_s: float | None = None) -> WaitRange:
        return range_of(moments.mean_s, moments.variance, self.levels, promised_s)


def _then_none(promised_s: Iterable[float | None]) -> Iterator[float | None]:
    """Yield what was promised to each ticket; newcomers weren't promised anything."""
    return chain(promised_s, repeat(None))


def not_before(away_s: float | None, wait: WaitRange | None) -> WaitRange | None:
    """Return the wait of a customer who lets others go first for some seconds: it lasts as long, at least."""
    if wait is None or away_s is None or away_s <= 0:
        return wait
    whole_s = math.ceil(away_s / MINUTE_S) * MINUTE_S
    return WaitRange(max(wait.from_s, whole_s), max(wait.to_s, whole_s))


NO_LINE = Line(None, learn_levels([]), {})  # of a queue that was deleted meanwhile


@dataclass(frozen=True)
class _Learned:
    """The experience with a queue, as long as it is used."""

    services: Services
    levels: Levels
    usual_service_s: int  # the owner's guess at that time
    made_at: float
    lasts_s: float


@dataclass(frozen=True)
class _Newcomers:
    """The estimate for newcomers of a queue, which is used for NEWCOMERS_S."""

    estimate: EstimateForNewcomer
    made_at: float


class WaitEstimator:
    """Estimates waits, and remembers for some seconds what it learned from the past tickets of each queue."""

    def __init__(self) -> None:
        self._learned: dict[int, _Learned] = {}  # by the id of the queue
        self._newcomers: dict[tuple[str, str], _Newcomers] = {}  # by the slugs of the place and the queue
        # Held while the first estimate of a queue is read; several queues may share one.
        self._turns = [threading.Lock() for _ in range(FIRST_ESTIMATES)]

    def line_of(self, db: Connection, at: float, place: Place, queue: Queue) -> Line:
        """Return the line of a queue as it is now."""
        return self.lines_of(db, at, place).get(queue.id, NO_LINE)

    def lines_of(self, db: Connection, at: float, place: Place) -> dict[int, Line]:
        """Return the lines of a place as they are now, by the id of the queue."""
        queues = walk_in_queues(db, place)
        day = day_of(place, at)
        sql = f"""SELECT queue_id, count(*) AS number,
                         min(CASE WHEN NOT {IS_HERE} THEN NULL WHEN moved_at > joined_at THEN moved_at
                                  ELSE joined_at END) AS since
                  FROM ticket
                  WHERE queue_id IN :queues AND state = 'waiting' AND series >= :day GROUP BY queue_id"""
        rows = run(db, sql, queues=[queue.id for queue in queues], day=day, at=at).all()
        waiting = {row.queue_id: row.number for row in rows}
        since = {row.queue_id: at if row.since is None else row.since for row in rows}
        away = _away_in(db, at, waiting, day)
        learned = {queue.id: self._learned_of(db, at, place, queue) for queue in queues}
        services = {queue_id: each.services for queue_id, each in learned.items()}
        of_desks = [queue for queue in queues if queue.counter_id is None]
        desks = {queue.id: _desks_of(db, at, place, queue, since.get(queue.id, at)) for queue in of_desks}
        lines: dict[int, _AnyLine | None] = {
            queue.id: line_of(queue.id, desks, services) for queue in of_desks
        }
        if len(of_desks) < len(queues):
            counters = {counter.queue_id: counter for counter in counters_of(db, place, at)}
            for queue in queues:
                if queue.counter_id is not None:
                    lines[queue.id] = _door_line(db, at, queue, counters[queue.id], day)
        return {
            queue.id: Line(
                lines[queue.id],
                learned[queue.id].levels,
                waiting,
                away,
                partial(_with_more_desks, queue.id, desks, services) if queue.counter_id is None else None,
            )
            for queue in queues
        }

    def for_newcomers(
        self, database: Database, at: float, slug: str, queue_slug: str
    ) -> EstimateForNewcomer | None:
        """Return the estimate for customers who join a queue now; None for a call list. Raises NotFound.

        It is a second old at most, so that a burst of customers reads the database once.
        """
        key = (slug, queue_slug)
        known = self._newcomers.get(key)
        if known is not None and 0 <= at - known.made_at < NEWCOMERS_S:
            return known.estimate
        if known is not None:
            # Other threads use the old one for a little longer, instead of reading the same.
            self._newcomers[key] = _Newcomers(known.estimate, at)
            return self._read_for_newcomers(database, at, slug, queue_slug)
        with self._turns[hash(key) % len(self._turns)]:
            known = self._newcomers.get(key)
            if known is not None:
                return known.estimate  # another thread has read it meanwhile
            return self._read_for_newcomers(database, at, slug, queue_slug)

    def _read_for_newcomers(
        self, database: Database, at: float, slug: str, queue_slug: str
    ) -> EstimateForNewcomer | None:
        with database.read() as db:
            place = find_place(db, slug)
            queue = find_queue(db, place, queue_slug)
            if queue.is_call_list:
                return None
            line = self.line_of(db, at, place, queue)
        in_other_queues = {queue_id: line.waiting.get(queue_id, 0) for queue_id in line.queue_ids}
        away = [each for each in line.away if each.queue_id in line.queue_ids]

        def estimate(ahead: int) -> WaitRange | None:
            return line.range_behind({**in_other_queues, queue.id: ahead}, away)

        if len(self._newcomers) >= MAX_NEWCOMERS:
            self._newcomers.clear()
        self._newcomers[slug, queue_slug] = _Newcomers(estimate, at)
        return estimate

    def _learned_of(self, db: Connection, at: float, place: Place, queue: Queue) -> _Learned:
        known = self._learned.get(queue.id)
        if (
            known is not None
            and 0 <= at - known.made_at < known.lasts_s  # below 0: the clock was set back
            and known.usual_service_s == queue.usual_service_s
        ):
            return known
        past, outcomes = _past_tickets(db, queue)
        now_known = _outcomes_now(db, at, place, queue)
        services = learn(past, queue.usual_service_s, day_of(place, at))
        learned = _Learned(
            services,
            learn_levels(chain(outcomes, now_known), services.scv),
            queue.usual_service_s,
            made_at=at,
            lasts_s=len(past) / TICKETS_PER_S,
        )
        if len(self._learned) >= MAX_LEARNED:
            known_now = list(self._learned.items())  # other threads change it
            fresh = {id_: each for id_, each in known_now if 0 <= at - each.made_at < each.lasts_s}
            self._learned = fresh if len(fresh) < MAX_LEARNED else {}
        self._learned[queue.id] = learned
        return learned


def _with_more_desks(
    queue_id: int,
    desks: Mapping[int, Mapping[int, DeskAtWork]],
    services: Mapping[int, Services],
    number: int,
) -> DeskLine | ShortestLine | None:
    """Return the line of a queue with more desks. They serve the queues that all its desks serve."""
    own = desks[queue_id]
    more = {-id_: DeskAtWork() for id_ in range(1, number + 1)}  # no servicer has such an id
    added = {
        other_id: {**others, **more}
        if other_id == queue_id or (own and own.keys() <= others.keys())
        else others
        for other_id, others in desks.items()
    }
    return line_of(queue_id, added, services)


def _away_in(db: Connection, at: float, queue_ids: Iterable[int], day: str) -> list[Away]:
    """Return the customers in some queues who let others go first."""
    sql = """SELECT queue_id, away_until - :at AS rest_s FROM ticket
             WHERE queue_id IN :queues AND state = 'waiting' AND series >= :day
             AND away_until IS NOT NULL AND away_until > :at"""
    rows = run(db, sql, queues=list(queue_ids), day=day, at=at)
    return [Away(row.queue_id, row.rest_s) for row in rows]


def _desk_free_since(table: str) -> str:
    """Return SQL for the time at which the desk of a ticket or a step had finished the customer before."""
    return f"""(SELECT max(freed_at) FROM (
        SELECT max(ended_at) AS freed_at FROM ticket AS before WHERE before.servicer_id = {table}.servicer_id
        AND before.ended_at IS NOT NULL AND before.ended_at <= {table}.called_at
        UNION ALL
        SELECT max(ended_at) FROM step AS before WHERE before.servicer_id = {table}.servicer_id
        AND before.ended_at IS NOT NULL AND before.ended_at <= {table}.called_at) AS freed)"""


# The visits of a queue that ended last: those of tickets that ended there, and steps that are over.
_ENDED_TICKETS = f"""
    SELECT ended_at, coalesce({VISIT_CALLED}, ended_at) - {VISIT_BEGAN} AS waited_s,
           ({VISIT_CALLED}) IS NULL AS has_left,
           CASE WHEN servicer_id IS NOT NULL THEN ended_at - called_at END AS service_s,
           called_at - CASE WHEN moved_at > joined_at THEN moved_at ELSE joined_at END AS in_line_s,
           called_at - {_desk_free_since("ticket")} AS desk_free_s,
           CASE WHEN moved_at IS NULL THEN wait_from END AS wait_from,
           CASE WHEN moved_at IS NULL THEN wait_to END AS wait_to, series
    FROM ticket WHERE queue_id = :queue AND ended_at IS NOT NULL AND state <> 'expired'
    ORDER BY ended_at DESC LIMIT :latest"""
_ENDED_STEPS = f"""
    SELECT step.ended_at, step.first_called_at - came_at, 1 = 0, step.ended_at - step.called_at,
           step.called_at - came_at, step.called_at - {_desk_free_since("step")},
           CASE WHEN step.number = 1 THEN wait_from END, CASE WHEN step.number = 1 THEN wait_to END, series
    FROM step JOIN ticket ON ticket.id = ticket_id
    WHERE step.queue_id = :queue AND step.ended_at IS NOT NULL
    ORDER BY step.ended_at DESC LIMIT :latest"""


def _past_tickets(db: Connection, queue: Queue) -> tuple[list[PastTicket], list[RangeOutcome]]:
    """Return the latest tickets of a queue that ended, newest first, and their outcomes, oldest first.

    Who left within the range that they were shown has no outcome.
    """
    rows: Sequence[Any] = run(db, _ENDED_TICKETS, queue=queue.id, latest=MAX_TICKETS).all()
    steps: Sequence[Any] = run(db, _ENDED_STEPS, queue=queue.id, latest=MAX_TICKETS).all()
    if steps:
        rows = sorted([*rows, *steps], key=itemgetter(0), reverse=True)[:MAX_TICKETS]
    past = []
    outcomes = []
    for _, waited_s, has_left, service_s, in_line_s, desk_free_s, wait_from, wait_to, series in rows:
        if service_s is not None and desk_free_s is not None:
            # The time between two customers belongs to the service, if the next one is waiting already. A
            # longer pause is a break.
            pause_s = min(in_line_s, desk_free_s)
            if 0 < pause_s <= AWAY_S:
                service_s += pause_s
        past.append(PastTicket(waited_s, bool(has_left), service_s, day_of_series(series)))
        if wait_to is not None and (waited_s > wait_to or not has_left):
            outcomes.append(RangeOutcome(waited_s, wait_from, wait_to))
    outcomes.reverse()
    return past, outcomes


def _outcomes_now(db: Connection, at: float, place: Place, queue: Queue) -> list[RangeOutcome]:
    """Return the outcomes of those who are being served, and of those who still wait after their range."""
    sql = f"""SELECT first_called_at - taken_at, wait_from, wait_to FROM ticket
              WHERE place_id = :place AND queue_id = :queue AND {BUSY}
              AND first_called_at IS NOT NULL AND wait_to IS NOT NULL AND moved_at IS NULL
              ORDER BY first_called_at"""
    served: Sequence[Any] = run(db, sql, place=place.id, queue=queue.id).all()
    sql = f"""SELECT :at - taken_at, wait_from, wait_to FROM ticket
              WHERE queue_id = :queue AND state = 'waiting' AND series >= :day AND moved_at IS NULL
              ORDER BY {CALL_ORDER} LIMIT :limit"""
    head: Sequence[Any] = run(db, sql, queue=queue.id, at=at, day=day_of(place, at), limit=MAX_OVERDUE).all()
    overdue = [row for row in head if row[2] is not None and row[0] > row[2]]
    return [RangeOutcome(waited_s, from_s, to_s) for waited_s, from_s, to_s in chain(served, overdue)]


def _door_line(db: Connection, at: float, queue: Queue, counter: Counter, day: str) -> DoorLine:
    """Return the line of a queue that a counter admits."""
    sql = """SELECT happened_at, -delta FROM event
             WHERE counter_id = :counter AND happened_at >= :since AND kind = 'tap' AND delta < 0
             ORDER BY happened_at DESC, delta LIMIT :limit"""
    rows = run(db, sql, counter=counter.id, since=at - MAX_MEMORY_S, limit=MAX_EXITS).all()
    exits = [Exit(happened_at, people) for happened_at, people in reversed(rows)]
    sql = """SELECT avg(coalesce(party, 1)) FROM (
                 SELECT party FROM ticket WHERE queue_id = :queue AND state = 'waiting' AND series >= :day
                 LIMIT :limit) AS first_waiting"""
    party = run(db, sql, queue=queue.id, day=day, limit=MAX_OVERDUE).scalar()
    free_spaces = counter.capacity - max(0, counter.people) - counter.held
    return DoorLine(at, queue.id, free_spaces, float(party or 1), exits)


def _desks_of(db: Connection, at: float, place: Place, queue: Queue, since: float) -> dict[int, DeskAtWork]:
    """Return the desks at work in a queue, by the id of the servicer.

    `since` is when the first who waits joined. A desk that is free though people have been waiting for
    AWAY_S is not at work. If every desk looks absent, assume they all just called somebody.
    """
    sql = f"""SELECT servicer.id, servicer.created_at, busy.called_at, busy.queue_id,
                     (SELECT max(ended_at) FROM ticket WHERE servicer_id = servicer.id
                      AND ended_at IS NOT NULL) AS ended_at,
                     (SELECT max(ended_at) FROM step WHERE servicer_id = servicer.id
                      AND ended_at IS NOT NULL) AS step_ended_at
              FROM servicer
              LEFT JOIN ticket AS busy ON busy.servicer_id = servicer.id AND busy.{BUSY}
              AND (busy.claimed_until IS NULL OR busy.claimed_until > :at)
              WHERE servicer.place_id = :place AND on_duty = 1 AND removed_at IS NULL
              AND (all_queues = 1
                   OR servicer.id IN (SELECT servicer_id FROM servicer_queue WHERE queue_id = :queue))"""
    on_duty = run(db, sql, place=place.id, queue=queue.id, at=at).all()
    at_work = {}
    for desk in on_duty:
        free_since = max(desk.ended_at or 0, desk.step_ended_at or 0, desk.created_at, since)
        if desk.called_at or free_since >= at - AWAY_S:
            elapsed_s = None if desk.called_at is None else max(0.0, at - desk.called_at)
            at_work[desk.id] = DeskAtWork(desk.queue_id, elapsed_s)
    if not at_work:
        return {desk.id: DeskAtWork(queue.id, 0.0) for desk in on_duty}
    return at_work


@dataclass(frozen=True)
class HitRate:
    """How good the estimates were: of those who had been shown a range, how many were called within it."""

    called: int
    within: int


def hit_rate(db: Connection, queue: Queue, since: float) -> HitRate:
    """Return how good the estimates of a queue were for those who were called since a time."""
    sql = f"""SELECT count(*) AS called,
                     coalesce(sum(CASE WHEN first_called_at - taken_at BETWEEN wait_from AND wait_to
                                  THEN 1 ELSE 0 END), 0) AS within
              FROM (SELECT taken_at, first_called_at, wait_from, wait_to
                    FROM ticket WHERE queue_id = :queue AND ended_at >= :since AND moved_at IS NULL
                    UNION ALL
                    SELECT taken_at, first_called_at, wait_from, wait_to FROM ticket
                    WHERE place_id = :place AND queue_id = :queue AND {BUSY} AND moved_at IS NULL
                    UNION ALL
                    SELECT taken_at, step.first_called_at, wait_from, wait_to
                    FROM step JOIN ticket ON ticket.id = ticket_id
                    WHERE step.queue_id = :queue AND step.ended_at >= :since AND step.number = 1) AS called
              WHERE first_called_at >= :since AND wait_to IS NOT NULL"""
    row = run(db, sql, queue=queue.id, place=queue.place_id, since=since).one()
    return HitRate(row.called, row.within)
