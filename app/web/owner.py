"""The owner's page: everything about a place, and its settings and links."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, session
from sqlalchemy.engine import Connection

from app.clock import now
from app.core import places
from app.core.codes import staff_code
from app.core.counters import counters_of
from app.core.days import day_begins, day_of, time_zones
from app.core.models import Place, Queue
from app.core.places import find_place_for_owner
from app.core.queries import called_tickets, waiting_tickets
from app.core.queues import call_lists, walk_in_queues
from app.core.servicers import servicers_of
from app.core.stats import figures
from app.core.wait import hit_rate
from app.errors import ServiceError
from app.web.call_list_json import list_json, words_json
from app.web.counter_json import counter_json
from app.web.desk import servicer_json
from app.web.forms import PlaceForm
from app.web.health import backup_json
from app.web.present import iso
from app.web.request import parse, wants_json
from app.web.response import Answer, errors_on, link, page, see_other
from app.web.service import service, write

owner = Blueprint("owner", __name__)

SAVED = "Saved."
ADDED = "Added."
NEW_LINK = "The old link is dead. Here is the new one."
WEEK_S = 7 * 86400


@owner.get("/<place>/manage/<token>")
def show_manage(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show everything that the owner sees."""
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        content = manage_json(db, now(), row)
    fresh = not wants_json() and session.pop("fresh", None) == place
    return page(
        "manage.html",
        content,
        row,
        error,
        owner=content,
        fresh=fresh,
        timezones=time_zones(),
        today=day_of(row, now()),
    )


def back_to_manage(place: str, token: str, message: str | None = None, status: int = 200) -> Answer:
    """Answer a press of the owner's: the owner's page in JSON, or a redirect to it."""
    if not wants_json():
        return see_other("owner.show_manage", message, place=place, token=token)
    answer = show_manage(place, token)
    answer.status_code = status
    return answer


def owner_link(place: Place) -> str:
    """Return the manage link of a place."""
    return link("owner.show_manage", place=place.slug, token=place.manage_token)


def manage_json(db: Connection, at: float, place: Place) -> dict[str, Any]:
    """Return everything that the owner sees, as JSON."""
    code = staff_code(db, at, place)
    return {
        "slug": place.slug,
        "name": place.name,
        "timezone": place.timezone,
        "country": place.country,
        "day_starts": place.day_starts,
        "wait_goal_minutes": place.wait_goal_minutes,
        "counters": [counter_json(db, place, each) for each in counters_of(db, place, at)],
        "queues": [
            *(walk_in_json(db, at, place, each) for each in walk_in_queues(db, place)),
            *(list_json(db, place, each) for each in call_lists(db, place)),
        ],
        **words_json(db, place),
        "servicers": [servicer_json(db, place, each) for each in servicers_of(db, place)],
        "links": _links(place),
        "staff_code": code and {"ends_at": iso(code.ends_at, place), "code": code.digits},
        "backup": backup_json(place.zone, for_owner=True),
    }


def _links(place: Place) -> dict[str, str]:
    manage = owner_link(place)
    return {
        "customers": link("customer.show_place", place=place.slug),
        "board": link("screens.show_board", place=place.slug),
        "live": link("screens.stream", place=place.slug),
        "poster": link("screens.show_poster", place=place.slug),
        "staff": link("desk.show_staff", place=place.slug, token=place.staff_token),
        "manage": manage,
        "stats": f"{manage}/stats",
        "contacts": f"{manage}/contacts",
        "reasons": f"{manage}/reasons",
        "outcomes": f"{manage}/outcomes",
        "services": f"{manage}/services",
        "queues": f"{manage}/queues",
        "tickets_csv": f"{manage}/tickets.csv",
        "export": f"{manage}/export.json",
    }


def queue_json(db: Connection, at: float, place: Place, queue: Queue) -> dict[str, Any]:
    """Return what the owner sees of a queue or a call list."""
    if queue.is_call_list:
        return list_json(db, place, queue)
    return walk_in_json(db, at, place, queue)


def walk_in_json(db: Connection, at: float, place: Place, queue: Queue) -> dict[str, Any]:
    """Return what the owner sees of a walk-in queue."""
    day = day_of(place, at)
    waiting = waiting_tickets(db, [queue.id], day)
    called = [each for each in called_tickets(db, place) if each.queue_id == queue.id]
    today = figures(db, queue, day_begins(place, day), at + 1)
    hits = hit_rate(db, queue, at - WEEK_S)
    return {
        "slug": queue.slug,
        "name": queue.name,
        "kind": queue.kind,
        "prefix": queue.prefix,
        "open": queue.open,
        "max_waiting": queue.max_waiting,
        "asks": queue.asks.split(),
        "shared_tablet": queue.shared_tablet,
        "usual_service_s": queue.usual_service_s,
        "waiting": [ticket.number for ticket in waiting],
        "called": [ticket.number for ticket in called],
        "today": {"served": today.served, "wait": today.wait, "total": today.total, "service": today.service},
        "hit_rate": {"called": hits.called, "within": hits.within},
        "links": {
            "take": link("customer.take_number", place=place.slug, queue=queue.slug),
            "queue": f"{owner_link(place)}/queues/{queue.slug}",
        },
    }


@owner.post("/<place>/manage/<token>")
@errors_on(show_manage)
def change_place(place: str, token: str) -> Answer:
    """Save the settings of the place."""
    write(places.change_place, place, token, cast(places.PlaceChanges, parse(PlaceForm)))
    return back_to_manage(place, token, SAVED)


@owner.post("/<place>/manage/<token>/links/manage/replace")
@errors_on(show_manage)
def replace_manage_link(place: str, token: str) -> Answer:
    """Replace the owner's own link."""
    fresh = write(places.replace_link, place, token, "manage")
    return back_to_manage(place, fresh, NEW_LINK)


@owner.post("/<place>/manage/<token>/links/staff/replace")
@errors_on(show_manage)
def replace_staff_link(place: str, token: str) -> Answer:
    """Replace the staff link."""
    write(places.replace_link, place, token, "staff")
    return back_to_manage(place, token, NEW_LINK)
