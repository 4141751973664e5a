"""The owner's queues and call lists: adding, changing, closing, resetting and deleting them."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, request

from app.clock import now
from app.core import queues, tickets
from app.core.models import CALLS, WALK_IN, Queue
from app.core.places import find_place_for_owner
from app.core.queues import QueueChanges
from app.errors import BadInput, ServiceError
from app.web.forms import CUSTOMER_FIELDS, NumbersForm, QueueForm, minute_of_day
from app.web.mail_links import mail_links
from app.web.owner import ADDED, SAVED, back_to, show_section
from app.web.owner_calls import show_call_lists
from app.web.owner_json import queue_json, queues_json
from app.web.request import form_ids, json_object, parse, refuse_unknown_fields, wants_json
from app.web.response import Answer, errors_on, json_response
from app.web.service import service, write
from app.web.urls import MAX_ID, RESERVED_SLUGS

owner_queues = Blueprint("owner_queues", __name__)


@owner_queues.get("/<place>/manage/<token>/queues")
def show_queues(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the walk-in queues and their settings.

    An error that a form of call lists caused is shown with them.
    """
    if error is not None and _is_about_call_list():
        return show_call_lists(place, token, error=error)
    details = [(name, field.owner_label) for name, field in CUSTOMER_FIELDS.items()]
    return show_section("queues.html", place, token, error, queues_json, details=details)


def _is_about_call_list() -> bool:
    """Return True when the form that was sent belongs to a call list."""
    return request.form.get("kind") == CALLS


@owner_queues.post("/<place>/manage/<token>/queues")
@errors_on(show_queues)
def add_queue(place: str, token: str) -> Answer:
    """Add a queue or a call list."""
    fields = _queue_fields("name")
    queue = write(
        queues.add_queue,
        place,
        token,
        fields.pop("name"),
        fields.pop("max_waiting", service().settings.max_waiting),
        RESERVED_SLUGS,
        kind=fields.pop("kind", WALK_IN),
        changes=cast(QueueChanges, fields),
        links=mail_links(),
    )
    return _answer(place, token, queue, ADDED, status=201)


@owner_queues.post("/<place>/manage/<token>/queues/<queue>")
@errors_on(show_queues)
def change_queue(place: str, token: str, queue: str) -> Answer:
    """Save the settings of a queue or a call list."""
    fields = _queue_fields()
    kind = fields.pop("kind", None)
    changed = write(
        queues.change_queue, place, token, queue, cast(QueueChanges, fields), kind=kind, links=mail_links()
    )
    return _answer(place, token, changed, SAVED)


@owner_queues.post("/<place>/manage/<token>/queues/<queue>/open")
@errors_on(show_queues)
def open_queue(place: str, token: str, queue: str) -> Answer:
    """Let customers take numbers again, or give out the calls of a list again."""
    opened = write(queues.change_queue, place, token, queue, {"open": True})
    if opened.is_call_list:
        return _answer(place, token, opened, f"{opened.name} is open: callers get its calls again.")
    return _answer(place, token, opened, f"{opened.name} is open. Customers can take a number.")


@owner_queues.post("/<place>/manage/<token>/queues/<queue>/close")
@errors_on(show_queues)
def close_queue(place: str, token: str, queue: str) -> Answer:
    """Give no more numbers, or no more calls."""
    closed = write(queues.change_queue, place, token, queue, {"open": False})
    if closed.is_call_list:
        return _answer(place, token, closed, f"{closed.name} is closed: callers get no calls from it.")
    if closed.waiting == 0:
        waiting = "No one is waiting."
    elif closed.waiting == 1:
        waiting = "1 person is still waiting."
    else:
        waiting = f"{closed.waiting} people are still waiting."
    return _answer(place, token, closed, f"{closed.name} is closed to new customers. {waiting}")


@owner_queues.post("/<place>/manage/<token>/queues/<queue>/reset")
@errors_on(show_queues)
def reset_numbers(place: str, token: str, queue: str) -> Answer:
    """Let the numbers start at 1 again."""
    reset = write(queues.reset_numbers, place, token, queue)
    return _answer(place, token, reset, f"Numbers of {reset.name} restart at {reset.prefix}1.")


@owner_queues.post("/<place>/manage/<token>/queues/<queue>/delete")
@errors_on(show_queues)
def delete_queue(place: str, token: str, queue: str) -> Answer:
    """Delete a queue or a call list."""
    deleted = write(queues.delete_queue, place, token, queue)
    return _answer(place, token, deleted, f"{deleted.name} was deleted.", keep_panel=False)


@owner_queues.post("/<place>/manage/<token>/queues/<queue>/cancel")
@errors_on(show_queues)
def cancel_tickets(place: str, token: str, queue: str) -> Answer:
    """Cancel tickets: after a prank, or for an evacuation."""
    refuse_unknown_fields(NumbersForm)
    numbers = parse(NumbersForm, "numbers")["numbers"]
    cancelled = write(tickets.cancel_tickets, place, token, queue, numbers)
    if wants_json():
        return json_response({"cancelled": cancelled})
    message = f"Cancelled: {', '.join(cancelled)}." if cancelled else "None of these is waiting any more."
    return back_to("owner_queues.show_queues", place, token, message)


def _answer(
    place: str, token: str, queue: Queue, message: str, status: int = 200, *, keep_panel: bool = True
) -> Answer:
    """Answer with the queue in JSON, or lead back to the section that the form is in."""
    if not wants_json():
        return back_to(_section_of(queue), place, token, message, keep_panel=keep_panel)
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        return json_response(queue_json(db, now(), row, queue), status)


def _section_of(queue: Queue) -> str:
    """Return the endpoint of the section with a queue; opening and closing is possible on the first page."""
    if request.form.get("section") == "today":
        return "owner.show_manage"
    return "owner_calls.show_call_lists" if queue.is_call_list else "owner_queues.show_queues"


def _queue_fields(*required: str) -> dict[str, Any]:
    """Return the fields of a queue. Its `callers` are a list of ids, or None for everybody.

    A form ticks them, and says by `restricted` whether they are the only ones.
    """
    fields = parse(QueueForm, *required)
    restricted = fields.pop("restricted", None)
    for name in ("calling_from", "calling_to"):
        if name in fields:
            fields[name] = minute_of_day(fields[name])
    if "order" in fields:
        fields["call_order"] = fields.pop("order")
    if request.is_json:
        content = json_object()
        if "callers" in content:
            fields["callers"] = _checked_callers(content["callers"])
    elif restricted is not None:
        fields["callers"] = form_ids("callers") if restricted else None
    return fields


def _checked_callers(callers: Any) -> list[int] | None:
    valid = callers is None or (
        isinstance(callers, list) and all(type(each) is int and 0 < each <= MAX_ID for each in callers)
    )
    if not valid:
        raise BadInput("Callers: this must be a list of servicers' ids, or null.")
    return cast("list[int] | None", callers)
