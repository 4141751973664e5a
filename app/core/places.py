"""Places: finding one by its links, changing and deleting it."""

from __future__ import annotations

import secrets
from typing import Literal, TypedDict

from sqlalchemy.engine import Connection

from app.core.history import record
from app.core.models import Place
from app.errors import BadInput, NotFound
from app.storage.sql import load_all, load_first, run, update

TOKEN_BYTES = 16

_NOT_FOUND = "There is nothing at this address. The link may have been replaced: ask for the new one."


class PlaceChanges(TypedDict, total=False):
    """What the owner can change about a place."""

    name: str
    timezone: str
    country: str
    day_starts: int
    wait_goal_minutes: int
    max_delays: int
    keeps_wait: bool
    thanks: str | None
    colour: str | None
    address: str | None
    alert_email: str | None
    alert_from: int
    alert_to: int


def new_token() -> str:
    """Return a token for a link."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def all_places(db: Connection) -> list[Place]:
    """Return the places of this server, the oldest first."""
    return load_all(Place, run(db, "SELECT * FROM place WHERE deleted_at IS NULL ORDER BY id"))


def slug_of(db: Connection, place_id: int) -> str:
    """Return the slug of a place, which may be deleted."""
    return str(run(db, "SELECT slug FROM place WHERE id = :id", id=place_id).scalar_one())


def find_place(db: Connection, slug: str) -> Place:
    """Return the place with this slug. Raises NotFound."""
    result = run(db, "SELECT * FROM place WHERE slug = :slug AND deleted_at IS NULL", slug=slug)
    place = load_first(Place, result)
    if place is None:
        raise NotFound(_NOT_FOUND)
    return place


def find_place_for_owner(db: Connection, slug: str, token: str) -> Place:
    """Return the place for whoever holds its manage link. Raises NotFound for anybody else."""
    place = find_place(db, slug)
    _check_token(place.manage_token, token)
    return place


def find_place_for_staff(db: Connection, slug: str, token: str) -> Place:
    """Return the place for whoever holds its staff link. Raises NotFound for anybody else."""
    place = find_place(db, slug)
    _check_token(place.staff_token, token)
    return place


def _check_token(expected: str, token: str) -> None:
    if not secrets.compare_digest(expected.encode(), token.encode()):
        raise NotFound(_NOT_FOUND)


def change_place(db: Connection, at: float, slug: str, token: str, changes: PlaceChanges) -> Place:
    """Change a place for its owner, and return it."""
    place = find_place_for_owner(db, slug, token)
    if changes:
        columns = {name: int(value) if isinstance(value, bool) else value for name, value in changes.items()}
        update(db, "place", place.id, **columns)
    record(db, at, place.id, "change-place", detail=" ".join(changes))
    return find_place(db, slug)


def finish_checklist_item(db: Connection, at: float, slug: str, token: str, item: str) -> Place:
    """Note for the owner that an item of their first checklist is done. It is safe to call this twice."""
    place = find_place_for_owner(db, slug, token)
    done = place.steps_done.split()
    if item not in done:
        update(db, "place", place.id, steps_done=" ".join([*done, item]))
        record(db, at, place.id, "change-place", detail=item)
    return find_place(db, slug)


def replace_link(db: Connection, at: float, slug: str, token: str, which: Literal["manage", "staff"]) -> str:
    """Give the manage link or the staff link a new token and return it; the old link stops working."""
    place = find_place_for_owner(db, slug, token)
    fresh = new_token()
    if which == "manage":
        update(db, "place", place.id, manage_token=fresh)
        # Whoever had the old link may have added a device that gets alerts.
        devices = "SELECT id FROM subscription WHERE place_id = :place AND ticket_id IS NULL"
        run(db, f"DELETE FROM mail WHERE subscription_id IN ({devices})", place=place.id)
        run(db, "DELETE FROM subscription WHERE place_id = :place AND ticket_id IS NULL", place=place.id)
    else:
        update(db, "place", place.id, staff_token=fresh)
    # One-time codes without a door led to the old staff link.
    run(db, "DELETE FROM code WHERE place_id = :place AND door_id IS NULL", place=place.id)
    record(db, at, place.id, "replace-link", detail=which)
    return fresh


def delete_place(db: Connection, at: float, slug: str, token: str, name: str) -> None:
    """Delete a place, if the owner typed its name right. A background job erases its rows bit by bit."""
    place = find_place_for_owner(db, slug, token)
    if name.casefold() != place.name.casefold():
        raise BadInput(f"To delete this place, type its name as it stands here: {place.name}")
    update(db, "place", place.id, deleted_at=at)
