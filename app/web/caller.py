"""Callers: claiming the next call, and reporting how it went."""

from __future__ import annotations

from flask import Blueprint

from app.clock import now
from app.core import calls, desks, reports
from app.core.models import Report
from app.core.wordlists import outcomes_of
from app.errors import BadInput, ServiceError
from app.web.call_json import calls_json, report_json
from app.web.forms import ClaimForm, IncomingCallForm, NextCallForm, ReportForm, report_details
from app.web.mail_links import mail_links
from app.web.request import parse, phone_confirmed, refuse_unknown_fields, wants_json
from app.web.response import Answer, errors_on, json_response, page, see_other
from app.web.service import service, write

caller = Blueprint("caller", __name__)


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


def _answer_report(place: str, token: str, report: Report, message: str) -> Answer:
    if not wants_json():
        return see_other("caller.show_calls", message, place=place, token=token)
    with service().database.read() as db:
        row, servicer = desks.find_desk(db, place, token)
        content = calls_json(db, now(), row, servicer)
    return json_response({**content, "report": report_json(row, report), "closed": report.closed})
