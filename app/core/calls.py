"""Call lists: which call is next, who has claimed it, and which contacts are on a list.

A call is a ticket of a call list. A caller claims it, and then it is theirs until `claimed_until`; after that
others can claim it. Nothing runs at that moment: queries read a claim that has run out as a waiting call (see
queries.claim_is_over), and the next write of a caller stores it.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from app.clock import HOUR_S
from app.core.calling_hours import is_open, opens_at
from app.core.desks import update_desk
from app.core.models import CALLS, Call, Contact, Place, Queue, Servicer, Ticket
from app.core.phones import without_extension
from app.core.places import find_place_for_owner, new_token
from app.core.queries import (
    CLAIM_IS_OVER,
    ERASE_PERSONAL_DATA,
    NORMAL_PRIORITY,
    OPEN_CALL,
    OPEN_STATES,
    SELECT_TICKETS,
    claim_is_over,
    current_ticket,
    get_ticket,
)
from app.core.queues import call_lists, find_queue, get_queue
from app.core.servicers import call_lists_served, check_on_duty
from app.core.tags import missing_tags
from app.core.transitions import (
    UNCHANGED,
    add_to_waiting_count,
    change_state,
    record_ticket_event,
    release_call,
)
from app.errors import BadInput, Conflict, NotFound
from app.storage.sql import insert_many, load, load_all, load_first, run, update

MIN_PRIORITY, MAX_PRIORITY = 1, 5  # 1 is called first
PRIORITIES = list(range(MIN_PRIORITY, MAX_PRIORITY + 1))
MAX_NOTE_LENGTH = 2000
AGREED_S = HOUR_S  # how long after an agreed time a call is handed out, even outside calling hours


def _may_be_given(ticket: str) -> str:
    """Return the condition under which a call, a row of `ticket`, may be given to a caller.

    Nobody said no at the number, and nobody else is calling it. The second part repeats what
    `contact.do_not_call` says, so that a call never depends on one flag.
    """
    return f"""EXISTS (
        SELECT 1 FROM contact WHERE contact.id = {ticket}.contact_id AND contact.do_not_call = 0
        AND NOT EXISTS (SELECT 1 FROM opt_out WHERE opt_out.place_id = contact.place_id
                        AND opt_out.phone = contact.phone)
        AND NOT EXISTS (SELECT 1 FROM ticket AS held WHERE held.place_id = contact.place_id
                        AND held.held_phone IS NOT NULL AND held.claimed_until > :at
                        AND (contact.phone = held.held_phone
                             OR contact.phone LIKE held.held_phone || ';ext=%')))"""


def _is_in_hours(ticket: str) -> str:
    """Return the condition that it is within calling hours where the contact of a call is.

    A time that somebody agreed to is as good, for as long as a promise is kept.
    """
    return f"""({ticket}.agreed = 1 AND {ticket}.joined_at > :at - {AGREED_S}
        OR (SELECT CAST({ticket}.queue_id AS TEXT) || ' ' || coalesce(contact.timezone, :zone)
            FROM contact WHERE contact.id = {ticket}.contact_id) NOT IN :closed)"""


# A row for each priority, with its `number`.
_PRIORITY_LEVELS = f"({' UNION ALL '.join(f'SELECT {number} AS number' for number in PRIORITIES)}) AS level"

# The time zones of the contacts of the place :place, each found by one seek in an index. DISTINCT would
# read an entry for every contact.
_ZONES_OF_CONTACTS = """
    WITH RECURSIVE zone (name) AS (
        SELECT min(timezone) FROM contact WHERE place_id = :place AND timezone IS NOT NULL
        UNION ALL
        SELECT (SELECT min(timezone) FROM contact
                WHERE place_id = :place AND timezone IS NOT NULL AND timezone > zone.name)
        FROM zone WHERE zone.name IS NOT NULL)
    SELECT name FROM zone WHERE name IS NOT NULL"""

# The id of the next call of the lists :lists at the time :at. For each list and priority, one seek in an
# index finds the first call that is due. The next call is the first of those, of a call drawn from the lists
# :random_lists, and of the calls whose claim has run out. :closed holds each list and time zone where it is
# outside calling hours, and :zone the time zone of contacts without one.
_NEXT_CALL = f"""
    SELECT id FROM ticket WHERE id IN (
        SELECT (SELECT id FROM ticket AS first WHERE first.queue_id = queue.id AND state = 'waiting'
                AND priority = level.number AND joined_at <= :at
                AND {_may_be_given("first")} AND {_is_in_hours("first")}
                ORDER BY joined_at, id LIMIT 1)
        FROM queue, {_PRIORITY_LEVELS} WHERE queue.id IN :lists AND call_order <> 'random'
        UNION ALL
        SELECT id FROM (SELECT id FROM ticket AS drawn WHERE drawn.queue_id IN :random_lists
                        AND state = 'waiting' AND joined_at <= :at
                        AND {_may_be_given("drawn")} AND {_is_in_hours("drawn")}
                        ORDER BY priority, random() LIMIT 1) AS one
        UNION ALL
        SELECT id FROM ticket AS lapsed WHERE lapsed.queue_id IN :lists
        AND {CLAIM_IS_OVER}
        AND {_may_be_given("lapsed")} AND {_is_in_hours("lapsed")})
    ORDER BY priority, joined_at, id LIMIT 1"""

# The id of a call that a caller asked for, by its id or by the contact's name, at whatever time it is.
_CALL_ASKED_FOR = f"""
    SELECT asked.id FROM ticket AS asked JOIN contact AS person ON person.id = asked.contact_id
    WHERE asked.queue_id IN :lists AND (asked.state = 'waiting' OR asked.claimed_until <= :at)
    AND (asked.id = :id OR person.search LIKE :name ESCAPE '!') AND {_may_be_given("asked")}
    ORDER BY asked.priority, asked.joined_at, asked.id LIMIT 1"""


@dataclass(frozen=True)
class Claim:
    """A claim that a servicer made, however long ago, and its call as it is now."""

    event_id: int
    servicer_id: int
    claimed_at: float
    ticket: Ticket


@dataclass(frozen=True)
class ListCounts:
    """How many calls of a list can be made now, and how many later."""

    call_list: Queue
    due: int
    not_due: int
    next_due_at: float | None  # when the first of those that aren't due yet will be


# ----- who works on which list


def find_place_of_caller(db: Connection, token: str) -> Place | None:
    """Return the place of the desk with this token, or None."""
    result = run(
        db,
        """SELECT place.* FROM servicer JOIN place ON place.id = place_id
           WHERE token = :token AND removed_at IS NULL AND deleted_at IS NULL""",
        token=token,
    )
    return load_first(Place, result)


def lists_of(db: Connection, servicer: Servicer) -> list[Queue]:
    """Return the open call lists that a servicer works on, and is trained for."""
    return [
        call_list
        for call_list in call_lists_served(db, servicer)
        if call_list.open and not missing_tags(call_list.requires, servicer.tags)
    ]


def choose_lists(db: Connection, servicer: Servicer, slug: str | None) -> list[Queue]:
    """Return the open call list of a servicer with this slug, or all of theirs without a slug.

    Raises BadInput for a list that isn't theirs, or isn't open.
    """
    lists = lists_of(db, servicer)
    if not slug:
        return lists
    chosen = [call_list for call_list in lists if call_list.slug == slug]
    if not chosen:
        for call_list in call_lists_served(db, servicer):
            missing = missing_tags(call_list.requires, servicer.tags)
            if call_list.slug == slug and missing:
                raise BadInput(f"{call_list.name} is for callers with the tags {', '.join(missing)}.")
        raise BadInput(f"No call list named {slug} is yours now.")
    return chosen


def hidden_list_ids(db: Connection, servicer: Servicer) -> set[int]:
    """Return the ids of the restricted lists that a servicer doesn't work on, deleted lists included."""
    result = run(
        db,
        """SELECT id FROM queue WHERE place_id = :place AND restricted = 1
           AND id NOT IN (SELECT queue_id FROM caller WHERE servicer_id = :servicer)""",
        place=servicer.place_id,
        servicer=servicer.id,
    )
    return set(result.scalars())


def lists_to_refer_to(db: Connection, place: Place, servicer: Servicer) -> list[Queue]:
    """Return the call lists of a place without those that are restricted to others."""
    hidden_lists = hidden_list_ids(db, servicer)
    return [call_list for call_list in call_lists(db, place) if call_list.id not in hidden_lists]


def count_calls(db: Connection, at: float, call_list: Queue) -> ListCounts:
    """Count the calls of a list that wait, by whether they are due."""
    # Each priority is one range of an index. count(*) without min() reads it twice as fast.
    later = run(
        db,
        f"""SELECT (SELECT count(*) FROM ticket WHERE queue_id = :queue AND state = 'waiting'
                    AND priority = level.number AND joined_at > :at) AS calls,
                   (SELECT min(joined_at) FROM ticket WHERE queue_id = :queue AND state = 'waiting'
                    AND priority = level.number AND joined_at > :at) AS due_at
            FROM {_PRIORITY_LEVELS}""",
        queue=call_list.id,
        at=at,
    ).all()
    lapsed: int = run(
        db,
        f"SELECT count(*) FROM ticket WHERE queue_id = :queue AND {CLAIM_IS_OVER}",
        queue=call_list.id,
        at=at,
    ).scalar_one()
    not_due = sum(level.calls for level in later)
    due = call_list.waiting - not_due + lapsed
    next_due_at = min((level.due_at for level in later if level.due_at is not None), default=None)
    zone, closed = _closed_zones(db, at, [call_list])
    if next_due_at is not None:
        next_due_at = _first_opening(db, call_list, next_due_at, zone)
    if closed and due:
        for closed_zone, calls in _calls_outside_hours(db, at, call_list, due, zone, closed).items():
            due -= calls
            not_due += calls
            opening = opens_at(call_list, closed_zone, at)
            next_due_at = opening if next_due_at is None else min(next_due_at, opening)
    return ListCounts(call_list, due, not_due, next_due_at)


def _calls_outside_hours(
    db: Connection, at: float, call_list: Queue, due: int, place_zone: str, closed: list[str]
) -> dict[str, int]:
    """Return how many of the calls that are due are outside calling hours, by time zone.

    Only contacts with a time zone of their own are looked up; all others are in that of the place.
    """
    closed_zones = {each.partition(" ")[2] for each in closed}
    # The calls in the zone of the place are those that are in no other, so if it is closed, all are counted.
    zones = _zones_of_contacts(db, call_list.place_id) if place_zone in closed_zones else closed_zones
    calls_in = Counter[str]()
    # SQLite keeps the order of a CROSS JOIN: contacts with a time zone may be few.
    result = run(
        db,
        f"""SELECT contact.timezone AS zone, count(*) AS calls FROM contact CROSS JOIN ticket
            WHERE contact.place_id = :place AND contact.timezone IN :zones
            AND ticket.contact_id = contact.id AND {OPEN_CALL} AND queue_id = :queue
            AND (state = 'waiting' AND joined_at <= :at OR claimed_until <= :at)
            GROUP BY contact.timezone""",
        place=call_list.place_id,
        zones=sorted(zones),
        queue=call_list.id,
        at=at,
    )
    for row in result:
        calls_in[row.zone] = row.calls
    calls_in[place_zone] += due - calls_in.total()
    calls_in.subtract(_promised_calls(db, at, call_list, place_zone))
    return {zone: calls for zone, calls in calls_in.items() if zone in closed_zones and calls > 0}


def _promised_calls(db: Connection, at: float, call_list: Queue, place_zone: str) -> Counter[str]:
    """Return how many calls are due at a time that somebody agreed to, by time zone."""
    result = run(
        db,
        f"""SELECT contact.timezone FROM ticket JOIN contact ON contact.id = contact_id
            WHERE queue_id = :queue AND state = 'waiting' AND priority IN :priorities
            AND joined_at > :since AND joined_at <= :at AND agreed = 1
            UNION ALL
            SELECT contact.timezone FROM ticket JOIN contact ON contact.id = contact_id
            WHERE queue_id = :queue AND {CLAIM_IS_OVER} AND joined_at > :since AND agreed = 1""",
        queue=call_list.id,
        priorities=PRIORITIES,
        since=at - AGREED_S,
        at=at,
    )
    return Counter(zone or place_zone for zone in result.scalars())


def _first_opening(db: Connection, call_list: Queue, due_at: float, zone: str) -> float:
    """Return when the call that is due at a time is handed out; it may be outside calling hours then."""
    call = run(
        db,
        """SELECT contact.timezone, agreed FROM ticket JOIN contact ON contact.id = ticket.contact_id
           WHERE queue_id = :queue AND state = 'waiting' AND joined_at = :due_at
           AND priority IN :priorities LIMIT 1""",
        queue=call_list.id,
        due_at=due_at,
        priorities=PRIORITIES,
    ).first()
    if call is None or call.agreed:
        return due_at
    return opens_at(call_list, call.timezone or zone, due_at)


def _zones_of_contacts(db: Connection, place_id: int) -> set[str]:
    return set(run(db, _ZONES_OF_CONTACTS, place=place_id).scalars())


def _closed_zones(db: Connection, at: float, lists: list[Queue]) -> tuple[str, list[str]]:
    """Return the time zone of the place, and each list with the time zones where its hours are over."""
    if not lists:
        return "UTC", []
    place_id = lists[0].place_id
    zone = str(run(db, "SELECT timezone FROM place WHERE id = :id", id=place_id).scalar_one())
    zones = {zone} | _zones_of_contacts(db, place_id)
    closed = [
        f"{call_list.id} {each}" for call_list in lists for each in zones if not is_open(call_list, each, at)
    ]
    return zone, closed


# ----- finding calls


def get_call(db: Connection, ticket: Ticket) -> Call:
    """Return the call of a ticket, with its list and its contact."""
    row = run(db, "SELECT * FROM contact WHERE id = :id", id=ticket.contact_id).one()
    return Call(ticket, get_queue(db, ticket.queue_id), load(Contact, row))


def claimed_call(db: Connection, at: float, servicer: Servicer) -> Call | None:
    """Return the call that a servicer has claimed, while the claim lasts."""
    ticket = current_ticket(db, servicer)
    if ticket is None or not ticket.is_call or claim_is_over(ticket, at):
        return None
    return get_call(db, ticket)


def find_open_call(db: Connection, call_list: Queue, contact_id: int) -> Ticket | None:
    """Return the open call of a contact on a list, if there is one."""
    sql = f"{SELECT_TICKETS} WHERE {OPEN_CALL} AND contact_id = :contact AND ticket.queue_id = :queue"
    return load_first(Ticket, run(db, sql, contact=contact_id, queue=call_list.id))


def peek_next(db: Connection, at: float, lists: list[Queue]) -> Call | None:
    """Return the call that a caller who asks now would get from these lists."""
    ticket_id = _next_call(db, at, lists)
    return None if ticket_id is None else get_call(db, get_ticket(db, ticket_id))


def _next_call(db: Connection, at: float, lists: list[Queue]) -> int | None:
    zone, closed = _closed_zones(db, at, lists)
    ticket_id: int | None = run(
        db,
        _NEXT_CALL,
        at=at,
        lists=[each.id for each in lists],
        random_lists=[each.id for each in lists if each.call_order == "random"],
        zone=zone,
        closed=closed,
    ).scalar()
    return ticket_id


def _call_asked_for(
    db: Connection, at: float, lists: list[Queue], call_id: int | None, name: str | None
) -> int:
    """Return the id of a call that a caller asked for. Raises Conflict if it can't be given to them."""
    pattern = None if name is None else re.sub("([!%_])", r"!\1", name.casefold()) + "\n%"
    ticket_id: int | None = run(
        db, _CALL_ASKED_FOR, at=at, lists=[each.id for each in lists], id=call_id, name=pattern
    ).scalar()
    if ticket_id is None:
        who = f"Nobody named {name} waits" if name else "This call doesn't wait"
        raise Conflict(f"{who} on your lists. They may be called by somebody else, or have said no.")
    return ticket_id


def find_claim(db: Connection, servicer: Servicer, claim: str) -> Claim:
    """Return a claim of a servicer by its id. Raises NotFound."""
    sql = "SELECT * FROM event WHERE kind = 'claim' AND detail = :claim AND servicer_id = :servicer"
    event = run(db, sql, claim=claim, servicer=servicer.id).first()
    if event is None:
        raise NotFound("No call of yours has this claim. Press Next call.")
    return Claim(event.id, servicer.id, event.happened_at, get_ticket(db, event.ticket_id))


def latest_claim(db: Connection, servicer: Servicer, call_id: int) -> str:
    """Return the id of the last claim that a servicer made of a call. Raises NotFound."""
    sql = """SELECT detail FROM event WHERE ticket_id = :call AND kind = 'claim' AND servicer_id = :servicer
             ORDER BY id DESC LIMIT 1"""
    claim = run(db, sql, call=call_id, servicer=servicer.id).scalar()
    if claim is None:
        raise NotFound("You have not claimed this call. Press Next call.")
    return str(claim)


def claim_ended_at(db: Connection, claim: Claim, call_list: Queue) -> float:
    """Return when a claim ran out, or will: `claim_minutes` after it was made, or after its last extension.

    Extensions of later claims of the same call don't count.
    """
    result = run(
        db,
        """SELECT max(happened_at) FROM event WHERE ticket_id = :ticket AND id >= :claim
           AND servicer_id = :servicer AND kind IN ('claim', 'more-time')
           AND NOT EXISTS (SELECT 1 FROM event AS later WHERE later.ticket_id = event.ticket_id
                           AND later.kind = 'claim' AND later.id > :claim AND later.id <= event.id)""",
        ticket=claim.ticket.id,
        claim=claim.event_id,
        servicer=claim.servicer_id,
    )
    extended_at: float = result.scalar_one()
    return extended_at + 60 * call_list.claim_minutes


# ----- a caller


def claim_next(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    list_slug: str | None = None,
    *,
    call_id: int | None = None,
    name: str | None = None,
) -> Ticket | None:
    """Claim the next call of a list, or of all lists that the caller works on, for them.

    With `call_id`, or the `name` of a contact, claim that call, even outside calling hours or before it is
    due. Returns None when no call is to be made now. A caller has one call at a time: if they have one, it
    is returned again. Raises BadInput for a list that isn't theirs, and Conflict for a call that they can't
    have, while a customer is at their desk or they are not on duty.
    """
    desk = update_desk(db, at, slug, token)
    asks_for_one = call_id is not None or name is not None
    if desk.call is not None:
        if asks_for_one and not _is_call(db, desk.call, call_id, name):
            raise Conflict("You have another call now. Report it, or release it, first.")
        return desk.call
    lists = choose_lists(db, desk.servicer, list_slug)
    if desk.ticket is not None:
        raise Conflict(f"Finish {desk.ticket.number} first: it is at your desk.")
    check_on_duty(desk.servicer)
    _release_lapsed(db, at, desk.place)
    if asks_for_one:
        return _claim(db, at, desk.servicer, _call_asked_for(db, at, lists, call_id, name))
    while (ticket_id := _next_call(db, at, lists)) is not None:
        ticket = _claim(db, at, desk.servicer, ticket_id)
        if ticket is not None:
            return ticket
    return None


def _is_call(db: Connection, call: Ticket, call_id: int | None, name: str | None) -> bool:
    if call_id is not None:
        return call.id == call_id
    return name is not None and get_call(db, call).contact.name.casefold() == name.casefold()


def _claim(db: Connection, at: float, servicer: Servicer, ticket_id: int) -> Ticket | None:
    """Claim a call for a caller; returns None if somebody else was quicker.

    Twenty callers may press "Next call" in the same millisecond. Two never get the same call, since it must
    wait still; and two never get the same number, because `held_phone` is unique in a place.
    """
    phone: str = run(
        db,
        "SELECT phone FROM contact WHERE id = (SELECT contact_id FROM ticket WHERE id = :id)",
        id=ticket_id,
    ).scalar_one()
    claim = secrets.token_urlsafe(16)
    result = run(
        db,
        """UPDATE ticket SET state = 'called', servicer_id = :servicer, called_at = :at, claim = :claim,
                             held_phone = :phone, first_called_at = coalesce(first_called_at, :at),
                             claimed_until = :at + 60 * (SELECT claim_minutes FROM queue
                                                         WHERE queue.id = ticket.queue_id)
           WHERE id = :id AND state = 'waiting' RETURNING *""",
        id=ticket_id,
        servicer=servicer.id,
        at=at,
        claim=claim,
        phone=without_extension(phone),
    )
    ticket = load_first(Ticket, result)
    if ticket is None:
        return None
    add_to_waiting_count(db, ticket.queue_id, -1)
    record_ticket_event(db, at, "claim", ticket, detail=claim)
    return ticket


def _release_lapsed(db: Connection, at: float, place: Place) -> None:
    """Let the calls of a place wait again whose claim has run out; they hold their number no more."""
    sql = f"""{SELECT_TICKETS} WHERE ticket.queue_id IN (SELECT id FROM queue WHERE place_id = :place
                                                         AND kind = 'calls')
              AND {CLAIM_IS_OVER}"""
    for ticket in load_all(Ticket, run(db, sql, place=place.id, at=at)):
        release_call(db, at, ticket, "lapse")


def extend(db: Connection, at: float, slug: str, token: str, claim: str) -> Ticket:
    """Let a caller keep their call for `claim_minutes` from now. Raises Conflict if it isn't theirs."""
    desk = update_desk(db, at, slug, token)
    if desk.call is None or desk.call.claim != claim:
        raise Conflict("This call is not yours any more: its time was up. You can still report it.")
    claim_s = 60 * get_queue(db, desk.call.queue_id).claim_minutes
    ticket = load(Ticket, update(db, "ticket", desk.call.id, claimed_until=at + claim_s))
    record_ticket_event(db, at, "more-time", ticket)
    return ticket


def release(db: Connection, at: float, slug: str, token: str, claim: str) -> None:
    """Give a caller's call back: it waits behind those of its priority that are due.

    A second time changes nothing. Raises NotFound for a claim that isn't theirs, and Conflict if the call has
    ended.
    """
    desk = update_desk(db, at, slug, token)
    if desk.call is not None and desk.call.claim == claim:
        release_call(db, at, desk.call, "give-back", joined_at=at)
        return
    if find_claim(db, desk.servicer, claim).ticket.state not in OPEN_STATES:
        raise Conflict(f"This call has ended already. {UNCHANGED}")


def end_call(db: Connection, at: float, ticket: Ticket, servicer: Servicer) -> Ticket:
    """End a call as done by a servicer who reported it. It may already wait again, unclaimed."""
    return change_state(
        db,
        at,
        ticket,
        "report",
        servicer_id=servicer.id,
        called_at=ticket.called_at or at,
        first_called_at=ticket.first_called_at or at,
    )


def call_again(
    db: Connection,
    at: float,
    ticket: Ticket,
    *,
    due_at: float,
    tries: int,
    call_list: Queue | None = None,
    agreed: bool = False,
) -> None:
    """Put the contact of a call that ended on its list again, or on `call_list`, due at `due_at`.

    The link to the ended call, if somebody asked for it, leads to the new one from now on. Nothing happens if
    the list was deleted, or if the contact can't be put on it; see add_calls().
    """
    call_list = call_list or _undeleted_list(db, ticket.queue_id)
    if call_list is None or ticket.contact_id is None:
        return
    added = add_calls(
        db,
        at,
        call_list,
        [ticket.contact_id],
        reason=ticket.reason,
        priority=ticket.priority,
        due_at=due_at,
        tries=tries,
        agreed=agreed,
    )
    new_call = find_open_call(db, call_list, ticket.contact_id) if added else None
    if new_call is None:
        return
    # First, since they are unique; and who asked has one address to mail to.
    update(db, "ticket", ticket.id, token=new_token(), request_key=None, mail_to=None)
    update(
        db,
        "ticket",
        new_call.id,
        token=ticket.token,
        request_key=ticket.request_key,
        browser=ticket.browser,
        note=ticket.note,
        mail_to=ticket.mail_to,
    )


def _undeleted_list(db: Connection, queue_id: int) -> Queue | None:
    sql = "SELECT * FROM queue WHERE id = :id AND deleted_at IS NULL"
    return load_first(Queue, run(db, sql, id=queue_id))


def add_note(db: Connection, ticket: Ticket, note: str | None) -> Ticket:
    """Add lines to the note of a call, except those that it holds already, and return the changed call."""
    return load(Ticket, update(db, "ticket", ticket.id, note=merged_note(ticket.note, note)))


def merged_note(note: str | None, addition: str | None) -> str | None:
    """Return the lines of two notes, each line once, cut at the beginning if there are too many."""
    lines = [*(note or "").split("\n"), *(addition or "").split("\n")]
    merged = "\n".join(dict.fromkeys(line for line in lines if line))
    return merged[-MAX_NOTE_LENGTH:] or None


# ----- the owner


def clear_claim(db: Connection, at: float, slug: str, token: str, queue_slug: str, ticket_id: int) -> None:
    """Release a call for the owner: its caller may have gone home. Raises Conflict if it isn't claimed."""
    place = find_place_for_owner(db, slug, token)
    call_list = find_queue(db, place, queue_slug)
    sql = f"{SELECT_TICKETS} WHERE ticket.id = :id AND ticket.queue_id = :queue AND claimed_until IS NOT NULL"
    ticket = load_first(Ticket, run(db, sql, id=ticket_id, queue=call_list.id))
    if ticket is None:
        raise Conflict(f"Nobody has this call any more. {UNCHANGED}")
    release_call(db, at, ticket, "clear-claim")


# ----- contacts on lists, up to 5,000 at once


def add_calls(
    db: Connection,
    at: float,
    call_list: Queue,
    contact_ids: list[int],
    *,
    reason: str | None = None,
    priority: int = NORMAL_PRIORITY,
    due_at: float | None = None,
    tries: int = 0,
    agreed: bool = False,
) -> int:
    """Put contacts on a call list, to be called from `due_at` on (by default now), and return how many.

    `agreed` says that the contact chose the time: then calling hours don't matter.

    Contacts that are on the list already, that must not be called, or that were forgotten are left out.
    """
    new_ids = _contacts_to_add(db, call_list, contact_ids)
    if not new_ids:
        return 0
    last_number: int = run(
        db,
        """UPDATE queue SET waiting = waiting + :calls, last_number = last_number + :calls
           WHERE id = :queue RETURNING last_number - :calls""",
        calls=len(new_ids),
        queue=call_list.id,
    ).scalar_one()
    last_ticket_id = run(db, "SELECT coalesce(max(id), 0) FROM ticket").scalar_one()
    tickets = [
        {
            "place_id": call_list.place_id,
            "queue_id": call_list.id,
            "contact_id": contact_id,
            "token": new_token(),
            "series": CALLS,
            "ordinal": ordinal,
            "number": f"{call_list.prefix}{ordinal}",
            "state": "waiting",
            "priority": priority,
            "joined_at": at if due_at is None else due_at,
            "taken_at": at,
            "reason": reason,
            "tries": tries,
            "by_phone": 0,
            "agreed": int(agreed),
        }
        for ordinal, contact_id in enumerate(new_ids, last_number + 1)
    ]
    insert_many(db, "ticket", tickets)
    condition = "id > :last_id AND queue_id = :queue"
    _record_for_calls(db, at, "put-on", condition, last_id=last_ticket_id, queue=call_list.id)
    return len(new_ids)


def _contacts_to_add(db: Connection, call_list: Queue, contact_ids: list[int]) -> list[int]:
    result = run(
        db,
        f"""SELECT id FROM contact WHERE id IN :ids AND place_id = :place AND do_not_call = 0
            AND forgotten_at IS NULL AND NOT EXISTS (SELECT 1 FROM ticket WHERE {OPEN_CALL}
            AND contact_id = contact.id AND queue_id = :queue)
            AND NOT EXISTS (SELECT 1 FROM opt_out WHERE opt_out.place_id = :place
                            AND opt_out.phone = contact.phone) ORDER BY id""",
        ids=contact_ids,
        place=call_list.place_id,
        queue=call_list.id,
    )
    return list(result.scalars())


_CALLS_TO_CANCEL = f"""{OPEN_CALL} AND contact_id IN :ids AND queue_id = coalesce(:queue, queue_id)
                       AND queue_id NOT IN :kept_lists
                       AND (:include_claimed = 1 OR state = 'waiting')"""


def cancel_calls(
    db: Connection,
    at: float,
    contact_ids: list[int],
    call_list: Queue | None = None,
    include_claimed: bool = True,
    kept_lists: Collection[int] = (),
) -> int:
    """Take contacts off a call list, or off all of them, and return how many calls were cancelled.

    Without `include_claimed`, the calls that a caller is making now go on. So do the calls on `kept_lists`.
    """
    values: dict[str, Any] = {
        "ids": contact_ids,
        "queue": None if call_list is None else call_list.id,
        "include_claimed": int(include_claimed),
        "kept_lists": list(kept_lists),
    }
    sql = f"""SELECT queue_id, count(*) AS calls FROM ticket
              WHERE {_CALLS_TO_CANCEL} AND state = 'waiting' GROUP BY queue_id"""
    for row in run(db, sql, **values).all():
        add_to_waiting_count(db, row.queue_id, -row.calls)
    _record_for_calls(db, at, "cancel", _CALLS_TO_CANCEL, state="cancelled", **values)
    sql = f"""UPDATE ticket SET state = 'cancelled', ended_at = :at, claimed_until = NULL, held_phone = NULL,
                                browser = NULL
              WHERE {_CALLS_TO_CANCEL}"""
    return run(db, sql, at=at, **values).rowcount


def change_priority(db: Connection, at: float, call_list: Queue, contact_ids: list[int], by: int) -> int:
    """Let contacts be called sooner (`by` is -1) or later (1), and return how many changed."""
    condition = f"""{OPEN_CALL} AND contact_id IN :ids AND queue_id = :queue
                    AND priority + :by BETWEEN {MIN_PRIORITY} AND {MAX_PRIORITY}"""
    values: dict[str, Any] = {"ids": contact_ids, "queue": call_list.id, "by": by}
    _record_for_calls(db, at, "change-priority", condition, **values)
    return run(db, f"UPDATE ticket SET priority = priority + :by WHERE {condition}", **values).rowcount


def _record_for_calls(
    db: Connection, at: float, kind: str, condition: str, *, state: str | None = None, **values: Any
) -> None:
    """Write an event for each call that meets a condition, in one statement; `state` is the new state."""
    run(
        db,
        f"""INSERT INTO event (place_id, queue_id, ticket_id, contact_id, servicer_id, happened_at, kind,
                               state)
            SELECT place_id, queue_id, id, contact_id, servicer_id, :at, :kind, coalesce(:state, state)
            FROM ticket WHERE {condition} ORDER BY id""",
        at=at,
        kind=kind,
        state=state,
        **values,
    )


def erase_call_details(db: Connection, contact_ids: list[int]) -> None:
    """Erase the personal data in the calls of contacts; the durations stay for the statistics."""
    run(db, f"{ERASE_PERSONAL_DATA} WHERE contact_id IN :ids", ids=contact_ids)
