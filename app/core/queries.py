"""Queries that several modules share: tickets with the names around them, lines, and counters.

The constants are parts of SQL statements. The conditions on `state` repeat the words of the partial indexes
in storage/schema.py; otherwise the database would not use those indexes.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.engine import Connection

from app.core.models import Place, Servicer, Ticket
from app.storage.schema import PERSONAL_OF_TICKET
from app.storage.sql import load_all, load_first, run

OPEN_STATES = ("waiting", "called", "serving")
NORMAL_PRIORITY = 3  # 1 is called first, 5 last

ANY_TIME = 1e15  # later than every away_until
# True for a ticket unless its customer lets others go first at the time :at.
IS_HERE = "(away_until IS NULL OR away_until <= :at)"
CALL_ORDER = "ticket.priority, ticket.joined_at, ticket.id"
BUSY = "state IN ('called', 'serving')"
AT_THE_DOOR = f"{BUSY} AND servicer_id IS NULL"  # called to the door by a counter that has room
OPEN_CALL = "contact_id IS NOT NULL AND state IN ('waiting', 'called', 'serving')"
CLAIM_IS_OVER = "claimed_until IS NOT NULL AND claimed_until <= :at"
ERASE_PERSONAL_DATA = f"UPDATE ticket SET {', '.join(f'{column} = NULL' for column in PERSONAL_OF_TICKET)}"

# How long a customer waited, was served, and was there in all; NULL as long as it isn't known.
WAIT_S = "first_called_at - taken_at"
SERVICE_S = "CASE WHEN state = 'done' THEN ended_at - coalesce(started_at, called_at) END"
TOTAL_S = "CASE WHEN state = 'done' THEN ended_at - taken_at END"

# Tickets with the names of their queue, and of the desk or the door that they were called to: all fields of
# models.Ticket.
SELECT_TICKETS = f"""
    SELECT ticket.*, queue.slug AS queue, queue.name AS queue_name, servicer.name AS servicer, servicer.desk,
           CASE WHEN {AT_THE_DOOR} THEN counter.name END AS door,
           CASE WHEN {AT_THE_DOOR} THEN called_at + 60 * hold_minutes END AS held_until,
           {WAIT_S} AS wait_s, {SERVICE_S} AS service_s, {TOTAL_S} AS total_s
    FROM ticket JOIN queue ON queue.id = ticket.queue_id
    LEFT JOIN servicer ON servicer.id = ticket.servicer_id
    LEFT JOIN counter ON counter.id = queue.counter_id"""

BY_OWNER = "owner"  # detail of the event of a ticket that the owner cancelled; those of customers have none
# True for a ticket that the owner cancelled, and not its customer.
CANCELLED_BY_OWNER = f"""(ticket.state = 'cancelled' AND EXISTS (
    SELECT 1 FROM event WHERE event.ticket_id = ticket.id AND event.kind = 'cancel'
    AND event.detail = '{BY_OWNER}' AND event.happened_at = ticket.ended_at))"""

# The counters of the place :place on the day :day, which may have begun without a write. Each comes with the
# queue that it admits and the spaces that it holds for customers of that queue: all fields of models.Counter.
SELECT_COUNTERS = f"""
    SELECT counter.*, queue.id AS queue_id, queue.slug AS admits,
           CASE WHEN empties = 'day' AND day < :day THEN 0 ELSE inside END AS people,
           (SELECT coalesce(sum(coalesce(party, 1)), 0) FROM ticket
            WHERE place_id = counter.place_id AND queue_id = queue.id AND {AT_THE_DOOR}) AS held
    FROM counter LEFT JOIN queue ON queue.counter_id = counter.id
    WHERE counter.deleted_at IS NULL AND counter.place_id = :place"""

# A visit is a ticket's time in one queue. Most tickets have one; a ticket with a plan has one for each step
# that it has begun. These tell when the present visit began, and when it was first called in it.
VISIT_BEGAN = "coalesce(moved_at, taken_at)"
VISIT_CALLED = "CASE WHEN moved_at IS NULL THEN first_called_at ELSE step_called_at END"

# The tickets of the place :place with a series from :first until :beyond, and their visits. `scope` says what
# a row is: "both", a ticket with a single visit; "whole", one with several; or "part", one of those visits.
_OF_SERIES = "ticket.place_id = :place AND ticket.series >= :first AND ticket.series < :beyond"
BOTH, WHOLE, PART = "both", "whole", "part"
SELECT_VISITS = f"""
    SELECT id AS ticket_id, series, queue_id, servicer_id, state, taken_at, first_called_at, called_at,
           started_at, ended_at, CASE WHEN moved_at IS NULL THEN '{BOTH}' ELSE '{WHOLE}' END AS scope
    FROM ticket WHERE {_OF_SERIES}
    UNION ALL
    SELECT id, series, queue_id, servicer_id, state, moved_at, step_called_at, called_at,
           started_at, ended_at, '{PART}'
    FROM ticket WHERE {_OF_SERIES} AND moved_at IS NOT NULL
    UNION ALL
    SELECT ticket.id, series, step.queue_id, step.servicer_id, 'done', came_at, step.first_called_at,
           step.called_at, step.started_at, step.ended_at, '{PART}'
    FROM ticket JOIN step ON step.ticket_id = ticket.id
    WHERE {_OF_SERIES} AND moved_at IS NOT NULL AND step.ended_at IS NOT NULL"""

# The time at which somebody joins the queue :queue now (:at) with the priority :normal. It is never before
# that of those who joined earlier, even if the clock was set back, and far enough from the last one's that
# another ticket can be put between the two.
MIN_GAP_S = 0.00001
JOIN_TIME = f"""(SELECT CASE WHEN max(joined_at) >= :at THEN max(joined_at) + {MIN_GAP_S:f} ELSE :at END
                 FROM ticket WHERE queue_id = :queue AND state = 'waiting' AND priority = :normal)"""


def get_ticket(db: Connection, ticket_id: int) -> Ticket:
    """Return a ticket by its id, with the names around it."""
    sql = f"{SELECT_TICKETS} WHERE ticket.id = :id"
    return load_all(Ticket, run(db, sql, id=ticket_id))[0]


def waiting_tickets(
    db: Connection, queue_ids: list[int], day: str, limit: int | None = None, *, here_at: float | None = None
) -> list[Ticket]:
    """Return the tickets that wait in these walk-in queues, in the order in which they will be called.

    Tickets of the days before `day` don't wait any more, even if nothing was written since.

    :param here_at: leave out those whose customers let others go first at this time
    """
    sql = f"""{SELECT_TICKETS}
              WHERE ticket.queue_id IN :queues AND state = 'waiting' AND ticket.series >= :day
              AND {IS_HERE} ORDER BY {CALL_ORDER}"""
    at = ANY_TIME if here_at is None else here_at
    if limit is None:
        return load_all(Ticket, run(db, sql, queues=queue_ids, day=day, at=at))
    return load_all(Ticket, run(db, f"{sql} LIMIT :limit", queues=queue_ids, day=day, at=at, limit=limit))


def called_tickets(db: Connection, place: Place) -> list[Ticket]:
    """Return the customers' tickets of a place that are called or being served, latest call first."""
    sql = f"""{SELECT_TICKETS} WHERE ticket.place_id = :place AND {BUSY} AND contact_id IS NULL
              ORDER BY ticket.called_at DESC, ticket.id DESC"""
    return load_all(Ticket, run(db, sql, place=place.id))


def current_ticket(db: Connection, servicer: Servicer) -> Ticket | None:
    """Return the customer's ticket or the call that a servicer has now, even if the claim of it is over."""
    sql = f"{SELECT_TICKETS} WHERE ticket.servicer_id = :servicer AND {BUSY}"
    return load_first(Ticket, run(db, sql, servicer=servicer.id))


def recent_tickets(db: Connection, servicer: Servicer) -> list[Ticket]:
    """Return the last ten customers' tickets that ended at a desk, newest first."""
    sql = f"""{SELECT_TICKETS}
              WHERE ticket.servicer_id = :servicer AND ended_at IS NOT NULL AND contact_id IS NULL
              ORDER BY ended_at DESC, ticket.id DESC LIMIT 10"""
    return load_all(Ticket, run(db, sql, servicer=servicer.id))


def cancelled_by_owner(db: Connection, tickets: Iterable[Ticket]) -> set[int]:
    """Return the ids of those of some tickets that the owner cancelled, and not their customers."""
    ids = [ticket.id for ticket in tickets if ticket.state == "cancelled"]
    if not ids:
        return set()
    sql = f"SELECT id FROM ticket WHERE id IN :ids AND {CANCELLED_BY_OWNER}"
    return set(run(db, sql, ids=ids).scalars())


def claim_is_over(ticket: Ticket, at: float) -> bool:
    """Return True for a call whose claim has run out. The call may still be stored as claimed.

    CLAIM_IS_OVER is the same in SQL.
    """
    return ticket.claimed_until is not None and ticket.claimed_until <= at
