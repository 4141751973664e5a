"""Counters and doors as the owner sees them, in JSON. web/picture_json.py has what everybody sees."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from app.clock import now
from app.core.counter_history import CounterDay
from app.core.doors import doors_of
from app.core.models import Counter, Door, Place
from app.web.links import action_links, link
from app.web.picture_json import public_counter_json
from app.web.present import iso


def counter_json(db: Connection, place: Place, counter: Counter) -> dict[str, Any]:
    """Return what the owner sees of a counter."""
    doors = [door_json(place, door) for door in doors_of(db, now(), place, counter)]
    links = {
        "counter": link(
            "owner_counters.show_counter", place=place.slug, token=place.manage_token, counter=counter.slug
        ),
        "screen": link("screens.show_screen", place=place.slug, counter=counter.slug),
    }
    if doors:
        links["door"] = doors[0]["links"]["door"]
    return {
        **public_counter_json(counter),
        "empties": counter.empties,
        "hold_minutes": counter.hold_minutes,
        "doors": doors,
        "links": links,
    }


def door_json(place: Place, door: Door) -> dict[str, Any]:
    """Return what the owner sees of a door."""
    url = f"{link('owner.show_manage', place=place.slug, token=place.manage_token)}/doors/{door.id}"
    return {
        "id": door.id,
        "name": door.name,
        "code": door.code,
        "code_ends_at": iso(door.code_ends_at, place),
        "links": {
            "door": link("door.show_door", place=place.slug, token=door.token),
            **action_links(url, "replace", "code", "remove"),
        },
    }


def counter_day_json(place: Place, day: CounterDay) -> dict[str, Any]:
    """Return how many people were inside over a day. A point's `x` is its time as a share of the day."""
    length_s = day.ends_at - day.begins_at
    peak = day.peak
    return {
        "day": day.day,
        "start": day.start,
        "count": day.count,
        "capacity": day.capacity,
        "peak": None if peak is None else {"count": peak.count, "at": iso(peak.at, place)},
        "begins": iso(day.begins_at, place),
        "ends": iso(day.ends_at, place),
        "until": iso(day.until, place),
        "points": [
            {
                "at": iso(point.at, place),
                "count": point.count,
                "x": round((point.at - day.begins_at) / length_s, 5),
            }
            for point in day.points
        ],
        "top": day.top,
        "bottom": day.bottom,
        "recounts": [
            {"at": iso(each.at, place), "door": each.door, "count": each.count, "drift": each.drift}
            for each in day.recounts
        ],
        "doors": [
            {"name": totals.name, "in": totals.came_in, "out": totals.went_out}
            for totals in day.doors.values()
        ],
        "not_counted": day.not_counted,
    }
