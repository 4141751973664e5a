"""What happened in a customer's line since they took their number, so that they see why they still wait."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.models import Place, Ticket
from app.core.queries import BY_OWNER
from app.storage.sql import run

MAX_LINE_EVENTS = 5
TICKET_EVENTS = ("call", "cancel", "no-show", "more-time", "put-back", "bring-back", "move", "restore")
DESK_EVENTS = ("pause", "resume")


@dataclass(frozen=True)
class LineEvent:
    """Something that happened in a line. It names no person."""

    at: float
    kind: str  # one of TICKET_EVENTS and DESK_EVENTS
    number: str | None  # of the ticket; None for an event of a desk
    desk: str | None
    out_of_turn: bool = False  # it was called although it was behind
    by_priority: bool = False  # it was called first since its priority is higher
    by_owner: bool = False  # it was cancelled by the owner, and not by its customer
    until: float | None = None  # for how long its customer lets others go first


def latest_line_events(db: Connection, place: Place, ticket: Ticket) -> list[LineEvent]:
    """Return the latest events of other tickets and of desks in a ticket's line, newest first.

    Only events after the ticket was taken count.
    """
    sql = """SELECT happened_at, kind, event.detail, number, servicer.desk, ticket.priority, ticket.joined_at,
                    ticket.id AS ticket_id
             FROM event
             LEFT JOIN ticket ON ticket.id = ticket_id
             LEFT JOIN servicer ON servicer.id = event.servicer_id
             WHERE event.place_id = :place AND kind IN :kinds
             AND event.id > (SELECT min(id) FROM event WHERE ticket_id = :ticket)
             AND CASE WHEN ticket_id IS NOT NULL THEN event.queue_id = :queue AND ticket_id <> :ticket
                 ELSE all_queues = 1 OR servicer.id IN (SELECT servicer_id FROM servicer_queue
                                                        WHERE queue_id = :queue) END
             ORDER BY event.id DESC LIMIT :max_events"""
    rows = run(
        db,
        sql,
        place=place.id,
        kinds=[*TICKET_EVENTS, *DESK_EVENTS],
        ticket=ticket.id,
        queue=ticket.queue_id,
        max_events=MAX_LINE_EVENTS,
    )
    own_order = (ticket.priority, ticket.joined_at, ticket.id)
    events = []
    for row in rows:
        out_of_turn = by_priority = False
        if row.kind == "call":
            out_of_turn = (row.priority, row.joined_at, row.ticket_id) > own_order
            by_priority = not out_of_turn and row.priority < ticket.priority
        until = row.happened_at + 60 * int(row.detail) if row.kind == "more-time" else None
        events.append(
            LineEvent(
                row.happened_at,
                row.kind,
                row.number,
                row.desk,
                out_of_turn,
                by_priority,
                by_owner=row.kind == "cancel" and row.detail == BY_OWNER,
                until=until,
            )
        )
    return events
