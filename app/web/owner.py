"""The owner's home, which shows what happens today; and how all sections of the owner are shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import flask
from flask import Blueprint, request, session, url_for
from sqlalchemy.engine import Connection

from app.clock import now
from app.core import notices, places, tickets
from app.core.alerts import EMPTY_DESK, alerts_of
from app.core.calls import count_calls
from app.core.counters import counters_of
from app.core.days import day_of
from app.core.models import Place, Ticket
from app.core.notices import NewNotice
from app.core.places import find_place_for_owner
from app.core.queues import call_lists
from app.core.servicers import servicers_of
from app.core.today import (
    QueueToday,
    called_last,
    can_be_restored,
    has_taken_numbers,
    mails_that_failed,
    queues_today,
)
from app.core.webhooks import webhooks_that_failed
from app.errors import ServiceError
from app.web.counter_json import counter_json
from app.web.forms import ChecklistForm, MessageForm, NumberForm
from app.web.health import backup_json
from app.web.owner_json import manage_json, messages_json, place_json
from app.web.present import clock_time_at, iso
from app.web.public_links import public_address
from app.web.request import parse, wants_json
from app.web.response import Answer, errors_on, page, see_other
from app.web.service import service, write
from app.web.urls import ID
from app.web.warnings import warnings_of

owner = Blueprint("owner", __name__)

SAVED = "Saved."
ADDED = "Added."
NEW_LINK = "The old link has stopped working. This is the new one."


# ----- the sections


def show_section(
    template: str,
    place: str,
    token: str,
    error: ServiceError | None,
    content_of: Callable[[Connection, float, Place], dict[str, Any]],
    **context: Any,
) -> Answer:
    """Show a section of the owner's pages. In JSON, each answers with everything that the owner sees."""
    at = now()
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        content = manage_json(db, at, row) if wants_json() else place_json(row) | content_of(db, at, row)
    return page(
        template, content, row, error, owner=content, panel=_panel(), today=day_of(row, at), **context
    )


def back_to(
    endpoint: str, place: str, token: str, message: str | None = None, *, keep_panel: bool = True
) -> Answer:
    """Answer a press of the owner's: everything in JSON, or a redirect to the section that it came from.

    The panel that holds the form stays open, unless it is gone with what it was about.
    """
    if wants_json():
        return show_manage(place, token)
    panel = _panel() if keep_panel else None
    values = {"panel": panel, "_anchor": panel} if panel else {}
    return see_other(endpoint, message, place=place, token=token, **values)


def _panel() -> str | None:
    """Return the id of the panel that the request came from, or that the page is to open."""
    panel = request.form.get("panel") or request.args.get("panel")
    return panel if panel and re.fullmatch(r"[\w-]{1,80}", panel) else None


# ----- today


@owner.get("/<place>/manage/<token>")
def show_manage(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show what happens today."""
    fresh = not wants_json() and session.pop("fresh", None) == place
    return show_section("today.html", place, token, error, _today_json, fresh=fresh)


def _today_json(db: Connection, at: float, place: Place) -> dict[str, Any]:
    queues = queues_today(db, at, place)
    servicers = servicers_of(db, place)
    counters = counters_of(db, place, at)
    lists = call_lists(db, place)
    calls = [(each, count_calls(db, at, each).due) for each in lists]
    backup = backup_json(place.zone, for_owner=True)
    on_duty = [servicer for servicer in servicers if servicer.on_duty]
    content = {
        "queues": [_queue_today_json(each, place) for each in queues],
        "called_last": [_called_last_json(ticket, place, at) for ticket in called_last(db, at, place)],
        "counters": [counter_json(db, place, counter) for counter in counters],
        "lists": [
            {"slug": each.slug, "name": each.name, "open": each.open, "due": due} for each, due in calls
        ],
        "on_duty": len(on_duty),
        "wait_goal_minutes": place.wait_goal_minutes,
        "messages": messages_json(db, at, place),
        "steps": _checklist(db, place, has_desk=bool(servicers), has_queue=bool(queues), backup=backup),
    }
    content["attention"] = [
        *({"section": "settings", "text": sentence} for sentence in warnings_of(db, at, place)),
        *_alerts_under_way(db, place, queues),
        *_attention(place, queues, content, backup, mails_that_failed(db, place)),
        *(
            {"section": "settings", "text": f"The webhook {url} is paused: it failed too often."}
            for url in webhooks_that_failed(db, place)
        ),
    ]
    return content


def _queue_today_json(each: QueueToday, place: Place) -> dict[str, Any]:
    queue = each.queue
    first = each.waiting[0] if each.waiting else None
    return {
        "slug": queue.slug,
        "name": queue.name,
        "open": queue.open,
        "waiting": [
            {"number": ticket.number, "name": ticket.name, "taken_at": iso(ticket.taken_at, place)}
            for ticket in each.waiting
        ],
        "first_taken_at": iso(first.taken_at, place) if first else None,
        "called": [
            {
                "number": ticket.number,
                "desk": ticket.desk or ticket.door or ticket.servicer,
                "state": ticket.state,
                "since": iso(ticket.started_at or ticket.called_at, place),
            }
            for ticket in each.called
        ],
        "called_today": each.called_today,
        "average_wait_s": each.average_wait_s,
        "within_goal": each.within_goal,
        "full": each.is_full,
    }


def _called_last_json(ticket: Ticket, place: Place, at: float) -> dict[str, Any]:
    return {
        "number": ticket.number,
        "name": ticket.name,
        "queue": ticket.queue,
        "desk": ticket.desk or ticket.door or ticket.servicer,
        "state": ticket.state,
        "called_at": iso(ticket.called_at, place),
        "can_be_restored": can_be_restored(ticket, at),
    }


def _checklist(
    db: Connection, place: Place, *, has_desk: bool, has_queue: bool, backup: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Return the first checklist of a new place; an empty list when it is done, or hidden."""
    done = place.steps_done.split()
    if "hidden" in done:
        return []
    steps = [{"name": "poster", "done": "poster" in done}]
    if has_queue:
        steps.append({"name": "desk", "done": has_desk})
        steps.append({"name": "try", "done": has_taken_numbers(db, place)})
    if all(step["done"] for step in steps):
        return []
    return [*steps, {"name": "backup", "done": backup is not None or "backup" in done}]


def _alerts_under_way(db: Connection, place: Place, queues: list[QueueToday]) -> list[dict[str, str]]:
    """Return a sentence for each alert that the owner was sent and that isn't over."""
    names = {each.queue.id: each.queue.name for each in queues}
    lines = []
    for alert in alerts_of(db, place):
        if alert.told_at is not None and alert.queue_id in names:
            since = clock_time_at(alert.since_at, place)
            what = "the predicted wait has been over your goal"
            if alert.kind == EMPTY_DESK:
                what = "no desk has called anyone"
            lines.append({"section": "team", "text": f"{names[alert.queue_id]}: {what} since {since}."})
    return lines


def _attention(
    place: Place,
    queues: list[QueueToday],
    content: dict[str, Any],
    backup: dict[str, Any] | None,
    failed_mails: int,
) -> list[dict[str, str]]:
    """Return what needs the owner's attention: a sentence each, with the section that it is about."""
    lines = []
    at_desks = [each for each in queues if not each.queue.counter_id]
    waiting = sum(len(each.waiting) for each in at_desks)
    if waiting and not content["on_duty"]:
        people = "1 person is" if waiting == 1 else f"{waiting} people are"
        lines.append(("team", f"{people} waiting, and no one is on duty."))
    for each in queues:
        if each.queue.open and each.is_full:
            lines.append(("queues", f"{each.queue.name} is full: no one can take a number."))
    for counter in content["counters"]:
        over = counter["count"] - counter["capacity"]
        if over > 0:
            lines.append(("occupancy", f"{counter['name']} is over capacity by {over}."))
    if backup is not None and backup["state"] != "green":
        lines.append(("settings", f"Backups: {backup['said']}"))
    if failed_mails:
        mails = "1 email" if failed_mails == 1 else f"{failed_mails} emails"
        lines.append(("calls", f"{mails} could not be sent yet. Trying again."))
    address = public_address(place)
    if not address.is_reachable:
        lines.append(("settings", f"Other devices can't open links to {address.host}."))
    elif len(address.choices) > 1 and place.address not in address.choices:
        lines.append(("settings", f"Links and QR codes use {address.host}. Check that phones can open it."))
    return [{"section": section, "text": text} for section, text in lines]


@owner.post("/<place>/manage/<token>/steps")
@errors_on(show_manage)
def finish_checklist_item(place: str, token: str) -> Answer:
    """Note that an item of the first checklist is done. The poster's item leads to the poster."""
    step = parse(ChecklistForm, "step")["step"]
    write(places.finish_checklist_item, place, token, step)
    if step == "poster" and not wants_json():
        return flask.redirect(url_for("screens.show_poster", place=place), 303)
    return back_to("owner.show_manage", place, token)


@owner.post("/<place>/manage/<token>/queues/<queue>/restore")
@errors_on(show_manage)
def restore_ticket(place: str, token: str, queue: str) -> Answer:
    """Let a customer who was called wait again, first in line."""
    ticket = write(tickets.restore_ticket, place, token, queue, parse(NumberForm, "number")["number"])
    return back_to("owner.show_manage", place, token, f"{ticket.number} is back in the queue, first in line.")


# ----- messages to everybody who waits


@owner.get("/<place>/manage/<token>/messages")
def show_messages(place: str, token: str) -> Answer:
    """Show the messages, which are part of Today."""
    return (
        show_manage(place, token)
        if wants_json()
        else see_other("owner.show_manage", place=place, token=token)
    )


@owner.post("/<place>/manage/<token>/messages")
@errors_on(show_manage)
def add_message(place: str, token: str) -> Answer:
    """Show a message to everybody who waits."""
    write(notices.add_for_owner, place, token, NewNotice(**parse(MessageForm, "text")))
    return back_to("owner.show_manage", place, token, "Everybody can read it now.")


@owner.post(f"/<place>/manage/<token>/messages/<{ID}:message>/remove")
@errors_on(show_manage)
def remove_message(place: str, token: str, message: int) -> Answer:
    """Remove a message."""
    write(notices.remove_for_owner, place, token, message)
    return back_to("owner.show_manage", place, token, "Message removed.")
