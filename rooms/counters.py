"""Counters: how many are inside, taps, recounts; the only code that writes `counter`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection, Row

from rooms.line import (
    COUNTERS,
    STEPS,
    TICKETS,
    UNCHANGED,
    admit,
    by_phone_in,
    called_in,
    open_day,
    step_at_door,
)
from rooms.places import (
    CALLS,
    add_queue,
    day_begins,
    day_of,
    find_place,
    find_queue,
    next_day,
    open_place,
    slug_of,
)
from rooms.settings import BadInput, Conflict, NotFound
from rooms.storage import change, insert, record, run

COUNTED = ("tap", "undo", "recount", "empty")  # the events whose deltas add up to the people inside
CODE_S = 600  # how long a code leads to a link
DOORS = """SELECT door.*, digits AS code, ends_at AS code_ends_at
           FROM door JOIN counter ON counter.id = counter_id
           LEFT JOIN code ON door_id = door.id AND ends_at > :at
           WHERE counter.place_id = :place AND removed_at IS NULL AND counter.deleted_at IS NULL"""


def counters_of(db: Connection, place: Row, at: float) -> list[Row]:
    """The counters of a place as they are now, oldest first."""
    return run(db, f"{COUNTERS} ORDER BY counter.id", place=place.id, day=day_of(place, at)).all()


def level_of(counter: Row) -> str:
    """How full it is: "free", "nearly" (from 80 %) or "full"; who was called to the door holds a space."""
    taken = max(0, counter.people) + counter.held
    return "full" if taken >= counter.capacity else "nearly" if 5 * taken >= 4 * counter.capacity else "free"


def find_counter(db: Connection, at: float, place: Row, slug: str) -> Row:
    """A place's counter by its slug; raises NotFound."""
    for counter in counters_of(db, place, at):
        if counter.slug == slug:
            return counter
    raise NotFound(f"{place.name} has no counter named {slug}.")


def open_place_for(
    db: Connection,
    at: float,
    max_waiting: int,
    queue: str | None,
    counter: dict | None,
    call_list: str | None,
    **asked: Any,
):
    """Opens a place with its first queue, counter or call list, or some of them; as open_place()."""
    place = open_place(db, at, **asked)
    if call_list:
        add_queue(db, at, place, call_list, max_waiting, CALLS)
    if queue or not (counter or call_list):
        add_queue(db, at, place, queue or "Line", max_waiting)
    if counter:
        add_counter(db, at, place, **counter)
    return place


def add_counter(db: Connection, at: float, place: Row, name: str, capacity: int, **asked: Any) -> Row:
    """Adds a counter with a door of its name; `asked` as in change_counter()."""
    slug = slug_of(name, {counter.slug for counter in counters_of(db, place, at)}, "counter")
    columns = {"name": name, "slug": slug, "capacity": capacity, "empties": "day", "hold_minutes": 5}
    columns |= {"place_id": place.id, "day": day_of(place, at), "inside": 0, "recounted_at": 0}
    insert(db, "counter", "", created_at=at, **columns)
    counter = find_counter(db, at, place, slug)
    add_door(db, at, place, counter, name)
    return change_counter(db, at, place, counter, **asked)


def about_counter(db: Connection, at: float, place: Row, counter: str, then: Callable, **more: Any) -> Any:
    """Runs `then(db, at, place, counter, …)` for a counter of the owner's; raises NotFound."""
    return then(db, at, place, _today(db, at, place, find_counter(db, at, place, counter)), **more)


def _today(db: Connection, at: float, place: Row, counter: Row) -> Row:
    # A counter that empties itself does so in the first write after its day; what was in it had drifted.
    day = day_of(place, at)
    if counter.day < day and counter.empties == "day":
        over, begins = (
            day_begins(place.timezone, each, place.day_starts) for each in (next_day(counter.day), day)
        )
        change(db, "counter", counter.id, inside=0, recounted_at=begins)
        record(db, over, place.id, "empty", counter_id=counter.id, delta=-counter.inside, detail="0")
    if counter.day < day:
        change(db, "counter", counter.id, day=day)
    return find_counter(db, at, place, counter.slug)


def change_counter(db: Connection, at: float, place: Row, counter: Row, **changes: Any) -> Row:
    """Changes a counter's name, capacity, empties or hold_minutes, or the queue it `admits` (None: none)."""
    record(db, at, place.id, "change-counter", counter_id=counter.id, detail=" ".join(changes))
    if changes.get("admits", counter.admits) != counter.admits:
        _admit_queue(db, at, place, counter, changes["admits"])
    changes.pop("admits", None)
    if changes:
        change(db, "counter", counter.id, **changes)
    counter = find_counter(db, at, place, counter.slug)
    admit(db, at, counter.queue_id)
    return find_counter(db, at, place, counter.slug)


def _admit_queue(db: Connection, at: float, place: Row, counter: Row, slug: str | None) -> None:
    # Those called to the door from a queue that is admitted no more wait again, first and in their order.
    queue = find_queue(db, place, slug) if slug else None
    if queue and queue.counter_id:
        raise Conflict(f"Another counter admits {queue.name} already.")
    if queue and (numbers := by_phone_in(db, queue, day_of(place, at))):
        raise Conflict(f"{', '.join(numbers)} in {queue.name} will be called by phone. Serve them first.")
    run(db, "UPDATE queue SET counter_id = NULL WHERE counter_id = :id", id=counter.id)
    for ticket in called_in(db, place):
        if ticket.queue_id == counter.queue_id and ticket.servicer_id is None:
            step_at_door(db, at, ticket, "put-back", day_of(place, at))
    if queue:
        change(db, "queue", queue.id, counter_id=counter.id)


def delete_counter(db: Connection, at: float, place: Row, counter: Row) -> None:
    """Takes a counter and its doors away; the queue that it admitted goes on without a door."""
    change_counter(db, at, place, counter, admits=None)
    change(db, "counter", counter.id, deleted_at=at)


# ----- its doors


def doors_of(db: Connection, at: float, place: Row, counter: Row) -> list[Row]:
    """The doors of a counter, oldest first, each with the code that leads to it while it lasts."""
    sql = f"{DOORS} AND counter_id = :counter ORDER BY door.id"
    return run(db, sql, place=place.id, at=at, counter=counter.id).all()


def find_door(db: Connection, at: float, place: Row, column: str, value: Any) -> tuple[Row, Row]:
    """The counter and the door of a door's `id` or `token`; raises NotFound."""
    door = run(db, f"{DOORS} AND door.{column} = :value", place=place.id, at=at, value=value).first()
    if door is None:
        raise NotFound("This door's link is not valid any more. Ask the owner for the new one.")
    return next(each for each in counters_of(db, place, at) if each.id == door.counter_id), door


def add_door(db: Connection, at: float, place: Row, counter: Row, name: str) -> Row:
    """Adds a door, with a link of its own."""
    columns = {"counter_id": counter.id, "name": name, "token": secrets.token_urlsafe(16), "created_at": at}
    door = insert(db, "door", **columns).one()
    record(db, at, place.id, "add-door", counter_id=counter.id, door_id=door.id)
    return find_door(db, at, place, "id", door.id)[1]


def change_door(db: Connection, at: float, place: Row, door_id: int, kind: str) -> Row:
    """Gives a door a new link (`replace`), a `code`, or takes it away (`remove`); raises NotFound."""
    counter, door = find_door(db, at, place, "id", door_id)
    record(db, at, place.id, f"{kind}-door", counter_id=counter.id, door_id=door.id)
    if kind == "remove":
        change(db, "door", door.id, removed_at=at)
        return door
    if kind == "code":
        give_code(db, at, place, door.id)
    else:  # a code led to the old link, which is unknown from now on
        run(db, "DELETE FROM code WHERE door_id = :id", id=door.id)
        change(db, "door", door.id, token=secrets.token_urlsafe(16))
    return find_door(db, at, place, "id", door.id)[1]


def give_code(db: Connection, at: float, place: Row, door_id: int | None = None) -> Row:
    """Makes six digits, to be read out, that lead to a door's link or (without one) to the staff link."""
    sql = "DELETE FROM code WHERE place_id = :place AND (ends_at <= :at OR coalesce(door_id, 0) = :door)"
    run(db, sql, place=place.id, at=at, door=door_id or 0)
    used = set(run(db, "SELECT digits FROM code WHERE place_id = :place", place=place.id).scalars())
    digits = next(each for each in iter(lambda: f"{secrets.randbelow(10**6):06}", "") if each not in used)
    record(db, at, place.id, "give-code", door_id=door_id)
    row = {"place_id": place.id, "door_id": door_id, "digits": digits, "ends_at": at + CODE_S}
    return insert(db, "code", "RETURNING digits AS code", **row).one()


def staff_code(db: Connection, at: float, place: Row) -> Row | None:
    """The code that leads to the staff link, while it lasts."""
    sql = "SELECT * FROM code WHERE place_id = :place AND door_id IS NULL AND ends_at > :at"
    return run(db, sql, place=place.id, at=at).first()


def use_code(db: Connection, at: float, slug: str, digits: str) -> tuple[str, str]:
    """The kind of link that a code leads to, `door` or `staff`, and its token; raises BadInput."""
    place = find_place(db, slug)
    door = run(db, f"{DOORS} AND digits = :digits", place=place.id, at=at, digits=digits).first()
    staff = staff_code(db, at, place)
    if door:
        return "door", door.token
    if staff and staff.digits == digits:
        return "staff", place.staff_token
    raise BadInput("This code is not valid, or not any more: it lasts ten minutes. Ask for a new one.")


def by_door(db: Connection, at: float, slug: str, token: str, does: Callable, **more: Any) -> None:
    """Runs `does(db, at, place, counter, door, …)` for whoever holds a door's link; raises NotFound."""
    place = find_place(db, slug)
    counter, door = find_door(db, at, place, "token", token)
    open_day(db, place, at)
    does(db, at, place, _today(db, at, place, counter), door, **more)
    admit(db, at, counter.queue_id)


def store_taps(
    db: Connection, at: float, place: Row, counter: Row, door: Row, taps: list[dict[str, Any]]
) -> None:
    """Counts what was tapped at a door: all of it or nothing, and each tap once however often it is sent.

    A tap has id and delta, and may have ago_s (seconds since it was made), number (of a called customer who
    came in) and undoes (the id of a tap that it takes back). One made before the last recount, or whose
    customer was counted already, is kept in the history and not added.
    """
    undoes = [(tap.get("undoes") or "").lower() for tap in taps]
    # A tap is taken back once, whatever id that has.
    ids = [f"undo {other}" if other else tap["id"].lower() for tap, other in zip(taps, undoes, strict=True)]
    sql = "SELECT * FROM event WHERE counter_id = :counter AND tap IN :ids"
    known = {event.tap: event for event in run(db, sql, counter=counter.id, ids=ids + undoes)}
    for tap, key, other in zip(taps, ids, undoes, strict=True):
        if key not in known:
            known[key] = _count_tap(db, at, place, counter, door, tap | {"id": key}, known.get(other))


def _count_tap(
    db: Connection, at: float, place: Row, counter: Row, door: Row, tap: dict, undone: Row | None
) -> Row:
    made_at, kind, step = max(counter.created_at, at - tap.get("ago_s", 0)), "tap", "come-in"
    who, value, delta = (
        "ticket.number = :value AND ticket.series >= :yesterday",
        tap.get("number"),
        tap["delta"],
    )
    may = STEPS[step][0]
    if undone:
        kind, step, may, who = "undo", "bring-back", ("done",), "ticket.id = :value"
        value, delta = undone.ticket_id, -undone.delta
    sql = f"""{TICKETS} WHERE ticket.place_id = :place AND ticket.queue_id = :queue AND {who}
              AND ticket.servicer_id IS NULL AND taken_at <= :made_at ORDER BY ticket.id DESC LIMIT 1"""
    values = {"place": place.id, "queue": counter.queue_id, "made_at": made_at}
    values["yesterday"] = day_of(place, made_at - 86400)
    ticket = run(db, sql, value=value, **values).first() if value else None
    since = undone.happened_at if undone else made_at
    if ticket and ticket.state == "done" and not undone:
        kind, ticket = "not-counted", None  # she was counted already
    elif since < counter.recounted_at or (undone and undone.kind not in COUNTED):
        kind = "not-counted"
    columns = {"place_id": place.id, "counter_id": counter.id, "door_id": door.id, "happened_at": made_at}
    columns |= {"kind": kind, "tap": tap["id"], "delta": delta, "ticket_id": ticket and ticket.id}
    event = insert(db, "event", **columns).one()
    if kind in COUNTED:
        sql = "UPDATE counter SET inside = inside + :delta WHERE id = :id"
        run(db, sql, delta=delta, id=counter.id)
    if ticket and ticket.state in may:  # after the count, or her space would be given away
        step_at_door(db, at, ticket, step, day_of(place, at))
    return event


def recount(db: Connection, at: float, place: Row, counter: Row, door: Row, count: int) -> None:
    """Sets the true number of people inside; by how much the count had drifted is kept in the history."""
    change(db, "counter", counter.id, inside=count, recounted_at=at)
    more = {"counter_id": counter.id, "door_id": door.id, "detail": str(count)}
    record(db, at, place.id, "recount", delta=count - counter.inside, **more)


def not_here(db: Connection, at: float, place: Row, counter: Row, door: Row, number: str) -> None:
    """Ends the ticket of a customer who was called to a door and did not come; raises Conflict."""
    for ticket in called_in(db, place):
        if (ticket.number, ticket.queue_id, ticket.servicer_id) == (number, counter.queue_id, None):
            return step_at_door(db, at, ticket, "no-show", day_of(place, at))
    raise Conflict(f"{number} is not called to this door any more. {UNCHANGED}")
