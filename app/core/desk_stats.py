"""Statistics of desks: how long they were idle while people waited, and whether more would have helped."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from enum import IntEnum
from heapq import heapify, heappop, heapreplace

from sqlalchemy.engine import Connection

from app.clock import HOUR_S
from app.core.days import day_begins, next_day
from app.core.models import Place
from app.core.queries import SELECT_VISITS, WHOLE
from app.storage.sql import load_all, run

MAX_MORE_DESKS = 5  # that are tried


@dataclass(frozen=True)
class MoreDesks:
    """What more desks would have changed on a day.

    Nine of ten would have waited at most `would_wait_s` if `desks` more had been there between two times. If
    `desks` is 0, the desks that were there would have been enough. If it is None, MAX_MORE_DESKS all day
    would not.
    """

    desks: int | None
    from_at: float
    to_at: float
    would_wait_s: float


@dataclass(frozen=True)
class HardestDay:
    """The day on which the most waits missed the goal."""

    day: str
    is_one_of_several: bool
    goal_s: float
    waited_s: float  # nine of ten of those who were served waited at most this
    more_desks: MoreDesks | None  # None: the goal was reached


@dataclass(frozen=True)
class _Customer:
    """Somebody who was called to a desk."""

    servicer_id: int
    state: str
    taken_at: float
    first_called_at: float
    called_at: float
    ended_at: float  # the end of the day, or now, if it hasn't ended


@dataclass(frozen=True)
class _Press:
    """A press at a desk: "start-serving", "pause" or "resume"."""

    servicer_id: int
    kind: str
    happened_at: float


@dataclass
class _Shift:
    """A time in which a desk was there."""

    starts_at: float
    ends_at: float


@dataclass(frozen=True)
class _DayAtDesks:
    """The customers who were called to a desk, in the order of taking, and the desks, by servicer."""

    customers: list[_Customer]
    shifts: dict[int, list[_Shift]]
    idle_s: dict[int, float]  # how long each was free while people waited


def idle_seconds(db: Connection, at: float, place: Place, days: list[str]) -> dict[int, float]:
    """Return for how many seconds desks were idle while people waited on these days, by the servicer's id."""
    total_s: dict[int, float] = defaultdict(float)
    for day in days:
        for servicer_id, idle_s in _day_at_desks(db, at, place, day).idle_s.items():
            total_s[servicer_id] += idle_s
    return total_s


def hardest_day(
    db: Connection, at: float, place: Place, day: str, is_one_of_several: bool
) -> HardestDay | None:
    """Return what more desks would have changed on this day; None if nobody was served at a desk."""
    desks = _day_at_desks(db, at, place, day)
    if not any(customer.state == "done" for customer in desks.customers):
        return None
    goal_s = 60.0 * place.wait_goal_minutes
    waits = [customer.first_called_at - customer.taken_at for customer in desks.customers]
    waited_s = _p90_of_served(desks.customers, waits)
    more_desks = None
    if waited_s >= goal_s:
        more_desks = _find_more_desks(desks, goal_s, day_begins(place, day))
    return HardestDay(day, is_one_of_several, goal_s, waited_s, more_desks)


# ----- a day at the desks


class _EventKind(IntEnum):
    """What happens at a desk; at the same time, in this order."""

    END = 0  # of a customer
    PRESS = 1
    CALL = 2


@dataclass(frozen=True)
class _Event:
    at: float
    kind: _EventKind
    servicer_id: int
    customer: _Customer | None = None  # of a call
    press: str = ""


def _day_at_desks(db: Connection, at: float, place: Place, day: str) -> _DayAtDesks:
    """Return what a day at the desks was like.

    A desk is there from "Start serving" or "Resume", or its first call, until "Pause", or else the end of its
    last customer: whoever forgets to press "Pause" isn't there all night. It is idle while people wait from
    when it is free until its next call, as far as the customer whom it then calls was in line already.
    """
    customers = _customers_of_day(db, at, place, day)
    presses = _presses_of_day(db, place, day, list({customer.servicer_id for customer in customers}))
    shifts: dict[int, list[_Shift]] = defaultdict(list)
    idle_s: dict[int, float] = defaultdict(float)
    free_since: dict[int, float] = {}  # of the desks that are there; also while they are busy
    for event in _events(customers, presses):
        desk = event.servicer_id
        is_there = desk in free_since
        if event.customer and is_there and event.customer.called_at == event.customer.first_called_at:
            idle_s[desk] += max(0.0, event.at - max(free_since[desk], event.customer.taken_at))
        if event.kind != _EventKind.END and not is_there:
            shifts[desk].append(_Shift(event.at, event.at))
        if shifts[desk]:
            shifts[desk][-1].ends_at = max(event.at, shifts[desk][-1].ends_at)
        if event.kind != _EventKind.END or is_there:
            free_since[desk] = event.at
        if event.press == "pause":
            del free_since[desk]
    return _DayAtDesks(customers, shifts, idle_s)


def _customers_of_day(db: Connection, at: float, place: Place, day: str) -> list[_Customer]:
    sql = f"""SELECT servicer_id, state, taken_at, first_called_at, called_at,
                     CASE WHEN ended_at < :at THEN ended_at ELSE :at END AS ended_at
              FROM ({SELECT_VISITS}) AS visit
              WHERE servicer_id IS NOT NULL AND scope <> '{WHOLE}' ORDER BY taken_at"""
    day_ends_at = day_begins(place, next_day(day))
    result = run(db, sql, place=place.id, first=day, beyond=next_day(day), at=min(at, day_ends_at))
    return load_all(_Customer, result)


def _presses_of_day(db: Connection, place: Place, day: str, servicer_ids: list[int]) -> list[_Press]:
    if not servicer_ids:
        return []
    sql = """SELECT servicer_id, kind, happened_at FROM event
             WHERE servicer_id IN :servicers AND kind IN ('start-serving', 'pause', 'resume')
             AND happened_at >= :since AND happened_at < :until"""
    since = day_begins(place, day)
    until = day_begins(place, next_day(day))
    return load_all(_Press, run(db, sql, servicers=servicer_ids, since=since, until=until))


def _events(customers: list[_Customer], presses: list[_Press]) -> list[_Event]:
    """Return what happened at the desks, in order."""
    events = [
        _Event(press.happened_at, _EventKind.PRESS, press.servicer_id, press=press.kind) for press in presses
    ]
    for customer in customers:
        events.append(_Event(customer.called_at, _EventKind.CALL, customer.servicer_id, customer))
        if customer.ended_at > customer.called_at:
            events.append(_Event(customer.ended_at, _EventKind.END, customer.servicer_id))
    return sorted(events, key=lambda event: (event.at, event.kind, event.servicer_id))


# ----- replaying a day with more desks


def _find_more_desks(day: _DayAtDesks, goal_s: float, day_begins_at: float) -> MoreDesks:
    """Return how many more desks would have kept nine of ten waits under the goal, in the fewest whole hours.

    The day is replayed with its own arrivals and service times.
    """
    shifts = [shift for of_desk in day.shifts.values() for shift in of_desk]
    arrivals = [(customer.taken_at, customer.ended_at - customer.called_at) for customer in day.customers]
    last_call_at = max(customer.called_at for customer in day.customers)
    opens = int((day.customers[0].taken_at - day_begins_at) // HOUR_S)  # in hours since the day began
    closes = int((last_call_at - day_begins_at) // HOUR_S) + 1

    def would_wait_s(desks: int, start: int, stop: int) -> float:
        more = [_Shift(day_begins_at + HOUR_S * start, day_begins_at + HOUR_S * stop)] * desks
        return _p90_of_served(day.customers, _replay(arrivals, shifts + more))

    def result(desks: int | None, start: int, stop: int, wait_s: float) -> MoreDesks:
        return MoreDesks(desks, day_begins_at + HOUR_S * start, day_begins_at + HOUR_S * stop, wait_s)

    desks = 0
    wait_s = would_wait_s(desks, opens, closes)
    while wait_s >= goal_s and desks < MAX_MORE_DESKS:
        desks += 1
        wait_s = would_wait_s(desks, opens, closes)
    if wait_s >= goal_s:
        return result(None, opens, closes, wait_s)
    if desks == 0:
        return result(0, opens, closes, wait_s)

    # Of all spans of hours that are enough, find the shortest. If a span that ends at `stop` isn't enough, no
    # span that starts later and ends there is, so `stop` never moves back.
    best = (opens, closes, wait_s)
    stop = opens + 1
    for start in range(opens, closes):
        stop = max(stop, start + 1)
        wait_s = would_wait_s(desks, start, stop)
        while wait_s >= goal_s and stop < closes:
            stop += 1
            wait_s = would_wait_s(desks, start, stop)
        if wait_s >= goal_s:
            break
        if stop - start < best[1] - best[0]:
            best = (start, stop, wait_s)
    return result(desks, *best)


def _replay(arrivals: list[tuple[float, float]], shifts: list[_Shift]) -> list[float]:
    """Return how many seconds each customer would have waited at desks that are there in these shifts.

    An arrival is a time and the seconds that the customer needs at a desk. In the order of arrival, each gets
    the first desk that is there and free. The desk that stays longest serves everybody who is left.
    """
    last = max(range(len(shifts)), key=lambda number: shifts[number].ends_at)
    desks = [(shift.starts_at, shift.ends_at) for shift in shifts]  # a heap: free from, and there until
    desks[last] = (shifts[last].starts_at, math.inf)
    heapify(desks)
    waits = []
    for taken_at, service_s in arrivals:
        while True:
            free_at, leaves_at = desks[0]
            begins_at = max(taken_at, free_at)
            if begins_at < leaves_at:
                break
            heappop(desks)
        heapreplace(desks, (begins_at + service_s, leaves_at))
        waits.append(begins_at - taken_at)
    return waits


def _p90_of_served(customers: list[_Customer], waits: list[float]) -> float:
    """Return the seconds within which nine of ten of those who were served were called."""
    served = sorted(wait for customer, wait in zip(customers, waits, strict=True) if customer.state == "done")
    return served[math.ceil(9 * len(served) / 10) - 1]
