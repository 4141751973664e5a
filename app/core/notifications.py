"""Notifications: what a customer is told when something happens to their ticket, and what webhooks are.

This happens in the transaction of the change. Customers who asked for it (subscriptions.py) are told that
it's their turn soon (soon.py), that it is, or that they missed it. Notifications are pushed to a browser or
mailed. Webhooks get every event; see webhooks.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.mail_addresses import count_mail
from app.core.mail_texts import ticket_notification
from app.core.models import BY_PUSH, Subscription, Ticket
from app.core.outbox import MISSED, NOTICE, SOON, TURN, queue_mail, queue_push
from app.core.queries import get_ticket
from app.core.web_push import TTL_S, PushMessage, origin_of
from app.core.webhooks import post_ticket_event
from app.storage.sql import load_all, run

# What a customer is told after a transition, by the kind of its event.
KIND_BY_EVENT = {"call": TURN, "call-again": TURN, "restore": TURN, "no-show": MISSED}


@dataclass(frozen=True)
class Notification:
    """What a customer is told, in words."""

    kind: str
    title: str
    body: str


def tell(db: Connection, at: float, ticket: Ticket, kind: str) -> None:
    """Tell the customer of a ticket, and the webhooks of its place, of an event."""
    if kind in KIND_BY_EVENT and not ticket.is_call:
        subscriptions = subscriptions_of(db, ticket.id)
        if subscriptions:
            full = get_ticket(db, ticket.id)
            if KIND_BY_EVENT[kind] == MISSED or full.state in ("called", "serving"):
                send_notification(db, at, full, subscriptions, notification_of(KIND_BY_EVENT[kind], full))
    post_ticket_event(db, at, ticket, kind)


def subscriptions_of(db: Connection, ticket_id: int) -> list[Subscription]:
    """Return who is told about a ticket."""
    sql = "SELECT * FROM subscription WHERE ticket_id = :ticket ORDER BY id"
    return load_all(Subscription, run(db, sql, ticket=ticket_id))


def notification_of(kind: str, ticket: Ticket, ahead: int = 0) -> Notification:
    """Return what to tell the customer of a ticket; `ahead` counts for SOON."""
    number = ticket.number
    if kind == SOON:
        return Notification(
            kind, f"{number}: almost your turn", f"{ahead} ahead of you" if ahead else "You're next"
        )
    if kind == MISSED:
        what_to_do = "Please take another number." if ticket.door else "Ask at the desk to rejoin."
        return Notification(
            kind,
            f"{number}: the line moved on without you",
            f"We called you, but you weren't there. {what_to_do}",
        )
    where = "please come in" if ticket.door else ticket.desk
    return Notification(
        kind, f"{number}: {where}" if where else f"{number}: it's your turn", "It's your turn"
    )


def send_notification(
    db: Connection, at: float, ticket: Ticket, subscriptions: list[Subscription], notification: Notification
) -> None:
    """Put a notification to each of these browsers and addresses into the outbox."""
    place = str(run(db, "SELECT name FROM place WHERE id = :id", id=ticket.place_id).scalar_one())
    for subscription in subscriptions:
        if subscription.channel == BY_PUSH:
            _push(db, at, place, ticket, subscription, notification)
        elif notification.kind != NOTICE:
            _mail(db, at, place, ticket, subscription, notification)


def _push(
    db: Connection,
    at: float,
    place: str,
    ticket: Ticket,
    subscription: Subscription,
    notification: Notification,
) -> None:
    is_notice = notification.kind == NOTICE
    message = PushMessage(
        title=place if is_notice else notification.title,
        body=notification.body if is_notice else f"{notification.body} · {place}",
        url=subscription.ticket_url,
        tag=f"notice-{ticket.place_id}" if is_notice else f"ticket-{ticket.id}",
    )
    queue_push(
        db,
        at,
        ticket.place_id,
        notification.kind,
        host=origin_of(subscription.endpoint).partition("//")[2],
        subscription_id=subscription.id,
        ticket_id=ticket.id,
        title=notification.title,
        content=message.as_json(),
        expires_at=at + TTL_S,
    )


def _mail(
    db: Connection,
    at: float,
    place: str,
    ticket: Ticket,
    subscription: Subscription,
    notification: Notification,
) -> None:
    key = subscription.address_key
    if key is None or subscription.not_me_url is None or not count_mail(db, at, ticket.place_id, key):
        return  # they had three mails within an hour, or want none
    title = notification.title
    if not subscription.names_place:
        # Names of places and desks were written by strangers, and the address isn't confirmed.
        place = ""
        title = f"{ticket.number}: it's your turn" if notification.kind == TURN else title
    text = ticket_notification(
        place, title, notification.body, subscription.ticket_url, subscription.not_me_url
    )
    queue_mail(
        db,
        at,
        ticket.place_id,
        notification.kind,
        subscription.endpoint,
        key,
        text,
        ticket_id=ticket.id,
        subscription_id=subscription.id,
        expires_at=at + TTL_S,
    )
