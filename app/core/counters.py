"""Counters: how many people are inside, and which queue a counter admits.

`counter.inside` is the sum of the deltas of all counted events. `Counter.people` is that number today: a
counter that empties itself reads as 0 from the start of the day, and the first write of the day stores it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, TypedDict

from sqlalchemy.engine import Connection

from app.core.days import day_begins, day_of, next_day
from app.core.history import record
from app.core.models import Counter, Place
from app.core.places import find_place_for_owner, new_token
from app.core.queries import SELECT_COUNTERS, called_tickets
from app.core.queues import find_walk_in_queue
from app.core.slugs import slug_of
from app.core.tickets import numbers_by_phone
from app.core.transitions import admit_waiting, change_state_at_door
from app.errors import Conflict, NotFound
from app.storage.sql import insert, insert_returning, load_all, run, update

COUNTED = ("tap", "undo", "recount", "empty")  # kinds of events with a delta that counts
HOLD_MINUTES = 5  # for how long a space is reserved, unless the owner says otherwise


class CounterChanges(TypedDict, total=False):
    """What the owner can change about a counter."""

    name: str
    capacity: int
    empties: Literal["day", "never"]
    hold_minutes: int
    admits: str | None  # slug of a queue; None: no queue


# ----- finding


def counters_of(db: Connection, place: Place, at: float) -> list[Counter]:
    """Return the counters of a place as they are at a time, oldest first."""
    sql = f"{SELECT_COUNTERS} ORDER BY counter.id"
    return load_all(Counter, run(db, sql, place=place.id, day=day_of(place, at)))


def find_counter(db: Connection, at: float, place: Place, slug: str) -> Counter:
    """Return the counter with this slug. Raises NotFound."""
    for counter in counters_of(db, place, at):
        if counter.slug == slug:
            return counter
    raise NotFound(f"{place.name} has no counter named {slug}.")


def counter_today(db: Connection, at: float, place: Place, counter: Counter) -> Counter:
    """Return a counter for a write: if this is the first one of a day, start the day.

    A counter that empties itself is set to 0. Whatever was left in it at the end of its last day had drifted.
    """
    today = day_of(place, at)
    if counter.day >= today:
        return counter
    if counter.empties == "day":
        update(db, "counter", counter.id, inside=0, recounted_at=day_begins(place, today))
        last_day_ended_at = day_begins(place, next_day(counter.day))
        record(
            db, last_day_ended_at, place.id, "empty", counter_id=counter.id, delta=-counter.inside, detail="0"
        )
    update(db, "counter", counter.id, day=today)
    return find_counter(db, at, place, counter.slug)


# ----- adding, changing, deleting


def add_counter(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    name: str,
    capacity: int,
    reserved: Collection[str],
    changes: CounterChanges,
) -> Counter:
    """Add a counter for the owner; `changes` hold what differs from the defaults."""
    place = find_place_for_owner(db, slug, token)
    return add_counter_to(db, at, place, name, capacity, reserved, changes)


def add_counter_to(
    db: Connection,
    at: float,
    place: Place,
    name: str,
    capacity: int,
    reserved: Collection[str],
    changes: CounterChanges | None = None,
) -> Counter:
    """Add a counter to a place, with a door of the same name. `reserved` slugs are words that URLs use."""
    taken = {counter.slug for counter in counters_of(db, place, at)}
    slug = slug_of(name, taken, reserved, fallback="counter")
    insert(
        db,
        "counter",
        place_id=place.id,
        slug=slug,
        name=name,
        empties="day",
        day=day_of(place, at),
        capacity=capacity,
        inside=0,
        hold_minutes=HOLD_MINUTES,
        created_at=at,
        recounted_at=0,
    )
    counter = find_counter(db, at, place, slug)
    add_door_to(db, at, counter, name)
    return _change(db, at, place, counter, changes or {})


def add_door_to(db: Connection, at: float, counter: Counter, name: str) -> int:
    """Add a door with a link of its own to a counter, and return its id."""
    row = insert_returning(db, "door", counter_id=counter.id, name=name, token=new_token(), created_at=at)
    door_id = int(row.id)
    record(db, at, counter.place_id, "add-door", counter_id=counter.id, door_id=door_id)
    return door_id


def change_counter(
    db: Connection, at: float, slug: str, token: str, counter_slug: str, changes: CounterChanges
) -> Counter:
    """Change a counter for the owner. Raises Conflict when it can't admit the queue that was chosen."""
    place = find_place_for_owner(db, slug, token)
    counter = counter_today(db, at, place, find_counter(db, at, place, counter_slug))
    return _change(db, at, place, counter, changes)


def delete_counter(db: Connection, at: float, slug: str, token: str, counter_slug: str) -> None:
    """Delete a counter and its doors; the queue that it admitted is called from desks again."""
    place = find_place_for_owner(db, slug, token)
    counter = counter_today(db, at, place, find_counter(db, at, place, counter_slug))
    _change(db, at, place, counter, {"admits": None})
    update(db, "counter", counter.id, deleted_at=at)


def _change(db: Connection, at: float, place: Place, counter: Counter, changes: CounterChanges) -> Counter:
    record(db, at, place.id, "change-counter", counter_id=counter.id, detail=" ".join(changes))
    if "admits" in changes and changes["admits"] != counter.admits:
        _admit_queue(db, at, place, counter, changes["admits"])
    columns: dict[str, Any] = {name: value for name, value in changes.items() if name != "admits"}
    if columns:
        update(db, "counter", counter.id, **columns)
    counter = find_counter(db, at, place, counter.slug)
    call_to_door(db, at, counter)
    return find_counter(db, at, place, counter.slug)


def _admit_queue(db: Connection, at: float, place: Place, counter: Counter, queue_slug: str | None) -> None:
    """Let a counter admit another queue, or none.

    Customers of the previous queue who were called to the door wait again, first and in their order.
    """
    day = day_of(place, at)
    queue = find_walk_in_queue(db, place, queue_slug) if queue_slug else None
    if queue:
        if queue.counter_id:
            raise Conflict(f"Another counter admits {queue.name} already.")
        numbers = numbers_by_phone(db, queue, day)
        if numbers:
            raise Conflict(f"{', '.join(numbers)} in {queue.name} will be called by phone. Serve them first.")
    run(db, "UPDATE queue SET counter_id = NULL WHERE counter_id = :id", id=counter.id)
    for ticket in called_tickets(db, place):
        if ticket.queue_id == counter.queue_id and ticket.servicer_id is None:
            change_state_at_door(db, at, ticket, "put-back", day)
    if queue:
        update(db, "queue", queue.id, counter_id=counter.id)


def call_to_door(db: Connection, at: float, counter: Counter) -> None:
    """Call the next customers of the queue that a counter admits, if it admits one and has room."""
    if counter.queue_id is not None:
        admit_waiting(db, at, counter.queue_id)
