"""The estimated wait: what the model of wait_model.py says about the lines of a place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from app.core.days import day_of
from app.core.models import Place, Queue, WaitRange
from app.core.places import find_place
from app.core.queries import BUSY
from app.core.queues import find_queue, walk_in_queues
from app.core.wait_model import MAX_TICKETS, Experience, Pace, PastTicket, learn, pace_of, wait_ranges
from app.storage.database import Database
from app.storage.sql import run

AWAY_S = 300  # a free desk that lets people wait for so long is not at work
TICKETS_PER_S = 20  # what was learned from 1000 tickets is used for 50 s, from 100 tickets for 5 s
NEWCOMERS_S = 1.0  # how long an estimate for newcomers is used
MAX_NEWCOMERS = 1000  # queues for which one is kept

# Returns the range of the wait for a customer who joins a queue with so many ahead in it.
EstimateForNewcomer = Callable[[int], WaitRange | None]


@dataclass(frozen=True)
class Line:
    """The line that the customers of a queue are in.

    Desks may serve several queues, and call in the order in which people joined. So whoever waits in another
    queue of the same desks is in this line too, and counts for as much of them as the desks have in common
    and as a service takes there.
    """

    pace: Pace | None  # None: no desk is on duty
    waiting: Mapping[int, int]  # number of waiting tickets by the id of their queue
    counts_as: Mapping[int, float]  # by the id of a queue: how many of this queue somebody there counts as

    def length(self, waiting: Mapping[int, int]) -> float:
        """Return the length of this line when so many wait in each queue, by id."""
        return sum(self.counts_as.get(queue_id, 0.0) * number for queue_id, number in waiting.items())

    def ranges(self, lengths: Sequence[float]) -> list[WaitRange | None]:
        """Return the range of the wait behind a line of each length; None while no desk is on duty."""
        if self.pace is None:
            return [None] * len(lengths)
        return [*wait_ranges(self.pace, lengths)]

    def ranges_along(self, queue_id: int, waiting: Iterable[int]) -> tuple[list[WaitRange], WaitRange | None]:
        """Return the range of the wait for each ticket that waits in a queue, and for a newcomer.

        `waiting` holds the id of the queue of each ticket that waits in the place, in the order of the calls.
        While no desk is on duty, there are no ranges.
        """
        if self.pace is None:
            return [], None
        lengths = []
        length = 0.0
        for other_id in waiting:
            if other_id == queue_id:
                lengths.append(length)
            length += self.counts_as.get(other_id, 0.0)
        *ranges, newcomer = wait_ranges(self.pace, [*lengths, length])
        return ranges, newcomer


NO_LINE = Line(None, {}, {})  # of a queue that a counter admits: it has no desks


@dataclass(frozen=True)
class _Learned:
    """The experience with a queue, as long as it is used."""

    experience: Experience
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

    def line_of(self, db: Connection, at: float, place: Place, queue: Queue) -> Line:
        """Return the line of a queue as it is now."""
        return self.lines_of(db, at, place).get(queue.id, NO_LINE)

    def lines_of(self, db: Connection, at: float, place: Place) -> dict[int, Line]:
        """Return the lines of a place as they are now, by the id of the queue.

        Queues that a counter admits have none.
        """
        queues = [queue for queue in walk_in_queues(db, place) if queue.counter_id is None]
        sql = """SELECT queue_id, count(*) AS number, min(joined_at) AS since FROM ticket
                 WHERE queue_id IN :queues AND state = 'waiting' AND series >= :day GROUP BY queue_id"""
        rows = run(db, sql, queues=[queue.id for queue in queues], day=day_of(place, at)).all()
        waiting = {row.queue_id: row.number for row in rows}
        since = {row.queue_id: row.since for row in rows}
        desks = {queue.id: _desks_of(db, at, place, queue, since.get(queue.id, at)) for queue in queues}
        learned = {queue.id: self._experience_of(db, at, queue) for queue in queues}
        lines = {}
        for queue in queues:
            own_desks = desks[queue.id]
            own_service_s = learned[queue.id].service_s
            counts_as = {queue.id: 1.0}
            for other_id in waiting:
                if other_id != queue.id:
                    shared = len(own_desks.keys() & desks[other_id].keys())
                    share = shared / max(1, len(desks[other_id]))
                    counts_as[other_id] = share * learned[other_id].service_s / own_service_s
            pace = None
            if own_desks:
                busy_s = [
                    max(0.0, at - called_at) for called_at in own_desks.values() if called_at is not None
                ]
                pace = pace_of(learned[queue.id], len(own_desks) - len(busy_s), busy_s)
            lines[queue.id] = Line(pace, waiting, counts_as)
        return lines

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
        with database.read() as db:
            place = find_place(db, slug)
            queue = find_queue(db, place, queue_slug)
            if queue.is_call_list:
                return None
            line = self.line_of(db, at, place, queue)
        in_other_queues = line.length({**line.waiting, queue.id: 0})

        def estimate(ahead: int) -> WaitRange | None:
            return line.ranges([ahead + in_other_queues])[0]

        if len(self._newcomers) >= MAX_NEWCOMERS:
            self._newcomers.clear()
        self._newcomers[key] = _Newcomers(estimate, at)
        return estimate

    def _experience_of(self, db: Connection, at: float, queue: Queue) -> Experience:
        known = self._learned.get(queue.id)
        if (
            known is not None
            and 0 <= at - known.made_at < known.lasts_s  # below 0: the clock was set back
            and known.usual_service_s == queue.usual_service_s
        ):
            return known.experience
        past = _past_tickets(db, queue)
        experience = learn(past, queue.usual_service_s)
        self._learned[queue.id] = _Learned(
            experience, queue.usual_service_s, made_at=at, lasts_s=len(past) / TICKETS_PER_S
        )
        return experience


def _past_tickets(db: Connection, queue: Queue) -> list[PastTicket]:
    """Return the latest tickets of a queue that ended, newest first."""
    sql = """SELECT coalesce(first_called_at, ended_at) - taken_at AS waited_s,
                    first_called_at IS NULL AS has_left,
                    CASE WHEN servicer_id IS NOT NULL THEN ended_at - called_at END AS service_s,
                    called_at - joined_at AS in_line_s,
                    called_at - (SELECT max(ended_at) FROM ticket AS before
                                 WHERE before.servicer_id = ticket.servicer_id
                                 AND before.ended_at IS NOT NULL
                                 AND before.ended_at <= ticket.called_at) AS desk_free_s
             FROM ticket WHERE queue_id = :queue AND ended_at IS NOT NULL AND state <> 'expired'
             ORDER BY ended_at DESC LIMIT :latest"""
    rows: Sequence[Any] = run(db, sql, queue=queue.id, latest=MAX_TICKETS).all()
    past = []
    for waited_s, has_left, service_s, in_line_s, desk_free_s in rows:
        if service_s is not None and desk_free_s is not None:
            # The time between two customers belongs to the service, if the next one is waiting already. A
            # longer pause is a break.
            pause_s = min(in_line_s, desk_free_s)
            if 0 < pause_s <= AWAY_S:
                service_s += pause_s
        past.append(PastTicket(waited_s, bool(has_left), service_s))
    return past


def _desks_of(db: Connection, at: float, place: Place, queue: Queue, since: float) -> dict[int, float | None]:
    """Return the desks at work in a queue: the id of the servicer, and the time of the call if it is busy.

    `since` is when the first who waits joined. A desk that is free though people have been waiting for
    AWAY_S is not at work. If every desk looks absent, assume they all just called somebody.
    """
    sql = f"""SELECT id, created_at,
                     (SELECT called_at FROM ticket WHERE servicer_id = servicer.id AND {BUSY}
                      AND (claimed_until IS NULL OR claimed_until > :at)) AS called_at,
                     (SELECT max(ended_at) FROM ticket WHERE servicer_id = servicer.id
                      AND ended_at IS NOT NULL) AS ended_at
              FROM servicer WHERE place_id = :place AND on_duty = 1 AND removed_at IS NULL
              AND (all_queues = 1
                   OR id IN (SELECT servicer_id FROM servicer_queue WHERE queue_id = :queue))"""
    on_duty = run(db, sql, place=place.id, queue=queue.id, at=at).all()
    at_work: dict[int, float | None] = {}
    for desk in on_duty:
        free_since = max(desk.ended_at or 0, desk.created_at, since)
        if desk.called_at or free_since >= at - AWAY_S:
            at_work[desk.id] = desk.called_at
    if not at_work:
        return {desk.id: at for desk in on_duty}
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
              FROM (SELECT * FROM ticket WHERE queue_id = :queue AND ended_at >= :since
                    UNION ALL
                    SELECT * FROM ticket WHERE place_id = :place AND queue_id = :queue AND {BUSY}) AS called
              WHERE first_called_at >= :since AND wait_to IS NOT NULL"""
    row = run(db, sql, queue=queue.id, place=queue.place_id, since=since).one()
    return HitRate(row.called, row.within)
