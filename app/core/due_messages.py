"""Messages in the outbox that are due: which push message is sent next, and which messages come too late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.engine import Connection

from app.core.models import Place, Subscription
from app.core.outbox import CLAIM_S, LONGEST_CLAIM_S, MAX_PAUSE_S, MISSED, NOTICE, SOON, TURN, delete_messages
from app.core.queries import OPEN_STATES, get_ticket
from app.core.transitions import state_at
from app.storage.sql import load, load_first, run, update

# A message is sent only while the ticket is in one of these states.
STATES = {SOON: ("waiting",), TURN: ("called", "serving"), MISSED: ("no_show",), NOTICE: OPEN_STATES}
FIRST_PAUSE_S, MAX_TRIES = 2, 8  # of a push message; the pause is doubled


class TicketMessage(Protocol):
    """A message in the outbox that may be about a ticket."""

    @property
    def kind(self) -> str:
        """The kind of the message."""

    @property
    def ticket_id(self) -> int | None:
        """The ticket that it is about."""

    @property
    def expires_at(self) -> float | None:
        """When it is too late to send it."""


@dataclass(frozen=True)
class QueuedPush:
    """A push message that this process has claimed."""

    id: int
    place_id: int
    kind: str
    ticket_id: int | None
    subscription_id: int
    content: str
    tries: int
    expires_at: float | None


def is_up_to_date(db: Connection, at: float, message: TicketMessage) -> bool:
    """Return False for a message about a ticket that has changed since, or that comes too late."""
    if message.expires_at is not None and message.expires_at <= at:
        return False
    if message.ticket_id is None:
        return True
    ticket = get_ticket(db, message.ticket_id)
    sql = "SELECT * FROM place WHERE id = :id AND deleted_at IS NULL"
    place = load_first(Place, run(db, sql, id=ticket.place_id))
    return place is not None and state_at(ticket, place, at) in STATES[message.kind]


def claim_push(
    db: Connection, at: float, target: str, sent: int | None, instance: str
) -> tuple[QueuedPush, Subscription] | None:
    """Delete a message that was sent, and return the next one to this target, after claiming it.

    "Your turn" goes first: hundreds may be told at once that it's soon, or read a message to everybody. What
    isn't true any more is deleted: nobody hears of a ticket that has ended.
    """
    if sent is not None:
        delete_messages(db, [sent])
    while True:
        sql = """SELECT * FROM mail
                 WHERE target = :target AND (due_at <= :at OR due_at > :latest)
                 AND (claimed_until IS NULL OR claimed_until <= :at OR claimed_until > :longest
                      OR claimed_by = :instance)
                 ORDER BY CASE kind WHEN :notice THEN 2 WHEN :soon THEN 1 ELSE 0 END, due_at, id LIMIT 1
                 /* FOR UPDATE SKIP LOCKED */"""
        row = run(
            db,
            sql,
            target=target,
            at=at,
            latest=at + MAX_PAUSE_S,
            longest=at + LONGEST_CLAIM_S,
            instance=instance,
            notice=NOTICE,
            soon=SOON,
        ).first()
        if row is None:
            return None
        queued = load(QueuedPush, row)
        sql = "SELECT * FROM subscription WHERE id = :id"
        subscription = load_first(Subscription, run(db, sql, id=queued.subscription_id))
        if subscription is not None and is_up_to_date(db, at, queued):
            update(db, "mail", queued.id, claimed_by=instance, claimed_until=at + CLAIM_S)
            return queued, subscription
        delete_messages(db, [queued.id])


def postpone_push(
    db: Connection, at: float, queued: QueuedPush, reason: str, pause_s: float | None = None
) -> None:
    """Try a push message again later, or give it up."""
    if queued.tries + 1 >= MAX_TRIES:
        delete_messages(db, [queued.id])
        return
    # A later message to the same browser may have replaced it meanwhile.
    sql = """UPDATE mail SET tries = :tries, due_at = :due_at, why = :why,
                    claimed_by = NULL, claimed_until = NULL
             WHERE id = :id"""
    due_at = at + (pause_s if pause_s is not None else FIRST_PAUSE_S * 2**queued.tries)
    run(db, sql, id=queued.id, tries=queued.tries + 1, due_at=due_at, why=reason)
