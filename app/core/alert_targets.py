"""The owner's devices and the email address that alerts are sent to, and how a notification reaches them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.clock import MINUTES_PER_DAY
from app.core.history import record
from app.core.mail_addresses import MailLinks, address_key, ask_to_confirm, is_confirmed
from app.core.mail_texts import owner_alert
from app.core.models import BY_PUSH, Place, Subscription
from app.core.outbox import ALERT, queue_mail, queue_push
from app.core.places import PlaceChanges, find_place, find_place_for_owner
from app.core.subscriptions import delete_subscription
from app.core.web_push import TTL_S, Browser, PushMessage, origin_of
from app.errors import BadInput, Conflict
from app.storage.sql import insert, load_all, run, update

MAX_DEVICES = 10
MAIL_EXPIRES_S = 1800  # a later mail about a long wait is no help any more


@dataclass(frozen=True)
class OwnerNotification:
    """A notification to the owner. On a device, it replaces an earlier one with the same tag."""

    title: str
    body: str
    tag: str


# ----- what the owner chooses


def devices_of(db: Connection, place: Place) -> list[Subscription]:
    """Return the owner's devices that get alerts."""
    sql = "SELECT * FROM subscription WHERE place_id = :place AND ticket_id IS NULL ORDER BY id"
    return load_all(Subscription, run(db, sql, place=place.id))


def name_of(device: Subscription) -> str:
    """Return what a page that has a browser's endpoint knows the device by."""
    return hashlib.sha256(device.endpoint.encode()).hexdigest()[:16]


def add_device(db: Connection, at: float, slug: str, token: str, browser: Browser, url: str) -> None:
    """Send alerts to a browser from now on. A second time changes nothing. Raises Conflict.

    :param url: the owner's page, which a tap opens
    """
    place = find_place_for_owner(db, slug, token)
    keys = {"p256dh": browser.p256dh, "auth": browser.auth, "ticket_url": url}
    known = devices_of(db, place)
    for each in known:
        if each.endpoint == browser.endpoint:
            update(db, "subscription", each.id, **keys)
            return
    if len(known) >= MAX_DEVICES:
        raise Conflict(f"There are {MAX_DEVICES} devices already. Stop alerts on the others first.")
    insert(
        db,
        "subscription",
        place_id=place.id,
        channel=BY_PUSH,
        endpoint=browser.endpoint,
        created_at=at,
        **keys,
    )
    record(db, at, place.id, "change-place", detail="alert_device")


def remove_device(db: Connection, at: float, slug: str, token: str, endpoint: str | None) -> None:
    """Send no more alerts to a browser, or to none if `endpoint` is None. A second time changes nothing."""
    place = find_place_for_owner(db, slug, token)
    for each in devices_of(db, place):
        if endpoint in (None, each.endpoint):
            delete_subscription(db, each.id)
            record(db, at, place.id, "change-place", detail="alert_device")


def change_alerts(
    db: Connection, at: float, slug: str, token: str, changes: PlaceChanges, links: MailLinks | None
) -> Place:
    """Choose who is mailed, and the hours. A new address is asked to confirm.

    `links` makes the URLs in mails; None if no mail server is configured. Raises BadInput.
    """
    place = find_place_for_owner(db, slug, token)
    if changes.get("alert_from", place.alert_from) == MINUTES_PER_DAY:
        raise BadInput(
            "Alerts from: 24:00 is the end of a day. For the beginning, enter 00:00.", field="alert_from"
        )
    if changes:
        update(db, "place", place.id, **changes)
    record(db, at, place.id, "change-place", detail=" ".join(changes))
    address = changes.get("alert_email")
    if address and links is not None:
        ask_to_confirm(db, at, place, address, links)
    return find_place(db, slug)


# ----- telling


def has_targets(db: Connection, place: Place, *, mail_enabled: bool) -> bool:
    """Return True if somebody would be told."""
    return bool(devices_of(db, place)) or _mail_key(db, place, mail_enabled=mail_enabled) is not None


def tell_owner(
    db: Connection, at: float, place: Place, notification: OwnerNotification, *, mail_enabled: bool
) -> None:
    """Put a notification to each device and to the confirmed address into the outbox."""
    for device in devices_of(db, place):
        message = PushMessage(
            notification.title, f"{notification.body} · {place.name}", device.ticket_url, notification.tag
        )
        queue_push(
            db,
            at,
            place.id,
            ALERT,
            host=origin_of(device.endpoint).partition("//")[2],
            subscription_id=device.id,
            ticket_id=None,
            title=notification.title,
            content=message.as_json(),
            expires_at=at + TTL_S,
        )
    key = _mail_key(db, place, mail_enabled=mail_enabled)
    if key is not None:
        text = owner_alert(place, notification.title, notification.body)
        expires_at = at + MAIL_EXPIRES_S
        queue_mail(db, at, place.id, ALERT, str(place.alert_email), key, text, expires_at=expires_at)


def _mail_key(db: Connection, place: Place, *, mail_enabled: bool) -> str | None:
    """Return the key of the address that may be mailed; None if there is none."""
    if not mail_enabled or place.alert_email is None:
        return None
    key = address_key(db, place.alert_email)
    return key if is_confirmed(db, place.id, key) else None
