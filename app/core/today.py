"""What happens in a place today, for the owner's first page."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.days import day_of, next_day
from app.core.models import Place, Queue, Ticket
from app.core.queries import SELECT_TICKETS, SELECT_VISITS, WHOLE, called_tickets, waiting_tickets
from app.core.queues import walk_in_queues
from app.core.tickets import RESTORE_S
from app.storage.sql import load_all, run

CALLED_LAST = 6  # tickets that the page lists


@dataclass(frozen=True)
class QueueToday:
    """A walk-in queue as it is now, and the waits of those who were called today."""

    queue: Queue
    waiting: list[Ticket]  # in the order in which they will be called
    called: list[Ticket]  # called or being served, latest call first
    called_today: int
    average_wait_s: float | None
    within_goal: int  # of those who were called today, how many waited less than the owner's goal

    @property
    def is_full(self) -> bool:
        """True when nobody can take a number until somebody was called."""
        return len(self.waiting) >= self.queue.max_waiting


def queues_today(db: Connection, at: float, place: Place) -> list[QueueToday]:
    """Return the walk-in queues of a place as they are now."""
    day = day_of(place, at)
    queues = walk_in_queues(db, place)
    waiting = waiting_tickets(db, [queue.id for queue in queues], day)
    called = called_tickets(db, place)
    sql = f"""SELECT queue_id, count(*) AS called, avg(first_called_at - taken_at) AS wait_s,
                     sum(CASE WHEN first_called_at - taken_at < :goal_s THEN 1 ELSE 0 END) AS within_goal
              FROM ({SELECT_VISITS}) AS visit
              WHERE first_called_at IS NOT NULL AND scope <> '{WHOLE}' GROUP BY queue_id"""
    goal_s = 60 * place.wait_goal_minutes
    rows = run(db, sql, place=place.id, first=day, beyond=next_day(day), goal_s=goal_s)
    waits = {row.queue_id: row for row in rows}
    result = []
    for queue in queues:
        row = waits.get(queue.id)
        result.append(
            QueueToday(
                queue=queue,
                waiting=[ticket for ticket in waiting if ticket.queue_id == queue.id],
                called=[ticket for ticket in called if ticket.queue_id == queue.id],
                called_today=0 if row is None else row.called,
                average_wait_s=None if row is None else row.wait_s,
                within_goal=0 if row is None else row.within_goal,
            )
        )
    return result


def called_last(db: Connection, at: float, place: Place) -> list[Ticket]:
    """Return the customers' tickets that were called last today, the latest call first."""
    day = day_of(place, at)
    sql = f"""{SELECT_TICKETS}
              WHERE ticket.place_id = :place AND ticket.series >= :day AND ticket.series < :beyond
              AND contact_id IS NULL AND called_at IS NOT NULL
              ORDER BY called_at DESC, ticket.id DESC LIMIT :limit"""
    result = run(db, sql, place=place.id, day=day, beyond=next_day(day), limit=CALLED_LAST)
    return load_all(Ticket, result)


def can_be_restored(ticket: Ticket, at: float) -> bool:
    """Return True for a ticket that ended at most an hour ago."""
    return ticket.ended_at is not None and at - ticket.ended_at <= RESTORE_S


def has_taken_numbers(db: Connection, place: Place) -> bool:
    """Return True when a number was ever taken in a place."""
    sql = "SELECT 1 FROM ticket WHERE place_id = :place LIMIT 1"
    return run(db, sql, place=place.id).first() is not None


def mails_that_failed(db: Connection, place: Place) -> int:
    """Return how many mails of a place could not be sent yet."""
    sql = "SELECT count(*) FROM mail WHERE place_id = :place AND tries > 0 AND target = 'mail'"
    return int(run(db, sql, place=place.id).scalar_one())
