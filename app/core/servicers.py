"""Servicers: who serves in a place, at which desk, and from which queues."""

from __future__ import annotations

from typing import TypedDict

from sqlalchemy.engine import Connection

from app.core.days import day_of
from app.core.history import record
from app.core.models import CALLS, WALK_IN, Place, Queue, Servicer
from app.core.places import find_place_for_owner, find_place_for_staff, new_token
from app.core.queries import current_ticket
from app.core.queues import call_lists, find_queue, restricted_to_others, walk_in_queues
from app.core.tags import join_tags
from app.core.transitions import change_state, position_behind, release_call
from app.errors import Conflict, Forbidden, NotFound
from app.storage.sql import insert, insert_returning, load, load_all, run, update


class ServicerChanges(TypedDict, total=False):
    """What the owner can change about a servicer."""

    name: str
    desk: str | None
    queues: list[str]  # slugs; an empty list means all
    on_duty: bool
    tags: list[str] | str  # what they are trained for


def servicers_of(db: Connection, place: Place) -> list[Servicer]:
    """Return everybody who has a desk in a place, in the order in which they came."""
    sql = "SELECT * FROM servicer WHERE place_id = :place AND removed_at IS NULL ORDER BY id"
    return load_all(Servicer, run(db, sql, place=place.id))


def find_servicer(db: Connection, place: Place, servicer_id: int) -> Servicer:
    """Return a servicer of a place by their id. Raises NotFound."""
    for servicer in servicers_of(db, place):
        if servicer.id == servicer_id:
            return servicer
    raise NotFound("This person's access was removed already.")


def servicer_of_browser(db: Connection, place: Place, browser: str | None) -> Servicer | None:
    """Return the servicer whose desk a browser opened in a place, if any."""
    if browser is None:
        return None
    return next((each for each in servicers_of(db, place) if each.browser == browser), None)


def queues_served(db: Connection, servicer: Servicer) -> list[Queue]:
    """Return the walk-in queues that a servicer calls from."""
    return _served(db, servicer, WALK_IN)


def call_lists_served(db: Connection, servicer: Servicer) -> list[Queue]:
    """Return the call lists that a servicer works on, closed ones too."""
    return _served(db, servicer, CALLS)


def _served(db: Connection, servicer: Servicer, kind: str) -> list[Queue]:
    # Only the callers whom the owner chose work on a restricted list, whatever they chose themselves.
    result = run(
        db,
        """SELECT * FROM queue WHERE place_id = :place AND kind = :kind AND deleted_at IS NULL
           AND CASE WHEN restricted = 1
               THEN id IN (SELECT queue_id FROM caller WHERE servicer_id = :servicer)
               ELSE :all_queues = 1
                    OR id IN (SELECT queue_id FROM servicer_queue WHERE servicer_id = :servicer)
               END
           ORDER BY position, id""",
        place=servicer.place_id,
        kind=kind,
        servicer=servicer.id,
        all_queues=int(servicer.all_queues),
    )
    return load_all(Queue, result)


def start_serving(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    name: str,
    *,
    desk: str | None = None,
    queues: list[str] | None = None,
    browser: str | None = None,
) -> Servicer:
    """Give a desk to whoever holds the staff link; without queues, they serve all.

    The same browser with the same name and desk gets the servicer that it has: somebody pressed twice.
    """
    place = find_place_for_staff(db, slug, token)
    known = servicer_of_browser(db, place, browser)
    if known and (known.name, known.desk) == (name, desk):
        return known
    if known:
        update(db, "servicer", known.id, browser=None)
    servicer = _add_servicer(db, at, place, name, desk, browser, all_queues=True)
    return assign_queues(db, place, servicer, queues or [])


def _add_servicer(
    db: Connection,
    at: float,
    place: Place,
    name: str,
    desk: str | None,
    browser: str | None,
    *,
    all_queues: bool,
) -> Servicer:
    row = insert_returning(
        db,
        "servicer",
        place_id=place.id,
        name=name,
        desk=desk,
        token=new_token(),
        browser=browser,
        all_queues=int(all_queues),
        on_duty=1,
        created_at=at,
    )
    servicer = load(Servicer, row)
    record(db, at, place.id, "start-serving", servicer_id=servicer.id)
    return servicer


def end_shift(db: Connection, at: float, place: Place, servicer: Servicer) -> None:
    """Take a servicer off duty until they resume, and let their browser forget them.

    The customer at their desk waits again, first in line. It is safe to call this twice.
    """
    release_ticket(db, at, place, servicer)
    set_on_duty(db, at, servicer, False)
    ended_at = servicer.shift_ended_at or at
    update(db, "servicer", servicer.id, browser=None, shift_ended_at=ended_at)


def successor_of(
    db: Connection,
    at: float,
    place: Place,
    servicer: Servicer,
    name: str,
    desk: str | None,
    browser: str | None,
) -> Servicer:
    """End a servicer's shift, give their queues to a new servicer, and return that one.

    A customer at the desk stays there, and is served by the new servicer.
    """
    successor = _add_servicer(db, at, place, name, desk, browser, all_queues=servicer.all_queues)
    for table in ("servicer_queue", "caller"):
        sql = f"""INSERT INTO {table} (servicer_id, queue_id)
                  SELECT :successor, queue_id FROM {table} WHERE servicer_id = :servicer"""
        run(db, sql, successor=successor.id, servicer=servicer.id)
    ticket = current_ticket(db, servicer)
    if ticket is not None and not ticket.is_call:
        update(db, "ticket", ticket.id, servicer_id=successor.id)
    end_shift(db, at, place, servicer)
    return successor


def assign_queues(db: Connection, place: Place, servicer: Servicer, slugs: list[str]) -> Servicer:
    """Let a servicer serve these queues and call lists, or all when the list is empty.

    Raises NotFound, and Forbidden for a call list that the owner restricted to others.
    """
    chosen = [find_queue(db, place, slug) for slug in slugs]
    for queue in chosen:
        if restricted_to_others(db, queue, servicer):
            raise Forbidden(f"{queue.name} is for those whom the owner chose. Ask the owner to add you.")
    ids = {queue.id for queue in chosen}
    unrestricted = [each for each in call_lists(db, place) if not each.restricted]
    everything = {queue.id for queue in walk_in_queues(db, place) + unrestricted}
    if ids >= everything:
        ids = set()  # who serves everything also serves the queues that are added later
    run(db, "DELETE FROM servicer_queue WHERE servicer_id = :id", id=servicer.id)
    for queue_id in ids:
        insert(db, "servicer_queue", servicer_id=servicer.id, queue_id=queue_id)
    return load(Servicer, update(db, "servicer", servicer.id, all_queues=int(not ids)))


def change_servicer(
    db: Connection, at: float, slug: str, token: str, servicer_id: int, changes: ServicerChanges
) -> None:
    """Change a servicer for the owner: name, desk, which queues they serve, whether they are on duty."""
    place = find_place_for_owner(db, slug, token)
    servicer = find_servicer(db, place, servicer_id)
    if "queues" in changes:
        assign_queues(db, place, servicer, changes["queues"])
    if "name" in changes or "desk" in changes:
        rename(db, servicer, changes.get("name", servicer.name), changes.get("desk", servicer.desk))
    if "tags" in changes:
        update(db, "servicer", servicer.id, tags=join_tags(changes["tags"]))
    if "on_duty" in changes:
        set_on_duty(db, at, servicer, changes["on_duty"])
    record(db, at, place.id, "change-servicer", servicer_id=servicer.id)


def set_on_duty(db: Connection, at: float, servicer: Servicer, on_duty: bool) -> None:
    """Put a servicer on or off duty, if they aren't already. Going on duty begins a new shift."""
    if on_duty and servicer.shift_ended_at is not None:
        update(db, "servicer", servicer.id, shift_ended_at=None)
    if servicer.on_duty != on_duty:
        update(db, "servicer", servicer.id, on_duty=int(on_duty))
        kind = "resume" if on_duty else "pause"
        record(db, at, servicer.place_id, kind, servicer_id=servicer.id)


def rename(db: Connection, servicer: Servicer, name: str, desk: str | None) -> None:
    """Change the name of a servicer and of their desk. Statistics and open tickets show the new ones."""
    update(db, "servicer", servicer.id, name=name, desk=desk)


def check_on_duty(servicer: Servicer) -> None:
    """Raise Conflict for a servicer who has paused."""
    if not servicer.on_duty:
        raise Conflict("You are not on duty. Press Resume first.")


def release_ticket(db: Connection, at: float, place: Place, servicer: Servicer) -> None:
    """Let the customer at a desk wait again, first in line; a call can be claimed by others again."""
    ticket = current_ticket(db, servicer)
    if ticket is not None and ticket.is_call:
        release_call(db, at, ticket, "clear-claim")
    elif ticket is not None:
        first_in_line = position_behind(db, ticket.queue_id, day_of(place, at), 0)
        change_state(db, at, ticket, "put-back", **first_in_line)


def end_shift_of(db: Connection, at: float, slug: str, token: str, servicer_id: int) -> Servicer:
    """End a servicer's shift for the owner, and return the servicer; see end_shift()."""
    place = find_place_for_owner(db, slug, token)
    servicer = find_servicer(db, place, servicer_id)
    end_shift(db, at, place, servicer)
    return servicer


def remove_servicer(db: Connection, at: float, slug: str, token: str, servicer_id: int) -> None:
    """Take a servicer's link away for the owner.

    The customer at their desk waits again, first in line; a call that they hold can be claimed again.
    """
    place = find_place_for_owner(db, slug, token)
    servicer = find_servicer(db, place, servicer_id)
    run(db, "DELETE FROM caller WHERE servicer_id = :id", id=servicer.id)
    release_ticket(db, at, place, servicer)
    update(db, "servicer", servicer.id, removed_at=at, on_duty=0, browser=None)
