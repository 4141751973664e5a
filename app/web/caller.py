"""Callers: claiming the next call, and reporting how it went."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint
from sqlalchemy.engine import Connection

from app.clock import now
from app.core import calls, desks, reports
from app.core.call_stats import caller_stats
from app.core.calls import ListCounts, count_calls
from app.core.days import iso_in
from app.core.models import Call, Place, Queue, Report, Servicer
from app.core.phones import format_phone
from app.core.queues import call_lists
from app.core.reports import ReportDetails
from app.core.servicers import queues_served
from app.core.wordlists import outcomes_of, services_of
from app.errors import BadInput, ServiceError
from app.web.forms import ClaimForm, IncomingCallForm, NextCallForm, ReportForm
from app.web.mail_links import mail_links
from app.web.present import iso, slug_and_name
from app.web.request import parse, phone_confirmed, refuse_unknown_fields, wants_json
from app.web.response import Answer, errors_on, json_response, link, page, see_other
from app.web.service import service, write

caller = Blueprint("caller", __name__)

LAST_REPORTS = 10  # shown of a contact
HOUR_S, ROUND_S = 3600, 300  # a call back in an hour is at a full five minutes
MORNING, AFTERNOON = 9, 15  # hours at which one press plans a call back


@caller.get("/<place>/desk/<token>/calls")
def show_calls(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show a caller their call, or how many there are to make."""
    with service().database.read() as db:
        row, servicer = desks.find_desk(db, place, token)
        content = calls_json(db, now(), row, servicer)
    return page("calls.html", content, row, error, calls=content)


def back_to_calls(place: str, token: str, message: str | None = None) -> Answer:
    """Answer an action of a caller: their page as JSON, or a redirect to it."""
    if wants_json():
        return show_calls(place, token)
    return see_other("caller.show_calls", message, place=place, token=token)


# ----- claiming


@caller.post("/<place>/desk/<token>/calls/next")
@errors_on(show_calls)
def claim_next(place: str, token: str) -> Answer:
    """Claim the next call, of one list or of all."""
    refuse_unknown_fields(NextCallForm)
    form = parse(NextCallForm)
    call = write(
        calls.claim_next,
        place,
        token,
        list_slug=form.get("list"),
        call_id=form.get("id"),
        name=form.get("name"),
    )
    return back_to_calls(place, token, None if call else "No calls are due.")


@caller.post("/<place>/desk/<token>/calls/more-time")
@errors_on(show_calls)
def extend(place: str, token: str) -> Answer:
    """Keep the call for longer."""
    write(calls.extend, place, token, parse(ClaimForm, "claim")["claim"])
    return back_to_calls(place, token)


@caller.post("/<place>/desk/<token>/calls/give-back")
@errors_on(show_calls)
def release(place: str, token: str) -> Answer:
    """Give the call back, so that others can claim it."""
    write(calls.release, place, token, parse(ClaimForm, "claim")["claim"])
    return back_to_calls(place, token, "Call released.")


@caller.post("/<place>/desk/<token>/calls/resume")
@errors_on(show_calls)
def resume(place: str, token: str) -> Answer:
    """Go on duty again."""
    write(desks.set_duty, place, token, on_duty=True)
    return back_to_calls(place, token)


# ----- reporting


@caller.post("/<place>/desk/<token>/calls/report")
@errors_on(show_calls)
def report_call(place: str, token: str) -> Answer:
    """Report how a call went."""
    form = parse(ReportForm, "claim")
    if "outcome" not in form:
        form["outcome"] = _outcome_for_call_back(place, token, form.get("call_back_at"))
    report = write(
        reports.report_call, place, token, form["claim"], report_details(form), links=mail_links(place)
    )
    message = (
        "Saved." if report.closed else "Someone else has this call now. Your report was saved as a note."
    )
    return _answer_report(place, token, report, message)


def _outcome_for_call_back(place: str, token: str, call_back_at: str | None) -> str:
    """Return the outcome that a time to call back means where none was pressed. Raises BadInput."""
    if call_back_at:
        with service().database.read() as db:
            row, _servicer = desks.find_desk(db, place, token)
            for outcome in outcomes_of(db, row):
                if outcome.effect == "later":
                    return outcome.name
    raise BadInput("Outcome: please fill this in.")


@caller.post("/<place>/desk/<token>/calls/incoming")
@errors_on(show_calls)
def log_incoming(place: str, token: str) -> Answer:
    """Report a call of somebody who phoned in."""
    form = parse(IncomingCallForm, "phone", "outcome")
    report = write(
        reports.log_incoming,
        place,
        token,
        report_details(form),
        phone=form["phone"],
        name=form.get("name"),
        list_slug=form.get("list"),
        request_id=form.get("request_id"),
        phone_confirmed=phone_confirmed(),
        links=mail_links(place),
    )
    message = "Saved. Their call is done." if report.closed else "Saved."
    return _answer_report(place, token, report, message)


def report_details(form: Mapping[str, Any]) -> ReportDetails:
    """Return the details of a report; the time to call back may come as a date and a time."""
    call_back_at = form.get("call_back_at")
    day, time = form.get("call_back_date", ""), form.get("call_back_time", "")
    if call_back_at is None and (day or time):
        call_back_at = f"{day}T{time}"
    return ReportDetails(
        outcome=form["outcome"],
        notes=form.get("notes"),
        call_back_at=call_back_at,
        refer_to=form.get("refer_to"),
        refer_note=form.get("refer_note"),
    )


def _answer_report(place: str, token: str, report: Report, message: str) -> Answer:
    if not wants_json():
        return see_other("caller.show_calls", message, place=place, token=token)
    with service().database.read() as db:
        row, servicer = desks.find_desk(db, place, token)
        content = calls_json(db, now(), row, servicer)
    return json_response({**content, "report": report_json(row, report), "closed": report.closed})


# ----- JSON


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
