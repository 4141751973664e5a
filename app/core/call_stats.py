"""Statistics of calls: of a caller, and of a call list by caller, by outcome and by day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.days import day_begins, day_of, days_between, next_day
from app.core.models import Place, Queue, Servicer
from app.storage.sql import load_all, run

MAX_DAYS = 3660  # in one answer: ten years


@dataclass(frozen=True)
class CallerStats:
    """How many calls a servicer has reported."""

    total: int
    today: int
    reached_today: int


@dataclass(frozen=True)
class ClaimedCall:
    """A call that somebody is making now."""

    id: int
    contact_id: int
    contact_name: str
    caller: str
    called_at: float
    claimed_until: float


@dataclass(frozen=True)
class WaitingCall:
    """A call that waits."""

    id: int
    contact_id: int
    contact_name: str
    reason: str | None
    priority: int
    tries: int
    joined_at: float  # when it is due


@dataclass(frozen=True)
class CallerTotals:
    """What one caller has reported of a list."""

    name: str | None
    calls: int
    reached: int
    average_s: float | None  # duration of a call


@dataclass(frozen=True)
class OutcomeTotals:
    """How often an outcome was reported of a list."""

    outcome: str
    days: dict[str, int]  # only those with a report
    total: int


@dataclass(frozen=True)
class Referrals:
    """How often contacts of a list were referred to another list or to a service."""

    referred_to: str
    total: int


@dataclass(frozen=True)
class ListStats:
    """What was reported of a call list on some days."""

    days: list[str]
    callers: list[CallerTotals]
    outcomes: list[OutcomeTotals]
    referrals: list[Referrals]


# ----- a caller


def caller_stats(db: Connection, at: float, place: Place, servicer: Servicer) -> CallerStats:
    """Return how many calls a servicer has reported, in all and today."""
    today = day_begins(place, day_of(place, at))
    all_reports = "SELECT count(*) FROM report WHERE servicer_id = :servicer"
    reports_today = f"{all_reports} AND created_at >= :today"
    reached_today = f"{reports_today} AND effect = 'reached'"
    return CallerStats(
        total=run(db, all_reports, servicer=servicer.id).scalar_one(),
        today=run(db, reports_today, servicer=servicer.id, today=today).scalar_one(),
        reached_today=run(db, reached_today, servicer=servicer.id, today=today).scalar_one(),
    )


# ----- a list now


def calls_being_made(db: Connection, at: float, call_list: Queue) -> list[ClaimedCall]:
    """Return the claimed calls of a list, oldest claim first."""
    result = run(
        db,
        """SELECT ticket.id, contact_id, contact.name AS contact_name, servicer.name AS caller, called_at,
                  claimed_until
           FROM ticket JOIN contact ON contact.id = ticket.contact_id
           JOIN servicer ON servicer.id = ticket.servicer_id
           WHERE queue_id = :queue AND claimed_until IS NOT NULL AND claimed_until > :at
           ORDER BY called_at, ticket.id""",
        queue=call_list.id,
        at=at,
    )
    return load_all(ClaimedCall, result)


def upcoming_calls(
    db: Connection,
    call_list: Queue,
    *,
    reason: str | None = None,
    priority: int | None = None,
    limit: int = 50,
) -> list[WaitingCall]:
    """Return the first waiting calls of a list, in the order in which they will be made once all are due.

    With a reason or a priority, only those that have it.
    """
    result = run(
        db,
        """SELECT ticket.id, contact_id, contact.name AS contact_name, reason, priority, tries, joined_at
           FROM ticket JOIN contact ON contact.id = ticket.contact_id
           WHERE queue_id = :queue AND state = 'waiting'
           AND (CAST(:reason AS TEXT) IS NULL OR reason = :reason)
           AND priority = coalesce(:priority, priority)
           ORDER BY ticket.priority, ticket.joined_at, ticket.id LIMIT :limit""",
        queue=call_list.id,
        reason=reason,
        priority=priority,
        limit=limit,
    )
    return load_all(WaitingCall, result)


def calls_done_since(db: Connection, call_list: Queue, since: float) -> int:
    """Return how many calls of a list have ended as done since a time."""
    result = run(
        db,
        """SELECT count(*) FROM ticket WHERE queue_id = :queue AND ended_at IS NOT NULL
           AND ended_at >= :since AND state = 'done'""",
        queue=call_list.id,
        since=since,
    )
    return int(result.scalar_one())


# ----- a list over some days


def list_stats(
    db: Connection, at: float, place: Place, call_list: Queue, first_day: str, last_day: str
) -> ListStats:
    """Return what was reported of a list from one day to another, both included.

    Days before the list was added, and days to come, are left out.
    """
    first_day = max(first_day, day_of(place, call_list.created_at))
    last_day = min(last_day, day_of(place, at))
    length = max(0, min(days_between(first_day, last_day), MAX_DAYS))
    days = [next_day(first_day, n) for n in range(length)]
    since = day_begins(place, first_day)
    until = day_begins(place, next_day(first_day, length))
    return ListStats(
        days=days,
        callers=_totals_by_caller(db, call_list, since, until),
        outcomes=_totals_by_outcome(db, place, call_list, days),
        referrals=_referrals(db, call_list, since, until),
    )


def _totals_by_caller(db: Connection, call_list: Queue, since: float, until: float) -> list[CallerTotals]:
    result = run(
        db,
        """SELECT servicer.name, count(*) AS calls,
                  sum(CASE WHEN effect = 'reached' THEN 1 ELSE 0 END) AS reached,
                  avg(CASE WHEN closed = 1 AND incoming = 0 THEN seconds END) AS average_s
           FROM report LEFT JOIN servicer ON servicer.id = servicer_id
           WHERE queue_id = :queue AND report.created_at >= :since AND report.created_at < :until
           GROUP BY servicer_id, servicer.name ORDER BY calls DESC, servicer_id""",
        queue=call_list.id,
        since=since,
        until=until,
    )
    return load_all(CallerTotals, result)


def _totals_by_outcome(
    db: Connection, place: Place, call_list: Queue, days: list[str]
) -> list[OutcomeTotals]:
    """Return the totals of each outcome, the most frequent first."""
    counts: dict[str, Counter[str]] = {}  # by outcome, then by day
    for day in days:
        result = run(
            db,
            """SELECT outcome, count(*) AS reports FROM report WHERE queue_id = :queue
               AND created_at >= :since AND created_at < :until GROUP BY outcome""",
            queue=call_list.id,
            since=day_begins(place, day),
            until=day_begins(place, next_day(day)),
        )
        for row in result:
            counts.setdefault(row.outcome, Counter())[day] = row.reports
    totals = [OutcomeTotals(outcome, dict(by_day), by_day.total()) for outcome, by_day in counts.items()]
    return sorted(totals, key=lambda each: (-each.total, each.outcome))


def _referrals(db: Connection, call_list: Queue, since: float, until: float) -> list[Referrals]:
    result = run(
        db,
        """SELECT referred_to, count(*) AS total FROM report
           WHERE queue_id = :queue AND referred_to IS NOT NULL AND (closed = 1 OR incoming = 1)
           AND created_at >= :since AND created_at < :until
           GROUP BY referred_to ORDER BY total DESC, referred_to""",
        queue=call_list.id,
        since=since,
        until=until,
    )
    return load_all(Referrals, result)
