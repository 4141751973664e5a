"""The line: taking a number, calling, ending; the only code that writes `ticket`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection, Row

from rooms.places import (
    CALLS,
    day_begins,
    day_of,
    find_place,
    find_queue,
    find_servicer,
    next_day,
    put_on_duty,
    queues_of,
    queues_served,
)
from rooms.settings import BadInput, Conflict, NotFound
from rooms.storage import change, insert, insert_all, record, run

OPEN = ("waiting", "called", "serving")
BUSY = "state IN ('called', 'serving')"  # at a desk; in the words of the indexes, or they are not used
# Every step of a ticket: from which states, and to which. The states that are not OPEN are its ends.
STEPS: dict[str, tuple[tuple[str, ...], str]] = {
    "call": (("waiting",), "called"),
    "start": (("called",), "serving"),
    "done": (("called", "serving"), "done"),
    "no-show": (("called", "serving"), "no_show"),
    "cancel": (OPEN, "cancelled"),
    "expire": (("waiting",), "expired"),
    "come-in": (("waiting", "called"), "done"),  # through a door
    "put-back": (("called", "serving"), "waiting"),
    "move": (OPEN, "waiting"),
    "bring-back": (("done", "no_show", "cancelled"), "waiting"),
    "claim": (("waiting",), "called"),  # from here on, of calls
    "give-back": (("called",), "waiting"),
    "lapse": (("called",), "waiting"),  # the time of the claim was up
    "clear-claim": (("called",), "waiting"),  # by the owner
    "report": (("waiting", "called"), "done"),
}
Taken = tuple[Row, Row, Row, bool]  # a place, its queue, the ticket, and whether the ticket is a new one
NORMAL = 3  # the priority of everybody; 1 is called first
ORDER = "ticket.priority, ticket.joined_at, ticket.id"
AT_THE_DOOR = "state IN ('called', 'serving') AND servicer_id IS NULL"  # called by a counter that has room
# A ticket with what people call its queue and its desk, or the door that it was called to.
TICKETS = f"""SELECT ticket.*, queue.slug AS queue, queue.name AS queue_name, servicer.name AS servicer,
                    CASE WHEN {AT_THE_DOOR} THEN counter.name END AS door,
                    CASE WHEN {AT_THE_DOOR} THEN called_at + 60 * hold_minutes END AS held_until,
                    servicer.desk, first_called_at - taken_at AS wait_s,
                    CASE WHEN state = 'done' THEN ended_at - coalesce(started_at, called_at) END AS service_s,
                    CASE WHEN state = 'done' THEN ended_at - taken_at END AS total_s
             FROM ticket JOIN queue ON queue.id = ticket.queue_id
             LEFT JOIN servicer ON servicer.id = ticket.servicer_id
             LEFT JOIN counter ON counter.id = queue.counter_id"""
# A counter on a day (that may have begun without a write), the queue it admits, and the spaces held for that.
COUNTERS = f"""SELECT counter.*, queue.id AS queue_id, queue.slug AS admits,
                      CASE WHEN empties = 'day' AND day < :day THEN 0 ELSE inside END AS people,
                      (SELECT coalesce(sum(coalesce(party, 1)), 0) FROM ticket
                       WHERE place_id = counter.place_id AND queue_id = queue.id AND {AT_THE_DOOR}) AS held
               FROM counter LEFT JOIN queue ON queue.counter_id = counter.id
               WHERE counter.deleted_at IS NULL AND counter.place_id = :place"""
OPEN_CALL = (
    "contact_id IS NOT NULL AND state IN ('waiting', 'called', 'serving')"  # as its unique index has it
)
# The call that is next on these lists: of each list and each priority the first that is due, found by one
# seek each; of those, and of the calls whose claim is over, the first.
NEXT_CALL = """
    SELECT id FROM ticket WHERE id IN (
        SELECT (SELECT id FROM ticket AS first WHERE first.queue_id = queue.id AND state = 'waiting'
                AND priority = level.number AND joined_at <= :at
                AND (SELECT do_not_call FROM contact WHERE contact.id = contact_id) = 0
                ORDER BY joined_at, id LIMIT 1)
        FROM queue, (SELECT 1 AS number UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
                     UNION ALL SELECT 5) AS level WHERE queue.id IN :lists
        UNION ALL
        SELECT id FROM ticket WHERE queue_id IN :lists AND claimed_until IS NOT NULL AND claimed_until <= :at)
    ORDER BY priority, joined_at, id LIMIT 1"""
BRING_BACK_S = 3600
UNCHANGED = "Nothing was changed; this is how it is now."
# When somebody joins a queue: never before those who joined earlier, even when the clock was set back; and a
# little after the last, so that a third can be put between the two.
APART_S = 0.00001
JOINED_AT = f"""(SELECT CASE WHEN max(joined_at) >= :at THEN max(joined_at) + {APART_S:f} ELSE :at END
                        FROM ticket WHERE queue_id = :queue AND state = 'waiting' AND priority = :normal)"""


def current_series(place: Row, at: float) -> str:
    """The series that numbers are given in at an instant."""
    day = day_of(place, at)
    return place.series if place.series.startswith(day) else day


def open_day(db: Connection, place: Row, at: float) -> str:
    """The current series; the first write of a day ends what still waits from the days before."""
    series = current_series(place, at)
    if series != place.series:
        change(db, "place", place.id, series=series)
        sql = """SELECT * FROM ticket WHERE place_id = :place AND state = 'waiting' AND series < :day
                 AND queue_id IN (SELECT id FROM queue WHERE place_id = :place AND kind = 'walk-in')"""
        for ticket in run(db, sql, place=place.id, day=series[:10]).all():
            over = day_begins(place.timezone, next_day(ticket.series[:10]), place.day_starts)
            _step(db, at, ticket, "expire", ended_at=over)
    return series


def state_of(ticket: Row, place: Row, at: float) -> str:
    """A ticket's state, also before it is stored: one that waits when its day is over reads as expired.

    A call whose claim is over reads as one that waits, and so does a stand-in, for good.
    """
    if is_over(ticket, at) or is_stand_in(ticket):
        return "waiting"
    return "expired" if ticket.state == "waiting" and ticket.series < day_of(place, at) else ticket.state


def _step(db: Connection, at: float, ticket: Row, kind: str, **columns: Any) -> Row:
    # One allowed step of a ticket, and its event; raises Conflict when the state forbids it.
    allowed, state = STEPS[kind]
    if ticket.state not in allowed:
        raise Conflict(f"{ticket.number} is {ticket.state.replace('_', ' ')} now. {UNCHANGED}")
    if state == "waiting":
        columns = {"servicer_id": None, "called_at": None, "started_at": None, "ended_at": None} | columns
        _check_no_door(db, ticket, columns.get("queue_id", ticket.queue_id))
    elif state not in OPEN:
        columns = {"ended_at": at, "browser": None} | columns
    columns = {"claimed_until": None} | columns
    changed = change(db, "ticket", ticket.id, state=state, **columns)
    _count_waiting(db, ticket.queue_id, -int(ticket.state == "waiting"))
    _count_waiting(db, changed.queue_id, int(state == "waiting"))
    _record_step(db, at, kind, changed, servicer_id=ticket.servicer_id)
    admit(db, at, changed.queue_id)
    return changed


def _check_no_door(db: Connection, ticket: Row, queue_id: int) -> None:
    # Whom we call by phone is not here to come in.
    sql = "SELECT name FROM queue WHERE id = :id AND counter_id IS NOT NULL"
    if ticket.by_phone and (name := run(db, sql, id=queue_id).scalar()):
        raise Conflict(f"{ticket.number} is to be called by phone, and {name} is let in at a door.")


def _count_waiting(db: Connection, queue_id: int, more: int) -> None:
    # Kept and not counted each time, so that a press costs the same in a line of ten and of ten thousand.
    if more:
        run(db, "UPDATE queue SET waiting = waiting + :more WHERE id = :id", more=more, id=queue_id)


def _record_step(db: Connection, at: float, kind: str, ticket: Row, **more: Any) -> None:
    more = {"servicer_id": ticket.servicer_id, "queue_id": ticket.queue_id, "state": ticket.state} | more
    more |= {"contact_id": ticket.contact_id} if ticket.contact_id else {}
    record(db, at, ticket.place_id, kind, ticket_id=ticket.id, **more)


# ----- a customer


def take_number(db: Connection, at: float, slug: str, line: str, **asked: Any) -> Taken:
    """Gives the next number of a queue; raises NotFound, and Conflict when it is closed or full.

    `asked` may hold name, phone, note and party; and request_id and browser: the same request, or the same
    browser while its ticket is open, gets the ticket that it has. And `expect`, which makes the range of the
    wait that she is shown of how many are ahead.
    """
    place = find_place(db, slug)
    series = open_day(db, place, at)
    request_id, browser, expect = (asked.pop(name, None) for name in ("request_id", "browser", "expect"))
    asked["request_key"] = key = f"{place.id} {line} {request_id}" if request_id else None
    earlier = run(db, f"{TICKETS} WHERE request_key = :key", key=key).first() if key else None
    if browser and not earlier:
        sql = f"""{TICKETS} WHERE ticket.browser = :browser AND ticket.place_id = :place
                  AND queue.slug = :line AND shared_tablet = 0 AND state IN :open"""
        earlier = run(db, sql, browser=browser, place=place.id, line=line, open=OPEN).first()
    if earlier:
        return place, find_queue(db, place, line), earlier, False
    queue = _count_up(db, place, line, series)
    asked |= {"place": place.id, "queue": queue.id, "series": series, "normal": NORMAL, "at": at}
    asked |= {"ordinal": queue.last_number, "number": f"{queue.prefix}{queue.last_number}"}
    asked |= {"token": secrets.token_urlsafe(16), "browser": None if queue.shared_tablet else browser}
    # All who wait in it are ahead: they are not counted again, so that this costs the same in a long line.
    wait = (expect and expect(queue.waiting - 1)) or {}
    asked |= {"wait_from": wait.get("from"), "wait_to": wait.get("to")}
    sql = f"""INSERT INTO ticket (place_id, queue_id, token, series, ordinal, number, state, priority,
                                  taken_at, joined_at, request_key, browser, name, phone, note, party,
                                  wait_from, wait_to, tries, by_phone)
              VALUES (:place, :queue, :token, :series, :ordinal, :number, 'waiting', :normal, :at,
                      {JOINED_AT}, :request_key, :browser, :name, :phone, :note, :party,
                      :wait_from, :wait_to, 0, 0) RETURNING *"""
    ticket = run(db, sql, **dict.fromkeys(("name", "phone", "note", "party")) | asked).one()
    _record_step(db, at, "take", ticket)
    if queue.counter_id:
        admit(db, at, queue.id)
        ticket = run(db, f"{TICKETS} WHERE ticket.id = :id", id=ticket.id).one()
    return place, queue, ticket, True


def _count_up(db: Connection, place: Row, line: str, series: str) -> Row:
    # The queue with its next number, if it is open and has room. Its first in a series is looked up, since
    # its letters may have been another queue's earlier today.
    sql = """UPDATE queue SET waiting = waiting + 1, series = :series, last_number =
                    CASE WHEN series = :series THEN last_number + 1
                         ELSE (SELECT coalesce(max(ordinal), 0) + 1 FROM ticket WHERE place_id = :place
                               AND series = :series AND number = queue.prefix || CAST(ordinal AS TEXT)) END
             WHERE place_id = :place AND slug = :line AND kind = 'walk-in' AND deleted_at IS NULL
             AND open = 1 AND waiting < max_waiting RETURNING *"""
    queue = run(db, sql, place=place.id, line=line, series=series).first()
    if queue is None:
        queue = find_queue(db, place, line)
        full = f"full: {queue.waiting} are waiting. Please come back a little later."
        raise Conflict(f"{queue.name} is {full if queue.open else 'closed: no new numbers now.'}")
    return queue


def find_ticket(db: Connection, slug: str, token: str) -> tuple[Row, Row, Row]:
    """The place, the queue and the ticket of a customer's link; raises NotFound."""
    place = find_place(db, slug)
    sql = f"{TICKETS} WHERE ticket.token = :token AND ticket.place_id = :place"
    ticket = run(db, sql, token=token, place=place.id).first()
    if ticket is None:
        raise NotFound("There is no such ticket. Take a new number on the page of the place.")
    return place, run(db, "SELECT * FROM queue WHERE id = :id", id=ticket.queue_id).one(), ticket


def tickets_of_browser(db: Connection, at: float, slug: str, browser: str) -> list[Row]:
    """The open tickets that a browser has in a place's walk-in queues, newest first."""
    place = find_place(db, slug)
    sql = f"""{TICKETS} WHERE ticket.browser = :browser AND ticket.place_id = :place AND contact_id IS NULL
              ORDER BY ticket.id DESC"""
    tickets = run(db, sql, browser=browser, place=place.id)
    return [ticket for ticket in tickets if state_of(ticket, place, at) in OPEN]


def count_ahead(db: Connection, ticket: Row, queues: Iterable[int], day: str) -> dict[int, int]:
    """How many waiting tickets would be called before this one, in each of these queues that has some."""
    sql = f"""SELECT queue_id, count(*) FROM ticket WHERE queue_id IN :queues AND state = 'waiting'
              AND series >= :day AND ({ORDER}) < (:priority, :joined_at, :id) GROUP BY queue_id"""
    mine = {"priority": ticket.priority, "joined_at": ticket.joined_at, "id": ticket.id}
    return dict(map(tuple, run(db, sql, queues=[ticket.queue_id, *queues], day=day, **mine)))


def by_customer(db: Connection, at: float, slug: str, token: str, does: Callable, **more: Any):
    """Runs `does(db, at, ticket, …)` for whoever holds a ticket's link; raises NotFound for others."""
    open_day(db, find_place(db, slug), at)
    return does(db, at, find_ticket(db, slug, token)[2], **more)


def call_me(db: Connection, at: float, ticket: Row, phone: str) -> None:
    """Lets a customer go home who waits in a walk-in line: at her turn she is called at this number.

    She keeps her place in it. Raises BadInput for what is no number, Conflict where that can't be.
    """
    place = run(db, "SELECT * FROM place WHERE id = :id", id=ticket.place_id).one()
    queue = run(db, "SELECT * FROM queue WHERE id = :id", id=ticket.queue_id).one()
    if not may_call_back(db, place, queue, ticket, at):
        raise Conflict("We can't call you instead: only while you wait, and where calls are made.")
    change(db, "ticket", ticket.id, by_phone=1, phone=phone)
    record(db, at, place.id, "call-me", queue_id=queue.id, ticket_id=ticket.id)


def may_call_back(db: Connection, place: Row, queue: Row, ticket: Row, at: float) -> bool:
    """Whether a customer may be called instead of waiting: the place makes calls, and no door its line's."""
    waits = state_of(ticket, place, at) == "waiting" and queue.kind == "walk-in" and not queue.counter_id
    return waits and bool(queues_of(db, place, CALLS))


def by_phone_in(db: Connection, queue: Row, day: str) -> list[str]:
    """The numbers in a queue that are not here, since they are to be called, or are called now."""
    sql = """SELECT number FROM ticket WHERE queue_id = :queue AND by_phone = 1 AND state IN :open
             AND (series >= :day OR state <> 'waiting') ORDER BY id"""
    return run(db, sql, queue=queue.id, day=day, open=OPEN).scalars().all()


def wait_here(db: Connection, at: float, ticket: Row) -> None:
    """Takes that back: she waits here again, and the number is erased unless the queue asks for it."""
    if ticket.by_phone and ticket.state in OPEN:
        asks = run(db, "SELECT asks FROM queue WHERE id = :id", id=ticket.queue_id).scalar_one()
        phone = ticket.phone if "phone" in asks.split() else None
        change(db, "ticket", ticket.id, by_phone=0, phone=phone)
        record(db, at, ticket.place_id, "wait-here", queue_id=ticket.queue_id, ticket_id=ticket.id)


def cancel_ticket(db: Connection, at: float, ticket: Row) -> None:
    """Lets a customer leave the line; raises Conflict once the ticket ended in another way."""
    if is_stand_in(ticket):
        raise Conflict("This can't be taken back here. Please tell us when we call.")
    if ticket.state != "cancelled":
        _step(db, at, ticket, "cancel")


def cancel_tickets(db: Connection, at: float, place: Row, queue: Row, numbers: list[str]) -> list[str]:
    """Cancels these numbers of a queue, as far as they are still open; returns those."""
    if not numbers:
        raise BadInput("Numbers: choose at least one.")
    open_day(db, place, at)
    # From the back, and who holds a space last: nobody is called who is about to be cancelled.
    sql = """SELECT * FROM ticket WHERE queue_id = :queue AND state IN :open AND ticket.number IN :numbers
             ORDER BY state = 'waiting' DESC, priority DESC, joined_at DESC, id DESC"""
    tickets = run(db, sql, queue=queue.id, open=OPEN, numbers=numbers).all()
    return [_step(db, at, ticket, "cancel").number for ticket in tickets]


# ----- a servicer


class Desk(NamedTuple):
    """A servicer at work: where, who, the day, and what is hers now: a customer's ticket, or a call."""

    place: Row
    servicer: Row
    day: str
    current: Row | None
    call: Row | None

    def pick(self, number: str, tickets: list[Row | None], where: str, again: bool = True) -> Row:
        """The ticket with a number; raises Conflict, also if it is to wait `again` though its day is over."""
        ticket = next((each for each in tickets if each and each.number == number), None)
        if ticket is None:
            raise Conflict(f"{number} is not {where}. {UNCHANGED}")
        if again and ticket.series < self.day:
            raise Conflict(f"The day of {number} is over: it can't wait again. Press Done or Not here.")
        return ticket


def find_desk(db: Connection, slug: str, token: str) -> tuple[Row, Row]:
    """The place and the servicer of a desk's link; raises NotFound."""
    place = find_place(db, slug)
    sql = "SELECT * FROM servicer WHERE token = :token AND place_id = :place AND removed_at IS NULL"
    servicer = run(db, sql, token=token, place=place.id).first()
    if servicer is None:
        raise NotFound("This desk's link is not valid any more. Ask the owner for the staff link.")
    return place, servicer


def by_desk(db: Connection, at: float, slug: str, token: str, does: Callable, *args: Any, **more: Any):
    """Runs `does(db, at, desk, …)` for whoever holds a desk's link; raises NotFound for others."""
    place, servicer = find_desk(db, slug, token)
    day = open_day(db, place, at)[:10]
    mine = current_ticket(db, servicer)
    if mine and is_over(mine, at):
        mine = free_call(db, at, mine, "lapse") and None
    customer, call = (None, mine) if mine and mine.contact_id else (mine, None)
    return does(db, at, Desk(place, servicer, day, customer, call), *args, **more)


def current_ticket(db: Connection, servicer: Row) -> Row | None:
    """The ticket that a servicer has called or is serving; a call too, even when its time is over."""
    return run(db, f"{TICKETS} WHERE ticket.servicer_id = :id AND {BUSY}", id=servicer.id).first()


def is_over(ticket: Row, at: float) -> bool:
    """Whether the time of a claim is up; nobody needs to have noticed."""
    return ticket.claimed_until is not None and ticket.claimed_until <= at


def waiting_in(db: Connection, queue_ids: list[int], day: str, most: int = -1) -> list[Row]:
    """The tickets that wait in these queues, in the order in which they will be called; `most` of them."""
    sql = f"""{TICKETS} WHERE ticket.queue_id IN :queues AND state = 'waiting' AND ticket.series >= :day
              ORDER BY {ORDER} {"LIMIT :most" if most >= 0 else ""}"""
    return run(db, sql, queues=queue_ids, day=day, **({"most": most} if most >= 0 else {})).all()


def called_in(db: Connection, place: Row) -> list[Row]:
    """The customers' tickets that are called or being served in a place, the latest first."""
    sql = f"""{TICKETS} WHERE ticket.place_id = :id AND {BUSY} AND contact_id IS NULL
              ORDER BY ticket.called_at DESC, ticket.id DESC"""
    return run(db, sql, id=place.id).all()


def recent_at(db: Connection, servicer: Row) -> list[Row]:
    """The last ten customers' tickets that ended at a desk, newest first."""
    sql = f"""{TICKETS} WHERE ticket.servicer_id = :id AND ended_at IS NOT NULL AND contact_id IS NULL
              ORDER BY ended_at DESC, ticket.id DESC LIMIT 10"""
    return run(db, sql, id=servicer.id).all()


def call_next(db: Connection, at: float, desk: Desk, finished: str | None, **asked: str | None) -> Row | None:
    """Ends what the desk is serving as done, and calls the next customer; None when nobody waits.

    `asked` may hold the queue to call from, or the number to call. `finished` is what the desk believes to be
    serving, or None: where it isn't so, this is the second of two presses, or somebody was quicker: Conflict.
    """
    queue, number = asked.get("queue"), asked.get("number")
    if desk.call:
        raise Conflict("A call is yours: report it, or give it back, before you call a customer.")
    if (desk.current.number if desk.current else None) != finished:
        raise Conflict(f"Your desk has changed since this page was shown. {UNCHANGED}")
    if not desk.servicer.on_duty:
        raise Conflict("You are not on duty. Press Resume first.")
    served = [each for each in queues_served(db, desk.servicer) if queue in (None, each.slug)]
    if queue and not served:
        raise BadInput(f"You don't serve a queue named {queue}.")
    if desk.current:
        _step(db, at, desk.current, "done")
    by = {"servicer_id": desk.servicer.id, "desk": desk.servicer.desk}
    called = _claim(db, at, [each.id for each in served], desk.day, number, **by)
    if number and called is None:
        raise Conflict(f"{number} is not waiting any more. {UNCHANGED}")
    return called


def _claim(
    db: Connection, at: float, queue_ids: list[int], day: str, number: str | None, **by: Any
) -> Row | None:
    # One statement, because two servicers press Next in the same millisecond.
    sql = f"""UPDATE ticket SET state = 'called', servicer_id = :servicer, called_at = :at,
                                first_called_at = coalesce(first_called_at, :at)
              WHERE id = (SELECT id FROM ticket WHERE queue_id IN :queues AND state = 'waiting'
                          AND series >= :day AND number = coalesce(:number, number) ORDER BY {ORDER} LIMIT 1)
              AND state = 'waiting' RETURNING *"""
    values = {"servicer": by.get("servicer_id"), "at": at, "queues": queue_ids, "day": day, "number": number}
    ticket = run(db, sql, **values).first()
    if ticket:
        _count_waiting(db, ticket.queue_id, -1)
        _record_step(db, at, "call", ticket, **by)
    return ticket


def press(db: Connection, at: float, desk: Desk, kind: str, number: str) -> None:
    """Takes the ticket at a desk a step further: start, done, no-show, put-back; or rings: call-again."""
    ticket = desk.pick(number, [desk.current], "at your desk any more", again=kind == "put-back")
    if kind == "call-again":
        _record_step(db, at, kind, ticket, desk=ticket.desk)
    elif kind == "put-back":
        _step(db, at, ticket, kind, **_in_line_behind(db, ticket.queue_id, desk.day, 2))
    elif kind != "start":
        _step(db, at, ticket, kind)
    elif ticket.state != "serving":  # or it was pressed twice
        _step(db, at, ticket, kind, started_at=at)


def _in_line_behind(db: Connection, queue_id: int, day: str, places: int) -> dict[str, Any]:
    # Priority and time of joining that put a ticket behind the next so many; none where nobody waits.
    line = waiting_in(db, [queue_id], day, places + 1)
    before, after = line[:places][-1:], line[places:]
    if not line:
        return {}
    at = before[0].joined_at + APART_S if before else after[0].joined_at - APART_S
    if before and after and before[0].priority == after[0].priority:
        at = (before[0].joined_at + after[0].joined_at) / 2
    return {"priority": (before or after)[0].priority, "joined_at": at}


def bring_back(db: Connection, at: float, desk: Desk, number: str) -> None:
    """Lets one of the last ten of a desk, ended in the last hour, wait again, first in line."""
    ended = [ticket for ticket in recent_at(db, desk.servicer) if at - ticket.ended_at <= BRING_BACK_S]
    ticket = desk.pick(number, ended, "among your last ten of the last hour")
    if run(db, "SELECT deleted_at FROM queue WHERE id = :id", id=ticket.queue_id).scalar():
        raise Conflict(f"The queue of {number} was deleted, so it can't wait there again.")
    _step(db, at, ticket, "bring-back", **_in_line_behind(db, ticket.queue_id, desk.day, 0))


def move_ticket(db: Connection, at: float, desk: Desk, number: str, queue: str) -> None:
    """Moves the ticket at a desk, or one that waits in its line, to another queue; it keeps its number."""
    line = waiting_in(db, [each.id for each in queues_served(db, desk.servicer)], desk.day)
    ticket = desk.pick(number, [desk.current, *line], "in your line any more")
    target = find_queue(db, desk.place, queue)
    if target.id == ticket.queue_id:
        raise Conflict(f"{number} is in {target.name} already. {UNCHANGED}")
    joined_at = run(db, f"SELECT {JOINED_AT}", at=at, queue=target.id, normal=NORMAL).scalar_one()
    _step(db, at, ticket, "move", queue_id=target.id, priority=NORMAL, joined_at=joined_at)


def set_duty(db: Connection, at: float, desk: Desk, on_duty: bool) -> None:
    """Pauses a servicer, or lets her go on; the ticket at her desk stays hers."""
    put_on_duty(db, at, desk.servicer, on_duty)


def add_customer(db: Connection, at: float, desk: Desk, queue: str, **asked: Any) -> Taken:
    """Takes a number for a customer without a phone; as take_number()."""
    return take_number(db, at, desk.place.slug, queue, **asked)


# ----- a call


def next_call(db: Connection, at: float, desk: Desk, lists: list[Row]) -> Row | None:
    """Makes the next call of these lists the servicer's for a while; None when there is none to be made now.

    One at a time: who has one is given that again. Raises Conflict when a customer is at her desk.
    """
    if desk.call:
        return desk.call
    if desk.current:
        raise Conflict(f"Finish {desk.current.number} first: it is at your desk.")
    if not desk.servicer.on_duty:
        raise Conflict("You are not on duty. Press Resume first.")
    ids, lasts = [each.id for each in lists], {each.id: 60 * each.claim_minutes for each in lists}
    sql = f"{TICKETS} WHERE ticket.queue_id IN :lists AND claimed_until IS NOT NULL AND claimed_until <= :at"
    for ticket in run(db, sql, lists=ids, at=at).all():
        free_call(db, at, ticket, "lapse")
    # One statement, because twenty callers ask in the same millisecond.
    sql = f"""UPDATE ticket SET state = 'called', servicer_id = :servicer, called_at = :at, claim = :claim,
                                first_called_at = coalesce(first_called_at, :at)
              WHERE id = ({NEXT_CALL}) AND state = 'waiting' RETURNING *"""
    claim = secrets.token_urlsafe(16)
    ticket = run(db, sql, servicer=desk.servicer.id, at=at, claim=claim, lists=ids).first()
    if ticket is None:
        return None
    ticket = change(db, "ticket", ticket.id, claimed_until=at + lasts[ticket.queue_id])
    _count_waiting(db, ticket.queue_id, -1)
    _record_step(db, at, "claim", ticket, detail=claim)
    return ticket


def peek_call(db: Connection, at: float, lists: list[Row]) -> Row | None:
    """The call that whoever asks now would get from these lists."""
    sql = f"SELECT * FROM ticket WHERE id = ({NEXT_CALL})"
    return run(db, sql, at=at, lists=[each.id for each in lists]).first()


def free_call(db: Connection, at: float, ticket: Row, kind: str, **columns: Any) -> Row:
    """Lets a call be anybody's again: give-back, lapse, clear-claim; or ends it where it must not be made."""
    sql = "SELECT do_not_call FROM contact WHERE id = :id"
    if run(db, sql, id=ticket.contact_id).scalar():
        return _step(db, at, ticket, "cancel")
    return _step(db, at, ticket, kind, **columns)


def more_time(db: Connection, at: float, desk: Desk, claim: str) -> Row:
    """Lets the caller keep her call as long again as a whole claim lasts, from now; raises Conflict."""
    if desk.call is None or desk.call.claim != claim:
        raise Conflict("This call is not yours any more: its time was up. You can still report it.")
    sql = "SELECT claim_minutes FROM queue WHERE id = :id"
    lasts = 60 * run(db, sql, id=desk.call.queue_id).scalar_one()
    ticket = change(db, "ticket", desk.call.id, claimed_until=at + lasts)
    _record_step(db, at, "more-time", ticket)
    return ticket


def give_back(db: Connection, at: float, desk: Desk, claim: str) -> None:
    """Lets others have the caller's call, behind those that are due in its priority; twice is no change."""
    if desk.call and desk.call.claim == claim:
        free_call(db, at, desk.call, "give-back", joined_at=at)
    elif find_claim(db, desk.servicer, claim)[1].state not in OPEN:
        raise Conflict(f"This call has ended already. {UNCHANGED}")


def find_claim(db: Connection, servicer: Row, claim: str) -> tuple[Row, Row]:
    """The event of a claim of a servicer's, however long ago, and the call's ticket; raises NotFound."""
    sql = "SELECT * FROM event WHERE kind = 'claim' AND detail = :claim AND servicer_id = :servicer"
    event = run(db, sql, claim=claim, servicer=servicer.id).first()
    if event is None:
        raise NotFound("No call of yours has this claim. Press Next call.")
    return event, run(db, f"{TICKETS} WHERE ticket.id = :id", id=event.ticket_id).one()


def claim_ended(db: Connection, claim: Row, queue: Row) -> float:
    """When the time of a claim was up at the latest, by its event: also after somebody else had the call."""
    sql = """SELECT max(happened_at) FROM event WHERE ticket_id = :ticket AND id >= :claim
             AND servicer_id = :servicer AND kind IN ('claim', 'more-time')
             AND NOT EXISTS (SELECT 1 FROM event AS later WHERE later.ticket_id = event.ticket_id
                             AND later.kind = 'claim' AND later.id > :claim AND later.id <= event.id)"""
    values = {"ticket": claim.ticket_id, "claim": claim.id, "servicer": claim.servicer_id}
    return run(db, sql, **values).scalar_one() + 60 * queue.claim_minutes


def end_call(db: Connection, at: float, ticket: Row, servicer: Row) -> Row:
    """Ends a call that was reported, also one that waits again, as done by this servicer."""
    return _step(
        db,
        at,
        ticket,
        "report",
        servicer_id=servicer.id,
        called_at=ticket.called_at or at,
        first_called_at=ticket.first_called_at or at,
    )


def call_again(
    db: Connection, at: float, ticket: Row, due_at: float, tries: int, on: Row | None = None
) -> Row | None:
    """Puts the contact of a call that ended on its list again, or `on` another; the link that a customer has
    leads to it.
    """
    sql = "SELECT * FROM queue WHERE id = :id AND deleted_at IS NULL"
    queue = on or run(db, sql, id=ticket.queue_id).first()
    if not queue or not add_calls(
        db, at, queue, [ticket.contact_id], ticket.reason, ticket.priority, due_at, tries
    ):
        return None
    again = find_call(db, queue, ticket.contact_id)
    columns = {name: getattr(ticket, name) for name in ("token", "request_key", "browser", "note")}
    change(db, "ticket", ticket.id, token=secrets.token_urlsafe(16), request_key=None)
    return change(db, "ticket", again.id, **columns)


def find_call(db: Connection, queue: Row, contact_id: int) -> Row | None:
    """The open call of a contact on a list."""
    sql = f"{TICKETS} WHERE {OPEN_CALL} AND contact_id = :contact AND ticket.queue_id = :queue"
    return run(db, sql, contact=contact_id, queue=queue.id).first()


def annotate_call(db: Connection, ticket: Row, **columns: Any) -> Row:
    """Says more about a call: its note, who asked for it (browser, request_key), when it's due."""
    return change(db, "ticket", ticket.id, **columns)


def stand_in(db: Connection, at: float, call: Row, request_key: str | None) -> Row:
    """A ticket for somebody who asks for a call that is not of their making: whoever knows a number is not to
    learn of its call, nor to end it. It is in no line, and only its page is ever seen.
    """
    sql = "UPDATE queue SET last_number = last_number + 1 WHERE id = :id RETURNING *"
    queue, token = run(db, sql, id=call.queue_id).one(), secrets.token_urlsafe(16)
    columns = {"place_id": queue.place_id, "queue_id": queue.id, "contact_id": call.contact_id}
    columns |= {"series": CALLS, "ordinal": queue.last_number, "state": "expired", "priority": NORMAL}
    columns |= {"number": f"{queue.prefix}{queue.last_number}", "token": token, "request_key": request_key}
    columns |= dict.fromkeys(("taken_at", "joined_at", "ended_at"), at)
    insert(db, "ticket", tries=0, by_phone=0, **columns)
    about = {"queue_id": queue.id, "contact_id": call.contact_id, "ticket_id": call.id}
    record(db, at, queue.place_id, "note", detail="asked", **about)
    return run(db, f"{TICKETS} WHERE ticket.token = :token", token=token).one()


def is_stand_in(ticket: Row) -> bool:
    """Whether a ticket is one: calls know no day, so that no other expires."""
    return ticket.contact_id is not None and ticket.state == "expired"


def clear_claim(db: Connection, at: float, place: Row, queue: Row, id: int) -> None:
    """Lets others have a call whose caller went home; raises Conflict where nobody has it."""
    sql = f"{TICKETS} WHERE ticket.id = :id AND ticket.queue_id = :queue AND claimed_until IS NOT NULL"
    ticket = run(db, sql, id=id, queue=queue.id).first()
    if ticket is None:
        raise Conflict(f"Nobody has this call any more. {UNCHANGED}")
    free_call(db, at, ticket, "clear-claim")


def add_calls(
    db: Connection,
    at: float,
    queue: Row,
    contact_ids: list[int],
    reason: str | None,
    priority: int = NORMAL,
    due_at: float | None = None,
    tries: int = 0,
) -> int:
    """Puts contacts (up to 5,000) on a call list, to be called from `due_at` on; returns how many.

    Those that are on it already, that must not be called, or that were forgotten, are left out.
    """
    sql = f"""SELECT id FROM contact WHERE id IN :ids AND place_id = :place AND do_not_call = 0
              AND forgotten_at IS NULL AND NOT EXISTS (SELECT 1 FROM ticket WHERE {OPEN_CALL}
              AND contact_id = contact.id AND queue_id = :queue) ORDER BY id"""
    found = run(db, sql, ids=contact_ids, place=queue.place_id, queue=queue.id).scalars().all()
    if not found:
        return 0
    sql = """UPDATE queue SET waiting = waiting + :many, last_number = last_number + :many
             WHERE id = :queue RETURNING last_number - :many"""
    last = run(db, sql, many=len(found), queue=queue.id).scalar_one()
    before = run(db, "SELECT coalesce(max(id), 0) FROM ticket").scalar_one()
    row = {"place_id": queue.place_id, "queue_id": queue.id, "series": CALLS, "state": "waiting"}
    row |= {"priority": priority, "joined_at": at if due_at is None else due_at, "taken_at": at}
    row |= {"reason": reason, "tries": tries, "by_phone": 0}
    own = ((n, contact, secrets.token_urlsafe(16)) for n, contact in enumerate(found, last + 1))
    rows = [
        row | {"ordinal": n, "number": f"{queue.prefix}{n}", "contact_id": contact, "token": token}
        for n, contact, token in own
    ]
    insert_all(db, "ticket", rows)
    _record_calls(
        db, at, "put-on", "waiting", "id > :before AND queue_id = :queue", before=before, queue=queue.id
    )
    return len(found)


def _record_calls(db: Connection, at: float, kind: str, state: str | None, which: str, **values: Any) -> None:
    # Events of many calls in one statement.
    sql = f"""INSERT INTO event (place_id, queue_id, ticket_id, contact_id, servicer_id, happened_at, kind,
                                 state)
              SELECT place_id, queue_id, id, contact_id, servicer_id, :at, :kind, coalesce(:state, state)
              FROM ticket WHERE {which} ORDER BY id"""
    run(db, sql, at=at, kind=kind, state=state, **values)


def cancel_calls(
    db: Connection, at: float, contact_ids: list[int], queue: Row | None = None, held: bool = True
) -> int:
    """Takes contacts (up to 5,000) off a call list, or off all of them; returns how many calls that ended.

    Without `held`, the calls that a caller has now go on.
    """
    which = f"{OPEN_CALL} AND contact_id IN :ids AND queue_id = coalesce(:queue, queue_id)"
    which += "" if held else " AND state = 'waiting'"
    values = {"ids": contact_ids, "queue": queue and queue.id}
    sql = f"SELECT queue_id, count(*) FROM ticket WHERE {which} AND state = 'waiting' GROUP BY queue_id"
    for queue_id, many in run(db, sql, **values).all():
        _count_waiting(db, queue_id, -many)
    _record_calls(db, at, "cancel", "cancelled", which, **values)
    sql = f"""UPDATE ticket SET state = 'cancelled', ended_at = :at, claimed_until = NULL, browser = NULL
              WHERE {which}"""
    return run(db, sql, at=at, **values).rowcount


def change_priority(db: Connection, at: float, queue: Row, contact_ids: list[int], by: int) -> int:
    """Lets contacts (up to 5,000) be called sooner (`by` -1) or later; returns how many of them changed."""
    which = f"{OPEN_CALL} AND contact_id IN :ids AND queue_id = :queue AND priority + :by BETWEEN 1 AND 5"
    values = {"ids": contact_ids, "queue": queue.id, "by": by}
    _record_calls(db, at, "change-priority", None, which, **values)
    return run(db, f"UPDATE ticket SET priority = priority + :by WHERE {which}", **values).rowcount


# ----- a door


def admit(db: Connection, at: float, queue_id: int | None) -> None:
    """Calls the next customers of a queue to the door, as many as the counter that admits it has room for."""
    sql = (
        "SELECT place.* FROM queue JOIN place ON place.id = place_id WHERE queue.id = :id AND counter_id > 0"
    )
    place = run(db, sql, id=queue_id).first()
    if place is None:
        return
    day = day_of(place, at)
    counter = run(db, f"{COUNTERS} AND queue.id = :id", place=place.id, day=day, id=queue_id).one()
    room = counter.capacity - max(0, counter.people) - counter.held  # a count below 0 has drifted
    for ticket in waiting_in(db, [queue_id], day, max(0, room)):
        room -= min(ticket.party or 1, counter.capacity)
        if room < 0:  # the next ones may be fewer, but it's not their turn
            return
        _claim(db, at, [queue_id], day, ticket.number, counter_id=counter.id)


def step_at_door(db: Connection, at: float, ticket: Row, kind: str, day: str) -> None:
    """Takes a ticket a step further: come-in, no-show; put-back, bring-back (then it is first in line)."""
    columns: dict[str, Any] = {}
    if kind == "come-in":
        columns = {"called_at": ticket.called_at or at, "first_called_at": ticket.first_called_at or at}
    elif kind != "no-show":
        columns = _in_line_behind(db, ticket.queue_id, day, 0)
    changed = _step(db, at, ticket, kind, **columns)
    if changed.state == "waiting" and changed.series < day:  # it can't wait again
        _step(db, at, changed, "expire")


def held_too_long(db: Connection, at: float) -> list[Row]:
    """The tickets that were called to a door and whose time to come in is over."""
    return run(db, f"{TICKETS} WHERE {AT_THE_DOOR} AND called_at + 60 * hold_minutes <= :at", at=at).all()


def release_spaces(db: Connection, at: float) -> None:
    """Ends the tickets whose space was held too long as not here; the next ones are called."""
    for ticket in held_too_long(db, at):
        _step(db, at, ticket, "no-show")


# ----- what the owner may do only when nobody is in it


def delete_queue(db: Connection, at: float, place: Row, queue: Row) -> Row:
    """Takes a queue away; its tickets stay in the figures. Raises Conflict while somebody is in it."""
    _check_empty(db, at, place, queue)
    for table in ("servicer_queue", "caller"):
        run(db, f"DELETE FROM {table} WHERE queue_id = :queue", queue=queue.id)
    record(db, at, place.id, "delete-queue", queue_id=queue.id)
    return change(db, "queue", queue.id, deleted_at=at, counter_id=None)


def reset_numbers(db: Connection, at: float, place: Row, queue: Row) -> Row:
    """Lets a queue count from 1 again, in a new series in which the other queues go on counting."""
    if queue.kind == CALLS:
        raise Conflict("The numbers of a call list always go on.")
    _check_empty(db, at, place, queue)
    series = open_day(db, place, at)
    day = series[:10]
    sql = "SELECT DISTINCT series FROM ticket WHERE place_id = :place AND series >= :day AND series < :next"
    used = run(db, sql, place=place.id, day=day, next=next_day(day)).scalars()
    fresh = f"{day}.{1 + max(int(each[11:] or 1) for each in [series, *used])}"
    change(db, "place", place.id, series=fresh)
    sql = "UPDATE queue SET series = :fresh WHERE place_id = :place AND series = :series"
    run(db, sql, fresh=fresh, place=place.id, series=series)
    record(db, at, place.id, "reset-numbers", queue_id=queue.id, detail=fresh)
    return change(db, "queue", queue.id, series=fresh, last_number=0)


def _check_empty(db: Connection, at: float, place: Row, queue: Row) -> None:
    sql = f"SELECT count(*) FROM ticket WHERE place_id = :place AND queue_id = :queue AND {BUSY}"
    inside = run(db, sql, place=place.id, queue=queue.id).scalar_one()
    if queue.kind == CALLS and inside + queue.waiting:
        raise Conflict(f"{inside + queue.waiting} are on {queue.name} still. Take them off first.")
    inside += len(waiting_in(db, [queue.id], day_of(place, at)))
    if inside:
        raise Conflict(f"{inside} in {queue.name} wait or are being served. Let them finish first.")


def remove_servicer(db: Connection, at: float, place: Row, servicer_id: int) -> None:
    """Takes a servicer's link away; the customer at her desk waits again, first in line, as does her call."""
    servicer = find_servicer(db, place, servicer_id)
    ticket = current_ticket(db, servicer)
    run(db, "DELETE FROM caller WHERE servicer_id = :id", id=servicer.id)
    if ticket and ticket.contact_id:
        free_call(db, at, ticket, "clear-claim")
    elif ticket:
        _step(db, at, ticket, "put-back", **_in_line_behind(db, ticket.queue_id, day_of(place, at), 0))
    change(db, "servicer", servicer.id, removed_at=at, on_duty=0, browser=None)
    record(db, at, place.id, "remove-servicer", servicer_id=servicer.id)


def erase_personal_data(db: Connection, at: float, keep_days: int, most: int = 2000) -> bool:
    """Erases names, phones and notes of tickets that ended so long ago; says whether there may be more."""
    sql = """UPDATE ticket SET name = NULL, phone = NULL, note = NULL WHERE id IN
             (SELECT id FROM ticket WHERE (name IS NOT NULL OR phone IS NOT NULL OR note IS NOT NULL)
              AND ended_at < :before LIMIT :most)"""
    return run(db, sql, before=at - keep_days * 86400, most=most).rowcount == most


def erase_calls(db: Connection, contact_ids: list[int]) -> None:
    """Erases what the calls of contacts say of them; the figures stay."""
    sql = "UPDATE ticket SET name = NULL, phone = NULL, note = NULL WHERE contact_id IN :ids"
    run(db, sql, ids=contact_ids)
