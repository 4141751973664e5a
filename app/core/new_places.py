"""Opening a place with its first queue, counter or call list."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.counters import CounterChanges, add_counter_to
from app.core.countries import country_of
from app.core.history import record
from app.core.models import CALLS, Place
from app.core.places import new_token
from app.core.queues import add_queue_to
from app.core.slugs import new_slug
from app.errors import Conflict, Forbidden
from app.storage.sql import insert_returning, load, run

DAY_STARTS = 4  # o'clock: few places are open then
WAIT_GOAL_MINUTES = 10
FIRST_QUEUE = "Line"  # the name of the queue when nothing else was asked for


@dataclass(frozen=True)
class NewPlace:
    """What is known about a place that is being opened."""

    name: str
    slug: str | None = None
    timezone: str | None = None
    country: str | None = None
    day_starts: int | None = None
    wait_goal_minutes: int | None = None
    queue: str | None = None
    call_list: str | None = None
    counter: CounterChanges | None = None  # with at least a name and a capacity


def open_place(
    db: Connection, at: float, new: NewPlace, *, only_one: bool, max_waiting: int, reserved: Collection[str]
) -> Place:
    """Open a place; without a queue, a counter or a call list, it gets a queue named "Line".

    Raises Forbidden when this server is for one place and has it, and Conflict for a slug that is taken.
    `reserved` are the words that URLs use.
    """
    place = _add_place(db, at, new, only_one, reserved)
    if new.call_list:
        add_queue_to(db, at, place, new.call_list, max_waiting, reserved, kind=CALLS)
    if new.queue or not (new.counter or new.call_list):
        add_queue_to(db, at, place, new.queue or FIRST_QUEUE, max_waiting, reserved)
    if new.counter:
        name, capacity = new.counter["name"], new.counter["capacity"]
        add_counter_to(db, at, place, name, capacity, reserved, new.counter)
    return place


def _add_place(db: Connection, at: float, new: NewPlace, only_one: bool, reserved: Collection[str]) -> Place:
    taken = set(run(db, "SELECT slug FROM place WHERE deleted_at IS NULL").scalars())
    if only_one and taken:
        raise Forbidden("This server is for one place, and that is open already. Ask its owner for a link.")
    slug = new.slug or new_slug(new.name, taken, reserved, fallback="place")
    if slug in taken or slug in reserved:
        raise Conflict(f"The address /{slug} is taken. Choose another one.")
    timezone = new.timezone or "UTC"
    row = insert_returning(
        db,
        "place",
        slug=slug,
        name=new.name,
        timezone=timezone,
        country=new.country or country_of(timezone),  # empty when nobody knows
        manage_token=new_token(),
        staff_token=new_token(),
        series="",
        day_starts=DAY_STARTS if new.day_starts is None else new.day_starts,
        wait_goal_minutes=new.wait_goal_minutes or WAIT_GOAL_MINUTES,
        created_at=at,
    )
    place = load(Place, row)
    record(db, at, place.id, "open-place")
    return place
