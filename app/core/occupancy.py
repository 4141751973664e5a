"""Telling webhooks which counters are full."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from app.core.counters import counters_of
from app.core.models import Counter, Place
from app.core.webhooks import post_event
from app.storage.database import Database
from app.storage.sql import load_all, run, update

FULL, FREE = "occupancy.full", "occupancy.free"


def tell_occupancy(database: Database, at: float) -> bool:
    """Tell the webhooks of each place which counters became full, or have room again.

    Returns False, as a job that has nothing left to do.
    """
    changed: list[tuple[Place, Counter]] = []
    with database.read() as db:
        sql = """SELECT * FROM place WHERE deleted_at IS NULL
                 AND id IN (SELECT place_id FROM webhook WHERE paused_at IS NULL)"""
        places = load_all(Place, run(db, sql))
        told = {row.id: row.told_full for row in run(db, "SELECT id, told_full FROM counter")}
        for place in places:
            counters = counters_of(db, place, at)
            changed += [(place, each) for each in counters if (each.level == "full") != bool(told[each.id])]
    for place, counter in changed:
        database.write_in(place.slug, post_occupancy, at, place, counter)
    return False


def post_occupancy(db: Connection, at: float, place: Place, counter: Counter) -> None:
    """Put into the outbox that a counter is full now, or has room again."""
    is_full = counter.level == "full"
    update(db, "counter", counter.id, told_full=int(is_full))
    content = {
        "slug": counter.slug,
        "name": counter.name,
        "count": max(0, counter.people),
        "held": counter.held,
        "capacity": counter.capacity,
    }
    post_event(db, at, place, FULL if is_full else FREE, {"counter": content})
