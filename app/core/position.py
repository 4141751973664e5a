"""Where a waiting customer stands: who is ahead, how long the wait is, and what happened in their line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.days import day_of
from app.core.line_events import LineEvent, latest_line_events
from app.core.models import Place, Queue, Ticket, WaitRange
from app.core.queries import CALL_ORDER
from app.core.wait import WaitEstimator, not_before
from app.core.wait_line import Away
from app.storage.sql import run


@dataclass(frozen=True)
class Position:
    """Where a waiting ticket stands."""

    ahead: int = 0
    wait: WaitRange | None = None
    line_events: Sequence[LineEvent] = ()


NO_POSITION = Position()  # of a ticket that doesn't wait


def position_of(
    db: Connection, at: float, place: Place, queue: Queue, ticket: Ticket, waits: WaitEstimator
) -> Position:
    """Return where a ticket that waits in a walk-in queue stands."""
    line = waits.line_of(db, at, place, queue)
    day = day_of(place, at)
    ahead = _count_ahead(db, ticket, line.queue_ids, day)
    away = _away_ahead(db, at, ticket, line.queue_ids, day)
    away_s = None if ticket.away_until is None else ticket.away_until - at
    promised_s = None if ticket.promised_until is None else ticket.promised_until - at
    wait = not_before(away_s, line.range_behind(ahead, away, promised_s))
    return Position(ahead.get(queue.id, 0), wait, latest_line_events(db, place, ticket))


def _count_ahead(db: Connection, ticket: Ticket, queue_ids: Iterable[int], day: str) -> dict[int, int]:
    """Return how many waiting tickets would be called before this one, by queue.

    They are counted in the ticket's own queue and in these; a queue without any is left out.
    """
    sql = f"""SELECT queue_id, count(*) AS ahead FROM ticket
              WHERE queue_id IN :queues AND state = 'waiting' AND series >= :day
              AND ({CALL_ORDER}) < (:priority, :joined_at, :id) GROUP BY queue_id"""
    result = run(
        db,
        sql,
        queues=[ticket.queue_id, *queue_ids],
        day=day,
        priority=ticket.priority,
        joined_at=ticket.joined_at,
        id=ticket.id,
    )
    return {row.queue_id: row.ahead for row in result}


def _away_ahead(db: Connection, at: float, ticket: Ticket, queue_ids: Iterable[int], day: str) -> list[Away]:
    """Return those of _count_ahead() who let others go first."""
    sql = f"""SELECT queue_id, away_until - :at AS rest_s FROM ticket
              WHERE queue_id IN :queues AND state = 'waiting' AND series >= :day
              AND away_until IS NOT NULL AND away_until > :at
              AND ({CALL_ORDER}) < (:priority, :joined_at, :id)"""
    result = run(
        db,
        sql,
        queues=[ticket.queue_id, *queue_ids],
        day=day,
        at=at,
        priority=ticket.priority,
        joined_at=ticket.joined_at,
        id=ticket.id,
    )
    return [Away(row.queue_id, row.rest_s) for row in result]
