"""The outbox: mails, push messages and webhook posts that wait to be sent.

They are stored in the transaction of the change that they tell of, in the table `mail`. Each row has a
target, such as "mail" or "webhook 3"; app/dispatch.py sends to each target on its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.clock import HOUR_S
from app.core.mail_texts import MailText
from app.storage.sql import insert, load_all, run

# The kinds of mails.
CONFIRM = "confirm"  # the link to confirm an address
RECEIPT = "receipt"  # to somebody who asked to be called
NEWS = "news"  # to the same, what became of their request
REQUEST = "request"  # to the staff of a call list; to confirmed addresses only
ALERT = "alert"  # to the owner, by push or by mail; to confirmed addresses only
# The kinds of messages to customers, by push or by mail.
SOON = "soon"
TURN = "turn"  # also when they are called again
MISSED = "missed"  # they were called and didn't come
NOTICE = "notice"  # a message to everybody who waits

MAIL = "mail"  # the target of all mails
PUSH, WEBHOOK = "push", "webhook"  # the first word of the other targets
PUSH_LANES = 8  # messages that are sent to one push service at the same time
MAX_PAUSE_S = 6 * HOUR_S  # between two attempts
CLAIM_S = 60.0  # for how long a message belongs to the process that sends it
# A claim that lasts longer was made by a clock that was ahead. Other instances may have claimed something a
# moment later than a process thinks that it is.
LONGEST_CLAIM_S = 2 * CLAIM_S


def queue_mail(
    db: Connection,
    at: float,
    place_id: int,
    kind: str,
    recipient: str,
    address_key: str,
    text: MailText,
    contact_id: int | None = None,
    *,
    ticket_id: int | None = None,
    subscription_id: int | None = None,
    expires_at: float | None = None,
) -> None:
    """Put a mail into the outbox. Call it only if a mail server is configured.

    :param contact_id: the contact that it is about; it is deleted when the contact is forgotten
    """
    insert(
        db,
        "mail",
        place_id=place_id,
        contact_id=contact_id,
        ticket_id=ticket_id,
        subscription_id=subscription_id,
        expires_at=expires_at,
        kind=kind,
        recipient=recipient,
        address_key=address_key,
        subject=" ".join(text.subject.split()),  # a line break would begin another header
        content=text.content,
        tries=0,
        due_at=at,
        created_at=at,
    )


def queue_push(
    db: Connection,
    at: float,
    place_id: int,
    kind: str,
    *,
    host: str,
    subscription_id: int,
    ticket_id: int | None,
    title: str,
    content: str,
    expires_at: float,
) -> None:
    """Put a push message into the outbox, instead of an earlier one to the same browser that wasn't sent yet.

    :param host: of the push service
    """
    if kind not in (NOTICE, ALERT):
        sql = "DELETE FROM mail WHERE subscription_id = :subscription AND kind <> :notice"
        run(db, sql, subscription=subscription_id, notice=NOTICE)
    insert(
        db,
        "mail",
        place_id=place_id,
        kind=kind,
        target=f"{PUSH} {host} {subscription_id % PUSH_LANES}",
        recipient=host,
        subject=title,
        content=content,
        ticket_id=ticket_id,
        subscription_id=subscription_id,
        expires_at=expires_at,
        tries=0,
        due_at=at,
        created_at=at,
    )


def due_targets(db: Connection, at: float) -> list[str]:
    """Return the targets that something can be sent to now."""
    # A mail that is due much later was postponed by a clock that was ahead.
    sql = """SELECT DISTINCT target FROM mail
             WHERE webhook_id IS NULL AND (due_at <= :at OR due_at > :latest)"""
    targets = [str(target) for target in run(db, sql, at=at, latest=at + MAX_PAUSE_S).scalars()]
    sql = """SELECT id FROM webhook WHERE paused_at IS NULL AND (due_at <= :at OR due_at > :latest)
             AND EXISTS (SELECT 1 FROM mail WHERE webhook_id = webhook.id)"""
    return targets + [f"{WEBHOOK} {each}" for each in run(db, sql, at=at, latest=at + MAX_PAUSE_S).scalars()]


def claim(db: Connection, at: float, ids: list[int], instance: str) -> list[int]:
    """Claim messages for a process, so that no other sends them; return those that it has now.

    Its own claims are renewed.
    """
    result = run(
        db,
        """UPDATE mail SET claimed_by = :instance, claimed_until = :until
           WHERE id IN (SELECT id FROM mail
                        WHERE id IN :ids AND (claimed_until IS NULL OR claimed_until <= :at
                                              OR claimed_until > :latest OR claimed_by = :instance)
                        /* FOR UPDATE SKIP LOCKED */)
           RETURNING id""",
        ids=ids,
        instance=instance,
        at=at,
        until=at + CLAIM_S,
        latest=at + LONGEST_CLAIM_S,
    )
    return list(result.scalars())


def release_claims(db: Connection, instance: str) -> None:
    """Release what other processes have claimed. Call it only where no other process can be at work."""
    sql = """UPDATE mail SET claimed_by = NULL, claimed_until = NULL
             WHERE claimed_until IS NOT NULL AND claimed_by <> :instance"""
    run(db, sql, instance=instance)


def delete_messages(db: Connection, ids: list[int]) -> None:
    """Delete messages that were sent, or never will be."""
    run(db, "DELETE FROM mail WHERE id IN :ids", ids=ids)


# ----- what the owner sees


@dataclass(frozen=True)
class Waiting:
    """The messages of a place that wait to be sent, of one channel."""

    channel: str  # "mail", "push" or "webhook"
    waiting: int
    failed: int  # of those, how many were tried already
    why: str | None  # why one of them failed last


def waiting_messages(db: Connection, place_id: int) -> list[Waiting]:
    """Return how many messages of a place wait to be sent, by channel."""
    sql = """SELECT channel, count(*) AS waiting, sum(CASE WHEN tries > 0 THEN 1 ELSE 0 END) AS failed,
                    max(why) AS why
             FROM (SELECT CASE WHEN webhook_id IS NOT NULL THEN 'webhook'
                               WHEN target LIKE 'push %' THEN 'push' ELSE 'mail' END AS channel,
                          tries, why
                   FROM mail WHERE place_id = :place) AS messages
             GROUP BY channel ORDER BY channel"""
    return load_all(Waiting, run(db, sql, place=place_id))
