"""The API for caller apps: they send the token of a desk's link, `Authorization: Bearer <token>`."""

from __future__ import annotations

import flask
from flask import Blueprint, request

from app.clock import now
from app.core import calls, reports
from app.core.call_stats import caller_stats as stats_of_caller
from app.core.calls import count_calls
from app.core.desks import find_desk
from app.core.models import Place
from app.web.caller import call_json, earliest_due, report_details, report_json
from app.web.forms import ListForm, ReportForm
from app.web.request import parse, parse_query
from app.web.response import Answer, json_response
from app.web.service import service, write

api = Blueprint("api", __name__, url_prefix="/api")


@api.post("/requestCall")
def request_call() -> Answer:
    """Claim the next call, or with `?no_claim` only show it."""
    place, token = _authorize()
    list_slug = parse_query(ListForm).get("list")
    claims = request.args.get("no_claim", "0") in ("0", "false")
    ticket = write(calls.claim_next, place.slug, token, list_slug=list_slug) if claims else None
    with service().database.read() as db:
        at = now()
        place, servicer = find_desk(db, place.slug, token)
        call = calls.claimed_call(db, at, servicer) if ticket is None else calls.get_call(db, ticket)
        if call is not None:
            return json_response({"call": call_json(db, place, servicer, call)})
        lists = calls.choose_lists(db, servicer, list_slug)
        next_call = None if claims else calls.peek_next(db, at, lists)
        if next_call is not None:
            return json_response({"call": call_json(db, place, servicer, next_call, is_mine=False)})
        next_at = earliest_due(place, [count_calls(db, at, call_list) for call_list in lists])
    return json_response({"error": "Nobody is to be called now.", "next_at": next_at}, 404)


@api.post("/submitReport")
def submit_report() -> Answer:
    """Report how a call went."""
    place, token = _authorize()
    form = parse(ReportForm, "claim", "outcome")
    report = write(reports.report_call, place.slug, token, form["claim"], report_details(form))
    return json_response({"report": report_json(place, report), "closed": report.closed})


@api.get("/callerStats")
def caller_stats() -> Answer:
    """Show how many calls the caller has reported."""
    place, token = _authorize()
    with service().database.read() as db:
        place, servicer = find_desk(db, place.slug, token)
        stats = stats_of_caller(db, now(), place, servicer)
    return json_response({"total": stats.total, "today": stats.today})


def _authorize() -> tuple[Place, str]:
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
