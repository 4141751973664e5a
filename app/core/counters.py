"""Counters: how many people are inside, and which queue a counter admits.

`counter.inside` is the sum of the deltas of all counted events. `Counter.people` is that number today: a
counter that empties itself reads as 0 from the start of the day, and the first write of the day stores it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, Literal, TypedDict

from sqlalchemy.engine import Connection

from app.clock import DAY_S
from app.core.days import day_begins, day_of, next_day
from app.core.history import record
from app.core.models import Counter, Place
from app.core.places import find_place_for_owner, new_token
from app.core.plans import end_plans_at
from app.core.queries import SELECT_COUNTERS, called_tickets
from app.core.queues import find_walk_in_queue
from app.core.slugs import new_slug
from app.core.tickets import numbers_by_phone
from app.core.transitions import admit_waiting, change_state_at_door
from app.core.trusted_time import is_behind
from app.errors import Conflict, NotFound
from app.storage.sql import insert, insert_returning, load_all, run, update

COUNTED = ("tap", "undo", "recount", "empty")  # kinds of events with a delta that counts
CLOCK_MARGIN_S = 60  # taps that are younger than this are never from before a recount in the future
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
    today = day_of(place, at)
    counters = load_all(Counter, run(db, sql, place=place.id, day=today))
    return [
        counter
        if counter.day == today
        else replace(counter, people=_people_today(db, at, place, counter, today))
        for counter in counters
    ]


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
    if counter.recounted_at > at:
        # The clock was ahead. Taps on the way to this server are from after that recount.
        counter = _changed(db, at, place, counter, recounted_at=at - CLOCK_MARGIN_S)
    if counter.day == today or (counter.day > today and is_behind(db, at)):
        return counter
    if counter.day == next_day(today) and not _emptied_early(db, at, place, counter, today):
        return counter  # the owner has just chosen another time zone, or another hour for the day to start
    people = _people_today(db, at, place, counter, today)
    columns: dict[str, Any] = {"day": today, "inside": people}
    if people == 0:
        columns["recounted_at"] = day_begins(place, today)
    if people == 0 or people != counter.inside:
        # At the end of the day that was left. If the clock was ahead, this takes back an earlier event.
        ended_day = min(counter.day, today)
        record(
            db,
            day_begins(place, next_day(ended_day)),
            place.id,
            "empty",
            counter_id=counter.id,
            delta=people - counter.inside,
            detail=str(people),
        )
    return _changed(db, at, place, counter, **columns)


def _changed(db: Connection, at: float, place: Place, counter: Counter, **columns: Any) -> Counter:
    update(db, "counter", counter.id, **columns)
    return find_counter(db, at, place, counter.slug)


def _people_today(db: Connection, at: float, place: Place, counter: Counter, today: str) -> int:
    """Return how many people are in a counter whose last change was on another day than today.

    A counter that empties itself has nobody in it then, unless the clock was wrong: if it counted today
    already, this day didn't begin just now.
    """
    if counter.empties != "day":
        return counter.inside
    removed = _emptied_early(db, at, place, counter, today)
    begins_at = day_begins(place, today)
    if removed or _was_used(db, counter, begins_at, at):
        return counter.inside + removed
    if counter.day <= today:
        return 0
    # The clock was ahead, or is behind. If the counter was used yesterday, that was not long ago.
    is_next_day = counter.day > next_day(today) and _was_used(db, counter, begins_at - DAY_S, begins_at)
    return 0 if is_next_day else counter.inside


def _emptied_early(db: Connection, at: float, place: Place, counter: Counter, today: str) -> int:
    """Return how many people a counter lost since a clock that was ahead had ended today."""
    ends_at = day_begins(place, next_day(today))
    sql = """SELECT coalesce(sum(delta), 0) FROM event
             WHERE counter_id = :counter AND kind = 'empty'
             AND happened_at = :ends_at AND happened_at > :at"""
    return -int(run(db, sql, counter=counter.id, ends_at=ends_at, at=at).scalar_one())


def _was_used(db: Connection, counter: Counter, since: float, until: float) -> bool:
    """Return True if somebody changed a counter at a door between two times."""
    sql = """SELECT id FROM event WHERE counter_id = :counter AND kind IN ('tap', 'undo', 'recount')
             AND happened_at >= :since AND happened_at <= :until LIMIT 1"""
    return run(db, sql, counter=counter.id, since=since, until=until).first() is not None


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
    slug = new_slug(name, taken, reserved, fallback="counter")
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
        end_plans_at(db, queue)
        update(db, "queue", queue.id, counter_id=counter.id)


def call_to_door(db: Connection, at: float, counter: Counter) -> None:
    """Call the next customers of the queue that a counter admits, if it admits one and has room."""
    if counter.queue_id is not None:
        admit_waiting(db, at, counter.queue_id)
