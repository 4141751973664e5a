"""Desks: what a servicer does with their customers.

Each action takes the slug and the token of a desk's link, and can be pressed twice without harm. It raises
NotFound for an unknown link, and Conflict, without any change, if the ticket isn't at the desk any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from sqlalchemy.engine import Connection

from app.clock import HOUR_S
from app.core.days import day_of_series
from app.core.history import TicketEvent, can_be_undone, last_event, record
from app.core.models import CustomerDetails, Place, Queue, Servicer, Ticket
from app.core.places import find_place
from app.core.plans import find_steps, finish_step, move, queues_to_come, restore_plan, set_steps
from app.core.queries import (
    CALL_ORDER,
    IS_HERE,
    claim_is_over,
    current_ticket,
    get_ticket,
    recent_tickets,
    waiting_tickets,
)
from app.core.queues import find_walk_in_queue, get_queue
from app.core.servicers import (
    check_on_duty,
    end_shift,
    queues_served,
    rename,
    servicer_of_browser,
    set_on_duty,
    successor_of,
)
from app.core.tickets import Taken, take_number
from app.core.transitions import (
    UNCHANGED,
    TicketChanges,
    add_to_waiting_count,
    change_state,
    position_behind,
    record_ticket_event,
    release_call,
    start_day,
)
from app.errors import BadInput, Conflict, NotFound
from app.storage.sql import load_first, run, update

UNDO_KINDS = ("no-show", "move")  # what can be undone at a desk for some seconds
LATEST_EVENTS = 200  # of the whole server: what can be undone is among them
BRING_BACK_S = HOUR_S  # how long after its end a ticket can be brought back
PUT_BACK_BEHIND = 2  # a ticket that is put back waits behind the next two


class PlanChanges(TypedDict, total=False):
    """What a desk can write down about a customer for the desks that come next."""

    note: str | None
    steps: list[str]  # slugs of the queues that follow


@dataclass(frozen=True)
class NextCustomer:
    """The result of "Next customer"."""

    called: Ticket | None  # None: nobody could be called
    goes_on_to: Queue | None  # where the finished customer waits now; None: there is none, or they are done


@dataclass(frozen=True)
class Undoable:
    """What a servicer did last, if it can be undone: a no-show, or a move."""

    ticket: Ticket
    event: TicketEvent


@dataclass(frozen=True)
class Desk:
    """A servicer at work, and what they are doing: serving a customer, making a call, or neither."""

    place: Place
    servicer: Servicer
    day: str  # the day of the place
    ticket: Ticket | None  # the customer's ticket
    call: Ticket | None


def find_desk(db: Connection, slug: str, token: str) -> tuple[Place, Servicer]:
    """Return the place and the servicer of a desk's link. Raises NotFound."""
    place = find_place(db, slug)
    sql = "SELECT * FROM servicer WHERE token = :token AND place_id = :place AND removed_at IS NULL"
    servicer = load_first(Servicer, run(db, sql, token=token, place=place.id))
    if servicer is None:
        raise NotFound("This desk's link is not valid any more. Ask the owner for the staff link.")
    return place, servicer


def update_desk(db: Connection, at: float, slug: str, token: str) -> Desk:
    """Write what is due at a desk before its servicer acts, and return the desk.

    That starts the day of the place if it is new, which expires tickets still waiting from earlier days, and
    releases the servicer's call if its claim ran out. Raises NotFound for an unknown link.
    """
    place, servicer = find_desk(db, slug, token)
    day = day_of_series(start_day(db, at, place))
    ticket = current_ticket(db, servicer)
    if ticket is not None and claim_is_over(ticket, at):
        release_call(db, at, ticket, "lapse")
        ticket = None
    if ticket is not None and ticket.is_call:
        return Desk(place, servicer, day, ticket=None, call=ticket)
    return Desk(place, servicer, day, ticket=ticket, call=None)


# ----- calling the next customer


def call_next(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    *,
    finished: str | None,
    queue: str | None = None,
    number: str | None = None,
) -> NextCustomer:
    """Finish the desk's ticket, then call the next customer, or the one with `number`.

    The finished ticket goes on to the next step of its plan, or is done. It isn't called itself, even if the
    desk serves that step too, so that a second press doesn't finish that.

    `finished` is the number that the page shows at the desk, None for nobody. If it isn't the desk's ticket
    any more, this is the second of two presses, or somebody else was quicker. `queue` is the slug of the only
    queue to call from. Raises Conflict and BadInput.
    """
    desk = update_desk(db, at, slug, token)
    if desk.call:
        raise Conflict("You have a call. Report or release it before you call a customer.")
    if finished != (desk.ticket.number if desk.ticket else None):
        raise Conflict(f"Your desk has changed since this page was shown. {UNCHANGED}")
    check_on_duty(desk.servicer)
    served = [each for each in queues_served(db, desk.servicer) if queue in (None, each.slug)]
    if queue and not served:
        raise BadInput(f"You don't serve a queue named {queue}.")
    at_desks = [each for each in served if each.counter_id is None]
    admitted = [each for each in served if each.counter_id is not None]
    _check_not_admitted(db, desk, admitted, queue, number)

    goes_on_to = finish_step(db, at, desk.place, desk.day, desk.ticket) if desk.ticket else None
    # One statement, so that two desks never get the same ticket.
    result = run(
        db,
        f"""UPDATE ticket SET state = 'called', servicer_id = :servicer, called_at = :at,
                              first_called_at = coalesce(first_called_at, :at), away_until = NULL,
                              step_called_at = CASE WHEN moved_at IS NULL THEN NULL
                                                    ELSE coalesce(step_called_at, :at) END
            WHERE id = (SELECT id FROM ticket
                        WHERE queue_id IN :queues AND state = 'waiting' AND series >= :day
                        AND number = coalesce(:number, number) AND id <> :finished
                        AND ({IS_HERE} OR number = :number)
                        ORDER BY {CALL_ORDER} LIMIT 1)
            AND state = 'waiting' RETURNING *""",
        servicer=desk.servicer.id,
        at=at,
        queues=[each.id for each in at_desks],
        day=desk.day,
        number=number,
        finished=desk.ticket.id if desk.ticket else 0,
    )
    called = load_first(Ticket, result)
    if called is None:
        if number:
            raise Conflict(f"{number} is not waiting any more. {UNCHANGED}")
        for each in admitted:
            if desk.ticket is None and waiting_tickets(db, [each.id], desk.day, limit=1):
                raise _admitted_by_counter(db, each)
        return NextCustomer(None, goes_on_to)
    add_to_waiting_count(db, called.queue_id, -1)
    record_ticket_event(db, at, "call", called, desk=desk.servicer.desk)
    return NextCustomer(called, goes_on_to)


def passed_over(db: Connection, slug: str, token: str, queue: str | None = None) -> list[Ticket]:
    """Return who waits for a desk although call_next() has just called nobody, in the order of the line.

    They let others go first, or it was their ticket that was finished, and they wait for the next step.
    """
    place, servicer = find_desk(db, slug, token)
    served = queues_served(db, servicer)
    queue_ids = [each.id for each in served if each.counter_id is None and queue in (None, each.slug)]
    return waiting_tickets(db, queue_ids, day_of_series(place.series))


def _check_not_admitted(
    db: Connection, desk: Desk, admitted: list[Queue], queue: str | None, number: str | None
) -> None:
    """Raise Conflict for a customer whom a counter admits: only the counter knows if there is room."""
    if queue and admitted:
        raise _admitted_by_counter(db, admitted[0])
    if number:
        ticket = _find_number(waiting_tickets(db, [each.id for each in admitted], desk.day), number)
        for each in admitted:
            if ticket is not None and ticket.queue_id == each.id:
                raise _admitted_by_counter(db, each)


def _admitted_by_counter(db: Connection, queue: Queue) -> Conflict:
    counter = run(db, "SELECT name FROM counter WHERE id = :id", id=queue.counter_id).scalar_one()
    return Conflict(
        f"{counter} admits {queue.name}: it calls customers to the door when there is room. "
        f"A desk can't call them. {UNCHANGED}"
    )


# ----- the ticket at the desk


def start(db: Connection, at: float, slug: str, token: str, number: str) -> None:
    """Note that the customer has reached the desk."""
    ticket = _ticket_at_desk(update_desk(db, at, slug, token), number)
    if ticket.state != "serving":
        change_state(db, at, ticket, "start", started_at=at)


def finish(db: Connection, at: float, slug: str, token: str, number: str) -> None:
    """Finish the ticket at the desk: it is done, or goes on to the next step of its plan."""
    desk = update_desk(db, at, slug, token)
    finish_step(db, at, desk.place, desk.day, _ticket_at_desk(desk, number))


def no_show(db: Connection, at: float, slug: str, token: str, number: str) -> None:
    """End the ticket of a customer who didn't come."""
    ticket = _ticket_at_desk(update_desk(db, at, slug, token), number)
    change_state(db, at, ticket, "no-show")


def call_again(db: Connection, at: float, slug: str, token: str, number: str) -> None:
    """Announce the ticket at the desk once more."""
    ticket = _ticket_at_desk(update_desk(db, at, slug, token), number)
    record_ticket_event(db, at, "call-again", ticket, desk=ticket.desk)


def put_back(db: Connection, at: float, slug: str, token: str, number: str) -> None:
    """Let the customer at the desk wait again, behind the next two."""
    desk = update_desk(db, at, slug, token)
    ticket = _ticket_at_desk(desk, number)
    _check_can_wait_again(desk, ticket)
    position = position_behind(db, ticket.queue_id, desk.day, PUT_BACK_BEHIND)
    change_state(db, at, ticket, "put-back", **position)


def _ticket_at_desk(desk: Desk, number: str) -> Ticket:
    if desk.ticket is None or desk.ticket.number != number:
        raise Conflict(f"{number} is not at your desk any more. {UNCHANGED}")
    return desk.ticket


# ----- other tickets


def bring_back(db: Connection, at: float, slug: str, token: str, number: str) -> None:
    """Let a customer wait again, first in line.

    Only one of the desk's last ten tickets can be brought back, and only if it ended within the last hour.
    """
    desk = update_desk(db, at, slug, token)
    ticket = _find_number(recent_tickets(db, desk.servicer), number)
    if ticket is None or ticket.ended_at is None or at - ticket.ended_at > BRING_BACK_S:
        raise Conflict(f"{number} is not among your last ten of the last hour. {UNCHANGED}")
    _check_can_wait_again(desk, ticket)
    if run(db, "SELECT deleted_at FROM queue WHERE id = :id", id=ticket.queue_id).scalar():
        raise Conflict(f"The queue of {number} was deleted, so it can't wait there again.")
    change_state(db, at, ticket, "bring-back", **position_behind(db, ticket.queue_id, desk.day, 0))


def move_ticket(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    number: str,
    queue_slug: str,
    changes: PlanChanges | None = None,
    step: int | None = None,
) -> None:
    """Move the ticket at the desk, or one that waits in its line, to another queue.

    It keeps its number. `step` is the one that the page shows: if it isn't the ticket's present one any more,
    nothing changes. It joins the end, unless the owner lets those who are moved keep their waiting time.
    If it has a plan, that goes on behind this queue, unless `changes` hold other steps. Raises BadInput for
    steps that can't be.
    """
    changes = changes or {}
    desk = update_desk(db, at, slug, token)
    ticket = _ticket_of_desk(db, desk, number, step)
    _check_can_wait_again(desk, ticket)
    target = find_walk_in_queue(db, desk.place, queue_slug)
    if target.id == ticket.queue_id:
        raise Conflict(f"{number} is in {target.name} already. {UNCHANGED}")
    if "steps" in changes:
        # A form that moves a customer on to the next step of their plan sends that step, too.
        steps = find_steps(db, desk.place, target, changes["steps"], may_repeat_first=True)
        following = [queue.id for queue in steps]
    else:
        following = [queue.id for queue in queues_to_come(db, ticket)]
        if target.id in following:  # steps before it are left out
            del following[: following.index(target.id) + 1]
        if target.counter_id is not None:
            following = []  # whoever is let in at a door is done there
    if "note" in changes:
        update(db, "ticket", ticket.id, desk_note=changes["note"])
    move(db, at, desk.place, ticket, target, following)


def change_plan(
    db: Connection, at: float, slug: str, token: str, number: str, changes: PlanChanges, step: int | None
) -> None:
    """Change the note for the other desks, and the steps that follow the queue in which a ticket is.

    It is the ticket at the desk, or one that waits in its line; see move_ticket() for `step`. Raises BadInput
    and Conflict.
    """
    desk = update_desk(db, at, slug, token)
    ticket = _ticket_of_desk(db, desk, number, step)
    if "steps" in changes:
        queue = get_queue(db, ticket.queue_id)
        steps = find_steps(db, desk.place, queue, changes["steps"], may_repeat_first=False)
        set_steps(db, ticket, [each.id for each in steps])
    if "note" in changes:
        update(db, "ticket", ticket.id, desk_note=changes["note"])
    record(
        db,
        at,
        desk.place.id,
        "plan",
        queue_id=ticket.queue_id,
        ticket_id=ticket.id,
        servicer_id=desk.servicer.id,
        state=ticket.state,
    )


def _ticket_of_desk(db: Connection, desk: Desk, number: str, step: int | None) -> Ticket:
    """Return the ticket at a desk, or one that waits in its line. Raises Conflict."""
    ticket = desk.ticket
    if ticket is None or ticket.number != number:
        queue_ids = [queue.id for queue in queues_served(db, desk.servicer)]
        ticket = _find_number(waiting_tickets(db, queue_ids, desk.day), number)
    if ticket is None:
        raise Conflict(f"{number} is not in your line any more. {UNCHANGED}")
    if step is not None and step != (ticket.step_number or 1):
        raise Conflict(f"{number} is at another step now. {UNCHANGED}")
    return ticket


# ----- undoing


def find_undoable(db: Connection, at: float, servicer: Servicer) -> Undoable | None:
    """Return the ticket that a servicer has just marked as a no-show or moved, if that can be undone."""
    event = _undoable_event(db, at, servicer)
    if event is None or current_ticket(db, servicer) is not None:
        return None
    return Undoable(get_ticket(db, event.ticket_id), event)


def _undoable_event(db: Connection, at: float, servicer: Servicer) -> TicketEvent | None:
    """Return the last thing that a servicer did, if it can be undone."""
    sql = """SELECT * FROM event WHERE place_id = :place AND servicer_id = :servicer AND ticket_id > 0
             AND id > (SELECT max(id) FROM event WHERE place_id = :place) - :latest
             ORDER BY id DESC LIMIT 1"""
    result = run(db, sql, place=servicer.place_id, servicer=servicer.id, latest=LATEST_EVENTS)
    event = load_first(TicketEvent, result)
    if event is None or event.kind not in UNDO_KINDS or not can_be_undone(at, event.happened_at):
        return None
    return event if last_event(db, event.ticket_id) == event else None


def undo(db: Connection, at: float, slug: str, token: str, number: str) -> None:
    """Undo a no-show or a move: the customer is at the desk again, as before.

    Raises Conflict when something else happened since, or when it was too long ago.
    """
    desk = update_desk(db, at, slug, token)
    if desk.ticket and desk.ticket.number == number:
        return  # the second of two presses
    undoable = None if desk.call else find_undoable(db, at, desk.servicer)
    if undoable is None or undoable.ticket.number != number:
        raise Conflict(f"It's too late to undo this for {number}. {UNCHANGED}")
    ticket, event = undoable.ticket, undoable.event
    before = last_event(db, ticket.id, before=event.id)
    queue_id = ticket.queue_id if before is None else before.queue_id
    if run(db, "SELECT deleted_at FROM queue WHERE id = :id", id=queue_id).scalar():
        raise Conflict(f"The queue of {number} was deleted, so it can't go back there.")
    called_at, started_at = _times_at_desk(db, ticket)
    changes: TicketChanges = {
        "queue_id": queue_id,
        "servicer_id": desk.servicer.id,
        "called_at": called_at or at,
        "started_at": None,
        "ended_at": None,
    }
    if event.kind == "move":
        changes.update(restore_plan(db, ticket, event.detail))
    restored = change_state(db, at, ticket, "restore", **changes)
    if started_at is not None:
        change_state(db, at, restored, "start", started_at=started_at)


def _times_at_desk(db: Connection, ticket: Ticket) -> tuple[float | None, float | None]:
    """Return when a ticket was called last, and when it was started since then, if it was."""
    sql = """SELECT kind, happened_at FROM event WHERE ticket_id = :ticket AND kind IN ('call', 'start')
             ORDER BY id DESC LIMIT 2"""
    times = {row.kind: row.happened_at for row in reversed(run(db, sql, ticket=ticket.id).all())}
    called_at, started_at = times.get("call"), times.get("start")
    if called_at is not None and started_at is not None and started_at < called_at:
        started_at = None
    return called_at, started_at


def _find_number(tickets: Iterable[Ticket], number: str) -> Ticket | None:
    return next((ticket for ticket in tickets if ticket.number == number), None)


def _check_can_wait_again(desk: Desk, ticket: Ticket) -> None:
    if ticket.series < desk.day:
        raise Conflict(f"The day of {ticket.number} is over: it can't wait again. Press Done or No-show.")


def add_customer(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    queue_slug: str,
    details: CustomerDetails,
    *,
    request_id: str | None = None,
) -> Taken:
    """Take a number for a customer without a phone; see take_number()."""
    update_desk(db, at, slug, token)
    return take_number(db, at, slug, queue_slug, details, request_id=request_id)


# ----- the servicer


def set_duty(db: Connection, at: float, slug: str, token: str, on_duty: bool) -> None:
    """Put a servicer on or off duty. The ticket at their desk stays there."""
    desk = update_desk(db, at, slug, token)
    set_on_duty(db, at, desk.servicer, on_duty)


def rename_desk(db: Connection, at: float, slug: str, token: str, name: str, desk_name: str | None) -> None:
    """Correct the name of the servicer and of their desk."""
    desk = update_desk(db, at, slug, token)
    rename(db, desk.servicer, name, desk_name)
    record(db, at, desk.place.id, "change-servicer", servicer_id=desk.servicer.id)


def end_own_shift(db: Connection, at: float, slug: str, token: str) -> None:
    """End the shift of the servicer at this desk; see end_shift()."""
    desk = update_desk(db, at, slug, token)
    end_shift(db, at, desk.place, desk.servicer)


def hand_over(
    db: Connection, at: float, slug: str, token: str, name: str, desk_name: str | None, browser: str | None
) -> Servicer:
    """Hand the desk to somebody else, and return the servicer that they are from now on.

    Raises Conflict when the shift has ended; the browser that pressed twice gets the same servicer again.
    """
    desk = update_desk(db, at, slug, token)
    if desk.servicer.shift_ended_at is not None:
        known = servicer_of_browser(db, desk.place, browser)
        if known is not None and (known.name, known.desk) == (name, desk_name):
            return known
        raise Conflict(f"The shift of {desk.servicer.name} has ended. Start yours with the staff link.")
    return successor_of(db, at, desk.place, desk.servicer, name, desk_name, browser)
