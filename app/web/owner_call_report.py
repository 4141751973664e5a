"""The call centre's report for management, as a page, as JSON and as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, request

from app.clock import now
from app.core.call_report import CallReport, CallTotals, FollowUps, NamedTotals, call_report
from app.core.days import day_of, next_day
from app.core.models import Place
from app.core.places import find_place_for_owner
from app.errors import BadInput, ServiceError
from app.web.csv_export import stream_csv
from app.web.day_ranges import periods_of, suggested_ranges
from app.web.owner_json import owner_link
from app.web.present import rounded
from app.web.request import query_days, wants_json
from app.web.response import Answer, errors_on, page
from app.web.service import service

owner_call_report = Blueprint("owner_call_report", __name__)

DAYS_SHOWN = 7  # unless the query string says which


@dataclass(frozen=True)
class RequestedReport:
    """The report that the query string asks for."""

    place: Place
    first: str
    last: str
    report: CallReport


@owner_call_report.get("/<place>/manage/<token>/calls/report")
def show_report(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the report of some days, by default of the last week."""
    try:
        requested = _requested_report(place, token)
    except BadInput as wrong_days:
        if wants_json():
            raise
        # Show the page with the sentence, and with the last week instead of the days that make no sense.
        requested, error = _requested_report(place, token, of_last_week=True), wrong_days
    row = requested.place
    content = report_json(requested)
    return page(
        "call_report.html",
        content,
        row,
        error,
        report=content,
        bars=_bars(requested),
        ranges=suggested_ranges(row, requested.first, requested.last),
        today=day_of(row, now()),
    )


CSV_COLUMNS = ("table", "name", "outgoing", "incoming", "reached", "average_s", "total")


@owner_call_report.get("/<place>/manage/<token>/calls/report.csv")
@errors_on(show_report)
def download_report(place: str, token: str) -> Answer:
    """Download the report: all tables below each other, the first column says which one a row is of."""
    return stream_csv(CSV_COLUMNS, [_csv_rows(_requested_report(place, token))])


def _requested_report(slug: str, token: str, *, of_last_week: bool = False) -> RequestedReport:
    at = now()
    with service().database.read_long() as db:
        place = find_place_for_owner(db, slug, token)
        today = day_of(place, at)
        if of_last_week or not ("from" in request.args or "to" in request.args):
            first, last = next_day(today, 1 - DAYS_SHOWN), today
        else:
            first, last = query_days(today)
        return RequestedReport(place, first, last, call_report(db, at, place, first, last))


@dataclass(frozen=True)
class CallBar:
    """One bar of the chart of calls."""

    label: str  # under the bar
    title: str  # in full
    calls: CallTotals
    follow_ups: FollowUps | None  # None: not counted for hours


def _bars(requested: RequestedReport) -> list[CallBar]:
    """Return the calls by hour for one day, else by day, by week or by month."""
    report = requested.report
    if len(report.days) == 1:
        return _hour_bars(requested.place, report)
    by_day = {each.day: each for each in report.days}
    return [
        CallBar(
            period.label,
            period.title,
            sum((by_day[day].calls for day in period.days), CallTotals()),
            sum((by_day[day].follow_ups for day in period.days), FollowUps()),
        )
        for period in periods_of(list(by_day))
    ]


def _hour_bars(place: Place, report: CallReport) -> list[CallBar]:
    """Return the hours from the first call to the last, hours without a call included."""
    by_column = {each.column: each.calls for each in report.hours}
    if not by_column:
        return []
    bars = []
    for column in range(min(by_column), max(by_column) + 1):
        hour = (column + place.day_starts) % 24
        title = f"{hour}:00 to {(hour + 1) % 24}:00"
        bars.append(CallBar(str(hour), title, by_column.get(column, CallTotals()), None))
    return bars


# ----- JSON


def report_json(requested: RequestedReport) -> dict[str, Any]:
    """Return the report as JSON."""
    report = requested.report
    url = f"{owner_link(requested.place)}/calls/report"
    return {
        "from": requested.first,
        "to": requested.last,
        "calls": report.calls.outgoing + report.calls.incoming,
        **_totals_json(report.calls),
        "people": report.people,
        "people_reached": report.people_reached,
        "average_s": rounded(report.average_s),
        "follow_ups": _follow_ups_json(report.follow_ups),
        "days": [
            {"day": each.day, **_totals_json(each.calls), "follow_ups": _follow_ups_json(each.follow_ups)}
            for each in report.days
        ],
        "hours": [
            {"weekday": each.weekday, "hour": each.hour, "column": each.column, **_totals_json(each.calls)}
            for each in report.hours
        ],
        "outcomes": [_named_json("outcome", each) for each in report.outcomes],
        "callers": [_named_json("name", each) for each in report.callers],
        "lists": [_named_json("name", each) for each in report.lists],
        "referrals": [
            {"to": each.to, "kind": "list" if each.is_list else "service", "total": each.total}
            for each in report.referrals
        ],
        "links": {"report": url, "csv": f"{url}.csv"},
    }


def _totals_json(calls: CallTotals) -> dict[str, int]:
    return {"outgoing": calls.outgoing, "incoming": calls.incoming, "reached": calls.reached}


def _named_json(key: str, totals: NamedTotals) -> dict[str, Any]:
    return {key: totals.name, **_totals_json(totals.calls), "average_s": rounded(totals.average_s)}


def _follow_ups_json(follow_ups: FollowUps) -> dict[str, int]:
    return {
        "due": follow_ups.due,
        "kept": follow_ups.kept,
        "late": follow_ups.late,
        "missed": follow_ups.missed,
        "cancelled": follow_ups.cancelled,
        "to_come": follow_ups.to_come,
    }


# ----- CSV

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _csv_rows(requested: RequestedReport) -> Iterator[list[Any]]:
    """Yield the rows of the CSV file, in the order of CSV_COLUMNS."""
    report = requested.report
    days = f"{requested.first} to {requested.last}"
    yield _totals_row("all calls", NamedTotals(days, report.calls, report.average_s))
    yield ["people", "called or calling", None, None, None, None, report.people]
    yield ["people", "reached", None, None, None, None, report.people_reached]
    for each in report.days:
        yield _totals_row("day", NamedTotals(each.day, each.calls, None))
    for hour in report.hours:
        name = f"{WEEKDAYS[hour.weekday]} {hour.hour:02}:00"
        yield _totals_row("hour", NamedTotals(name, hour.calls, None))
    for table, totals in (("outcome", report.outcomes), ("caller", report.callers), ("list", report.lists)):
        for named in totals:
            yield _totals_row(table, named)
    for referral in report.referrals:
        table = "referral to a list" if referral.is_list else "referral to a service"
        yield [table, referral.to, None, None, None, None, referral.total]
    for name, total in _follow_ups_json(report.follow_ups).items():
        yield ["follow-ups", name.replace("_", " "), None, None, None, None, total]
    for each in report.days:
        yield ["follow-ups due by day", each.day, None, None, None, None, each.follow_ups.due]
        yield ["follow-ups kept by day", each.day, None, None, None, None, each.follow_ups.kept]


def _totals_row(table: str, totals: NamedTotals) -> list[Any]:
    calls = totals.calls
    return [
        table,
        totals.name,
        calls.outgoing,
        calls.incoming,
        calls.reached,
        rounded(totals.average_s),
        calls.outgoing + calls.incoming,
    ]
