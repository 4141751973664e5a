"""The owner's counters and doors: adding, changing and deleting them, and a counter's days."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from flask import Blueprint
from sqlalchemy.engine import Connection

from app.clock import now
from app.core import counters, doors
from app.core.counter_history import counts_between, day_of_counter
from app.core.counters import CounterChanges, find_counter
from app.core.days import day_begins, day_of, next_day
from app.core.models import Counter, Door, Place
from app.core.places import find_place_for_owner
from app.errors import BadInput, ServiceError
from app.storage.database import Database
from app.web.counter_json import counter_day_json, counter_json, door_json
from app.web.csv_export import stream_csv
from app.web.forms import CounterForm, NameForm
from app.web.owner import ADDED, NEW_LINK, SAVED, back_to, show_section
from app.web.owner_json import counters_json, queues_json
from app.web.present import iso
from app.web.request import parse, query_day, query_days, wants_json
from app.web.response import Answer, errors_on, json_response, page
from app.web.service import service, write
from app.web.urls import ID, RESERVED_SLUGS

owner_counters = Blueprint("owner_counters", __name__)

CSV_BATCH = 1000  # events that are read at once


@owner_counters.get("/<place>/manage/<token>/occupancy")
def show_occupancy(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the counters, their doors and their settings."""
    return show_section("occupancy.html", place, token, error, _occupancy_json)


def _occupancy_json(db: Connection, at: float, place: Place) -> dict[str, Any]:
    return counters_json(db, at, place) | queues_json(db, at, place)


# ----- counters


@owner_counters.post("/<place>/manage/<token>/counters")
@errors_on(show_occupancy)
def add_counter(place: str, token: str) -> Answer:
    """Add a counter, with a door of the same name."""
    fields = parse(CounterForm, "name", "capacity")
    name, capacity = fields.pop("name"), fields.pop("capacity")
    changes = cast(CounterChanges, fields)
    counter = write(counters.add_counter, place, token, name, capacity, RESERVED_SLUGS, changes)
    return _counter_answer(place, token, counter, ADDED, status=201)


@owner_counters.post("/<place>/manage/<token>/counters/<counter>")
@errors_on(show_occupancy)
def change_counter(place: str, token: str, counter: str) -> Answer:
    """Save the settings of a counter."""
    changes = cast(CounterChanges, parse(CounterForm))
    changed = write(counters.change_counter, place, token, counter, changes)
    return _counter_answer(place, token, changed, SAVED)


@owner_counters.post("/<place>/manage/<token>/counters/<counter>/delete")
@errors_on(show_occupancy)
def delete_counter(place: str, token: str, counter: str) -> Answer:
    """Delete a counter and its doors."""
    write(counters.delete_counter, place, token, counter)
    return back_to("owner_counters.show_occupancy", place, token, "Deleted.", keep_panel=False)


def _counter_answer(place: str, token: str, counter: Counter, message: str, status: int = 200) -> Answer:
    if not wants_json():
        return back_to("owner_counters.show_occupancy", place, token, message)
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        return json_response(counter_json(db, row, counter), status)


# ----- doors


@owner_counters.post("/<place>/manage/<token>/counters/<counter>/doors")
@errors_on(show_occupancy)
def add_door(place: str, token: str, counter: str) -> Answer:
    """Add a door to a counter."""
    name = parse(NameForm, "name")["name"]
    door = write(doors.add_door, place, token, counter, name)
    return _door_answer(place, token, door, ADDED, status=201)


@owner_counters.post(f"/<place>/manage/<token>/doors/<{ID}:door_id>/replace")
@errors_on(show_occupancy)
def replace_door_link(place: str, token: str, door_id: int) -> Answer:
    """Replace the link of a door."""
    door = write(doors.replace_door_link, place, token, door_id)
    return _door_answer(place, token, door, NEW_LINK)


@owner_counters.post(f"/<place>/manage/<token>/doors/<{ID}:door_id>/code")
@errors_on(show_occupancy)
def give_door_code(place: str, token: str, door_id: int) -> Answer:
    """Make a one-time code that leads to a door."""
    door = write(doors.give_door_code, place, token, door_id)
    message = f"The code is {door.code}: read it out. It is valid for ten minutes."
    return _door_answer(place, token, door, message)


@owner_counters.post(f"/<place>/manage/<token>/doors/<{ID}:door_id>/remove")
@errors_on(show_occupancy)
def remove_door(place: str, token: str, door_id: int) -> Answer:
    """Remove a door."""
    door = write(doors.remove_door, place, token, door_id)
    return _door_answer(place, token, door, f"Access for {door.name} removed.")


def _door_answer(place: str, token: str, door: Door, message: str, status: int = 200) -> Answer:
    if not wants_json():
        return back_to("owner_counters.show_occupancy", place, token, message)
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
    return json_response(door_json(row, door), status)


# ----- history


@owner_counters.get("/<place>/manage/<token>/counters/<counter>")
def show_counter(place: str, token: str, counter: str, error: ServiceError | None = None) -> Answer:
    """Show how many people were inside over a day: today, or the `day` of the query string."""
    at = now()
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        this_counter = find_counter(db, at, row, counter)
        today = day_of(row, at)
        try:
            day = query_day("day", today)
        except BadInput as wrong_day:
            if wants_json():
                raise
            day, error = today, wrong_day
        content = counter_json(db, row, this_counter)
        history = day_of_counter(db, at, row, this_counter, day)
    day_content = {
        **counter_day_json(row, history),
        "earlier": next_day(day, -1),
        "later": next_day(day) if day < today else None,
        "links": {"csv": f"{content['links']['counter']}/taps.csv"},
    }
    return page(
        "counter.html",
        content | {"day": day_content},
        row,
        error,
        counter=content,
        day=day_content,
        today=today,
    )


@owner_counters.get("/<place>/manage/<token>/counters/<counter>/taps.csv")
@errors_on(show_counter, "place", "token", "counter")
def download_taps(place: str, token: str, counter: str) -> Answer:
    """Download the taps and recounts of some days as CSV."""
    first, last = query_days()
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        this_counter = find_counter(db, now(), row, counter)
    since, until = day_begins(row, first), day_begins(row, next_day(last))
    columns = ["happened_at", "kind", "door", "delta", "recounted", "number"]
    return stream_csv(columns, _tap_rows(service().database, row, this_counter, since, until))


def _tap_rows(
    database: Database, place: Place, counter: Counter, since: float, until: float
) -> Iterator[list[list[Any]]]:
    """Yield the rows in batches, each read for itself: a slow download must not hold a connection."""
    after_id = 0
    while True:
        with database.read() as db:
            events = counts_between(db, counter, since, until, after_id, CSV_BATCH)
        if not events:
            return
        yield [
            [
                iso(event.happened_at, place),
                event.kind,
                event.door,
                event.delta,
                event.recounted,
                event.number,
            ]
            for event in events
        ]
        since, after_id = events[-1].happened_at, events[-1].id
