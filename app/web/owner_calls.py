"""The owner's call lists: the page of a list, its reports, and the words for calls."""

from __future__ import annotations

from typing import Any

import flask
from flask import Blueprint, request, url_for
from sqlalchemy.engine import Connection

from app.clock import now
from app.core import call_stats, calls, reports, wordlists
from app.core.call_stats import ClaimedCall, ListStats, WaitingCall
from app.core.days import day_begins, day_of, next_day
from app.core.due_calls import count_calls
from app.core.models import Place, Queue
from app.core.phones import format_phone
from app.core.places import find_place_for_owner
from app.core.queues import call_lists, find_call_list, find_queue
from app.core.reports import ReportRow
from app.core.servicers import servicers_of
from app.errors import BadInput, NotFound, ServiceError
from app.web.call_list_json import list_json, outcome_json, reason_json, service_json, words_json
from app.web.csv_export import stream_csv
from app.web.forms import IdForm, OutcomeForm, ReasonForm, ServiceForm, WaitingCallForm
from app.web.owner import ADDED, back_to, show_section
from app.web.owner_json import owner_link
from app.web.present import iso
from app.web.request import parse, parse_query, query_days, refuse_unknown_fields, wants_json
from app.web.response import Answer, errors_on, json_response, page, see_other
from app.web.service import service, write
from app.web.urls import ID

owner_calls = Blueprint("owner_calls", __name__)

REMOVED = "Removed."
DAYS_SHOWN = 7  # unless the query string says which


@owner_calls.get("/<place>/manage/<token>/calls")
def show_call_lists(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the call lists with their settings, and the owner's words for calls."""
    return show_section("call_lists.html", place, token, error, _call_lists_json)


def _call_lists_json(db: Connection, at: float, place: Place) -> dict[str, Any]:
    lists = call_lists(db, place)
    return {
        "lists": [list_json(db, place, each) | {"due": count_calls(db, at, each).due} for each in lists],
        "servicers": [{"id": each.id, "name": each.name} for each in servicers_of(db, place)],
        **words_json(db, place),
    }


# ----- a call list


@owner_calls.get("/<place>/manage/<token>/queues/<queue>")
def show_list(place: str, token: str, queue: str, error: ServiceError | None = None) -> Answer:
    """Show a call list. Walk-in queues have no pages of their own."""
    at = now()
    wanted = parse_query(WaitingCallForm)
    with service().database.read_long() as db:
        row = find_place_for_owner(db, place, token)
        call_list = find_queue(db, row, queue)
        if not call_list.is_call_list:
            return _show_walk_in_queue(place, token)
        try:
            first, last = _days_to_show(day_of(row, at))
        except BadInput as wrong_days:
            if wants_json():
                raise
            first, last = day_of(row, at), day_of(row, at)
            error = wrong_days
        content = _list_page_json(db, at, row, call_list, first, last, wanted)
        reasons = [reason.name for reason in wordlists.reasons_of(db, row)]
    return page("list.html", content, row, error, list=content, reasons=reasons, wanted=wanted)


def _show_walk_in_queue(place: str, token: str) -> Answer:
    if wants_json():
        raise NotFound("Only call lists have a page of their own. Look at the owner's page.")
    return flask.redirect(url_for("owner_queues.show_queues", place=place, token=token))


def _days_to_show(today: str) -> tuple[str, str]:
    if "from" in request.args or "to" in request.args:
        return query_days(today)
    return next_day(today, 1 - DAYS_SHOWN), today


@owner_calls.post("/<place>/manage/<token>/queues/<queue>/clear-claim")
@errors_on(show_list, "place", "token", "queue")
def clear_claim(place: str, token: str, queue: str) -> Answer:
    """Release a call that somebody has claimed."""
    refuse_unknown_fields(IdForm)
    write(calls.clear_claim, place, token, queue, parse(IdForm, "id")["id"])
    if wants_json():
        return show_list(place, token, queue)
    return see_other("owner_calls.show_list", "Call released.", place=place, token=token, queue=queue)


REPORT_COLUMNS = (
    "created_at",
    "servicer",
    "name",
    "phone",
    "reference",
    "number",
    "reason",
    "tries",
    "outcome",
    "effect",
    "notes",
    "call_back_at",
    "referred_to",
    "closed",
    "incoming",
    "seconds",
)


@owner_calls.get("/<place>/manage/<token>/queues/<queue>/reports.csv")
@errors_on(show_list, "place", "token", "queue")
def download_reports(place: str, token: str, queue: str) -> Answer:
    """Download the reports of some days; by default all."""
    first, last = query_days()
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        call_list = find_call_list(db, row, queue)
    batches = reports.reports_of_days(service().database, row, call_list, first, last)
    return stream_csv(REPORT_COLUMNS, ([_report_cells(report, row) for report in batch] for batch in batches))


def _report_cells(report: ReportRow, place: Place) -> list[Any]:
    """Return the cells of a report, in the order of REPORT_COLUMNS."""
    return [
        iso(report.created_at, place),
        report.servicer,
        report.name,
        format_phone(report.phone, place.country),
        report.reference,
        report.number,
        report.reason,
        report.tries,
        report.outcome,
        report.effect,
        report.notes,
        iso(report.call_back_at, place),
        report.referred_to,
        report.closed,
        report.incoming,
        report.seconds,
    ]


def _list_page_json(
    db: Connection, at: float, place: Place, call_list: Queue, first: str, last: str, wanted: dict[str, Any]
) -> dict[str, Any]:
    counts = count_calls(db, at, call_list)
    content = list_json(db, place, call_list)
    list_url = content["links"]["list"]
    today_begins = day_begins(place, day_of(place, at))
    return {
        **content,
        "waiting": counts.due,
        "not_due": counts.not_due,
        "next_due_at": iso(counts.next_due_at, place),
        "being_called": [
            _claimed_call_json(call, place) for call in call_stats.calls_being_made(db, at, call_list)
        ],
        "done_today": call_stats.calls_done_since(db, call_list, today_begins),
        "upcoming": [
            _waiting_call_json(call, place) for call in call_stats.upcoming_calls(db, call_list, **wanted)
        ],
        # The totals by caller replace the ids of `callers`.
        **_list_stats_json(call_stats.list_stats(db, at, place, call_list, first, last)),
        "links": {
            **content["links"],
            "reports_csv": f"{list_url}/reports.csv",
            "clear_claim": f"{list_url}/clear-claim",
            "contacts": f"{owner_link(place)}/contacts",
        },
    }


def _claimed_call_json(call: ClaimedCall, place: Place) -> dict[str, Any]:
    return {
        "id": call.id,
        "contact": {"id": call.contact_id, "name": call.contact_name},
        "servicer": call.caller,
        "since": iso(call.called_at, place),
        "claimed_until": iso(call.claimed_until, place),
    }


def _waiting_call_json(call: WaitingCall, place: Place) -> dict[str, Any]:
    return {
        "id": call.id,
        "reason": call.reason,
        "priority": call.priority,
        "tries": call.tries,
        "contact": {"id": call.contact_id, "name": call.contact_name},
        "due_at": iso(call.joined_at, place),
    }


def _list_stats_json(stats: ListStats) -> dict[str, Any]:
    return {
        "days": stats.days,
        "callers": [
            {
                "name": each.name,
                "calls": each.calls,
                "reached": each.reached,
                "average_s": None if each.average_s is None else round(each.average_s, 1),
            }
            for each in stats.callers
        ],
        "outcomes": [
            {"outcome": each.outcome, "days": each.days, "total": each.total} for each in stats.outcomes
        ],
        "referrals": [{"to": each.referred_to, "total": each.total} for each in stats.referrals],
    }


# ----- the owner's words for calls


@owner_calls.get("/<place>/manage/<token>/<any(reasons, outcomes, services):words>")
def show_words(place: str, token: str, words: str) -> Answer:
    """Show one of the owner's word lists as JSON; a browser finds them in the section Calls."""
    with service().database.read() as db:
        content = words_json(db, find_place_for_owner(db, place, token))
    if wants_json():
        return json_response({words: content[words]})
    return flask.redirect(url_for("owner_calls.show_call_lists", place=place, token=token))


@owner_calls.post("/<place>/manage/<token>/reasons")
@errors_on(show_call_lists)
def add_reason(place: str, token: str) -> Answer:
    """Add a reason to call."""
    reason = write(wordlists.add_reason, place, token, parse(ReasonForm, "name")["name"])
    return _answer_added(place, token, reason_json(reason))


@owner_calls.post("/<place>/manage/<token>/outcomes")
@errors_on(show_call_lists)
def add_outcome(place: str, token: str) -> Answer:
    """Add a way in which a call can end."""
    form = parse(OutcomeForm, "name", "effect")
    outcome = write(wordlists.add_outcome, place, token, form["name"], form["effect"])
    return _answer_added(place, token, outcome_json(outcome))


@owner_calls.post("/<place>/manage/<token>/services")
@errors_on(show_call_lists)
def add_service(place: str, token: str) -> Answer:
    """Add a service that callers can refer people to."""
    form = parse(ServiceForm, "name")
    added = write(
        wordlists.add_service, place, token, form["name"], phone=form.get("phone"), link=form.get("link")
    )
    return _answer_added(place, token, service_json(added))


def _answer_added(place: str, token: str, content: dict[str, Any]) -> Answer:
    if wants_json():
        return json_response(content, 201)
    return back_to("owner_calls.show_call_lists", place, token, ADDED)


@owner_calls.post(f"/<place>/manage/<token>/reasons/<{ID}:word_id>/remove")
@errors_on(show_call_lists)
def remove_reason(place: str, token: str, word_id: int) -> Answer:
    """Remove a reason to call."""
    write(wordlists.remove_reason, place, token, word_id)
    return back_to("owner_calls.show_call_lists", place, token, REMOVED)


@owner_calls.post(f"/<place>/manage/<token>/outcomes/<{ID}:word_id>/remove")
@errors_on(show_call_lists)
def remove_outcome(place: str, token: str, word_id: int) -> Answer:
    """Remove a way in which a call can end."""
    write(wordlists.remove_outcome, place, token, word_id)
    return back_to("owner_calls.show_call_lists", place, token, REMOVED)


@owner_calls.post(f"/<place>/manage/<token>/services/<{ID}:word_id>/remove")
@errors_on(show_call_lists)
def remove_service(place: str, token: str, word_id: int) -> Answer:
    """Remove a service."""
    write(wordlists.remove_service, place, token, word_id)
    return back_to("owner_calls.show_call_lists", place, token, REMOVED)
