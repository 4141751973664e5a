"""The API for caller apps: they send the token of a desk's link, `Authorization: Bearer <token>`."""

from __future__ import annotations

from typing import Any

import flask
from flask import Blueprint, request

from app.clock import now
from app.core import calls, reports
from app.core.call_stats import caller_stats as stats_of_caller
from app.core.desks import find_desk
from app.core.due_calls import count_calls
from app.core.models import Outcome, Place
from app.core.wordlists import outcomes_of, plain_name
from app.errors import BadInput
from app.web.call_json import call_json, earliest_due, report_json
from app.web.forms import NextCallForm, ReportForm, report_details
from app.web.mail_links import mail_links
from app.web.request import json_object, parse, parse_json, parse_query, read_id
from app.web.response import Answer, json_response
from app.web.service import service, write

api = Blueprint("api", __name__, url_prefix="/api")


@api.post("/requestCall")
def request_call() -> Answer:
    """Claim the next call, or with `?no_claim` only show it."""
    place, token = _place_and_token()
    asked = parse_query(NextCallForm)
    list_slug, call_id = asked.get("list"), asked.get("id") or _location_id()
    claims = request.args.get("no_claim", "0") in ("0", "false")
    ticket = None
    if claims:
        ticket = write(
            calls.claim_next, place.slug, token, list_slug=list_slug, call_id=call_id, name=asked.get("name")
        )
    with service().database.read() as db:
        at = now()
        _, servicer = find_desk(db, place.slug, token)
        call = calls.claimed_call(db, at, servicer) if ticket is None else calls.get_call(db, ticket)
        if call is not None:
            return json_response(_call_with_vial_keys(call_json(db, place, servicer, call)))
        lists = calls.choose_lists(db, servicer, list_slug)
        next_call = None if claims else calls.peek_next(db, at, lists)
        if next_call is not None:
            content = call_json(db, place, servicer, next_call, is_mine=False)
            return json_response(_call_with_vial_keys(content))
        next_at = earliest_due(place, [count_calls(db, at, call_list) for call_list in lists])
    return json_response({"error": "Nobody is to be called now.", "next_at": next_at}, 404)


@api.post("/submitReport")
def submit_report() -> Answer:
    """Report how a call went."""
    place, token = _place_and_token()
    if request.is_json:
        form = parse_json(ReportForm, _without_vial_keys(json_object(), place, token), "claim", "outcome")
    else:
        form = parse(ReportForm, "claim", "outcome")
    report = write(
        reports.report_call,
        place.slug,
        token,
        form["claim"],
        report_details(form),
        links=mail_links(place.slug),
    )
    content = {"report": report_json(place, report), "closed": report.closed, "created": [str(report.id)]}
    return json_response(content)


@api.route("/callerStats", methods=["GET", "POST"])
def caller_stats() -> Answer:
    """Show how many calls the caller has reported."""
    place, token = _place_and_token()
    with service().database.read() as db:
        _, servicer = find_desk(db, place.slug, token)
        stats = stats_of_caller(db, now(), place, servicer)
    return json_response({"total": stats.total, "today": stats.today})


# ----- the keys of VIAL, for apps that were written for that program; see docs/api.md


def _location_id() -> int | None:
    """Return the call that `?location_id=…` asks for."""
    text = request.args.get("location_id")
    if not text:
        return None
    call_id = read_id(text)
    if call_id is None:
        raise BadInput("location_id: this must be the id of a call.")
    return call_id


def _call_with_vial_keys(call: dict[str, Any]) -> dict[str, Any]:
    """Return a call as `call`, and once more under the keys that VIAL uses."""
    latest = call["reports"][0] if call["reports"] else {}
    return {
        "call": call,
        "id": str(call["id"]),
        "Name": call["name"],
        "Phone number": call["phone"],
        "Address": call["address"],
        "Internal notes": call["notes"],
        "Hours": None,
        "State": None,
        "County": None,
        "Location Type": None,
        "Affiliation": None,
        "Latest report": latest.get("at"),
        "Latest report notes": [latest.get("notes")],
        "Latest Internal Notes": [latest.get("notes")],
        "Availability Info": [latest["outcome"]] if latest else [],
        "Number of Reports": len(call["reports"]),
        "county_record": {},
        "provider_record": {},
        "timezone": call["zone"],
        "confirm_address": False,
        "confirm_hours": False,
        "confirm_website": False,
    }


def _without_vial_keys(content: dict[str, Any], place: Place, token: str) -> dict[str, Any]:
    """Return a report with our own keys; those that it has already stay."""
    ours = dict(content)
    if "claim" not in ours and isinstance(content.get("Location"), str | int):
        call_id = read_id(str(content["Location"]))
        if call_id is None:
            raise BadInput("Location: this must be the id of a call.")
        with service().database.read() as db:
            _, servicer = find_desk(db, place.slug, token)
            ours["claim"] = calls.latest_claim(db, servicer, call_id)
    tags = content.get("Availability")
    if "outcome" not in ours and isinstance(tags, list) and tags:
        with service().database.read() as db:
            ours["outcome"] = _outcome_of(tags, outcomes_of(db, place))
    notes = [content[key] for key in ("Notes", "Internal Notes") if isinstance(content.get(key), str)]
    if "notes" not in ours and notes:
        ours["notes"] = "\n".join(note for note in notes if note)
    if "call_back_at" not in ours and "Do not call until" in content:
        ours["call_back_at"] = content["Do not call until"]
    return ours


def _outcome_of(tags: list[Any], outcomes: list[Outcome]) -> Any:
    """Return the outcome that one of VIAL's tags names, such as "Skip: call back later"."""
    for tag in tags:
        plain = plain_name(str(tag)).removeprefix("skip")
        for outcome in outcomes:
            if plain_name(outcome.name) == plain or (plain == "callbacklater" and outcome.effect == "later"):
                return outcome.name
    return tags[0]


def _place_and_token() -> tuple[Place, str]:
    """Return the place and the token of the desk that the request comes from. Aborts with 401."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        flask.abort(401, "Send the token of your desk's link: Authorization: Bearer <token>.")
    with service().database.read() as db:
        place = calls.find_place_of_caller(db, token)
    if place is None:
        flask.abort(401, "This is no desk's token, or not any more. Ask the owner for the staff link.")
    return place, token
