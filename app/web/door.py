"""A door: its page with + and −, and the one-time code that leads to it."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

from flask import Blueprint, request
from sqlalchemy.engine import Connection

from app.clock import now
from app.core import doors
from app.core.codes import CODE_S, use_code
from app.core.days import day_of
from app.core.doors import RefusedTap, Tap, TapResult, find_door, tickets_at_door
from app.core.models import Counter, Door, Place, Ticket
from app.core.notices import notices_of
from app.core.picture import version_of
from app.core.places import find_place
from app.core.queries import waiting_tickets
from app.errors import BadInput, ServiceError, TooLarge
from app.web.customer import show_place
from app.web.forms import DOOR_DETAILS, CodeForm, NumberForm, RecountForm, TapForm
from app.web.links import link
from app.web.picture_json import notice_json, public_counter_json
from app.web.present import details_json, iso, seconds_to_undo, slug_and_name
from app.web.request import json_object, limit, limit_network, parse, parse_json, wants_json
from app.web.response import Answer, errors_on, json_response, page, see_other
from app.web.service import service, write

door = Blueprint("door", __name__)

MAX_TAPS = 500  # in one request
MAX_AGO_S = 10**9  # 30 years; no tap waits so long to be sent
# How many codes may be tried in the time a code is valid. One network can't use up the limit of a place, so
# that nobody keeps the right code from working for others. There are 100,000,000 codes: MAX_CODES_PER_PLACE
# guesses find the valid one once in 20,000 times.
MAX_CODES_PER_CLIENT = 20
MAX_CODES_PER_NETWORK = 1000
MAX_CODES_PER_PLACE = 5000


# ----- codes


@door.post("/<place>/code")
@errors_on(show_place, "place")
def enter_code(place: str) -> Answer:
    """Redirect from a one-time code to the door or the staff page that it is for."""
    limit("code", MAX_CODES_PER_CLIENT, CODE_S)
    limit_network("code network", MAX_CODES_PER_NETWORK, CODE_S)
    limit("code of", MAX_CODES_PER_PLACE, CODE_S, place)
    digits = re.sub(r"\D", "", parse(CodeForm, "code")["code"])
    with service().database.read() as db:
        target = use_code(db, now(), place, digits)
    endpoint = "door.show_door" if target.kind == "door" else "desk.show_staff"
    if wants_json():
        return json_response({"links": {target.kind: link(endpoint, place=place, token=target.token)}})
    return see_other(endpoint, place=place, token=target.token)


# ----- the page of a door


@door.get("/<place>/door/<token>")
def show_door(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show a door."""
    with service().database.read() as db:
        row = find_place(db, place)
    content = door_json(place, token)
    # Without JavaScript, the id makes a form count once, however often it is sent.
    return page("door.html", content, row, error, door=content, tap_id=str(uuid4()))


def back_to_door(place: str, token: str) -> Answer:
    """Answer a press: the door in JSON, or a redirect to its page."""
    if wants_json():
        return show_door(place, token)
    return see_other("door.show_door", place=place, token=token)


def door_json(slug: str, token: str) -> dict[str, Any]:
    """Return what a door shows. Raises NotFound for an unknown link."""
    with service().database.read() as db:
        place = find_place(db, slug)
        counter, this_door = find_door(db, now(), place, token)
        return _door_json(db, place, counter, this_door)


def _door_json(db: Connection, place: Place, counter: Counter, this_door: Door) -> dict[str, Any]:
    waiting = 0
    if counter.queue_id is not None:
        waiting = len(waiting_tickets(db, [counter.queue_id], day_of(place, now())))
    called = reversed(tickets_at_door(db, place, counter))
    undoable = doors.find_undoable(db, now(), counter)
    version = version_of(db, place)
    url = link("door.show_door", place=place.slug, token=this_door.token)
    return {
        **public_counter_json(counter),
        "count": counter.people,  # a count below 0 has drifted, and only doors see it
        "name": this_door.name,
        "id": this_door.id,
        "counter": slug_and_name(counter),
        "epoch": version.epoch,
        "version": version.number,
        "hold_minutes": counter.hold_minutes,
        "waiting": waiting,
        "called": [_called_json(place, ticket) for ticket in called],
        "undo": None if undoable is None else _undo_json(undoable),
        "messages": [notice_json(each, place) for each in notices_of(db, now(), place)],
        "links": {
            "door": url,
            "taps": f"{url}/taps",
            "recount": f"{url}/recount",
            "no_show": f"{url}/no-show",
            "undo_no_show": f"{url}/undo-no-show",
            "picture": link("customer.show_place", place=place.slug),
            "live": link("screens.stream", place=place.slug),
            "screen": link("screens.show_screen", place=place.slug, counter=counter.slug),
        },
    }


def _undo_json(ticket: Ticket) -> dict[str, Any]:
    return {"number": ticket.number, "seconds": seconds_to_undo(now(), ticket.ended_at)}


def _called_json(place: Place, ticket: Ticket) -> dict[str, Any]:
    return {
        "number": ticket.number,
        **details_json(ticket, DOOR_DETAILS),
        "called_at": iso(ticket.called_at, place),
        "held_until": iso(ticket.held_until, place),
    }


# ----- what can be pressed


@door.post("/<place>/door/<token>/taps")
@errors_on(show_door)
def store_taps(place: str, token: str) -> Answer:
    """Count what was tapped at a door.

    JSON says for each tap by its id whether it counts. One that can't be accepted doesn't stop the others.
    """
    if not request.is_json:
        write(doors.store_taps, place, token, [Tap(**parse(TapForm, "id", "delta"))])
        return back_to_door(place, token)
    results = write(doors.store_taps, place, token, [_read_tap(item) for item in _tap_items()])
    taps = [_tap_result_json(result) for result in results]
    if results and all(result.refused for result in results):
        return json_response({"error": results[0].refused, "taps": taps}, 400)
    return json_response({**door_json(place, token), "taps": taps})


def _tap_items() -> list[Any]:
    """Return the taps of a JSON body as they were sent."""
    items = json_object().get("taps")
    if not isinstance(items, list):
        raise BadInput("Taps: this must be a list of taps, such as [].")
    if len(items) > MAX_TAPS:
        raise TooLarge(f"At most {MAX_TAPS} taps at once, please: send the others after them.")
    return items


def _read_tap(item: Any) -> Tap | RefusedTap:
    """Return a tap, or why it can't be accepted. A time that is impossible counts as now."""
    tap_id = item.get("id") if isinstance(item, dict) else None
    if isinstance(item, dict) and type(item.get("ago_s")) is int and not 0 <= item["ago_s"] <= MAX_AGO_S:
        item = {**item, "ago_s": 0}
    try:
        return Tap(**parse_json(TapForm, item, "id", "delta"))
    except BadInput as error:
        return RefusedTap(tap_id, str(error))


def _tap_result_json(result: TapResult) -> dict[str, Any]:
    content: dict[str, Any] = {"id": result.id, "counted": result.counted}
    return content if result.refused is None else content | {"error": result.refused}


@door.post("/<place>/door/<token>/recount")
@errors_on(show_door)
def recount(place: str, token: str) -> Answer:
    """Set the true number of people inside."""
    write(doors.recount, place, token, parse(RecountForm, "count")["count"])
    return back_to_door(place, token)


@door.post("/<place>/door/<token>/no-show")
@errors_on(show_door)
def no_show(place: str, token: str) -> Answer:
    """End the ticket of a customer who was called to the door and did not come."""
    write(doors.no_show, place, token, parse(NumberForm, "number")["number"])
    return back_to_door(place, token)


@door.post("/<place>/door/<token>/undo-no-show")
@errors_on(show_door)
def undo_no_show(place: str, token: str) -> Answer:
    """Undo a no-show, within ten seconds."""
    write(doors.undo_no_show, place, token, parse(NumberForm, "number")["number"])
    return back_to_door(place, token)
