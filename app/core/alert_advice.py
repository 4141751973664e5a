"""Advice to the owner: how many more desks would bring the wait under the goal, and until when.

The number comes from the model of the estimated wait: with so many more desks, a newcomer's range ends before
the goal, at once or within an hour. The end comes from the arrivals on the same weekday in the weeks before.
docs/alerts.md explains both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from app.clock import HOUR_S
from app.core.days import day_begins, day_of, next_day
from app.core.models import Place
from app.core.wait import Line
from app.core.wait_line import DeskLine
from app.storage.sql import run

MAX_MORE_DESKS = 3
SLOT_S = 300  # work arrives, and is done, in slots of this length
HALF_HOUR_MINUTES = 30
SHORTEST_S = 900  # nobody comes to a desk for less
# If the day's first customers came less long ago, they count as the arrivals of so long: they may have been
# waiting for the door to open.
MIN_LATELY_S = 1800
WEEKS = 4  # how many are looked back
MIN_WEEKS = 2  # in which customers came; fewer say nothing about this one
# The last hour of today and of the usual day are compared as if so many more had come in both, so that a few
# customers don't count for too much.
USUAL_IN_AN_HOUR = 5
# A flow of work leaves out that waits vary. Nine of ten are shorter than the goal if the mean is about half.
SHARE_OF_GOAL = 0.5


@dataclass(frozen=True)
class Advice:
    """With so many more desks, nine of ten customers wait for less than the goal."""

    desks: int
    by_at: float | None  # from when on; None: at once
    until_at: float | None  # when they can go; None: nobody can know


def advise(db: Connection, at: float, place: Place, line: Line, closes_at: float) -> Advice | None:
    """Return what brings the waits in a line under the goal within an hour; None if nothing does.

    :param closes_at: when the hours of the place end
    """
    goal_s = 60 * place.wait_goal_minutes
    flow = _flow(db, at, place, line, closes_at)
    for desks in range(1, MAX_MORE_DESKS + 1):
        more = line.with_more_desks(desks)
        forecast = None if more is None else more.forecast()
        is_at_once = forecast is not None and forecast.range.to_s <= goal_s
        by_at = None if is_at_once or flow is None else flow.falls_at(desks)
        if is_at_once or by_at is not None:
            return Advice(desks, by_at, None if flow is None else flow.until(desks, place, closes_at))
    return None


@dataclass(frozen=True)
class _Flow:
    """The work that waits for the desks of a line, and what arrives in each SLOT_S from now on."""

    at: float
    goal_s: float
    desks: int
    work_s: float
    arrivals_s: list[float]
    is_usual_day: bool  # `arrivals_s` are known until the hours end, not only for an hour

    def falls_at(self, more_desks: int) -> float | None:
        """Return when so many more desks bring the wait under the goal; None if not within an hour."""
        desks = self.desks + more_desks
        work_s = self.work_s
        for slot, arrived_s in enumerate(self.arrivals_s[: HOUR_S // SLOT_S], 1):
            work_s = max(0.0, work_s + arrived_s - SLOT_S * desks)
            if work_s <= SHARE_OF_GOAL * self.goal_s * desks:
                return self.at + SLOT_S * slot
        return None

    def until(self, more_desks: int, place: Place, closes_at: float) -> float | None:
        """Return the first half hour from which the desks that are there can do without so many more."""
        if not self.is_usual_day:
            return None
        for until_at in _half_hours(self.at + SHORTEST_S, closes_at, place):
            if self._is_enough(more_desks, until_at):
                return until_at
        return None

    def _is_enough(self, more_desks: int, until_at: float) -> bool:
        """Return True if the wait stays under the goal after more desks have gone, until the hours end."""
        work_s = self.work_s
        for slot, arrived_s in enumerate(self.arrivals_s):
            has_more = self.at + SLOT_S * slot < until_at
            work_s = max(0.0, work_s + arrived_s - SLOT_S * (self.desks + (more_desks if has_more else 0)))
            if not has_more and work_s > SHARE_OF_GOAL * self.goal_s * self.desks:
                return False
        return True


def _flow(db: Connection, at: float, place: Place, line: Line, closes_at: float) -> _Flow | None:
    """Return the flow of work in a line; None if it isn't one flow, since some desks serve other queues."""
    desks = line.line
    if not isinstance(desks, DeskLine):
        return None
    usual_s = _usual_work(db, at, place, desks, closes_at)
    return _Flow(
        at,
        60.0 * place.wait_goal_minutes,
        desks.desks,
        desks.work_s(line.waiting),
        _work_as_lately(db, at, place, desks) if usual_s is None else usual_s,
        is_usual_day=usual_s is not None,
    )


def _work_as_lately(db: Connection, at: float, place: Place, line: DeskLine) -> list[float]:
    """Return the seconds of work that arrive in each SLOT_S of the next hour if it is like the last one."""
    arrivals = _arrivals(db, place, line, day_of(place, at), at - HOUR_S, at)
    work_s = sum(line.work_of_one_s(queue_id) for queue_id, _ in arrivals)
    first_at = min((taken_at for _, taken_at in arrivals), default=at)
    return [SLOT_S * work_s / max(MIN_LATELY_S, at - first_at)] * (HOUR_S // SLOT_S)


def _half_hours(first_at: float, closes_at: float, place: Place) -> Iterator[float]:
    """Yield the full and half hours of the place's clocks between two times."""
    local = datetime.fromtimestamp(first_at, place.zone)
    minutes = HALF_HOUR_MINUTES - local.minute % HALF_HOUR_MINUTES
    half_hour_at = first_at - local.second - local.microsecond / 1e6 + 60 * minutes
    while half_hour_at < closes_at:
        yield half_hour_at
        half_hour_at += 60 * HALF_HOUR_MINUTES


def _usual_work(
    db: Connection, at: float, place: Place, line: DeskLine, closes_at: float
) -> list[float] | None:
    """Return the seconds of work that usually arrive in each SLOT_S from now until the hours end.

    They are those of the same weekday in the weeks before, by as much more or less as today's last hour had.
    None: there were too few such days.
    """
    today = day_of(place, at)
    since_s = at - day_begins(place, today)
    work_s: dict[int, float] = defaultdict(float)
    weeks = last_hour = 0
    for week in range(1, WEEKS + 1):
        day = next_day(today, -7 * week)
        then = day_begins(place, day) + since_s
        arrivals = _arrivals(db, place, line, day, then - HOUR_S, then + closes_at - at)
        if arrivals:
            weeks += 1
        for queue_id, taken_at in arrivals:
            if taken_at < then:
                last_hour += 1
            else:
                work_s[int((taken_at - then) // SLOT_S)] += line.work_of_one_s(queue_id)
    if weeks < MIN_WEEKS:
        return None
    came = len(_arrivals(db, place, line, today, at - HOUR_S, at))
    ratio = (came + USUAL_IN_AN_HOUR) / (last_hour / weeks + USUAL_IN_AN_HOUR)
    slots = int((closes_at - at) // SLOT_S) + 1
    return [ratio * work_s[slot] / weeks for slot in range(slots)]


def _arrivals(
    db: Connection, place: Place, line: DeskLine, day: str, since: float, until: float
) -> list[tuple[int, float]]:
    """Return the queue and the time of each number that was taken between two times of a day."""
    sql = """SELECT queue_id, taken_at FROM ticket
             WHERE place_id = :place AND series >= :day AND series < :beyond AND queue_id IN :queues
             AND taken_at >= :since AND taken_at < :until"""
    rows = run(
        db,
        sql,
        place=place.id,
        day=day,
        beyond=next_day(day),
        queues=line.queue_ids,
        since=since,
        until=until,
    )
    return [(row.queue_id, row.taken_at) for row in rows]
