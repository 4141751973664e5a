"""Customers who want to be told when it's their turn: by push, or by mail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.engine import Connection

from app.clock import DAY_S, HOUR_S
from app.core.days import day_of
from app.core.mail_addresses import MailLinks, address_key, is_blocked, remember_address
from app.core.models import Place, Ticket
from app.core.notify import BY_MAIL, BY_PUSH, Subscription, news_of, send_news, subscriptions_of, tell
from app.core.outbox import CLAIM_S, LONGEST_CLAIM_S, MAX_PAUSE_S, MISSED, NOTICE, SOON, TURN, delete_messages
from app.core.picture import Version, version_of
from app.core.places import find_place
from app.core.queries import CALL_ORDER, IS_HERE, OPEN_STATES, get_ticket
from app.core.queues import get_queue, walk_in_queues
from app.core.tickets import open_ticket
from app.core.transitions import state_at
from app.core.wait import NO_LINE, WaitEstimator
from app.core.web_push import Browser
from app.errors import BadInput, Conflict
from app.storage.database import Database
from app.storage.sql import insert, load, load_all, load_first, run, update

SOON_AHEAD = 2  # it's soon their turn when so many are ahead,
SOON_S = 300  # or when they may be called within so many seconds
MAX_PER_TICKET = 5  # browsers and addresses
KEEP_S = HOUR_S  # after a ticket ended: it may be brought back for an hour
KEEP_OPEN_S = 2 * DAY_S  # of a ticket that waits; its day is over by then
# A message is sent only while the ticket is in one of these states.
STATES = {SOON: ("waiting",), TURN: ("called", "serving"), MISSED: ("no_show",), NOTICE: OPEN_STATES}
FIRST_PAUSE_S, MAX_TRIES = 2, 8  # of a push message; the pause is doubled


# ----- asking for messages


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


# ----- soon


class SoonWatcher:
    """Finds the tickets whose turn comes soon, and tells their customers and the webhooks of the place."""

    def __init__(self, waits: WaitEstimator) -> None:
        self._waits = waits
        self._seen: dict[int, tuple[Version, int]] = {}  # what was looked at last, by the id of the place

    def tell(self, database: Database, at: float) -> bool:
        """Tell those whose turn comes soon and who weren't told yet; always returns False."""
        due: dict[str, dict[int, int]] = {}  # by the slug of the place
        with database.read() as db:
            for place in _places_with_listeners(db):
                # Waits change with every event, and by themselves each minute.
                revision = (version_of(db, place), int(at // 60))
                if self._seen.get(place.id) != revision:
                    due[place.slug] = _soon(db, at, place, self._waits)
                    self._seen[place.id] = revision
        for slug, tickets in due.items():
            if tickets:
                database.write_in(slug, tell_soon, at, tickets)
        return False


def _places_with_listeners(db: Connection) -> list[Place]:
    """Return the places in which somebody waits who wants to be told, or that have a webhook."""
    sql = """SELECT place_id FROM subscription WHERE soon_at IS NULL AND ticket_id IS NOT NULL
             UNION SELECT place_id FROM webhook WHERE paused_at IS NULL"""
    ids = list(run(db, sql).scalars())
    if not ids:
        return []
    sql = "SELECT * FROM place WHERE id IN :ids AND deleted_at IS NULL ORDER BY id"
    return load_all(Place, run(db, sql, ids=ids))


def _soon(db: Connection, at: float, place: Place, waits: WaitEstimator) -> dict[int, int]:
    """Return the ids of the tickets that weren't told yet, each with the number of tickets ahead."""
    queues = walk_in_queues(db, place)
    has_webhook = run(
        db, "SELECT 1 FROM webhook WHERE place_id = :place AND paused_at IS NULL", place=place.id
    ).first()
    sql = f"""SELECT id, queue_id, soon_at IS NULL AS is_new,
                     EXISTS (SELECT 1 FROM subscription
                             WHERE ticket_id = ticket.id AND soon_at IS NULL) AS listens
              FROM ticket WHERE queue_id IN :queues AND state = 'waiting' AND series >= :day AND {IS_HERE}
              ORDER BY {CALL_ORDER}"""
    rows = run(db, sql, queues=[queue.id for queue in queues], day=day_of(place, at), at=at).all()
    lines = waits.lines_of(db, at, place)
    due = {}
    for queue in queues:
        ranges, _ = lines.get(queue.id, NO_LINE).ranges_along(queue.id, [row.queue_id for row in rows])
        for ahead, row in enumerate(row for row in rows if row.queue_id == queue.id):
            within = ahead < len(ranges) and ranges[ahead].from_s <= SOON_S
            if (ahead <= SOON_AHEAD or within) and (row.listens or (has_webhook and row.is_new)):
                due[row.id] = ahead
    return due


def tell_soon(db: Connection, at: float, due: Mapping[int, int]) -> None:
    """Tell the customers of these tickets that it's soon their turn, if they still wait and weren't told yet.

    :param due: the number of tickets ahead, by the id of the ticket
    """
    for ticket_id, ahead in due.items():
        ticket = get_ticket(db, ticket_id)
        if ticket.state != "waiting":
            continue
        subscriptions = [each for each in subscriptions_of(db, ticket_id) if each.soon_at is None]
        send_news(db, at, ticket, subscriptions, news_of(SOON, ticket, ahead))
        for each in subscriptions:
            update(db, "subscription", each.id, soon_at=at)
        soon_at = run(db, "SELECT soon_at FROM ticket WHERE id = :id", id=ticket_id).scalar()
        if soon_at is None:
            update(db, "ticket", ticket_id, soon_at=at)
            tell(db, at, ticket, "soon")


# ----- sending


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


def is_still_news(db: Connection, at: float, message: TicketMessage) -> bool:
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
    is no news any more is deleted: nobody hears of a ticket that has ended.
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
        if subscription is not None and is_still_news(db, at, queued):
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
