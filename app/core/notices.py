"""Messages to everybody who waits: a few words of the owner or a desk, on every page of the place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from sqlalchemy.engine import Connection

from app.clock import MINUTE_S
from app.core.days import day_of, local_time
from app.core.desks import update_desk
from app.core.history import record
from app.core.models import Place
from app.core.notifications import Notification, send_notification, subscriptions_of
from app.core.outbox import NOTICE
from app.core.places import find_place_for_owner
from app.core.queries import OPEN_STATES, get_ticket
from app.errors import NotFound
from app.storage.sql import insert_returning, load, load_all, load_first, run, update

MAX_SHOWN = 3
MAX_LENGTH = 200  # characters
SECOND_PRESS_S = 10  # the same text within this time is the second of two presses


@dataclass(frozen=True)
class Notice:
    """A message to everybody who waits."""

    id: int
    place_id: int
    text: str
    created_at: float
    until_at: float | None  # None: until somebody removes it


@dataclass(frozen=True)
class NewNotice:
    """What somebody wants to tell everybody."""

    text: str
    until: str | None = None  # a time of day such as "14:30"
    minutes: int | None = None
    push: bool = False


def notices_of(db: Connection, at: float, place: Place) -> list[Notice]:
    """Return the messages that are shown now, newest first."""
    sql = """SELECT * FROM notice WHERE place_id = :place AND removed_at IS NULL
             AND (until_at IS NULL OR until_at > :at) ORDER BY id DESC LIMIT :limit"""
    return load_all(Notice, run(db, sql, place=place.id, at=at, limit=MAX_SHOWN))


def add_for_owner(db: Connection, at: float, slug: str, token: str, new: NewNotice) -> Notice:
    """Show a message of the owner's."""
    return _add(db, at, find_place_for_owner(db, slug, token), new)


def add_at_desk(db: Connection, at: float, slug: str, token: str, new: NewNotice) -> Notice:
    """Show a message of a desk's."""
    desk = update_desk(db, at, slug, token)
    return _add(db, at, desk.place, new, servicer_id=desk.servicer.id)


def remove_for_owner(db: Connection, at: float, slug: str, token: str, notice_id: int) -> None:
    """Remove a message. A second time changes nothing. Raises NotFound."""
    _remove(db, at, find_place_for_owner(db, slug, token), notice_id)


def remove_at_desk(db: Connection, at: float, slug: str, token: str, notice_id: int) -> None:
    """Remove a message, whoever wrote it. A second time changes nothing. Raises NotFound."""
    desk = update_desk(db, at, slug, token)
    _remove(db, at, desk.place, notice_id, servicer_id=desk.servicer.id)


def _add(db: Connection, at: float, place: Place, new: NewNotice, servicer_id: int | None = None) -> Notice:
    until_at = _until(at, place, new)
    sql = """SELECT * FROM notice WHERE place_id = :place AND removed_at IS NULL AND text = :text
             AND created_at > :recently ORDER BY id DESC LIMIT 1"""
    result = run(db, sql, place=place.id, text=new.text, recently=at - SECOND_PRESS_S)
    known = load_first(Notice, result)
    if known is not None:
        return known
    row = insert_returning(
        db,
        "notice",
        place_id=place.id,
        servicer_id=servicer_id,
        text=new.text,
        created_at=at,
        until_at=until_at,
    )
    # The history holds no text: it may be personal.
    record(db, at, place.id, "message", servicer_id=servicer_id, detail=str(row.id))
    if new.push:
        _push(db, at, place, new.text)
    return load(Notice, row)


def _until(at: float, place: Place, new: NewNotice) -> float | None:
    """Return until when a message is shown: a whole minute, since pictures change each minute."""
    if new.minutes is not None:
        return (at + MINUTE_S * new.minutes) // MINUTE_S * MINUTE_S
    if new.until is None:
        return None
    hour, minute = (int(part) for part in new.until.split(":"))
    today = datetime.fromtimestamp(at, place.zone).date()
    first = datetime.combine(today, time()) + timedelta(hours=hour, minutes=minute)
    times = (local_time(place.timezone, first + timedelta(ahead)) for ahead in range(3))
    return next(each for each in times if each > at)


def _push(db: Connection, at: float, place: Place, text: str) -> None:
    sql = """SELECT DISTINCT ticket_id FROM subscription JOIN ticket ON ticket.id = ticket_id
             WHERE subscription.place_id = :place AND state IN :open AND ticket.series >= :day"""
    result = run(db, sql, place=place.id, open=OPEN_STATES, day=day_of(place, at))
    for ticket_id in list(result.scalars()):
        notification = Notification(NOTICE, "To everybody who waits", text)
        send_notification(db, at, get_ticket(db, ticket_id), subscriptions_of(db, ticket_id), notification)


def _remove(db: Connection, at: float, place: Place, notice_id: int, servicer_id: int | None = None) -> None:
    sql = "SELECT removed_at FROM notice WHERE id = :id AND place_id = :place"
    row = run(db, sql, id=notice_id, place=place.id).first()
    if row is None:
        raise NotFound("There is no such message.")
    if row.removed_at is None:
        update(db, "notice", notice_id, removed_at=at)
        record(db, at, place.id, "remove-message", servicer_id=servicer_id, detail=str(notice_id))
