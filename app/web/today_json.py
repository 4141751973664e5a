"""What happens in a place today, as the owner's home shows it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from app.core.alerts import EMPTY_DESK, alerts_of
from app.core.counters import counters_of
from app.core.due_calls import count_calls
from app.core.models import Place, Ticket
from app.core.queries import cancelled_by_owner
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
from app.web.counter_json import counter_json
from app.web.health import backup_json
from app.web.owner_json import messages_json
from app.web.present import clock_time_at, iso
from app.web.public_links import public_address
from app.web.warnings import warnings_of


def today_json(db: Connection, at: float, place: Place) -> dict[str, Any]:
    """Return what happens today, for the template of the owner's home."""
    queues = queues_today(db, at, place)
    servicers = servicers_of(db, place)
    counters = counters_of(db, place, at)
    lists = call_lists(db, place)
    calls = [(each, count_calls(db, at, each).due) for each in lists]
    backup = backup_json(place.zone, for_owner=True)
    on_duty = [servicer for servicer in servicers if servicer.on_duty]
    last = called_last(db, at, place)
    by_owner = cancelled_by_owner(db, last)
    content = {
        "queues": [_queue_today_json(each, place) for each in queues],
        "called_last": [
            _called_last_json(ticket, place, at, by_owner=ticket.id in by_owner) for ticket in last
        ],
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


def _called_last_json(ticket: Ticket, place: Place, at: float, *, by_owner: bool) -> dict[str, Any]:
    return {
        "number": ticket.number,
        "name": ticket.name,
        "queue": ticket.queue,
        "desk": ticket.desk or ticket.door or ticket.servicer,
        "state": ticket.state,
        "called_at": iso(ticket.called_at, place),
        "can_be_restored": can_be_restored(ticket, at),
        **({"cancelled_by_owner": True} if by_owner else {}),
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
