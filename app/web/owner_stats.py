"""The owner's statistics, as a page, as JSON and as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from flask import Blueprint, request

from app.clock import now
from app.core import places
from app.core.counters import counters_of
from app.core.days import day_of
from app.core.desk_stats import MAX_MORE_DESKS, HardestDay
from app.core.models import Place, Queue
from app.core.places import find_place_for_owner
from app.core.queues import find_walk_in_queue, walk_in_queues
from app.core.stats import (
    HourStats,
    LongestWait,
    Measure,
    PeriodStats,
    QueueStats,
    ServicerStats,
    TicketStats,
    WeekBefore,
    period_stats,
)
from app.errors import BadInput, ServiceError
from app.web.csv_export import stream_csv
from app.web.day_ranges import periods_of, suggested_ranges
from app.web.forms import PlaceForm
from app.web.links import link
from app.web.owner import SAVED
from app.web.owner_json import owner_link
from app.web.present import clock_time_at, date_in_words, iso, rounded, slug_and_name
from app.web.request import parse, query_days, wants_json
from app.web.response import Answer, errors_on, see_other, slow_page
from app.web.service import service, write

owner_stats = Blueprint("owner_stats", __name__)


@dataclass(frozen=True)
class RequestedDays:
    """The days that the query string asks statistics for."""

    place: Place
    first: str
    last: str
    queue: Queue | None  # None: all queues

    def count(self) -> PeriodStats:
        """Count the tickets. For a year of a large place that takes seconds at first."""
        return period_stats(service().database, now(), self.place, self.first, self.last, self.queue)


@owner_stats.get("/<place>/manage/<token>/stats")
def show_stats(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the statistics of some days, by default of today."""
    try:
        requested = _requested_days(place, token)
    except BadInput as wrong_days:
        if wants_json():
            raise
        # Show the page with the sentence, and with today instead of the days that make no sense.
        requested, error = _requested_days(place, token, of_today=True), wrong_days
    row = requested.place
    with service().database.read() as db:
        queues = walk_in_queues(db, row)
    return slow_page(
        "stats.html",
        lambda: _page_json(requested, token),
        row,
        error,
        requested=_days_json(requested),
        queue_choices=queues,
        bars_of=_bars,
        ranges=suggested_ranges(row, requested.first, requested.last),
        today=day_of(row, now()),
    )


@owner_stats.get("/<place>/manage/<token>/stats.csv")
@errors_on(show_stats)
def download_stats(place: str, token: str) -> Answer:
    """Download the statistics of some days: one figure in each row, named by its path in the JSON."""
    content = stats_json(_requested_days(place, token))
    return stream_csv(("figure", "value"), [_flattened(content)])


@owner_stats.post("/<place>/manage/<token>/stats")
@errors_on(show_stats)
def set_goal(place: str, token: str) -> Answer:
    """Save the goal for the wait."""
    write(places.change_place, place, token, cast(places.PlaceChanges, parse(PlaceForm, "wait_goal_minutes")))
    if wants_json():
        return show_stats(place, token)
    days = {name: request.args[name] for name in ("from", "to", "queue") if name in request.args}
    return see_other("owner_stats.show_stats", SAVED, place=place, token=token, **days)


def _requested_days(slug: str, token: str, *, of_today: bool = False) -> RequestedDays:
    queue_slug = request.args.get("queue") or None
    with service().database.read() as db:
        place = find_place_for_owner(db, slug, token)
        queue = find_walk_in_queue(db, place, queue_slug) if queue_slug else None
    today = day_of(place, now())
    first, last = (today, today) if of_today else query_days(today)
    return RequestedDays(place, first, last, queue)


@dataclass(frozen=True)
class Bar:
    """One bar of the chart of customers."""

    label: str  # under the bar
    title: str  # in full
    joined: int
    served: int | None  # None: not counted for hours


def _bars(content: dict[str, Any]) -> list[Bar]:
    """Return the customers by hour for one day, else by day, by week or by month.

    :param content: what stats_json() returned
    """
    if content["from"] == content["to"]:
        return [
            Bar(str(each["hour"]), f"{each['hour']}:00 to {(each['hour'] + 1) % 24}:00", each["joined"], None)
            for each in content["hours"]
        ]
    by_day = {each["day"]: each for each in content["per_day"]}
    return [
        Bar(
            period.label,
            period.title,
            sum(by_day[day]["joined"] for day in period.days),
            sum(by_day[day]["served"] for day in period.days),
        )
        for period in periods_of(list(by_day))
    ]


def _flattened(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all values in JSON with their paths, such as `queues.0.wait.median`."""
    if isinstance(content, dict):
        items = [(str(name), value) for name, value in content.items()]
    elif isinstance(content, list):
        items = [(str(number), value) for number, value in enumerate(content)]
    else:
        yield path, content
        return
    for name, value in items:
        yield from _flattened(value, f"{path}.{name}" if path else name)


# ----- JSON


def stats_json(requested: RequestedDays) -> dict[str, Any]:
    """Return the statistics of some days as JSON."""
    place = requested.place
    stats = requested.count()
    return {
        **_days_json(requested),
        **_tickets_json(stats.tickets),
        "days": stats.days,
        "per_day": [
            {"day": each.day, "joined": each.joined, "served": each.served} for each in stats.per_day
        ],
        "goal_minutes": stats.goal_minutes,
        "within_goal": stats.within_goal,
        "hours": [_hour_json(hour) for hour in stats.hours],
        "before": _week_before_json(stats.before),
        "longest": _longest_wait_json(stats.longest, place),
        "idle_s": rounded(stats.idle_s),
        "desks": _hardest_day_json(stats.hardest_day, place),
        "queues": [_queue_json(queue) for queue in stats.queues],
        "servicers": [_servicer_json(servicer) for servicer in stats.servicers],
        "said": None if requested.queue else desks_in_words(stats.hardest_day, place),
    }


def _page_json(requested: RequestedDays, token: str) -> dict[str, Any]:
    """Return the statistics, and what is beside them on the page."""
    place = requested.place
    with service().database.read() as db:
        counters = counters_of(db, place, now())
    url = f"{owner_link(place)}/stats"
    return {
        **stats_json(requested),
        "counters": [
            slug_and_name(
                counter,
                counter=link(
                    "owner_counters.show_counter", place=place.slug, token=token, counter=counter.slug
                ),
            )
            for counter in counters
        ],
        "links": {
            "stats": url,
            "csv": f"{url}.csv",
            "tickets_csv": link("owner_exports.download_tickets", place=place.slug, token=token),
        },
    }


def _days_json(requested: RequestedDays) -> dict[str, Any]:
    return {
        "from": requested.first,
        "to": requested.last,
        "queue": requested.queue.slug if requested.queue else None,
    }


def _tickets_json(tickets: TicketStats) -> dict[str, Any]:
    return {
        "joined": tickets.joined,
        "served": tickets.served,
        "left": tickets.left,
        "cancelled": tickets.cancelled,
        "not_here": tickets.not_here,
        "expired": tickets.expired,
        "open": tickets.open,
        "wait": _measure_json(tickets.wait),
        "service": _measure_json(tickets.service),
        "total": _measure_json(tickets.total),
    }


def _measure_json(measure: Measure | None) -> dict[str, Any] | None:
    if measure is None:
        return None
    content: dict[str, Any] = {"average": measure.average_s, "many": measure.tickets}
    distribution = measure.distribution
    if distribution is not None:
        content["median"] = distribution.median_s
        content["p90"] = distribution.p90_s
        content["longest"] = distribution.longest_s
        content["bins"] = [
            {"from": each.from_s, "to": each.to_s, "many": each.tickets} for each in distribution.bins
        ]
    return content


def _hour_json(hour: HourStats) -> dict[str, Any]:
    return {
        "weekday": hour.weekday,
        "hour": hour.hour,
        "column": hour.column,
        "joined": hour.joined,
        "line": hour.line,
    }


def _week_before_json(before: WeekBefore | None) -> dict[str, Any] | None:
    if before is None:
        return None
    return {"from": before.first, "to": before.last, **_tickets_json(before.tickets)}


def _longest_wait_json(longest: LongestWait | None, place: Place) -> dict[str, Any] | None:
    if longest is None:
        return None
    return {
        "number": longest.number,
        "queue": longest.queue,
        "taken_at": iso(longest.taken_at, place),
        "called_at": iso(longest.called_at, place),
        "wait_s": rounded(longest.wait_s),
    }


def _hardest_day_json(hardest: HardestDay | None, place: Place) -> dict[str, Any] | None:
    if hardest is None:
        return None
    content: dict[str, Any] = {
        "day": hardest.day,
        "hardest": hardest.is_one_of_several,
        "goal_s": hardest.goal_s,
        "waited_s": rounded(hardest.waited_s),
    }
    more = hardest.more_desks
    if more is not None:
        content["more"] = more.desks
        content["from"] = iso(more.from_at, place)
        content["to"] = iso(more.to_at, place)
        content["would_wait_s"] = rounded(more.would_wait_s)
    return content


def _queue_json(queue: QueueStats) -> dict[str, Any]:
    return {"slug": queue.slug, "name": queue.name, **_tickets_json(queue.tickets)}


def _servicer_json(servicer: ServicerStats) -> dict[str, Any]:
    return {
        "id": servicer.id,
        "name": servicer.name,
        "desk": servicer.desk,
        "served": servicer.served,
        "not_here": servicer.not_here,
        "service": _measure_json(servicer.service),
        "idle_s": rounded(servicer.idle_s),
    }


# ----- in words


def desks_in_words(hardest: HardestDay | None, place: Place) -> str:
    """Return what more desks would have changed, in a sentence."""
    if hardest is None:
        return "No one was served at a desk."
    prefix = ""
    if hardest.is_one_of_several:
        prefix = f"The busiest day was {date_in_words(hardest.day)}. "
    waited = _minutes_above(hardest.waited_s)
    more = hardest.more_desks
    if more is None:
        return f"{prefix}9 of 10 waits for a desk were under {waited}: no more desks were needed."
    would_wait = (
        f"9 of 10 would have waited under {_minutes_above(more.would_wait_s)} (they waited up to {waited})."
    )
    if more.desks is None:
        return f"{prefix}Even with {MAX_MORE_DESKS} more desks all the time, {would_wait}"
    if more.desks == 0:
        return f"{prefix}The desks were enough: had each called the next customer at once, {would_wait}"
    desks = "one more desk" if more.desks == 1 else f"{more.desks} more desks"
    start, stop = _short_time(more.from_at, place), _short_time(more.to_at, place)
    return f"{prefix}With {desks} from {start} to {stop}, {would_wait}"


def _minutes_above(seconds: float) -> str:
    """Return the next whole minutes above a duration: 480.0 as "9 minutes"."""
    minutes = max(0, int(round(seconds, 2))) // 60 + 1
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def _short_time(at: float, place: Place) -> str:
    """Return a time as short as people say it: "9" or "14:30"."""
    return clock_time_at(at, place).removesuffix(":00").removeprefix("0")
