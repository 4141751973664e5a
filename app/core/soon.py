"""Customers whose turn comes soon: who they are, and that they are told once."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.engine import Connection

from app.clock import MINUTE_S
from app.core.days import day_of
from app.core.models import Place
from app.core.notifications import notification_of, send_notification, subscriptions_of, tell
from app.core.outbox import SOON
from app.core.picture import Version, version_of
from app.core.queries import CALL_ORDER, IS_HERE, get_ticket
from app.core.queues import walk_in_queues
from app.core.wait import NO_LINE, WaitEstimator
from app.storage.database import Database
from app.storage.sql import load_all, run, update

SOON_AHEAD = 2  # it's soon their turn when so many are ahead,
SOON_S = 300  # or when they may be called within so many seconds


class SoonWatcher:
    """Finds the tickets whose turn comes soon, and tells their customers and the webhooks of the place."""

    def __init__(self, waits: WaitEstimator) -> None:
        self._waits = waits
        self._seen: dict[int, tuple[Version, int]] = {}  # what was looked at last, by the id of the place

    def tell(self, database: Database, at: float) -> bool:
        """Tell those whose turn comes soon and who weren't told yet; always returns False."""
        due: dict[str, dict[int, int]] = {}  # by the slug of the place
        seen = {}
        with database.read() as db:
            for place in _places_with_listeners(db):
                # Waits change with every event, and by themselves each minute.
                revision = (version_of(db, place), int(at // MINUTE_S))
                if self._seen.get(place.id) != revision:
                    due[place.slug] = _soon(db, at, place, self._waits)
                    seen[place.id] = revision
        for slug, tickets in due.items():
            if tickets:
                database.write_in(slug, tell_soon, at, tickets)
        self._seen |= seen  # not if a write failed: then it is done the next time
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
        send_notification(db, at, ticket, subscriptions, notification_of(SOON, ticket, ahead))
        for each in subscriptions:
            update(db, "subscription", each.id, soon_at=at)
        soon_at = run(db, "SELECT soon_at FROM ticket WHERE id = :id", id=ticket_id).scalar()
        if soon_at is None:
            update(db, "ticket", ticket_id, soon_at=at)
            tell(db, at, ticket, "soon")
