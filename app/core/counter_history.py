"""The history of a counter: its taps and recounts, and how many people were inside over a day."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from app.clock import MINUTE_S
from app.core.counters import COUNTED
from app.core.days import day_begins, next_day
from app.core.models import Counter, Place
from app.storage.sql import load_all, run


@dataclass(frozen=True)
class CountEvent:
    """An event of a counter with a delta, counted or not."""

    id: int
    kind: str  # one of counters.COUNTED, or "not-counted"
    happened_at: float
    delta: int
    door_id: int | None
    door: str | None  # name of the door
    recounted: str | None  # the true count: of a recount, and of a counter that emptied itself
    number: str | None  # of the customer who came in


@dataclass(frozen=True)
class CountAt:
    """How many people were inside after an event."""

    at: float
    count: int


@dataclass
class DoorTotals:
    """How many people passed a door."""

    name: str | None
    came_in: int = 0
    went_out: int = 0


@dataclass(frozen=True)
class Recount:
    """A recount at a door, or by the counter itself (`door` is None)."""

    at: float
    door: str | None
    count: int
    drift: int  # by how much the count was too low


@dataclass
class CounterDay:
    """How many people were inside over a day."""

    day: str
    begins_at: float
    ends_at: float
    until: float  # the end of the day, or now
    start: int  # the count when the day began
    count: int  # the count at its end, or now
    capacity: int
    counts: list[CountAt]  # the start, and after each event
    doors: dict[int | None, DoorTotals] = field(default_factory=dict)  # by id, the first one used first
    recounts: list[Recount] = field(default_factory=list)
    not_counted: int = 0  # taps

    @property
    def points(self) -> list[CountAt]:
        """The last count of each minute in which it changed."""
        return list({item.at // MINUTE_S: item for item in self.counts[1:]}.values())

    @property
    def highest(self) -> CountAt:
        """The highest count, when it was reached first."""
        return max(self.counts, key=lambda item: (item.count, -item.at))

    @property
    def peak(self) -> CountAt | None:
        """The highest count, or None when nobody was inside all day."""
        return self.highest if self.start or len(self.counts) > 1 else None

    @property
    def top(self) -> int:
        """The upper end of a chart."""
        return max(self.capacity, self.highest.count)

    @property
    def bottom(self) -> int:
        """The lower end of a chart: below 0 when more people went out than came in."""
        return min([0, *(item.count for item in self.counts)])


def counts_between(
    db: Connection, counter: Counter, since: float, until: float, after_id: int = 0, limit: int | None = None
) -> list[CountEvent]:
    """Return the taps and recounts of a counter between two times, in order.

    For the next page, pass the time and the id of the last event as `since` and `after_id`.
    """
    sql = """SELECT event.*, detail AS recounted, door.name AS door, ticket.number
             FROM event LEFT JOIN door ON door.id = event.door_id
             LEFT JOIN ticket ON ticket.id = event.ticket_id
             WHERE event.counter_id = :counter AND delta IS NOT NULL AND happened_at < :until
             AND (happened_at, event.id) > (:since, :after_id) ORDER BY happened_at, event.id"""
    if limit is None:
        result = run(db, sql, counter=counter.id, since=since, until=until, after_id=after_id)
    else:
        result = run(
            db,
            f"{sql} LIMIT :limit",
            counter=counter.id,
            since=since,
            until=until,
            after_id=after_id,
            limit=limit,
        )
    return load_all(CountEvent, result)


def day_of_counter(db: Connection, at: float, place: Place, counter: Counter, day: str) -> CounterDay:
    """Return how many people were inside over a day of a place."""
    begins_at = day_begins(place, day)
    ends_at = day_begins(place, next_day(day))
    start = _count_at(db, at, counter, day, begins_at)
    result = CounterDay(
        day=day,
        begins_at=begins_at,
        ends_at=ends_at,
        until=min(at, ends_at),
        start=start,
        count=start,
        capacity=counter.capacity,
        counts=[CountAt(begins_at, start)],
    )
    for event in counts_between(db, counter, begins_at, ends_at):
        if event.kind not in COUNTED:
            result.not_counted += 1
            continue
        if event.kind in ("tap", "undo"):
            _add_to_totals(result.doors.setdefault(event.door_id, DoorTotals(event.door)), event)
        else:
            count = int(event.recounted or 0)
            result.recounts.append(Recount(event.happened_at, event.door, count, event.delta))
        if event.happened_at > begins_at:  # otherwise it is part of the start
            result.count += event.delta
            result.counts.append(CountAt(event.happened_at, result.count))
    return result


def _add_to_totals(totals: DoorTotals, event: CountEvent) -> None:
    # An undo has the opposite sign of its tap: it takes back people who came in if it is negative.
    is_entry = event.delta > 0 if event.kind == "tap" else event.delta < 0
    if is_entry:
        totals.came_in += event.delta
    else:
        totals.went_out -= event.delta


def _count_at(db: Connection, at: float, counter: Counter, day: str, begins_at: float) -> int:
    """Return how many people were inside when a day began.

    The events up to then are added up, or those since then are subtracted from the count of now: whichever
    covers less time.
    """
    if counter.empties == "day" and day > counter.day:
        return 0  # the counter has emptied itself since its latest event
    sql = "SELECT coalesce(min(happened_at), :at) FROM event WHERE counter_id = :counter"
    first_at = run(db, sql, counter=counter.id, at=at).scalar_one()
    if begins_at - first_at < at - begins_at:
        sql = """SELECT coalesce(sum(delta), 0) FROM event
                 WHERE counter_id = :counter AND kind IN :counted AND happened_at <= :begins_at"""
        before = run(db, sql, counter=counter.id, counted=COUNTED, begins_at=begins_at).scalar_one()
        return int(before)
    sql = """SELECT coalesce(sum(delta), 0) FROM event
             WHERE counter_id = :counter AND kind IN :counted AND happened_at > :begins_at"""
    since = run(db, sql, counter=counter.id, counted=COUNTED, begins_at=begins_at).scalar_one()
    return counter.inside - int(since)
