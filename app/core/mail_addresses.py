"""Who may be mailed: addresses that were confirmed or blocked, and how many mails an hour.

Anybody can enter the address of anybody else, as an owner or in a public form. So:

- The staff of a call list are told of requests only after somebody has opened a link that was mailed to their
  address. It is confirmed for one place.
- A mail to an address that isn't confirmed holds no text that others have written, and a link that blocks the
  address: then no place of this server mails it any more.
- A recipient gets at most MAX_PER_RECIPIENT mails an hour. A place sends at most MAX_PER_PLACE, and the whole
  server MAX_PER_SERVER.

The tables hold no addresses, but keys that are made of them with the secret of the database.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.clock import DAY_S, HOUR_S
from app.core.mail_texts import confirm_address
from app.core.models import Place
from app.core.outbox import CONFIRM, queue_mail
from app.core.places import new_token
from app.errors import NotFound
from app.storage.facts import get_fact
from app.storage.sql import insert, insert_returning, load, load_first, run, update

MAX_PER_RECIPIENT = 3  # mails an hour
MAX_PER_PLACE = 200
MAX_PER_SERVER = 1000
KEEP_S = 90 * DAY_S  # for how long the link works that blocks an address
ASK_AGAIN_S = 600  # how long the owner waits until another link is mailed


@dataclass(frozen=True)
class MailAddress:
    """An address that a place has mailed, or wants to."""

    id: int
    place_id: int
    address_key: str
    token: str  # of the link in mails to it
    asked_at: float | None  # when it was mailed the link to confirm it
    confirmed_at: float | None


@dataclass(frozen=True)
class MailLinks:
    """Makes the URLs in mails. The writer's thread has no request, so they can't be made there."""

    ticket: Callable[[str], str]  # of a ticket's token
    any_ticket: Callable[[str], str]  # the same, without the slug of the place
    address: Callable[[str], str]  # of a mail address's token, to confirm it
    not_me: Callable[[str], str]  # the same, to block it
    # True when only the person who runs this server opens places: then their names aren't a stranger's text.
    names_place: bool


def address_key(db: Connection, address: str) -> str:
    """Return what the tables know an address by."""
    secret = get_fact(db, "secret_key").encode()
    return hmac.new(secret, address.casefold().encode(), hashlib.sha256).hexdigest()


# ----- confirming


def address_state(db: Connection, place: Place, address: str) -> str:
    """Return "confirmed", "asked", "blocked", or "new" for an address of a place."""
    key = address_key(db, address)
    if is_blocked(db, key):
        return "blocked"
    known = _find(db, place.id, key)
    if known is None or known.asked_at is None:
        return "new"
    return "asked" if known.confirmed_at is None else "confirmed"


def is_confirmed(db: Connection, place_id: int, key: str) -> bool:
    """Return True when an address was confirmed for a place, and isn't blocked."""
    known = _find(db, place_id, key)
    return known is not None and known.confirmed_at is not None and not is_blocked(db, key)


def ask_to_confirm(db: Connection, at: float, place: Place, address: str, links: MailLinks) -> None:
    """Mail an address the link to confirm it.

    Nothing happens if it is confirmed, was asked a moment ago, or may not be mailed.
    """
    key = address_key(db, address)
    known = remember_address(db, at, place, key)
    if known.confirmed_at is not None and not is_blocked(db, key):
        return
    is_recent = known.asked_at is not None and known.asked_at > at - ASK_AGAIN_S
    if is_recent or not count_mail(db, at, place.id, key):
        return
    update(db, "mail_address", known.id, asked_at=at)
    text = confirm_address(links.address(known.token), links.not_me(known.token))
    queue_mail(db, at, place.id, CONFIRM, address, key, text)


def remember_address(db: Connection, at: float, place: Place, key: str) -> MailAddress:
    """Return an address of a place with the token of its links, which is made the first time."""
    known = _find(db, place.id, key)
    if known is not None:
        return known
    row = insert_returning(
        db, "mail_address", place_id=place.id, address_key=key, token=new_token(), created_at=at
    )
    return load(MailAddress, row)


def find_address(db: Connection, token: str) -> MailAddress:
    """Return the address with this link. Raises NotFound."""
    result = run(
        db,
        """SELECT mail_address.* FROM mail_address JOIN place ON place.id = place_id AND deleted_at IS NULL
           WHERE token = :token""",
        token=token,
    )
    found = load_first(MailAddress, result)
    if found is None:
        raise NotFound("This link is not valid any more. There is nothing left to confirm.")
    return found


def confirm(db: Connection, at: float, token: str) -> None:
    """Let a place mail an address. A second time changes nothing. Raises NotFound."""
    found = find_address(db, token)
    if found.asked_at is None:
        raise NotFound("There is nothing to confirm at this address.")
    run(db, "DELETE FROM mail_block WHERE address_key = :key", key=found.address_key)
    if found.confirmed_at is None:
        update(db, "mail_address", found.id, confirmed_at=at)


def block(db: Connection, at: float, token: str) -> None:
    """Let nobody on this server mail an address any more. A second time changes nothing. Raises NotFound."""
    key = find_address(db, token).address_key
    if not is_blocked(db, key):
        insert(db, "mail_block", address_key=key, blocked_at=at)
    run(db, "UPDATE mail_address SET confirmed_at = NULL WHERE address_key = :key", key=key)
    run(db, "DELETE FROM mail WHERE address_key = :key", key=key)


def is_blocked(db: Connection, key: str) -> bool:
    """Return True for an address that wants no mail from this server."""
    return run(db, "SELECT 1 FROM mail_block WHERE address_key = :key", key=key).first() is not None


def _find(db: Connection, place_id: int, key: str) -> MailAddress | None:
    sql = "SELECT * FROM mail_address WHERE place_id = :place AND address_key = :key"
    return load_first(MailAddress, run(db, sql, place=place_id, key=key))


# ----- limits


def count_mail(db: Connection, at: float, place_id: int, key: str) -> bool:
    """Count a mail to an address, if it may be mailed now; or else return False."""
    if is_blocked(db, key) or next_mail_at(db, at, place_id, key) > at:
        return False
    log_mail(db, at, place_id, key)
    return True


def log_mail(db: Connection, at: float, place_id: int, key: str) -> None:
    """Count a mail to an address, and forget those of this place that count no more."""
    sql = "DELETE FROM mail_log WHERE place_id = :place AND (sent_at <= :hour_ago OR sent_at > :at)"
    run(db, sql, place=place_id, hour_ago=at - HOUR_S, at=at)
    insert(db, "mail_log", place_id=place_id, address_key=key, sent_at=at)


def next_mail_at(db: Connection, at: float, place_id: int, key: str) -> float:
    """Return when the limits allow the next mail of a place to an address; `at` if they allow it now."""
    limits = (
        ("address_key = :value", key, MAX_PER_RECIPIENT),
        ("place_id = :value", place_id, MAX_PER_PLACE),
        ("id > :value", 0, MAX_PER_SERVER),
    )
    allowed_at = at
    for condition, value, maximum in limits:
        # A mail from the future doesn't count: the clock was wrong then.
        sql = f"""SELECT sent_at FROM mail_log WHERE {condition} AND sent_at > :hour_ago AND sent_at <= :at
                  ORDER BY sent_at DESC LIMIT 1 OFFSET :skipped"""
        result = run(db, sql, value=value, hour_ago=at - HOUR_S, at=at, skipped=maximum - 1)
        earliest_that_counts = result.scalar()
        if earliest_that_counts is not None:
            allowed_at = max(allowed_at, earliest_that_counts + HOUR_S)
    return allowed_at


def forget_old_addresses(db: Connection, at: float, limit: int = 2000) -> bool:
    """Forget addresses that nobody was asked to confirm, and mails of more than an hour ago.

    Returns True if there may be more.
    """
    run(db, "DELETE FROM mail_log WHERE sent_at <= :hour_ago", hour_ago=at - HOUR_S)
    sql = """DELETE FROM mail_address WHERE id IN (SELECT id FROM mail_address
             WHERE asked_at IS NULL AND created_at < :before LIMIT :limit)"""
    return run(db, sql, before=at - KEEP_S, limit=limit).rowcount == limit
