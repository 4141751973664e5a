"""The JSON of a caller's page: their lists, their call, and their reports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from app.clock import HOUR_S, MINUTE_S, now
from app.core import calls, reports
from app.core.call_stats import caller_stats
from app.core.days import iso_in
from app.core.due_calls import ListCounts, count_calls
from app.core.models import Call, Place, Queue, Report, Servicer
from app.core.phones import format_phone
from app.core.queues import call_lists
from app.core.servicers import queues_served
from app.core.wordlists import outcomes_of, services_of
from app.web.links import link
from app.web.present import iso, slug_and_name

LAST_REPORTS = 10  # shown of a contact
ROUND_S = 5 * MINUTE_S  # a call back in an hour is at a full five minutes
MORNING, AFTERNOON = 9, 15  # hours at which one press plans a call back


def calls_json(db: Connection, at: float, place: Place, servicer: Servicer) -> dict[str, Any]:
    """Return what a caller sees: their lists, their call, their last reports."""
    counts = [count_calls(db, at, call_list) for call_list in calls.lists_of(db, servicer)]
    call = calls.claimed_call(db, at, servicer)
    stats = caller_stats(db, at, place, servicer)
    url = link("desk.show_desk", place=place.slug, token=servicer.token)
    return {
        "name": servicer.name,
        "desk": servicer.desk,
        "on_duty": servicer.on_duty,
        "lists": [_counts_json(each) for each in counts],
        "call": None if call is None else call_json(db, place, servicer, call),
        "next_at": earliest_due(place, counts),
        "call_back_times": []
        if call is None
        else call_back_times(at, call.contact.timezone or place.timezone),
        "outcomes": [{"name": each.name, "effect": each.effect} for each in outcomes_of(db, place)],
        "services": [
            {"name": each.name, "phone": each.phone, "link": each.link} for each in services_of(db, place)
        ],
        "all_lists": [slug_and_name(each) for each in calls.lists_to_refer_to(db, place, servicer)],
        "stats": {"total": stats.total, "today": stats.today, "reached_today": stats.reached_today},
        "recent": [
            {**report_json(place, each), "name": each.name, "list": each.list}
            for each in reports.recent_reports(db, servicer)
        ],
        "walk_in": bool(queues_served(db, servicer)),
        "links": {
            "desk": url,
            "calls": f"{url}/calls",
            "next": f"{url}/calls/next",
            "more_time": f"{url}/calls/more-time",
            "give_back": f"{url}/calls/give-back",
            "report": f"{url}/calls/report",
            "incoming": f"{url}/calls/incoming",
        },
    }


def call_back_times(at: float, timezone: str) -> list[dict[str, str]]:
    """Return times to call back that one press chooses, in a time zone."""
    zone = ZoneInfo(timezone)
    today = datetime.fromtimestamp(at, zone)
    soon = datetime.fromtimestamp(-(-(at + HOUR_S) // ROUND_S) * ROUND_S, zone)
    tomorrow = today + timedelta(days=1)
    monday = today + timedelta(days=7 - today.weekday())
    times = [("In 1 hour", soon)]
    if today.hour < AFTERNOON - 1:
        times.append(("Today 15:00", today.replace(hour=AFTERNOON, minute=0)))
    times.append(("Tomorrow 9:00", tomorrow.replace(hour=MORNING, minute=0)))
    times.append(("Tomorrow 15:00", tomorrow.replace(hour=AFTERNOON, minute=0)))
    if tomorrow.date() != monday.date():
        times.append(("Monday 9:00", monday.replace(hour=MORNING, minute=0)))
    return [{"label": label, "at": when.isoformat(timespec="minutes")} for label, when in times]


def lists_json(db: Connection, at: float, lists: Sequence[Queue]) -> list[dict[str, Any]]:
    """Return call lists with the numbers of calls that are due, and that will be later."""
    return [_counts_json(count_calls(db, at, call_list)) for call_list in lists]


def _counts_json(counts: ListCounts) -> dict[str, Any]:
    call_list = counts.call_list
    return {
        **slug_and_name(call_list),
        "waiting": call_list.waiting,
        "due": counts.due,
        "not_due": counts.not_due,
    }


def earliest_due(place: Place, counts: Sequence[ListCounts]) -> str | None:
    """Return when the first of the calls that aren't due yet will be due."""
    times = [each.next_due_at for each in counts if each.next_due_at is not None]
    return iso(min(times, default=None), place)


def call_json(
    db: Connection, place: Place, servicer: Servicer, call: Call, is_mine: bool = True
) -> dict[str, Any]:
    """Return what a caller sees of a call; its claim only if it is their own.

    It tells nothing about lists that are restricted to other callers; see _earlier_report_json().
    """
    ticket, contact = call.ticket, call.contact
    zone = contact.timezone or place.timezone
    hidden_lists = calls.hidden_list_ids(db, servicer)
    earlier_reports = reports.reports_of(db, contact.id, LAST_REPORTS)
    hidden_names = {each.name for each in call_lists(db, place) if each.id in hidden_lists}
    return {
        "id": ticket.id,
        "claim": ticket.claim if is_mine else None,
        "number": ticket.number,
        "name": contact.name,
        "phone": format_phone(contact.phone, place.country),
        "tel": f"tel:{contact.phone}",
        "email": contact.email,
        "address": contact.address,
        "notes": contact.notes,
        "reference": contact.reference,
        "tags": contact.tag_list,
        "note": ticket.note,
        "list": call.call_list.slug,
        "list_name": call.call_list.name,
        "reason": ": ".join(text for text in (ticket.reason, ticket.note) if text) or None,
        "priority": ticket.priority,
        "tries": ticket.tries,
        "zone": zone,
        "local_time": iso_in(now(), ZoneInfo(zone)),
        "claimed_at": iso(ticket.called_at, place) if is_mine else None,
        "claimed_until": iso(ticket.claimed_until, place) if is_mine else None,
        "reports": [
            _earlier_report_json(place, report, hidden_lists, hidden_names) for report in earlier_reports
        ],
    }


def _earlier_report_json(
    place: Place, report: Report, hidden_lists: Collection[int], hidden_names: Collection[str]
) -> dict[str, Any]:
    """Return what a caller sees of an earlier report about the same contact.

    Of a call on a list that is restricted to others, they see only that it was made. A note for the callers
    of such a list is left out.
    """
    if report.queue_id in hidden_lists:
        return {
            "servicer": None,
            "outcome": "Called from another list",
            "notes": None,
            "list": None,
            "at": None,
        }
    return {
        "servicer": report.servicer,
        "outcome": report.outcome,
        "notes": None if report.referred_to in hidden_names else report.notes,
        "list": report.list,
        "at": iso(report.created_at, place),
    }


def report_json(place: Place, report: Report) -> dict[str, Any]:
    """Return a report as its caller sees it."""
    return {
        "id": report.id,
        "claim": report.claim,
        "outcome": report.outcome,
        "effect": report.effect,
        "notes": report.notes,
        "call_back_at": iso(report.call_back_at, place),
        "referred_to": report.referred_to,
        "closed": report.closed,
        "incoming": report.incoming,
        "at": iso(report.created_at, place),
    }
