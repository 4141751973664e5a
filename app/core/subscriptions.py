"""Who gets notifications of a ticket: the browsers and email addresses for which customers asked."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from app.clock import DAY_S, HOUR_S
from app.core.mail_addresses import MailLinks, address_key, is_blocked, remember_address
from app.core.models import BY_MAIL, BY_PUSH, Ticket
from app.core.notifications import subscriptions_of
from app.core.places import find_place
from app.core.queries import OPEN_STATES
from app.core.queues import get_queue
from app.core.tickets import open_ticket
from app.core.transitions import state_at
from app.core.web_push import Browser
from app.errors import BadInput, Conflict
from app.storage.sql import insert, run, update

MAX_PER_TICKET = 5  # browsers and addresses
KEEP_S = HOUR_S  # after a ticket ended: it may be brought back for an hour
KEEP_OPEN_S = 2 * DAY_S  # of a ticket that waits; its day is over by then


def subscribe_browser(
    db: Connection, at: float, slug: str, token: str, browser: Browser, ticket_url: str
) -> None:
    """Tell a browser about a ticket from now on. A second time changes nothing. Raises Conflict."""
    ticket = _open_walk_in_ticket(db, at, slug, token)
    _subscribe(
        db,
        at,
        ticket,
        BY_PUSH,
        browser.endpoint,
        p256dh=browser.p256dh,
        auth=browser.auth,
        ticket_url=ticket_url,
    )


def subscribe_address(
    db: Connection, at: float, slug: str, token: str, address: str, links: MailLinks
) -> None:
    """Mail an address about a ticket from now on. A second time changes nothing.

    Raises Conflict and BadInput.
    """
    ticket = _open_walk_in_ticket(db, at, slug, token)
    key = address_key(db, address)
    if is_blocked(db, key):
        raise BadInput("Email: this address wants no mail from this server.", field="email")
    known = remember_address(db, at, find_place(db, slug), key)
    _subscribe(
        db,
        at,
        ticket,
        BY_MAIL,
        address,
        address_key=key,
        ticket_url=links.any_ticket(token) if not links.names_place else links.ticket(token),
        not_me_url=links.not_me(known.token),
        names_place=int(links.names_place),
    )


def unsubscribe(db: Connection, at: float, slug: str, token: str, channel: str, endpoint: str | None) -> None:
    """Send no more messages about a ticket to a browser or an address.

    :param endpoint: None: to no browser, or no address
    """
    ticket = open_ticket(db, at, slug, token)
    for each in subscriptions_of(db, ticket.id):
        if each.channel == channel and endpoint in (None, each.endpoint):
            delete_subscription(db, each.id)


def _open_walk_in_ticket(db: Connection, at: float, slug: str, token: str) -> Ticket:
    ticket = open_ticket(db, at, slug, token)
    state = state_at(ticket, find_place(db, slug), at)
    if ticket.is_call or state not in OPEN_STATES:
        raise Conflict(f"{ticket.number} isn't waiting any more, so there is nothing to tell.")
    if get_queue(db, ticket.queue_id).is_call_list:
        raise Conflict("We phone you, so there is nothing else to tell.")
    return ticket


def _subscribe(
    db: Connection,
    at: float,
    ticket: Ticket,
    channel: str,
    endpoint: str,
    *,
    ticket_url: str,
    p256dh: str | None = None,
    auth: str | None = None,
    address_key: str | None = None,
    not_me_url: str | None = None,
    names_place: int = 1,
) -> None:
    keys = {"p256dh": p256dh, "auth": auth, "ticket_url": ticket_url}
    known = subscriptions_of(db, ticket.id)
    for each in known:
        if each.endpoint == endpoint:
            update(db, "subscription", each.id, **keys)
            return
    if len(known) >= MAX_PER_TICKET:
        raise Conflict(
            f"{ticket.number} already has {MAX_PER_TICKET} devices and addresses that are notified."
        )
    insert(
        db,
        "subscription",
        place_id=ticket.place_id,
        ticket_id=ticket.id,
        channel=channel,
        endpoint=endpoint,
        address_key=address_key,
        not_me_url=not_me_url,
        names_place=names_place,
        created_at=at,
        **keys,
    )


def delete_subscription(db: Connection, subscription_id: int) -> None:
    """Delete a subscription, with the messages to it that wait to be sent."""
    run(db, "DELETE FROM mail WHERE subscription_id = :id", id=subscription_id)
    run(db, "DELETE FROM subscription WHERE id = :id", id=subscription_id)


def old_subscriptions(db: Connection, at: float, limit: int) -> list[int]:
    """Return the ids of subscriptions to tickets that ended an hour ago, or whose day is over."""
    sql = """SELECT subscription.id FROM subscription JOIN ticket ON ticket.id = ticket_id
             WHERE ended_at < :hour_ago OR (state = 'waiting' AND subscription.created_at < :days_ago)
             LIMIT :limit"""
    return list(run(db, sql, hour_ago=at - KEEP_S, days_ago=at - KEEP_OPEN_S, limit=limit).scalars())


def has_old_subscriptions(db: Connection, at: float) -> bool:
    """Return True when delete_old_subscriptions() has something to do."""
    return bool(old_subscriptions(db, at, 1))


def delete_old_subscriptions(db: Connection, at: float, limit: int = 500) -> bool:
    """Delete the subscriptions that nobody needs any more. Returns True if there may be more."""
    ids = old_subscriptions(db, at, limit)
    for each in ids:
        delete_subscription(db, each)
    return len(ids) == limit
