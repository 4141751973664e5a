"""Which calls are due: the next one of some lists, and how many of a list can be made now."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.clock import HOUR_S
from app.core.calling_hours import is_open, opens_at
from app.core.contacts_on_lists import PRIORITIES
from app.core.models import Queue
from app.core.queries import CLAIM_IS_OVER, OPEN_CALL
from app.errors import Conflict
from app.storage.sql import run

AGREED_S = HOUR_S  # how long after an agreed time a call is handed out, even outside calling hours
# A row for each priority, with its `number`.
_PRIORITY_LEVELS = f"({' UNION ALL '.join(f'SELECT {number} AS number' for number in PRIORITIES)}) AS level"


# ----- the next call


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


def next_call_id(db: Connection, at: float, lists: list[Queue]) -> int | None:
    """Return the id of the next call of these lists; None if none is due now."""
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


def requested_call_id(
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


# ----- counting


@dataclass(frozen=True)
class ListCounts:
    """The number of calls on a list that can be made now, and of those that can be made later."""

    call_list: Queue
    due: int
    not_due: int
    next_due_at: float | None  # when the first of those that aren't due yet will be


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


# ----- calling hours


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
