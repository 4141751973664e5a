"""The picture: what everybody may see of a place. It holds no personal data, no tokens and no call lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.engine import Connection

from app.core.counters import counters_of
from app.core.days import day_of
from app.core.models import Counter, Place, Queue, Ticket, WaitRange
from app.core.notices import Notice, notices_of
from app.core.queries import CALL_ORDER, called_tickets
from app.core.queues import walk_in_queues
from app.core.transitions import current_series
from app.core.wait import Line, WaitEstimator
from app.storage.facts import get_fact
from app.storage.sql import load_all, run

MAX_CALLS = 20

# The latest event of a place that its picture shows. Events with a contact belong to call lists, which are
# private: nobody may even see that something happened there.
_LATEST_EVENT = "(SELECT max(event.id) FROM event WHERE place_id = place.id AND contact_id IS NULL)"


@dataclass(frozen=True)
class Version:
    """Which state of a place a picture shows; a page ignores a picture that is older than what it has."""

    epoch: str  # renewed by each restore: a smaller number in a new epoch is newer
    number: int  # the id of the latest event


@dataclass(frozen=True)
class Revision:
    """Identifies a picture: two pictures with the same revision are equal."""

    place_id: int
    version: Version
    minute: int  # since the epoch: estimated waits change by themselves, each minute


@dataclass(frozen=True)
class QueuePicture:
    """A walk-in queue in the picture."""

    queue: Queue
    waiting: list[str]  # the numbers, in the order in which they will be called
    steps: dict[str, list[int]]  # of the tickets with a plan, by number: its step, and how many it has
    called: list[Ticket]  # called or being served, latest call first
    door: str | None  # name of the counter that admits the queue
    waits: list[WaitRange]  # of each number in `waiting`; empty while nobody can know
    newcomer_wait: WaitRange | None

    @property
    def is_full(self) -> bool:
        """True when nobody can take a number until somebody was called."""
        return len(self.waiting) >= self.queue.max_waiting


@dataclass(frozen=True)
class PictureCall:
    """A call, or a repeated one, that a board announces."""

    id: int
    number: str
    series: str
    desk: str | None  # as it was named then
    door: str | None  # name of the counter that called the customer to its door
    at: float


@dataclass(frozen=True)
class Picture:
    """The public state of a place."""

    revision: Revision
    place: Place
    series: str
    queues: list[QueuePicture]
    calls: list[PictureCall]  # the latest, oldest first
    counters: list[Counter]
    notices: list[Notice]  # messages to everybody who waits, newest first


def version_of(db: Connection, place: Place) -> Version:
    """Return the version that a picture of a place has now."""
    number = run(db, f"SELECT {_LATEST_EVENT} FROM place WHERE id = :place", place=place.id).scalar_one()
    return Version(get_fact(db, "epoch"), number)


def revision_of(db: Connection, at: float, place: Place) -> Revision:
    """Return the revision that a picture of a place has now."""
    return Revision(place.id, version_of(db, place), minute=int(at // 60))


def revisions_by_slug(db: Connection, at: float, slugs: list[str]) -> dict[str, Revision]:
    """Return the revisions of several places by their slugs, without places that don't exist any more."""
    sql = f"""SELECT slug, id, {_LATEST_EVENT} AS number
              FROM place WHERE slug IN :slugs AND deleted_at IS NULL"""
    epoch = get_fact(db, "epoch")
    minute = int(at // 60)
    rows = run(db, sql, slugs=slugs)
    return {row.slug: Revision(row.id, Version(epoch, row.number), minute) for row in rows}


def picture_of(db: Connection, at: float, place: Place, revision: Revision, waits: WaitEstimator) -> Picture:
    """Return the picture of a place as it is now; `revision` is that of the same moment."""
    queues = walk_in_queues(db, place)
    counters = counters_of(db, place, at)
    doors = {counter.queue_id: counter.name for counter in counters}
    called = called_tickets(db, place)
    waiting = _waiting_tickets(db, queues, day_of(place, at))
    lines = waits.lines_of(db, at, place)
    return Picture(
        revision=revision,
        place=place,
        series=current_series(place, at),
        queues=[
            _queue_picture(at, queue, waiting, called, lines[queue.id], doors.get(queue.id))
            for queue in queues
        ],
        calls=_latest_calls(db, place),
        counters=counters,
        notices=notices_of(db, at, place),
    )


class _Waiting(NamedTuple):
    """A waiting ticket."""

    queue_id: int
    number: str
    step_number: int | None
    step_count: int | None
    away_until: float | None
    promised_until: float | None  # as in models.Ticket


def _waiting_tickets(db: Connection, queues: list[Queue], day: str) -> list[_Waiting]:
    """Return the waiting tickets, in the order of the calls."""
    sql = f"""SELECT queue_id, number, step_number, step_count, away_until,
                     CASE WHEN moved_at IS NULL THEN taken_at + wait_to END AS promised_until
              FROM ticket
              WHERE queue_id IN :queues AND state = 'waiting' AND series >= :day ORDER BY {CALL_ORDER}"""
    rows = run(db, sql, queues=[queue.id for queue in queues], day=day)
    return [_Waiting(*row) for row in rows]


def _queue_picture(
    at: float, queue: Queue, waiting: list[_Waiting], called: list[Ticket], line: Line, door: str | None
) -> QueuePicture:
    away_s = {
        position: each.away_until - at
        for position, each in enumerate(waiting)
        if each.away_until is not None and each.away_until > at
    }
    waiting_here = [each for each in waiting if each.queue_id == queue.id]
    promised_s = [None if each.promised_until is None else each.promised_until - at for each in waiting_here]
    queue_ids = [each.queue_id for each in waiting]
    waits, newcomer_wait = line.ranges_along(queue.id, queue_ids, away_s, promised_s)
    called_here = [ticket for ticket in called if ticket.queue_id == queue.id]
    here: list[_Waiting | Ticket] = [*waiting_here, *called_here]
    return QueuePicture(
        queue=queue,
        waiting=[each.number for each in waiting_here],
        steps={
            each.number: [each.step_number, each.step_count]
            for each in here
            if each.step_number and each.step_count
        },
        called=called_here,
        door=door,
        waits=waits,
        newcomer_wait=newcomer_wait,
    )


def _latest_calls(db: Connection, place: Place) -> list[PictureCall]:
    sql = """SELECT event.id, number, series, event.desk, counter.name AS door, happened_at AS at
             FROM event
             JOIN ticket ON ticket.id = ticket_id
             LEFT JOIN counter ON counter.id = counter_id
             WHERE event.place_id = :place AND kind IN ('call', 'call-again') AND by_phone = 0
             ORDER BY event.id DESC LIMIT :max_calls"""
    return load_all(PictureCall, run(db, sql, place=place.id, max_calls=MAX_CALLS).all()[::-1])
