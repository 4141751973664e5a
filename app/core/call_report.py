"""The call centre's report for management: all calls of a place over some days, as totals.

It holds no names of contacts and no notes, and doesn't name restricted lists: what is on them is for their
callers only. Calls are counted in SQL, so that a year of them doesn't keep the interpreter from other
requests.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.engine import Connection

from app.core.days import day_begins, day_of, days_between, next_day
from app.core.due_calls import AGREED_S
from app.core.models import Place
from app.core.queries import OPEN_CALL
from app.storage.sql import load_all, run

RESTRICTED = "Restricted lists"  # instead of their names
NO_LIST = "No list"  # of people who phoned in, and were on none
MAX_DAYS = 3660  # in one report: ten years
# Days and hours of all time zones begin at a whole quarter of an hour, so quarters can be counted in SQL.
QUARTER_S = 900


@dataclass(frozen=True)
class CallTotals:
    """Numbers of reported calls."""

    outgoing: int = 0
    incoming: int = 0
    reached: int = 0

    def __add__(self, other: CallTotals) -> CallTotals:
        return CallTotals(
            self.outgoing + other.outgoing, self.incoming + other.incoming, self.reached + other.reached
        )


@dataclass(frozen=True)
class FollowUps:
    """Calls that were promised for a time on these days, by whether the promise was kept.

    `kept`: they were called at most an hour after that time, or phoned in before. `late`: they were called
    later. `missed`: the time is over, and nobody has called them yet. `cancelled`: they were taken off the
    list, or said that they want no calls. `to_come`: the time has not come yet.
    """

    kept: int = 0
    late: int = 0
    missed: int = 0
    cancelled: int = 0
    to_come: int = 0

    @property
    def due(self) -> int:
        """Number of promises that should have been kept by now."""
        return self.kept + self.late + self.missed

    def __add__(self, other: FollowUps) -> FollowUps:
        return FollowUps(
            self.kept + other.kept,
            self.late + other.late,
            self.missed + other.missed,
            self.cancelled + other.cancelled,
            self.to_come + other.to_come,
        )


@dataclass(frozen=True)
class CallDay:
    """The calls of one day, and the calls that were promised for it."""

    day: str
    calls: CallTotals
    follow_ups: FollowUps


@dataclass(frozen=True)
class CallHour:
    """The calls in one hour of one weekday, over all days."""

    weekday: int  # 0: Monday
    hour: int  # as clocks show it
    column: int  # hours since the day began, by the clocks
    calls: CallTotals


@dataclass(frozen=True)
class NamedTotals:
    """The calls of a caller, a list or an outcome."""

    name: str | None  # None: a caller who is unknown
    calls: CallTotals
    average_s: float | None  # duration of an outgoing call


@dataclass(frozen=True)
class ReferralTotals:
    """The number of referrals to one service or call list."""

    to: str
    is_list: bool
    total: int


@dataclass(frozen=True)
class CallReport:
    """The report on a place's calls over a range of days."""

    calls: CallTotals
    people: int  # how many contacts those calls were about
    people_reached: int
    average_s: float | None  # duration of an outgoing call
    days: list[CallDay]
    hours: list[CallHour]  # only those with a call
    outcomes: list[NamedTotals]
    callers: list[NamedTotals]
    lists: list[NamedTotals]
    referrals: list[ReferralTotals]
    follow_ups: FollowUps


def call_report(db: Connection, at: float, place: Place, first_day: str, last_day: str) -> CallReport:
    """Return the report of the days from one to another, both included.

    Days before the place was opened, and days to come, are left out.
    """
    first_day = max(first_day, day_of(place, place.created_at))
    last_day = min(last_day, day_of(place, at))
    length = max(0, min(days_between(first_day, last_day), MAX_DAYS))
    days = [next_day(first_day, number) for number in range(length)]
    since = day_begins(place, first_day)
    until = day_begins(place, next_day(first_day, length))
    by_day, by_hour = _calls_by_day_and_hour(db, place, since, until)
    promised = _follow_ups_by_day(db, at, place, since, until)
    groups = _groups(db, place, since, until)
    people = _people(db, place, since, until)
    return CallReport(
        calls=sum(by_day.values(), CallTotals()),
        people=people.people,
        people_reached=people.reached,
        average_s=_average_s(groups),
        days=[CallDay(day, by_day[day], promised[day]) for day in days],
        hours=by_hour,
        outcomes=_totals_by(groups, [each.outcome for each in groups]),
        callers=_totals_by(groups, [each.caller for each in groups]),
        lists=_totals_by(groups, [each.list_name for each in groups]),
        referrals=_referrals(db, place, since, until),
        follow_ups=sum(promised.values(), FollowUps()),
    )


# ----- by day and hour


@dataclass(frozen=True)
class _Quarter:
    """The calls in a quarter of an hour."""

    quarter: int  # since the epoch
    outgoing: int
    incoming: int
    reached: int


def _calls_by_day_and_hour(
    db: Connection, place: Place, since: float, until: float
) -> tuple[defaultdict[str, CallTotals], list[CallHour]]:
    result = run(
        db,
        f"""SELECT CAST(created_at AS BIGINT) / {QUARTER_S} AS quarter,
                   sum(1 - incoming) AS outgoing, sum(incoming) AS incoming,
                   sum(CASE WHEN effect = 'reached' THEN 1 ELSE 0 END) AS reached
            FROM report WHERE place_id = :place AND created_at >= :since AND created_at < :until
            GROUP BY CAST(created_at AS BIGINT) / {QUARTER_S} ORDER BY 1""",
        place=place.id,
        since=since,
        until=until,
    )
    by_day: defaultdict[str, CallTotals] = defaultdict(CallTotals)
    by_hour: defaultdict[tuple[int, int], CallTotals] = defaultdict(CallTotals)
    days = _DaysInOrder(place)
    for each in load_all(_Quarter, result):
        calls = CallTotals(each.outgoing, each.incoming, each.reached)
        begins_at = max(since, each.quarter * QUARTER_S)
        day = days.day_of(begins_at)
        by_day[day] += calls
        hour = datetime.fromtimestamp(begins_at, place.zone).hour
        by_hour[date.fromisoformat(day).weekday(), (hour - place.day_starts) % 24] += calls
    hours = [
        CallHour(weekday, (column + place.day_starts) % 24, column, calls)
        for (weekday, column), calls in sorted(by_hour.items())
    ]
    return by_day, hours


class _DaysInOrder:
    """Finds the days of times that are in order, faster than day_of()."""

    def __init__(self, place: Place):
        self._place = place
        self._day = ""
        self._ends_at = 0.0

    def day_of(self, at: float) -> str:
        """Return the day of a time that isn't before the last one."""
        if not self._day or at >= self._ends_at:
            self._day = day_of(self._place, at)
            self._ends_at = day_begins(self._place, next_day(self._day))
        return self._day


# ----- follow-ups


@dataclass(frozen=True)
class _PromisedQuarter:
    """The calls that were promised for a quarter of an hour."""

    quarter: int  # since the epoch
    kept: int
    late: int
    missed: int
    cancelled: int
    to_come: int


# The calls that were promised for a time between :since and :until, each with the time at which the contact
# was called after the promise, and whether they are on a list still.
_PROMISES = f"""
    SELECT call_back_at,
           (SELECT min(later.created_at - later.seconds) FROM report AS later
            WHERE later.contact_id = report.contact_id AND later.id > report.id
            AND (later.closed = 1 OR later.incoming = 1)) AS was_called_at,
           CASE WHEN EXISTS (SELECT 1 FROM ticket WHERE {OPEN_CALL}
                             AND ticket.contact_id = report.contact_id) THEN 1 ELSE 0 END AS is_on_list
    FROM report
    WHERE place_id = :place AND call_back_at IS NOT NULL AND call_back_at >= :since AND call_back_at < :until
    AND (closed = 1 OR incoming = 1)"""


def _follow_ups_by_day(
    db: Connection, at: float, place: Place, since: float, until: float
) -> defaultdict[str, FollowUps]:
    result = run(
        db,
        f"""SELECT CAST(call_back_at AS BIGINT) / {QUARTER_S} AS quarter,
                   sum(CASE WHEN was_called_at <= call_back_at + {AGREED_S} THEN 1 ELSE 0 END) AS kept,
                   sum(CASE WHEN was_called_at > call_back_at + {AGREED_S} THEN 1 ELSE 0 END) AS late,
                   sum(CASE WHEN was_called_at IS NULL AND is_on_list = 1 AND call_back_at <= :at
                            THEN 1 ELSE 0 END) AS missed,
                   sum(CASE WHEN was_called_at IS NULL AND is_on_list = 0 THEN 1 ELSE 0 END) AS cancelled,
                   sum(CASE WHEN was_called_at IS NULL AND is_on_list = 1 AND call_back_at > :at
                            THEN 1 ELSE 0 END) AS to_come
            FROM ({_PROMISES}) AS promise
            GROUP BY CAST(call_back_at AS BIGINT) / {QUARTER_S} ORDER BY 1""",
        place=place.id,
        since=since,
        until=until,
        at=at,
    )
    by_day: defaultdict[str, FollowUps] = defaultdict(FollowUps)
    days = _DaysInOrder(place)
    for each in load_all(_PromisedQuarter, result):
        day = days.day_of(max(since, each.quarter * QUARTER_S))
        by_day[day] += FollowUps(each.kept, each.late, each.missed, each.cancelled, each.to_come)
    return by_day


# ----- by outcome, caller and list


@dataclass(frozen=True)
class _Group:
    """The calls of one caller on one list with one outcome."""

    outcome: str
    caller: str | None
    list_name: str
    outgoing: int
    incoming: int
    reached: int
    timed: int  # outgoing calls with a duration
    seconds: float  # their durations in total


def _groups(db: Connection, place: Place, since: float, until: float) -> list[_Group]:
    result = run(
        db,
        """SELECT outcome, servicer.name AS caller,
                  CASE WHEN calls.queue_id IS NULL THEN :no_list WHEN queue.restricted = 1 THEN :restricted
                       ELSE queue.name END AS list_name,
                  outgoing, incoming, reached, timed, seconds
           FROM (SELECT queue_id, servicer_id, outcome,
                        sum(1 - incoming) AS outgoing, sum(incoming) AS incoming,
                        sum(CASE WHEN effect = 'reached' THEN 1 ELSE 0 END) AS reached,
                        sum(CASE WHEN closed = 1 AND incoming = 0 THEN 1 ELSE 0 END) AS timed,
                        sum(CASE WHEN closed = 1 AND incoming = 0 THEN seconds ELSE 0 END) AS seconds
                 FROM report WHERE place_id = :place AND created_at >= :since AND created_at < :until
                 GROUP BY queue_id, servicer_id, outcome) AS calls
           LEFT JOIN servicer ON servicer.id = calls.servicer_id
           LEFT JOIN queue ON queue.id = calls.queue_id""",
        place=place.id,
        since=since,
        until=until,
        no_list=NO_LIST,
        restricted=RESTRICTED,
    )
    return load_all(_Group, result)


def _totals_by(groups: list[_Group], names: list[str | None] | list[str]) -> list[NamedTotals]:
    """Return the totals of the groups that have the same name, the most calls first."""
    by_name: defaultdict[str | None, list[_Group]] = defaultdict(list)
    for name, group in zip(names, groups, strict=True):
        by_name[name].append(group)
    totals = [
        NamedTotals(
            name,
            CallTotals(
                sum(each.outgoing for each in some),
                sum(each.incoming for each in some),
                sum(each.reached for each in some),
            ),
            _average_s(some),
        )
        for name, some in by_name.items()
    ]
    return sorted(totals, key=lambda each: (-each.calls.outgoing - each.calls.incoming, each.name or ""))


def _average_s(groups: list[_Group]) -> float | None:
    """Return the average duration of the outgoing calls of some groups."""
    calls = sum(each.timed for each in groups)
    return sum(each.seconds for each in groups) / calls if calls else None


# ----- people and referrals


@dataclass(frozen=True)
class _People:
    people: int
    reached: int


def _people(db: Connection, place: Place, since: float, until: float) -> _People:
    result = run(
        db,
        """SELECT count(DISTINCT contact_id) AS people,
                  count(DISTINCT CASE WHEN effect = 'reached' THEN contact_id END) AS reached
           FROM report WHERE place_id = :place AND created_at >= :since AND created_at < :until""",
        place=place.id,
        since=since,
        until=until,
    )
    return load_all(_People, result)[0]


def _referrals(db: Connection, place: Place, since: float, until: float) -> list[ReferralTotals]:
    """Return how often people were referred to each service and to each list, the most frequent first."""
    result = run(
        db,
        """SELECT referred_to, count(*) AS total FROM report
           WHERE place_id = :place AND referred_to IS NOT NULL AND (closed = 1 OR incoming = 1)
           AND created_at >= :since AND created_at < :until GROUP BY referred_to""",
        place=place.id,
        since=since,
        until=until,
    )
    counts = {row.referred_to: row.total for row in result}
    totals: Counter[tuple[str, bool]] = Counter()
    lists = dict(_lists_by_name(db, place))
    for name, total in counts.items():
        shown = RESTRICTED if lists.get(name) else name
        totals[shown, name in lists] += total
    referrals = [ReferralTotals(name, is_list, total) for (name, is_list), total in totals.items()]
    return sorted(referrals, key=lambda each: (-each.total, each.to))


def _lists_by_name(db: Connection, place: Place) -> Iterator[tuple[str, bool]]:
    """Yield the name of each call list, deleted ones included, with whether it is restricted."""
    sql = """SELECT name, max(restricted) AS restricted FROM queue
             WHERE place_id = :place AND kind = 'calls' GROUP BY name"""
    for row in run(db, sql, place=place.id):
        yield row.name, bool(row.restricted)
