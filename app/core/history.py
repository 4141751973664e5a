"""The history of a place: one event for every change, written in the transaction of that change."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.storage.sql import load_first, run

UNDO_S = 10  # for how long a page offers to undo a press
UNDO_GRACE_S = 2  # how long that request may take


@dataclass(frozen=True)
class TicketEvent:
    """Something that happened to a ticket."""

    id: int
    kind: str
    happened_at: float
    ticket_id: int
    queue_id: int
    servicer_id: int | None  # the servicer who had it before
    detail: str | None


def last_event(db: Connection, ticket_id: int, before: int | None = None) -> TicketEvent | None:
    """Return what happened to a ticket last, or last before the event with the id `before`."""
    sql = """SELECT * FROM event WHERE ticket_id = :ticket AND id < coalesce(:before, id + 1)
             ORDER BY id DESC LIMIT 1"""
    return load_first(TicketEvent, run(db, sql, ticket=ticket_id, before=before))


def can_be_undone(at: float, happened_at: float) -> bool:
    """Return True while a press of that time can be undone."""
    return at - happened_at <= UNDO_S + UNDO_GRACE_S


def record(
    db: Connection,
    at: float,
    place_id: int,
    kind: str,
    *,
    queue_id: int | None = None,
    ticket_id: int | None = None,
    servicer_id: int | None = None,
    counter_id: int | None = None,
    door_id: int | None = None,
    contact_id: int | None = None,
    state: str | None = None,
    desk: str | None = None,
    detail: str | None = None,
    delta: int | None = None,
) -> bool:
    """Write an event. It must hold no personal data; `state` is the new state of the ticket.

    Events with a contact are private: they don't change the picture of the place.

    Returns True if somebody may want to be told: the customer of the ticket, or a webhook of the place. It is
    asked here since a statement of its own would make taking a number a twentieth slower.
    """
    result = run(
        db,
        """INSERT INTO event (place_id, queue_id, ticket_id, servicer_id, counter_id, door_id, contact_id,
                              kind, state, desk, detail, delta, happened_at)
           VALUES (:place_id, :queue_id, :ticket_id, :servicer_id, :counter_id, :door_id, :contact_id,
                   :kind, :state, :desk, :detail, :delta, :at)
           RETURNING EXISTS (SELECT 1 FROM webhook WHERE place_id = :place_id AND paused_at IS NULL)
                     OR EXISTS (SELECT 1 FROM subscription WHERE ticket_id = :ticket_id)""",
        place_id=place_id,
        queue_id=queue_id,
        ticket_id=ticket_id,
        servicer_id=servicer_id,
        counter_id=counter_id,
        door_id=door_id,
        contact_id=contact_id,
        kind=kind,
        state=state,
        desk=desk,
        detail=detail,
        delta=delta,
        at=at,
    )
    return bool(result.scalar_one())
