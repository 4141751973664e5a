"""Customers: taking a number, their ticket, and leaving the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.clock import DAY_S, HOUR_S
from app.core.days import day_of_series
from app.core.history import can_be_undone, last_event, record
from app.core.models import DETAILS, CustomerDetails, Place, Queue, Ticket, WaitRange
from app.core.phones import ANY_READING, read_phone
from app.core.places import find_place, find_place_for_owner, new_token
from app.core.queries import (
    BY_OWNER,
    ERASE_PERSONAL_DATA,
    JOIN_TIME,
    NORMAL_PRIORITY,
    OPEN_CALL,
    OPEN_STATES,
    SELECT_TICKETS,
    get_ticket,
)
from app.core.queues import call_lists, find_queue, find_walk_in_queue, get_queue
from app.core.transitions import (
    UNCHANGED,
    admit_waiting,
    change_state,
    current_series,
    is_placeholder,
    position_behind,
    record_ticket_event,
    start_day,
    state_at,
)
from app.errors import BadInput, Conflict, NotFound
from app.storage.schema import HOLDS_PERSONAL_DATA
from app.storage.sql import load, load_all, load_first, run, update

RESTORE_S = HOUR_S  # how long after its end the owner can restore a ticket
# For the INSERT of a ticket: "party, name" and ":party, :name"
DETAIL_COLUMNS = ", ".join(DETAILS)
DETAIL_VALUES = ", ".join(f":{detail}" for detail in DETAILS)


@dataclass(frozen=True)
class Taken:
    """A ticket that was taken, or that the same request or browser had already."""

    place: Place
    queue: Queue
    ticket: Ticket
    is_new: bool


# ----- taking a number


def take_number(
    db: Connection,
    at: float,
    slug: str,
    queue_slug: str,
    details: CustomerDetails,
    *,
    request_id: str | None = None,
    browser: str | None = None,
    estimate: Callable[[int], WaitRange | None] | None = None,
) -> Taken:
    """Give the next number of a walk-in queue.

    The same request, and the same browser while its ticket is open, get the ticket that they have already.
    `estimate` returns the wait to show to the customer, given how many are ahead of them.
    Raises NotFound, and Conflict when the queue is closed or full.
    """
    place = find_place(db, slug)
    series = start_day(db, at, place)
    request_key = request_key_of(place, queue_slug, request_id)
    earlier = _find_earlier_ticket(db, place, queue_slug, request_key, browser)
    if earlier:
        return Taken(place, find_walk_in_queue(db, place, queue_slug), earlier, is_new=False)

    queue = _use_next_number(db, place, queue_slug, series)
    # The queue keeps how many wait, this customer included. They are not counted again, so that taking a
    # number costs the same in a long line.
    wait = estimate(queue.waiting - 1) if estimate else None
    row = run(
        db,
        f"""INSERT INTO ticket (place_id, queue_id, token, series, ordinal, number, state, priority,
                                taken_at, joined_at, request_key, browser, {DETAIL_COLUMNS},
                                wait_from, wait_to, tries, by_phone)
            VALUES (:place, :queue, :token, :series, :ordinal, :number, 'waiting', :normal,
                    :at, {JOIN_TIME}, :request_key, :browser, {DETAIL_VALUES},
                    :wait_from, :wait_to, 0, 0)
            RETURNING *""",
        place=place.id,
        queue=queue.id,
        token=new_token(),
        series=series,
        ordinal=queue.last_number,
        number=f"{queue.prefix}{queue.last_number}",
        normal=NORMAL_PRIORITY,
        at=at,
        request_key=request_key,
        browser=None if queue.shared_tablet else browser,
        **vars(details),
        wait_from=wait.from_s if wait else None,
        wait_to=wait.to_s if wait else None,
    ).one()
    ticket = load(Ticket, row)
    record_ticket_event(db, at, "take", ticket)
    if queue.counter_id:
        admit_waiting(db, at, queue.id)  # which may call this customer at once
        ticket = get_ticket(db, ticket.id)
    return Taken(place, queue, ticket, is_new=True)


def request_key_of(place: Place, queue_slug: str, request_id: str | None) -> str | None:
    """Return what a ticket keeps of the id of its request, so that a repeated request finds it."""
    return f"{place.id} {queue_slug} {request_id}" if request_id else None


def _find_earlier_ticket(
    db: Connection, place: Place, queue_slug: str, request_key: str | None, browser: str | None
) -> Ticket | None:
    """Return the ticket of the same request, or else the open ticket that the browser has in the queue."""
    ticket = None
    if request_key:
        sql = f"{SELECT_TICKETS} WHERE request_key = :request_key"
        ticket = load_first(Ticket, run(db, sql, request_key=request_key))
    if browser and ticket is None:
        sql = f"""{SELECT_TICKETS} WHERE ticket.browser = :browser AND ticket.place_id = :place
                  AND queue.slug = :queue AND shared_tablet = 0 AND state IN :open"""
        result = run(db, sql, browser=browser, place=place.id, queue=queue_slug, open=OPEN_STATES)
        ticket = load_first(Ticket, result)
    return ticket


def _use_next_number(db: Connection, place: Place, queue_slug: str, series: str) -> Queue:
    """Count a queue up by one waiting ticket and one number, and return it.

    Its first number in a series is looked up, since another queue may have had its prefix earlier that day.
    Raises NotFound, and Conflict when the queue is closed or full.
    """
    sql = """UPDATE queue
             SET waiting = waiting + 1, series = :series,
                 last_number = CASE
                     WHEN series = :series THEN last_number + 1
                     ELSE (SELECT coalesce(max(ordinal), 0) + 1 FROM ticket
                           WHERE place_id = :place AND series = :series
                           AND number = queue.prefix || CAST(ordinal AS TEXT))
                 END
             WHERE place_id = :place AND slug = :slug AND kind = 'walk-in' AND deleted_at IS NULL
             AND open = 1 AND waiting < max_waiting
             RETURNING *"""
    queue = load_first(Queue, run(db, sql, place=place.id, slug=queue_slug, series=series))
    if queue is not None:
        return queue
    queue = find_walk_in_queue(db, place, queue_slug)
    if not queue.open:
        raise Conflict(f"{queue.name} is closed. Not taking new numbers right now.")
    raise Conflict(f"{queue.name} is full. Please come back a little later.")


# ----- finding tickets


def find_ticket(db: Connection, slug: str, token: str) -> tuple[Place, Queue, Ticket]:
    """Return the place, the queue and the ticket of a customer's link. Raises NotFound."""
    place = find_place(db, slug)
    ticket = _find_ticket_in(db, place, token)
    return place, get_queue(db, ticket.queue_id), ticket


def find_slug_of_ticket(db: Connection, token: str) -> str:
    """Return the slug of the place of a customer's link. Raises NotFound."""
    result = run(
        db,
        """SELECT slug FROM ticket JOIN place ON place.id = place_id AND deleted_at IS NULL
           WHERE token = :token""",
        token=token,
    )
    slug = result.scalar()
    if slug is None:
        raise NotFound("There is no such ticket. Take a new number on the page of the place.")
    return str(slug)


def open_ticket(db: Connection, at: float, slug: str, token: str) -> Ticket:
    """Start the day of the place if it is new, and return the ticket of a customer who is about to change it.

    Raises NotFound for an unknown link.
    """
    place = find_place(db, slug)
    start_day(db, at, place)
    return _find_ticket_in(db, place, token)


def _find_ticket_in(db: Connection, place: Place, token: str) -> Ticket:
    sql = f"{SELECT_TICKETS} WHERE ticket.token = :token AND ticket.place_id = :place"
    ticket = load_first(Ticket, run(db, sql, token=token, place=place.id))
    if ticket is None:
        raise NotFound("There is no such ticket. Take a new number on the page of the place.")
    return ticket


def tickets_of_browser(db: Connection, at: float, slug: str, browser: str) -> list[Ticket]:
    """Return the open tickets that a browser has in the walk-in queues of a place, newest first."""
    place = find_place(db, slug)
    sql = f"""{SELECT_TICKETS}
              WHERE ticket.browser = :browser AND ticket.place_id = :place AND contact_id IS NULL
              ORDER BY ticket.id DESC"""
    tickets = load_all(Ticket, run(db, sql, browser=browser, place=place.id))
    return [ticket for ticket in tickets if state_at(ticket, place, at) in OPEN_STATES]


# ----- leaving the line


def cancel_ticket(db: Connection, at: float, slug: str, token: str) -> None:
    """Let a customer leave the line. Raises Conflict if their ticket ended in another way."""
    ticket = open_ticket(db, at, slug, token)
    if is_placeholder(ticket):
        raise Conflict("This can't be taken back here. Please tell us when we call.")
    if ticket.state != "cancelled":
        change_state(db, at, ticket, "cancel")


def can_rejoin(db: Connection, at: float, ticket: Ticket) -> bool:
    """Return True for some seconds after a customer has left the line themselves."""
    if ticket.state != "cancelled" or ticket.ended_at is None or not can_be_undone(at, ticket.ended_at):
        return False
    event = last_event(db, ticket.id)
    return event is not None and event.kind == "cancel" and event.detail != BY_OWNER


def rejoin(db: Connection, at: float, slug: str, token: str, *, browser: str | None = None) -> None:
    """Undo cancel_ticket(): the customer has the place in line that they had. Raises Conflict."""
    ticket = open_ticket(db, at, slug, token)
    if ticket.state in OPEN_STATES and not is_placeholder(ticket):
        return  # the second of two presses
    queue = get_queue(db, ticket.queue_id)
    place = find_place(db, slug)
    is_over = not queue.is_call_list and ticket.series < day_of_series(current_series(place, at))
    if is_over or not can_rejoin(db, at, ticket):
        raise Conflict("It's too late to undo this.")
    if run(db, "SELECT deleted_at FROM queue WHERE id = :id", id=queue.id).scalar():
        raise Conflict(f"{queue.name} was deleted, so you can't wait there again.")
    if ticket.is_call and not _may_be_called_again(db, ticket):
        raise Conflict("This request can't be restored. Please leave your number again.")
    change_state(db, at, ticket, "bring-back")
    if browser and not queue.shared_tablet:
        update(db, "ticket", ticket.id, browser=browser)


def _may_be_called_again(db: Connection, call: Ticket) -> bool:
    """Return True unless the contact must not be called, or is on the list again."""
    sql = f"""SELECT do_not_call FROM contact WHERE id = :contact AND do_not_call = 0 AND NOT EXISTS
              (SELECT 1 FROM ticket WHERE {OPEN_CALL} AND contact_id = :contact AND queue_id = :queue)"""
    return run(db, sql, contact=call.contact_id, queue=call.queue_id).first() is not None


def cancel_tickets(
    db: Connection, at: float, slug: str, token: str, queue_slug: str, numbers: list[str]
) -> list[str]:
    """Cancel these numbers of a queue for the owner; return those that were still open."""
    place = find_place_for_owner(db, slug, token)
    queue = find_queue(db, place, queue_slug)
    if not numbers:
        raise BadInput("Numbers: choose at least one.")
    start_day(db, at, place)
    # Those at the end of the line come first, and those for whom a counter holds a space come last. In any
    # other order, a cancelled ticket could make room for one that is about to be cancelled too.
    sql = """SELECT * FROM ticket WHERE queue_id = :queue AND state IN :open AND ticket.number IN :numbers
             ORDER BY state = 'waiting' DESC, priority DESC, joined_at DESC, id DESC"""
    tickets = load_all(Ticket, run(db, sql, queue=queue.id, open=OPEN_STATES, numbers=numbers))
    return [change_state(db, at, ticket, "cancel", detail=BY_OWNER).number for ticket in tickets]


def restore_ticket(db: Connection, at: float, slug: str, token: str, queue_slug: str, number: str) -> Ticket:
    """Let a customer of today wait again, first in line, for the owner: their ticket ended within an hour.

    Raises Conflict when it didn't. A ticket that waits already stays as it is.
    """
    place = find_place_for_owner(db, slug, token)
    queue = find_walk_in_queue(db, place, queue_slug)
    day = day_of_series(start_day(db, at, place))
    sql = f"""{SELECT_TICKETS}
              WHERE ticket.queue_id = :queue AND ticket.number = :number AND ticket.series >= :day
              ORDER BY ticket.id DESC LIMIT 1"""
    ticket = load_first(Ticket, run(db, sql, queue=queue.id, number=number, day=day))
    if ticket is not None and ticket.state == "waiting":
        return ticket
    if ticket is None or ticket.ended_at is None or at - ticket.ended_at > RESTORE_S:
        raise Conflict(f"{number} didn't end within the last hour, so it can't wait again. {UNCHANGED}")
    return change_state(db, at, ticket, "bring-back", **position_behind(db, queue.id, day, 0))


# ----- waiting at home for a phone call


def may_call_back(db: Connection, at: float, place: Place, queue: Queue, ticket: Ticket) -> bool:
    """Return True if a customer can go home and be phoned when it's their turn.

    That takes a place that makes calls, and a queue that no door admits.
    """
    if queue.is_call_list or queue.counter_id or state_at(ticket, place, at) != "waiting":
        return False
    return bool(call_lists(db, place))


def request_phone_call(
    db: Connection, at: float, slug: str, token: str, phone: str, confirmed: str = ANY_READING
) -> None:
    """Let a waiting customer go home: they keep their place in line, and are phoned when it's their turn.

    Raises BadInput for what isn't a phone number, and Conflict where may_call_back() is False.
    """
    ticket = open_ticket(db, at, slug, token)
    place = find_place(db, slug)
    number = read_phone(phone, place.country, confirmed)
    if not may_call_back(db, at, place, get_queue(db, ticket.queue_id), ticket):
        raise Conflict("We can't call you instead: only while you wait, and where calls are made.")
    update(db, "ticket", ticket.id, by_phone=1, phone=number)
    record(db, at, ticket.place_id, "call-me", queue_id=ticket.queue_id, ticket_id=ticket.id)


def wait_here(db: Connection, at: float, slug: str, token: str) -> None:
    """Let a customer who wanted a phone call wait here again; see request_phone_call().

    Their phone number is erased, unless the queue asks everybody for one.
    """
    ticket = open_ticket(db, at, slug, token)
    if ticket.by_phone and ticket.state in OPEN_STATES:
        asks = get_queue(db, ticket.queue_id).asks.split()
        update(db, "ticket", ticket.id, by_phone=0, phone=ticket.phone if "phone" in asks else None)
        record(db, at, ticket.place_id, "wait-here", queue_id=ticket.queue_id, ticket_id=ticket.id)


def numbers_by_phone(db: Connection, queue: Queue, day: str) -> list[str]:
    """Return the numbers in a queue that are at home, waiting for a phone call or being called."""
    sql = """SELECT number FROM ticket WHERE queue_id = :queue AND by_phone = 1 AND state IN :open
             AND (series >= :day OR state <> 'waiting') ORDER BY id"""
    return list(run(db, sql, queue=queue.id, day=day, open=OPEN_STATES).scalars())


# ----- personal data


def erase_personal_data(db: Connection, at: float, keep_days: int, limit: int = 2000) -> bool:
    """Erase the personal columns of tickets that ended more than `keep_days` ago.

    Erases up to `limit` tickets; returns True if there may be more.
    """
    sql = f"""{ERASE_PERSONAL_DATA} WHERE id IN
              (SELECT id FROM ticket WHERE {HOLDS_PERSONAL_DATA} AND ended_at < :before LIMIT :limit)"""
    return run(db, sql, before=at - keep_days * DAY_S, limit=limit).rowcount == limit
