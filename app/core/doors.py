"""Doors: taps, recounts, and customers who are called to a door; and what an owner can do with doors.

A device stores its taps while it is offline and sends them when it can, perhaps twice. Each tap has a UUID,
and counts once however often it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from app.clock import DAY_S
from app.core.codes import give_code
from app.core.counters import COUNTED, add_door_to, call_to_door, counter_today, counters_of, find_counter
from app.core.days import day_of
from app.core.history import UNDO_GRACE_S, UNDO_S, record
from app.core.models import Counter, Door, Place, Ticket
from app.core.places import find_place, find_place_for_owner, new_token, slug_of
from app.core.queries import AT_THE_DOOR, SELECT_TICKETS, called_tickets, waiting_tickets
from app.core.transitions import TRANSITIONS, UNCHANGED, change_state, change_state_at_door, start_day
from app.errors import Conflict, NotFound
from app.storage.sql import insert_returning, load, load_all, load_first, run, update

NOT_COUNTED = "not-counted"  # kind of the event of a tap that is kept, but not added to the count

# The doors of the place :place, each with the code that leads to it at the time :at. These are all fields of
# models.Door.
SELECT_DOORS = """
    SELECT door.*, digits AS code, ends_at AS code_ends_at
    FROM door JOIN counter ON counter.id = counter_id
    LEFT JOIN code ON door_id = door.id AND ends_at > :at
    WHERE counter.place_id = :place AND removed_at IS NULL AND counter.deleted_at IS NULL"""


@dataclass(frozen=True)
class Tap:
    """One press at a door."""

    id: str
    delta: int
    ago_s: float = 0  # seconds since it was made
    number: str | None = None  # of a called customer who came in
    undoes: str | None = None  # id of the tap that this one takes back

    @property
    def key(self) -> str:
        """What the tap is stored by. All taps that take back the same one have the same key."""
        return f"undo {self.undoes.lower()}" if self.undoes else self.id.lower()


@dataclass(frozen=True)
class RefusedTap:
    """A tap that can't be accepted, however often it is sent."""

    id: Any  # as it was sent
    reason: str  # a sentence


@dataclass(frozen=True)
class TapResult:
    """The result of a tap."""

    id: Any  # as it was sent
    counted: bool
    refused: str | None = None  # the reason, if it wasn't stored


@dataclass(frozen=True)
class StoredTap:
    """The event of a tap."""

    tap: str  # its key
    kind: str  # "tap", "undo" or NOT_COUNTED
    delta: int
    ticket_id: int | None  # of the customer who came in
    happened_at: float


# ----- finding


def doors_of(db: Connection, at: float, place: Place, counter: Counter) -> list[Door]:
    """Return the doors of a counter, oldest first."""
    sql = f"{SELECT_DOORS} AND counter_id = :counter ORDER BY door.id"
    return load_all(Door, run(db, sql, place=place.id, at=at, counter=counter.id))


def find_door(db: Connection, at: float, place: Place, token: str) -> tuple[Counter, Door]:
    """Return the door with this link, and its counter. Raises NotFound."""
    sql = f"{SELECT_DOORS} AND door.token = :token"
    door = load_first(Door, run(db, sql, place=place.id, at=at, token=token))
    return _counter_of(db, at, place, door)


def find_door_by_id(db: Connection, at: float, place: Place, door_id: int) -> tuple[Counter, Door]:
    """Return a door of a place by its id, and its counter. Raises NotFound."""
    sql = f"{SELECT_DOORS} AND door.id = :id"
    door = load_first(Door, run(db, sql, place=place.id, at=at, id=door_id))
    return _counter_of(db, at, place, door)


def _counter_of(db: Connection, at: float, place: Place, door: Door | None) -> tuple[Counter, Door]:
    if door is None:
        raise NotFound("This door's link is not valid any more. Ask the owner for the new one.")
    counters = counters_of(db, place, at)
    return next(counter for counter in counters if counter.id == door.counter_id), door


def open_door(db: Connection, at: float, slug: str, token: str) -> tuple[Place, Counter, Door]:
    """Start the day of the place if it is new, and return the place, the counter and the door of a link.

    For writes; find_door() is for reading. Raises NotFound for an unknown link.
    """
    place = find_place(db, slug)
    counter, door = find_door(db, at, place, token)
    start_day(db, at, place)
    return place, counter_today(db, at, place, counter), door


def tickets_at_door(db: Connection, place: Place, counter: Counter) -> list[Ticket]:
    """Return the tickets that a counter has called to its doors, latest call first."""
    return [
        ticket
        for ticket in called_tickets(db, place)
        if ticket.queue_id == counter.queue_id and ticket.servicer_id is None
    ]


# ----- taps


def store_taps(
    db: Connection, at: float, slug: str, token: str, batch: Sequence[Tap | RefusedTap]
) -> list[TapResult]:
    """Store the new ones of some taps and count them; return what became of each, in their order.

    A tap from before the last recount, or of a customer who was counted before, is stored but not counted.
    Neither is one that takes back a tap which this batch holds as refused.
    """
    place, counter, door = open_door(db, at, slug, token)
    refused_ids = {each.id.lower() for each in batch if isinstance(each, RefusedTap) and type(each.id) is str}
    taps = [
        each
        for each in batch
        if isinstance(each, Tap) and (each.undoes is None or each.undoes.lower() not in refused_ids)
    ]
    stored = _stored_taps(db, counter, taps)
    for tap in taps:
        if tap.key not in stored:
            undone = stored.get(tap.undoes.lower()) if tap.undoes else None
            if undone is None:
                # An undo may arrive before its tap: then both are counted like any others.
                stored[tap.key] = _store_tap(db, at, place, counter, door, tap)
            else:
                stored[tap.key] = _store_undo(db, at, place, counter, door, tap, undone)
    call_to_door(db, at, counter)
    return [_result_of(each, stored) for each in batch]


def _result_of(sent: Tap | RefusedTap, stored: Mapping[str, StoredTap]) -> TapResult:
    if isinstance(sent, RefusedTap):
        return TapResult(sent.id, counted=False, refused=sent.reason)
    event = stored.get(sent.key)
    if event is None:
        return TapResult(sent.id, counted=False, refused="The tap that it takes back was refused.")
    return TapResult(sent.id, counted=event.kind in COUNTED)


def _stored_taps(db: Connection, counter: Counter, taps: Iterable[Tap]) -> dict[str, StoredTap]:
    """Return those of the taps, and of the taps that they take back, that are stored already, by key."""
    keys = [tap.key for tap in taps] + [tap.undoes.lower() for tap in taps if tap.undoes]
    sql = "SELECT * FROM event WHERE counter_id = :counter AND tap IN :keys"
    events = load_all(StoredTap, run(db, sql, counter=counter.id, keys=keys))
    return {event.tap: event for event in events}


def _store_tap(db: Connection, at: float, place: Place, counter: Counter, door: Door, tap: Tap) -> StoredTap:
    """Store a tap, count it unless it is older than the last recount, and let its customer in."""
    made_at = _made_at(at, counter, tap)
    ticket = None
    if tap.number is not None:
        ticket = _ticket_that_came_in(db, place, counter, tap.number, made_at)
    if ticket is not None and ticket.state == "done":
        # Somebody tapped this customer in already, perhaps at another door.
        return _record_tap(db, counter, door, tap, NOT_COUNTED, tap.delta, None, made_at)
    kind = NOT_COUNTED if made_at < counter.recounted_at else "tap"
    event = _record_tap(db, counter, door, tap, kind, tap.delta, ticket, made_at)
    # After the count: or else the customer's space would be given to the next one for a moment.
    if ticket is not None and ticket.state in TRANSITIONS["come-in"].allowed_in:
        change_state_at_door(db, at, ticket, "come-in", day_of(place, at))
    return event


def _store_undo(
    db: Connection, at: float, place: Place, counter: Counter, door: Door, tap: Tap, undone: StoredTap
) -> StoredTap:
    """Store a tap that takes back another one. It counts if that one does; its customer waits again."""
    made_at = _made_at(at, counter, tap)
    ticket = None
    if undone.ticket_id is not None:
        ticket = _ticket_to_bring_back(db, place, counter, undone.ticket_id, made_at)
    was_counted = undone.kind in COUNTED and undone.happened_at >= counter.recounted_at
    kind = "undo" if was_counted else NOT_COUNTED
    event = _record_tap(db, counter, door, tap, kind, -undone.delta, ticket, made_at)
    if ticket is not None and ticket.state == "done":
        change_state_at_door(db, at, ticket, "bring-back", day_of(place, at))
    return event


def _made_at(at: float, counter: Counter, tap: Tap) -> float:
    """Return when a tap was made: now, if it is said to be older than its counter by more than a day.

    A device whose clock was wrong when it was tapped, such as one that thought it was 1970, sends that.
    """
    made_at = at - tap.ago_s
    if made_at < counter.created_at - DAY_S:
        return at
    return max(counter.created_at, made_at)


def _ticket_that_came_in(
    db: Connection, place: Place, counter: Counter, number: str, made_at: float
) -> Ticket | None:
    """Return the latest ticket with a number in the queue that a counter admits; not one of a desk.

    It may be of the day before: a customer who was called then can come in after the day has changed.
    """
    sql = f"""{SELECT_TICKETS} WHERE ticket.place_id = :place AND ticket.queue_id = :queue
              AND ticket.number = :number AND ticket.series >= :yesterday
              AND ticket.servicer_id IS NULL AND taken_at <= :made_at ORDER BY ticket.id DESC LIMIT 1"""
    result = run(
        db,
        sql,
        place=place.id,
        queue=counter.queue_id,
        number=number,
        yesterday=day_of(place, made_at - DAY_S),
        made_at=made_at,
    )
    return load_first(Ticket, result)


def _ticket_to_bring_back(
    db: Connection, place: Place, counter: Counter, ticket_id: int, made_at: float
) -> Ticket | None:
    """Return the ticket of a tap that is taken back, if its customer can wait for this counter again."""
    sql = f"""{SELECT_TICKETS} WHERE ticket.place_id = :place AND ticket.queue_id = :queue
              AND ticket.id = :id AND ticket.servicer_id IS NULL AND taken_at <= :made_at"""
    result = run(db, sql, place=place.id, queue=counter.queue_id, id=ticket_id, made_at=made_at)
    return load_first(Ticket, result)


def _record_tap(
    db: Connection,
    counter: Counter,
    door: Door,
    tap: Tap,
    kind: str,
    delta: int,
    ticket: Ticket | None,
    made_at: float,
) -> StoredTap:
    """Write the event of a tap and, if it counts, add it to the counter."""
    row = insert_returning(
        db,
        "event",
        place_id=counter.place_id,
        counter_id=counter.id,
        door_id=door.id,
        ticket_id=None if ticket is None else ticket.id,
        kind=kind,
        tap=tap.key,
        delta=delta,
        happened_at=made_at,
    )
    if kind in COUNTED:
        run(db, "UPDATE counter SET inside = inside + :delta WHERE id = :id", delta=delta, id=counter.id)
    return load(StoredTap, row)


# ----- other actions at a door


def recount(db: Connection, at: float, slug: str, token: str, count: int) -> None:
    """Set the true number of people inside. The history keeps by how much the count had drifted."""
    place, counter, door = open_door(db, at, slug, token)
    update(db, "counter", counter.id, inside=count, recounted_at=at)
    record(
        db,
        at,
        place.id,
        "recount",
        counter_id=counter.id,
        door_id=door.id,
        delta=count - counter.inside,
        detail=str(count),
    )
    call_to_door(db, at, counter)


def no_show(db: Connection, at: float, slug: str, token: str, number: str) -> None:
    """End the ticket of a customer who was called to a door and did not come. Raises Conflict."""
    place, counter, _door = open_door(db, at, slug, token)
    for ticket in tickets_at_door(db, place, counter):
        if ticket.number == number:
            change_state_at_door(db, at, ticket, "no-show", day_of(place, at))
            call_to_door(db, at, counter)
            return
    raise Conflict(f"{number} is not called to this door any more. {UNCHANGED}")


def find_undoable(db: Connection, at: float, counter: Counter) -> Ticket | None:
    """Return the customer who was marked last as a no-show at the doors of a counter, for some seconds."""
    if counter.queue_id is None:
        return None
    sql = f"""{SELECT_TICKETS} WHERE ticket.queue_id = :queue AND ended_at >= :since AND state = 'no_show'
              AND ticket.servicer_id IS NULL ORDER BY ended_at DESC, ticket.id DESC LIMIT 1"""
    result = run(db, sql, queue=counter.queue_id, since=at - UNDO_S - UNDO_GRACE_S)
    return load_first(Ticket, result)


def undo_no_show(db: Connection, at: float, slug: str, token: str, number: str) -> None:
    """Undo a no-show: the customer comes in next. Raises Conflict."""
    place, counter, _door = open_door(db, at, slug, token)
    ticket = find_undoable(db, at, counter)
    if ticket is not None and ticket.number == number:
        change_state_at_door(db, at, ticket, "bring-back", day_of(place, at))
        return
    waiting = waiting_tickets(db, [counter.queue_id or 0], day_of(place, at))
    if all(each.number != number for each in [*tickets_at_door(db, place, counter), *waiting]):
        raise Conflict(f"It's too late to undo this for {number}. {UNCHANGED}")


# ----- actions of the owner


def add_door(db: Connection, at: float, slug: str, token: str, counter_slug: str, name: str) -> Door:
    """Add a door with a link of its own to a counter, for the owner."""
    place = find_place_for_owner(db, slug, token)
    counter = counter_today(db, at, place, find_counter(db, at, place, counter_slug))
    door_id = add_door_to(db, at, counter, name)
    return find_door_by_id(db, at, place, door_id)[1]


def replace_door_link(db: Connection, at: float, slug: str, token: str, door_id: int) -> Door:
    """Give a door a new link, for the owner; the old link, and a code that leads to it, stop working."""
    place = find_place_for_owner(db, slug, token)
    counter, door = find_door_by_id(db, at, place, door_id)
    record(db, at, place.id, "replace-door", counter_id=counter.id, door_id=door.id)
    run(db, "DELETE FROM code WHERE door_id = :door", door=door.id)
    update(db, "door", door.id, token=new_token())
    return find_door_by_id(db, at, place, door.id)[1]


def give_door_code(db: Connection, at: float, slug: str, token: str, door_id: int) -> Door:
    """Give a door a new one-time code, for the owner; the previous one stops working."""
    place = find_place_for_owner(db, slug, token)
    counter, door = find_door_by_id(db, at, place, door_id)
    record(db, at, place.id, "code-door", counter_id=counter.id, door_id=door.id)
    give_code(db, at, place, door.id)
    return find_door_by_id(db, at, place, door.id)[1]


def remove_door(db: Connection, at: float, slug: str, token: str, door_id: int) -> Door:
    """Remove a door, for the owner, and return it as it was; its link stops working."""
    place = find_place_for_owner(db, slug, token)
    counter, door = find_door_by_id(db, at, place, door_id)
    record(db, at, place.id, "remove-door", counter_id=counter.id, door_id=door.id)
    update(db, "door", door.id, removed_at=at)
    return door


# ----- reserved spaces


def held_too_long(db: Connection, at: float) -> dict[str, list[int]]:
    """Return the tickets that were called to a door too long ago to keep their space.

    Returns their ids by the slug of their place.
    """
    tickets: dict[str, list[int]] = {}
    for ticket in _held_too_long(db, at):
        tickets.setdefault(slug_of(db, ticket.place_id), []).append(ticket.id)
    return tickets


def _held_too_long(db: Connection, at: float) -> list[Ticket]:
    sql = f"{SELECT_TICKETS} WHERE {AT_THE_DOOR} AND called_at + 60 * hold_minutes <= :at"
    return load_all(Ticket, run(db, sql, at=at))


def release_spaces(db: Connection, at: float, ticket_ids: list[int]) -> None:
    """End these tickets as no-shows, if they still hold a space; it goes to the next customers."""
    for ticket in _held_too_long(db, at):
        if ticket.id in ticket_ids:
            change_state(db, at, ticket, "no-show")
