"""Webhooks: every event of a place is posted to a URL of its owner, as standardwebhooks.com describes.

The posts of a webhook are sent one after the other, in the order of the events, each until it is accepted or
a day old. One that was sent is sent again only if the server stopped before it could store that; its id is
the same then.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.engine import Connection

from app.clock import DAY_S
from app.core.days import iso_in
from app.core.history import record
from app.core.models import DETAILS, Place, Ticket
from app.core.outbox import CLAIM_S, LONGEST_CLAIM_S, MAX_PAUSE_S, WEBHOOK, delete_messages
from app.core.places import find_place_for_owner
from app.core.queries import cancelled_by_owner, get_ticket
from app.errors import Conflict, NotFound
from app.storage.schema import PERSONAL_OF_TICKET
from app.storage.sql import insert, insert_returning, load, load_all, load_first, run, update

SECRET_BYTES = 24
MAX_WEBHOOKS = 10  # in a place
GIVE_UP_S = DAY_S  # for how long a post is tried
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5, 900  # between two attempts; doubled after each failure
MAX_FAILURES = 100  # one after the other; about a day
KEEP_DELIVERIES = 50  # of a webhook
GONE = 410  # the status by which a receiver says that it wants no more
MAX_ANSWER_LENGTH = 300

TEST = "test"
CALL_REPORTED = "call.reported"
# What receivers call an event, by its kind in the history. Those of calls are private, except for a report.
TICKET_EVENTS = {
    "take": "ticket.taken",
    "call": "ticket.called",
    "restore": "ticket.called",
    "call-again": "ticket.called_again",
    "soon": "ticket.soon",
    "done": "ticket.done",
    "come-in": "ticket.done",
    "no-show": "ticket.no_show",
    "cancel": "ticket.cancelled",
    "move": "ticket.moved",
    "put-back": "ticket.waiting_again",
    "bring-back": "ticket.waiting_again",
    "wait-again": "ticket.waiting_again",
    "expire": "ticket.expired",
}


@dataclass(frozen=True)
class Webhook:
    """A URL that the events of a place are posted to."""

    id: int
    place_id: int
    url: str
    secret: str
    personal: bool  # names, phone numbers and notes are sent, too
    failures: int  # since the last success
    due_at: float  # not tried again before this time
    paused_at: float | None
    paused_because: str | None
    created_at: float


@dataclass(frozen=True)
class Delivery:
    """An attempt to post an event."""

    id: int
    webhook_id: int
    message_id: str
    kind: str
    ok: bool
    status: int | None  # None: there was no response
    answer: str | None
    duration_s: float
    sent_at: float


@dataclass(frozen=True)
class Post:
    """An event in the outbox that this process has claimed."""

    id: int
    webhook_id: int
    message_id: str
    kind: str
    content: str
    tries: int
    created_at: float


# ----- the owner


def webhooks_of(db: Connection, place: Place) -> list[Webhook]:
    """Return the webhooks of a place, the oldest first."""
    return load_all(
        Webhook, run(db, "SELECT * FROM webhook WHERE place_id = :place ORDER BY id", place=place.id)
    )


def find_webhook(db: Connection, place: Place, webhook_id: int) -> Webhook:
    """Return a webhook of a place. Raises NotFound."""
    sql = "SELECT * FROM webhook WHERE id = :id AND place_id = :place"
    webhook = load_first(Webhook, run(db, sql, id=webhook_id, place=place.id))
    if webhook is None:
        raise NotFound("There is no such webhook. It may have been removed.")
    return webhook


def deliveries_of(db: Connection, webhook: Webhook) -> list[Delivery]:
    """Return the latest attempts to post to a webhook, newest first."""
    sql = "SELECT * FROM delivery WHERE webhook_id = :webhook ORDER BY id DESC LIMIT :limit"
    return load_all(Delivery, run(db, sql, webhook=webhook.id, limit=KEEP_DELIVERIES))


def webhooks_that_failed(db: Connection, place: Place) -> list[str]:
    """Return the URLs of the webhooks that were paused because they failed."""
    sql = "SELECT url FROM webhook WHERE place_id = :place AND paused_because IS NOT NULL ORDER BY id"
    return list(run(db, sql, place=place.id).scalars())


def failures_to_tell(db: Connection, place: Place) -> list[Webhook]:
    """Return the webhooks that were paused because they failed, of which the owner wasn't told yet."""
    sql = """SELECT * FROM webhook WHERE place_id = :place AND paused_because IS NOT NULL
             AND told_at IS NULL ORDER BY id"""
    return load_all(Webhook, run(db, sql, place=place.id))


def count_posts(db: Connection, webhook: Webhook) -> int:
    """Return how many events wait to be posted to a webhook."""
    sql = "SELECT count(*) FROM mail WHERE webhook_id = :webhook"
    return int(run(db, sql, webhook=webhook.id).scalar_one())


def add_webhook(db: Connection, at: float, slug: str, token: str, url: str, personal: bool) -> Webhook:
    """Post the events of a place to a URL from now on; the same URL again is the same webhook.

    Raises Conflict when there are too many.
    """
    place = find_place_for_owner(db, slug, token)
    known = webhooks_of(db, place)
    for each in known:
        if each.url == url:
            return change_webhook(db, at, slug, token, each.id, personal)
    if len(known) >= MAX_WEBHOOKS:
        raise Conflict(f"There are {MAX_WEBHOOKS} webhooks already. Remove one first.")
    row = insert_returning(
        db,
        "webhook",
        place_id=place.id,
        url=url,
        secret="whsec_" + b64encode(secrets.token_bytes(SECRET_BYTES)).decode(),
        personal=int(personal),
        failures=0,
        due_at=at,
        created_at=at,
    )
    record(db, at, place.id, "add-webhook")
    return load(Webhook, row)


def change_webhook(
    db: Connection, at: float, slug: str, token: str, webhook_id: int, personal: bool
) -> Webhook:
    """Choose whether names, phone numbers and notes are sent."""
    place = find_place_for_owner(db, slug, token)
    find_webhook(db, place, webhook_id)
    row = update(db, "webhook", webhook_id, personal=int(personal))
    record(db, at, place.id, "change-webhook", detail="personal" if personal else None)
    return load(Webhook, row)


def remove_webhook(db: Connection, at: float, slug: str, token: str, webhook_id: int) -> None:
    """Post nothing to a webhook any more. What waits is deleted."""
    place = find_place_for_owner(db, slug, token)
    webhook = find_webhook(db, place, webhook_id)
    for table in ("mail", "delivery"):
        run(db, f"DELETE FROM {table} WHERE webhook_id = :webhook", webhook=webhook.id)
    run(db, "DELETE FROM webhook WHERE id = :id", id=webhook.id)
    record(db, at, place.id, "remove-webhook")


def pause_webhook(db: Connection, at: float, slug: str, token: str, webhook_id: int) -> None:
    """Post nothing to a webhook until resume_webhook(); events of that time are left out."""
    place = find_place_for_owner(db, slug, token)
    webhook = find_webhook(db, place, webhook_id)
    if webhook.paused_at is None:
        update(db, "webhook", webhook.id, paused_at=at, paused_because=None)
        record(db, at, place.id, "change-webhook", detail="pause")


def resume_webhook(db: Connection, at: float, slug: str, token: str, webhook_id: int) -> None:
    """Post to a webhook again, beginning with what still waits."""
    place = find_place_for_owner(db, slug, token)
    webhook = find_webhook(db, place, webhook_id)
    update(
        db, "webhook", webhook.id, paused_at=None, paused_because=None, told_at=None, failures=0, due_at=at
    )
    if webhook.paused_at is not None:
        record(db, at, place.id, "change-webhook", detail="resume")


def send_test(db: Connection, at: float, slug: str, token: str, webhook_id: int) -> None:
    """Post a test to a webhook, after the events that wait. Raises Conflict while it is paused."""
    place = find_place_for_owner(db, slug, token)
    webhook = find_webhook(db, place, webhook_id)
    if webhook.paused_at is not None:
        raise Conflict("This webhook is paused. Resume it first.")
    update(db, "webhook", webhook.id, due_at=at)
    _queue_post(db, at, place, webhook, TEST, {"text": "This is a test of your webhook."})


# ----- events


def post_event(db: Connection, at: float, place: Place, kind: str, data: dict[str, Any]) -> None:
    """Put an event of a place into the outbox for each of its webhooks that isn't paused."""
    for webhook in active_webhooks(db, place.id):
        _queue_post(db, at, place, webhook, kind, data)


def post_ticket_event(db: Connection, at: float, ticket: Ticket, kind: str) -> None:
    """Put an event of a customer's ticket into the outbox for each webhook of its place."""
    if ticket.is_call or kind not in TICKET_EVENTS:
        return
    webhooks = active_webhooks(db, ticket.place_id)
    if not webhooks:
        return
    place = _place(db, ticket.place_id)
    full = get_ticket(db, ticket.id)
    by_owner = bool(cancelled_by_owner(db, [full]))
    for webhook in webhooks:
        _queue_post(
            db,
            at,
            place,
            webhook,
            TICKET_EVENTS[kind],
            {"ticket": _ticket_json(place, full, by_owner, webhook.personal)},
        )


def post_call_report(db: Connection, at: float, ticket: Ticket | None, place_id: int, outcome: str) -> None:
    """Put the report of a call into the outbox for each webhook of its place, without the contact."""
    if active_webhooks(db, place_id):
        number = None if ticket is None else ticket.number
        content = {"call": {"number": number, "outcome": outcome}}
        post_event(db, at, _place(db, place_id), CALL_REPORTED, content)


def active_webhooks(db: Connection, place_id: int) -> list[Webhook]:
    """Return the webhooks of a place that aren't paused."""
    sql = "SELECT * FROM webhook WHERE place_id = :place AND paused_at IS NULL ORDER BY id"
    return load_all(Webhook, run(db, sql, place=place_id))


def _place(db: Connection, place_id: int) -> Place:
    return load(Place, run(db, "SELECT * FROM place WHERE id = :id", id=place_id).one())


def _queue_post(
    db: Connection, at: float, place: Place, webhook: Webhook, kind: str, data: dict[str, Any]
) -> None:
    """Put an event into the outbox for one webhook."""
    content = {
        "type": kind,
        "timestamp": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
        "data": {"place": {"slug": place.slug, "name": place.name}, **data},
    }
    insert(
        db,
        "mail",
        place_id=place.id,
        kind=kind,
        target=f"{WEBHOOK} {webhook.id}",
        recipient="",
        subject=kind,
        # As JavaScript writes it: some receivers have only the parsed JSON, and must check the signature.
        content=json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        webhook_id=webhook.id,
        message_id=f"msg_{secrets.token_urlsafe(16)}",
        tries=0,
        due_at=at,
        created_at=at,
    )


def _ticket_json(place: Place, ticket: Ticket, by_owner: bool, personal: bool) -> dict[str, Any]:
    content: dict[str, Any] = {
        "number": ticket.number,
        "series": ticket.series,
        "queue": ticket.queue,
        "queue_name": ticket.queue_name,
        "state": ticket.state,
        "desk": ticket.desk,
        "door": ticket.door,
        "taken_at": iso_in(ticket.taken_at, place.zone),
        "called_at": iso_in(ticket.called_at, place.zone),
        "ended_at": iso_in(ticket.ended_at, place.zone),
        "step": ticket.step_number,
        "steps": ticket.step_count,
    }
    if by_owner:
        content["cancelled_by_owner"] = True
    # What is personal is sent only if the owner has chosen so.
    for name in (*DETAILS, "desk_note"):
        if personal or name not in PERSONAL_OF_TICKET:
            content[name] = getattr(ticket, name)
    return content


# ----- sending


def slug_of_webhook(db: Connection, webhook_id: int) -> str | None:
    """Return the slug of the place of a webhook, None if there is no such webhook."""
    sql = "SELECT slug FROM place WHERE id = (SELECT place_id FROM webhook WHERE id = :id)"
    slug = run(db, sql, id=webhook_id).scalar()
    return None if slug is None else str(slug)


def claim_post(db: Connection, at: float, webhook_id: int, instance: str) -> tuple[Post, Webhook] | None:
    """Return the oldest event that waits for a webhook, after claiming it; None if there is none."""
    sql = "SELECT * FROM webhook WHERE id = :id AND paused_at IS NULL AND (due_at <= :at OR due_at > :latest)"
    webhook = load_first(Webhook, run(db, sql, id=webhook_id, at=at, latest=at + MAX_PAUSE_S))
    if webhook is None:
        return None
    sql = "DELETE FROM mail WHERE webhook_id = :webhook AND created_at < :before"
    run(db, sql, webhook=webhook.id, before=at - GIVE_UP_S)
    sql = "SELECT * FROM mail WHERE webhook_id = :webhook ORDER BY id LIMIT 1"
    row = run(db, sql, webhook=webhook.id).first()
    if row is None:
        return None
    is_taken = row.claimed_until is not None and at < row.claimed_until <= at + LONGEST_CLAIM_S
    if is_taken and row.claimed_by != instance:
        return None
    update(db, "mail", row.id, claimed_by=instance, claimed_until=at + CLAIM_S)
    return load(Post, row), webhook


def store_result(
    db: Connection, at: float, post: Post, *, status: int | None, answer: str, duration_s: float
) -> None:
    """Store what came of a post. It is tried again later unless it was accepted."""
    sql = "SELECT * FROM webhook WHERE id = :id"
    webhook = load_first(Webhook, run(db, sql, id=post.webhook_id))
    if webhook is None:
        return  # it was removed meanwhile
    is_ok = status is not None and 200 <= status < 300
    insert(
        db,
        "delivery",
        place_id=webhook.place_id,
        webhook_id=webhook.id,
        message_id=post.message_id,
        kind=post.kind,
        ok=int(is_ok),
        status=status,
        answer=" ".join(answer.split())[:MAX_ANSWER_LENGTH],
        duration_s=duration_s,
        sent_at=at,
    )
    sql = """DELETE FROM delivery WHERE webhook_id = :webhook AND id <=
             (SELECT id FROM delivery WHERE webhook_id = :webhook ORDER BY id DESC LIMIT 1 OFFSET :kept)"""
    run(db, sql, webhook=webhook.id, kept=KEEP_DELIVERIES)
    if is_ok:
        delete_messages(db, [post.id])
        update(db, "webhook", webhook.id, failures=0, due_at=at)
        return
    failures = webhook.failures + 1
    pause_s = min(FIRST_PAUSE_S * 2 ** min(post.tries, 20), LONGEST_PAUSE_S)
    update(db, "webhook", webhook.id, failures=failures, due_at=at + pause_s)
    update(
        db,
        "mail",
        post.id,
        tries=post.tries + 1,
        why=" ".join(answer.split())[:MAX_ANSWER_LENGTH],
        claimed_by=None,
        claimed_until=None,
    )
    if status == GONE or failures >= MAX_FAILURES:
        because = "its server said that it is gone" if status == GONE else f"it failed {failures} times"
        update(db, "webhook", webhook.id, paused_at=at, paused_because=because)
        record(db, at, webhook.place_id, "change-webhook", detail="failed")
