"""The states of a ticket and the transitions between them.

    waiting → called → serving → done, no_show, cancelled or expired

A called or serving ticket can be put back, and one that ended can be brought back. Every transition writes
its event in the same transaction, keeps `queue.waiting` right, and lets the counter of the queue call the
next customers to the door.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypedDict, Unpack

from sqlalchemy.engine import Connection

from app.core.days import day_begins, day_of, day_of_series, next_day
from app.core.history import record
from app.core.models import Counter, Place, Queue, Ticket
from app.core.notifications import tell
from app.core.queries import BUSY, MIN_GAP_S, OPEN_STATES, SELECT_COUNTERS, claim_is_over, waiting_tickets
from app.errors import Conflict
from app.storage.sql import load, load_all, load_first, run, update

UNCHANGED = "Nothing was changed; this is how it is now."


class Transition(NamedTuple):
    """The states in which a transition is allowed, and the state that follows."""

    allowed_in: tuple[str, ...]
    state: str


TRANSITIONS = {
    "call": Transition(("waiting",), "called"),  # done by the UPDATE in desks.call_next() and _call_to_door()
    "start": Transition(("called",), "serving"),
    "done": Transition(("called", "serving"), "done"),
    "no-show": Transition(("called", "serving"), "no_show"),
    "cancel": Transition(OPEN_STATES, "cancelled"),
    "expire": Transition(("waiting",), "expired"),
    "come-in": Transition(("waiting", "called"), "done"),  # through a door
    "put-back": Transition(("called", "serving"), "waiting"),
    "move": Transition(OPEN_STATES, "waiting"),
    "bring-back": Transition(("done", "no_show", "cancelled"), "waiting"),
    "restore": Transition(("no_show", "waiting"), "called"),  # undoes "no-show" or "move" at a desk
    "wait-again": Transition(("expired",), "waiting"),  # the clock was wrong: its day isn't over
    # The following are for calls.
    "claim": Transition(("waiting",), "called"),  # done by the UPDATE in calls.py
    "give-back": Transition(("called",), "waiting"),
    "lapse": Transition(("called",), "waiting"),  # the claim ran out
    "clear-claim": Transition(("called",), "waiting"),  # by the owner
    "report": Transition(("waiting", "called"), "done"),
}


class TicketChanges(TypedDict, total=False):
    """Columns that can change together with the state of a ticket."""

    queue_id: int
    servicer_id: int | None
    priority: int
    joined_at: float
    first_called_at: float | None
    called_at: float | None
    started_at: float | None
    ended_at: float | None
    step_number: int | None
    step_count: int | None
    moved_at: float | None
    step_called_at: float | None
    soon_at: float | None


class PlaceInLine(TypedDict, total=False):
    """The columns that decide where in the line a ticket waits; without any it stays where it is."""

    priority: int
    joined_at: float


# ----- the day of a place

WALK_IN_QUEUES = "SELECT id FROM queue WHERE place_id = :place AND kind = 'walk-in' AND deleted_at IS NULL"


def current_series(place: Place, at: float) -> str:
    """Return the series in which numbers are given at a time."""
    day = day_of(place, at)
    return place.series if place.series.startswith(day) else day


def start_day(db: Connection, at: float, place: Place) -> str:
    """Return the current series. The first write of a day expires tickets still waiting from earlier days.

    If that day had ended before, because the clock was ahead, those who waited in it wait again.
    """
    series = current_series(place, at)
    if series != place.series:
        update(db, "place", place.id, series=series)
        if series < place.series:
            _reopen_day(db, at, place, day_of_series(series))
        sql = """SELECT * FROM ticket WHERE place_id = :place AND state = 'waiting' AND series < :day
                 AND queue_id IN (SELECT id FROM queue WHERE place_id = :place AND kind = 'walk-in')"""
        for ticket in load_all(Ticket, run(db, sql, place=place.id, day=day_of_series(series))):
            day_ended_at = day_begins(place, next_day(day_of_series(ticket.series)))
            change_state(db, at, ticket, "expire", ended_at=day_ended_at)
    return series


def _reopen_day(db: Connection, at: float, place: Place, day: str) -> None:
    """Let tickets wait again that expired at the end of a day that isn't over."""
    sql = f"""SELECT * FROM ticket WHERE place_id = :place AND series >= :day AND series < :next_day
              AND state = 'expired' AND ended_at > :at AND contact_id IS NULL
              AND queue_id IN ({WALK_IN_QUEUES}) ORDER BY id"""
    result = run(db, sql, place=place.id, day=day, next_day=next_day(day), at=at)
    for ticket in load_all(Ticket, result):
        change_state(db, at, ticket, "wait-again")


# The same as state_at() in SQL, given :at and the day :today of the place at that time.
STATE_AT = """CASE WHEN claimed_until <= :at THEN 'waiting'
                   WHEN contact_id IS NOT NULL AND state = 'expired' THEN 'waiting'
                   WHEN state = 'waiting' AND ticket.series < :today THEN 'expired'
                   ELSE state END"""


def state_at(ticket: Ticket, place: Place, at: float) -> str:
    """Return the state of a ticket at a time, even if it isn't stored yet.

    A ticket that waits when its day ends reads as expired. A call whose claim has run out reads as waiting,
    and so does a placeholder, for good.
    """
    if claim_is_over(ticket, at) or is_placeholder(ticket):
        return "waiting"
    if ticket.state == "waiting" and ticket.series < day_of(place, at):
        return "expired"
    return ticket.state


def is_placeholder(ticket: Ticket) -> bool:
    """Return True for a placeholder: the ticket of a second request to call the same phone number.

    Calls have no day, so no other ticket of a call list expires. See core/call_requests.py.
    """
    return ticket.is_call and ticket.state == "expired"


# ----- one transition


def change_state(
    db: Connection,
    at: float,
    ticket: Ticket,
    kind: str,
    *,
    detail: str | None = None,
    **columns: Unpack[TicketChanges],
) -> Ticket:
    """Take a ticket through a transition, write the event, and return the changed ticket.

    `kind` is a key of TRANSITIONS, `detail` is kept with the event, and `columns` are changed as well. Raises
    Conflict when the state of the ticket doesn't allow it.
    """
    transition = TRANSITIONS[kind]
    if ticket.state not in transition.allowed_in:
        raise Conflict(f"{ticket.number} is {ticket.state.replace('_', ' ')} now. {UNCHANGED}")
    values: dict[str, Any] = {
        "state": transition.state,
        "claimed_until": None,
        "held_phone": None,
        "away_until": None,
    }
    if transition.state == "waiting":
        _check_not_by_phone_at_door(db, ticket, columns.get("queue_id", ticket.queue_id))
        values.update(servicer_id=None, called_at=None, started_at=None, ended_at=None)
    elif transition.state not in OPEN_STATES:
        values.update(ended_at=at, browser=None)
    values.update(columns)
    changed = load(Ticket, update(db, "ticket", ticket.id, **values))
    if ticket.state == "waiting":
        add_to_waiting_count(db, ticket.queue_id, -1)
    if changed.state == "waiting":
        add_to_waiting_count(db, changed.queue_id, +1)
    somebody_listens = record(
        db,
        at,
        changed.place_id,
        kind,
        queue_id=changed.queue_id,
        ticket_id=changed.id,
        servicer_id=ticket.servicer_id,  # the servicer who had it before
        contact_id=changed.contact_id,
        state=changed.state,
        detail=detail,
    )
    if somebody_listens:
        tell(db, at, changed, kind)
    admit_waiting(db, at, changed.queue_id)
    return changed


def _check_not_by_phone_at_door(db: Connection, ticket: Ticket, queue_id: int) -> None:
    """Raise Conflict if a door admits the queue, but the customer is at home and waits for a phone call."""
    if ticket.by_phone:
        sql = "SELECT name FROM queue WHERE id = :id AND counter_id IS NOT NULL"
        name = run(db, sql, id=queue_id).scalar()
        if name:
            raise Conflict(f"{ticket.number} is to be called by phone, and {name} is let in at a door.")


def add_to_waiting_count(db: Connection, queue_id: int, delta: int) -> None:
    """Change the number of waiting tickets that a queue keeps.

    It is kept, not counted each time, so that an action costs the same in a line of ten and of ten thousand.
    """
    run(db, "UPDATE queue SET waiting = waiting + :delta WHERE id = :id", delta=delta, id=queue_id)


def record_ticket_event(
    db: Connection,
    at: float,
    kind: str,
    ticket: Ticket,
    *,
    desk: str | None = None,
    counter_id: int | None = None,
    detail: str | None = None,
) -> None:
    """Write an event about a ticket as it is now, with its queue, its servicer and its state."""
    somebody_listens = record(
        db,
        at,
        ticket.place_id,
        kind,
        queue_id=ticket.queue_id,
        ticket_id=ticket.id,
        servicer_id=ticket.servicer_id,
        counter_id=counter_id,
        contact_id=ticket.contact_id,
        state=ticket.state,
        desk=desk,
        detail=detail,
    )
    if somebody_listens:
        tell(db, at, ticket, kind)


# ----- special cases


def position_behind(db: Connection, queue_id: int, day: str, places: int) -> PlaceInLine:
    """Return the position behind the next `places` tickets of a queue; an empty one if nobody waits."""
    line = waiting_tickets(db, [queue_id], day, places + 1)
    if not line:
        return {}
    if places == 0:
        first = line[0]
        return {"priority": first.priority, "joined_at": first.joined_at - MIN_GAP_S}
    before = line[:places][-1]
    joined_at = before.joined_at + MIN_GAP_S
    if len(line) > places:
        after = line[places]
        if after.priority == before.priority:
            joined_at = (before.joined_at + after.joined_at) / 2
    return {"priority": before.priority, "joined_at": joined_at}


def release_call(
    db: Connection, at: float, ticket: Ticket, kind: str, **columns: Unpack[TicketChanges]
) -> Ticket:
    """End the claim of a call, by "give-back", "lapse" or "clear-claim", and return the changed ticket.

    The call waits again, unless the contact must not be called any more: then it is cancelled.
    """
    do_not_call = run(db, "SELECT do_not_call FROM contact WHERE id = :id", id=ticket.contact_id).scalar()
    if do_not_call:
        return change_state(db, at, ticket, "cancel")
    return change_state(db, at, ticket, kind, **columns)


def change_state_at_door(db: Connection, at: float, ticket: Ticket, kind: str, day: str) -> None:
    """Take a ticket through a transition at a door: "come-in", "no-show", or the undoing of one of them.

    "put-back" and "bring-back" put it first in line, or end it as expired if its day is over.
    """
    if kind == "no-show":
        change_state(db, at, ticket, kind)
    elif kind == "come-in":
        called: TicketChanges = {"called_at": ticket.called_at or at, **_first_calls(at, ticket)}
        change_state(db, at, ticket, kind, **called)
    else:
        changed = change_state(db, at, ticket, kind, **position_behind(db, ticket.queue_id, day, 0))
        if changed.series < day:
            change_state(db, at, changed, "expire")


def admit_waiting(db: Connection, at: float, queue_id: int) -> None:
    """Call the next customers of a queue to the door, as many as the counter that admits it has room for."""
    sql = """SELECT place.* FROM queue JOIN place ON place.id = place_id
             WHERE queue.id = :queue AND counter_id > 0"""
    place = load_first(Place, run(db, sql, queue=queue_id))
    if place is None:
        return  # no counter admits it
    day = day_of(place, at)
    sql = f"{SELECT_COUNTERS} AND queue.id = :queue"
    counter = load(Counter, run(db, sql, place=place.id, day=day, queue=queue_id).one())
    room = counter.capacity - max(0, counter.people) - counter.held  # a count below 0 has drifted
    for ticket in waiting_tickets(db, [queue_id], day, limit=max(0, room), here_at=at):
        room -= min(ticket.party or 1, counter.capacity)
        if room < 0:
            return  # the next groups may be smaller, but it's not their turn
        _call_to_door(db, at, ticket, counter)


def _call_to_door(db: Connection, at: float, ticket: Ticket, counter: Counter) -> None:
    row = update(
        db, "ticket", ticket.id, state="called", called_at=at, away_until=None, **_first_calls(at, ticket)
    )
    add_to_waiting_count(db, ticket.queue_id, -1)
    record_ticket_event(db, at, "call", load(Ticket, row), counter_id=counter.id)


def _first_calls(at: float, ticket: Ticket) -> TicketChanges:
    """Return when a ticket that is called now was first called: in all, and in its present step."""
    return {
        "first_called_at": ticket.first_called_at or at,
        "step_called_at": None if ticket.moved_at is None else ticket.step_called_at or at,
    }


def check_nobody_in(db: Connection, at: float, place: Place, queue: Queue) -> None:
    """Raise Conflict while somebody waits in a queue or is being served there."""
    sql = f"SELECT count(*) FROM ticket WHERE place_id = :place AND queue_id = :queue AND {BUSY}"
    inside = run(db, sql, place=place.id, queue=queue.id).scalar_one()
    if queue.is_call_list:
        calls = inside + queue.waiting
        if calls:
            raise Conflict(f"{calls} are on {queue.name} still. Take them off first.")
        return
    inside += len(waiting_tickets(db, [queue.id], day_of(place, at)))
    if inside:
        raise Conflict(f"{inside} still waiting or being served in {queue.name}. Let them finish first.")
