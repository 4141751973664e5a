"""What customers and webhooks are told when something happens to a ticket.

This happens in the transaction of the change. Only customers who asked for it get messages: that it's their
turn soon, that it is, or that they missed it. Those are pushed to their browser or mailed; see
subscriptions.py. Webhooks get every event; see webhooks.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.mail_addresses import count_mail
from app.core.mail_texts import ticket_news
from app.core.models import Ticket
from app.core.outbox import MISSED, NOTICE, SOON, TURN, queue_mail, queue_push
from app.core.queries import get_ticket
from app.core.web_push import TTL_S, Message, origin_of
from app.core.webhooks import post_ticket_event
from app.storage.sql import load_all, run

# What a customer is told after a transition, by the kind of its event.
MESSAGES = {"call": TURN, "call-again": TURN, "restore": TURN, "no-show": MISSED}
BY_PUSH, BY_MAIL = "push", "mail"


@dataclass(frozen=True)
class Subscription:
    """A browser or an email address that is told about a ticket, or a device of the owner's."""

    id: int
    place_id: int
    ticket_id: int | None  # None: a device of the owner's; see alert_targets.py
    channel: str  # BY_PUSH or BY_MAIL
    endpoint: str  # the URL of the browser's push service, or the address
    p256dh: str | None
    auth: str | None
    address_key: str | None
    ticket_url: str
    not_me_url: str | None
    names_place: bool  # False: a mail must not name the place
    soon_at: float | None
    created_at: float


@dataclass(frozen=True)
class News:
    """A message to a customer, in words."""

    kind: str
    title: str
    body: str


def tell(db: Connection, at: float, ticket: Ticket, kind: str) -> None:
    """Tell the customer of a ticket, and the webhooks of its place, of an event."""
    if kind in MESSAGES and not ticket.is_call:
        subscriptions = subscriptions_of(db, ticket.id)
        if subscriptions:
            full = get_ticket(db, ticket.id)
            if MESSAGES[kind] == MISSED or full.state in ("called", "serving"):
                send_news(db, at, full, subscriptions, news_of(MESSAGES[kind], full))
    post_ticket_event(db, at, ticket, kind)


def subscriptions_of(db: Connection, ticket_id: int) -> list[Subscription]:
    """Return who is told about a ticket."""
    sql = "SELECT * FROM subscription WHERE ticket_id = :ticket ORDER BY id"
    return load_all(Subscription, run(db, sql, ticket=ticket_id))


def news_of(kind: str, ticket: Ticket, ahead: int = 0) -> News:
    """Return what to tell the customer of a ticket; `ahead` counts for SOON."""
    number = ticket.number
    if kind == SOON:
        return News(kind, f"{number}: almost your turn", f"{ahead} ahead of you" if ahead else "You're next")
    if kind == MISSED:
        what_to_do = "Please take another number." if ticket.door else "Ask at the desk to rejoin."
        return News(
            kind,
            f"{number}: the line moved on without you",
            f"We called you, but you weren't there. {what_to_do}",
        )
    where = "please come in" if ticket.door else ticket.desk
    return News(kind, f"{number}: {where}" if where else f"{number}: it's your turn", "It's your turn")


def send_news(
    db: Connection, at: float, ticket: Ticket, subscriptions: list[Subscription], news: News
) -> None:
    """Put a message to each subscriber into the outbox."""
    place = str(run(db, "SELECT name FROM place WHERE id = :id", id=ticket.place_id).scalar_one())
    for subscription in subscriptions:
        if subscription.channel == BY_PUSH:
            _push(db, at, place, ticket, subscription, news)
        elif news.kind != NOTICE:
            _mail(db, at, place, ticket, subscription, news)


def _push(
    db: Connection, at: float, place: str, ticket: Ticket, subscription: Subscription, news: News
) -> None:
    is_notice = news.kind == NOTICE
    message = Message(
        title=place if is_notice else news.title,
        body=news.body if is_notice else f"{news.body} · {place}",
        url=subscription.ticket_url,
        tag=f"notice-{ticket.place_id}" if is_notice else f"ticket-{ticket.id}",
    )
    queue_push(
        db,
        at,
        ticket.place_id,
        news.kind,
        host=origin_of(subscription.endpoint).partition("//")[2],
        subscription_id=subscription.id,
        ticket_id=ticket.id,
        title=news.title,
        content=message.as_json(),
        expires_at=at + TTL_S,
    )


def _mail(
    db: Connection, at: float, place: str, ticket: Ticket, subscription: Subscription, news: News
) -> None:
    key = subscription.address_key
    if key is None or subscription.not_me_url is None or not count_mail(db, at, ticket.place_id, key):
        return  # they had three mails within an hour, or want none
    title = news.title
    if not subscription.names_place:
        # Names of places and desks were written by strangers, and the address isn't confirmed.
        place = ""
        title = f"{ticket.number}: it's your turn" if news.kind == TURN else title
    text = ticket_news(place, title, news.body, subscription.ticket_url, subscription.not_me_url)
    queue_mail(
        db,
        at,
        ticket.place_id,
        news.kind,
        subscription.endpoint,
        key,
        text,
        ticket_id=ticket.id,
        subscription_id=subscription.id,
        expires_at=at + TTL_S,
    )
