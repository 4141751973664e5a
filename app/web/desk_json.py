"""The JSON of a servicer's page: their desk, the customer there, and who waits."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from app.clock import now
from app.core import calls, desks, notices, plans
from app.core.days import day_of
from app.core.desks import Undoable
from app.core.models import Place, Queue, Servicer, Step, Ticket
from app.core.phones import format_phone
from app.core.queries import cancelled_by_owner, current_ticket, recent_tickets, waiting_tickets
from app.core.servicers import call_lists_served, queues_served
from app.core.tags import split_tags
from app.web.call_json import call_json, lists_json
from app.web.forms import DESK_DETAILS
from app.web.links import action_links, link
from app.web.picture_json import notice_json
from app.web.present import details_json, iso, plan_json, seconds_to_undo, slug_and_name

# What a servicer presses, by the last segment of its URL.
DESK_ACTIONS = (
    "next",
    "start",
    "done",
    "no-show",
    "call-again",
    "put-back",
    "move",
    "bring-back",
    "add",
    "undo",
    "plan",
    "pause",
    "resume",
    "rename",
    "messages",
    "end-shift",
    "hand-over",
)

Plans = dict[int, list[Step]]  # the steps of tickets, by their ids


def servicer_json(db: Connection, place: Place, servicer: Servicer) -> dict[str, Any]:
    """Return what the owner sees of a servicer."""
    served = [*queues_served(db, servicer), *call_lists_served(db, servicer)]
    ticket = current_ticket(db, servicer)
    return {
        "id": servicer.id,
        "name": servicer.name,
        "desk": servicer.desk,
        "all_queues": servicer.all_queues,
        "on_duty": servicer.on_duty,
        "shift_ended_at": iso(servicer.shift_ended_at, place),
        "queues": [queue.slug for queue in served],
        "tags": split_tags(servicer.tags),
        "current": None if ticket is None else ticket.number,
        "links": {"desk": link("desk.show_desk", place=place.slug, token=servicer.token)},
    }


def desk_json(
    db: Connection, at: float, place: Place, servicer: Servicer, served: list[Queue], lists: list[Queue]
) -> dict[str, Any]:
    """Return what a servicer sees, given the queues they serve and the open call lists they work on."""
    ticket = current_ticket(db, servicer)
    call = calls.claimed_call(db, at, servicer) if ticket is not None and ticket.is_call else None
    line = waiting_tickets(db, [queue.id for queue in served], day_of(place, at))
    recent = recent_tickets(db, servicer)
    by_owner = cancelled_by_owner(db, recent)
    undoable = desks.find_undoable(db, at, servicer)
    all_plans = plans.plans_of(db, [*line, *recent] if ticket is None else [ticket, *line, *recent])
    url = link("desk.show_desk", place=place.slug, token=servicer.token)
    return {
        "name": servicer.name,
        "desk": servicer.desk,
        "on_duty": servicer.on_duty,
        "lists": lists_json(db, at, lists),
        "call": None if call is None else call_json(db, place, servicer, call),
        "queues": [queue.slug for queue in [*served, *lists]],
        "lines": [_line_json(queue, line) for queue in served],
        "current": None if ticket is None or ticket.is_call else desk_ticket_json(place, ticket, all_plans),
        "recent": [
            {
                **desk_ticket_json(place, each, all_plans),
                **({"cancelled_by_owner": True} if each.id in by_owner else {}),
            }
            for each in recent
        ],
        "line": [_waiting_ticket_json(place, each, all_plans) for each in line],
        "messages": [notice_json(each, place) for each in notices.notices_of(db, at, place)],
        "undo": None if undoable is None else _undo_json(at, undoable),
        "links": {
            "desk": url,
            **action_links(url, *DESK_ACTIONS),
            "calls": f"{url}/calls",
            "next_call": f"{url}/calls/next",
        },
    }


def _line_json(queue: Queue, line: list[Ticket]) -> dict[str, Any]:
    waiting = [ticket for ticket in line if ticket.queue_id == queue.id]
    return {**slug_and_name(queue), "open": queue.open, "waiting": len(waiting)}


def _undo_json(at: float, undoable: Undoable) -> dict[str, Any]:
    """Return what a servicer can undo: a no-show or a move that has just happened."""
    return {
        "number": undoable.ticket.number,
        "kind": undoable.event.kind,
        "queue_name": undoable.ticket.queue_name,
        "seconds": seconds_to_undo(at, undoable.event.happened_at),
    }


def customer_json(place: Place, ticket: Ticket) -> dict[str, Any]:
    """Return what each part of the desk shows of a ticket: the number, and the customer's details."""
    return {
        "number": ticket.number,
        **details_json(ticket, DESK_DETAILS),
        "taken_at": iso(ticket.taken_at, place),
    }


def _waiting_ticket_json(place: Place, ticket: Ticket, all_plans: Plans) -> dict[str, Any]:
    return {
        **customer_json(place, ticket),
        **_note_and_plan(ticket, all_plans),
        "queue": ticket.queue,
        "queue_name": ticket.queue_name,
        "by_phone": ticket.by_phone,
        "away_until": iso(ticket.away_until, place) if (ticket.away_until or 0) > now() else None,
    }


def _note_and_plan(ticket: Ticket, all_plans: Plans) -> dict[str, Any]:
    """Return what a desk wrote down for the desks that come next."""
    return {"desk_note": ticket.desk_note, "plan": plan_json(ticket, all_plans.get(ticket.id, []))}


def desk_ticket_json(place: Place, ticket: Ticket, all_plans: Plans) -> dict[str, Any]:
    """Return what a servicer sees of a customer's ticket: never the customer's links.

    For a customer who is to be phoned, it also holds the link that dials their number.
    """
    content = {
        **customer_json(place, ticket),
        **_note_and_plan(ticket, all_plans),
        "state": ticket.state,
        "queue": ticket.queue,
        "queue_name": ticket.queue_name,
        "phone": ticket.phone,
        "called_at": iso(ticket.called_at, place),
        "started_at": iso(ticket.started_at, place),
        "ended_at": iso(ticket.ended_at, place),
        "by_phone": ticket.by_phone,
    }
    if ticket.by_phone and ticket.phone:
        content["phone"] = format_phone(ticket.phone, place.country)
        content["tel"] = f"tel:{ticket.phone}"
    return content
