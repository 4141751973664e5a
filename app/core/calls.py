"""Call lists: which call is next, who has claimed it, and which contacts are on a list.

A call is a ticket of a call list. A caller claims it, and then it is theirs until `claimed_until`; after that
others can claim it. Nothing runs at that moment: queries read a claim that has run out as a waiting call (see
queries.claim_is_over), and the next write of a caller stores it.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from app.core.desks import open_desk
from app.core.models import CALLS, Call, Contact, Place, Queue, Servicer, Ticket
from app.core.places import find_place_for_owner, new_token
from app.core.queries import (
    NORMAL_PRIORITY,
    OPEN_CALL,
    OPEN_STATES,
    SELECT_TICKETS,
    claim_is_over,
    current_ticket,
    get_ticket,
)
from app.core.queues import call_lists, find_queue, get_queue
from app.core.servicers import call_lists_served
from app.core.transitions import UNCHANGED, add_to_waiting_count, change_state, record_step, release_call
from app.errors import BadInput, Conflict, NotFound
from app.storage.sql import insert_many, load, load_all, load_first, run, update

MIN_PRIORITY, MAX_PRIORITY = 1, 5  # 1 is called first
MAX_NOTE_LENGTH = 2000

# The id of the next call of the lists :lists at the time :at. For each list and priority, one seek in an
# index finds the first call that is due. The next call is the first of those, and of the calls whose claim
# has run out.
_NEXT_CALL = """
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
    """Return the open call lists that a servicer works on."""
    return [call_list for call_list in call_lists_served(db, servicer) if call_list.open]


def choose_lists(db: Connection, servicer: Servicer, slug: str | None) -> list[Queue]:
    """Return the open call list of a servicer with this slug, or all of theirs without a slug.

    Raises BadInput for a list that isn't theirs, or isn't open.
    """
    lists = lists_of(db, servicer)
    if not slug:
        return lists
    chosen = [call_list for call_list in lists if call_list.slug == slug]
    if not chosen:
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
    # By priority, so that the database finds those of each in an index.
    later = run(
        db,
        """SELECT sum(calls) AS calls, min(due_at) AS due_at FROM (
           SELECT count(*) AS calls, min(joined_at) AS due_at FROM ticket
           WHERE queue_id = :queue AND state = 'waiting' AND priority IN :priorities AND joined_at > :at
           GROUP BY priority) AS each_priority""",
        queue=call_list.id,
        at=at,
        priorities=list(range(MIN_PRIORITY, MAX_PRIORITY + 1)),
    ).one()
    lapsed: int = run(
        db,
        """SELECT count(*) FROM ticket WHERE queue_id = :queue
           AND claimed_until IS NOT NULL AND claimed_until <= :at""",
        queue=call_list.id,
        at=at,
    ).scalar_one()
    not_due = later.calls or 0
    return ListCounts(call_list, call_list.waiting - not_due + lapsed, not_due, later.due_at)


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
    sql = f"SELECT * FROM ticket WHERE id = ({_NEXT_CALL})"
    ticket = load_first(Ticket, run(db, sql, at=at, lists=[each.id for each in lists]))
    return None if ticket is None else get_call(db, ticket)


def find_claim(db: Connection, servicer: Servicer, claim: str) -> Claim:
    """Return a claim of a servicer by its id. Raises NotFound."""
    sql = "SELECT * FROM event WHERE kind = 'claim' AND detail = :claim AND servicer_id = :servicer"
    event = run(db, sql, claim=claim, servicer=servicer.id).first()
    if event is None:
        raise NotFound("No call of yours has this claim. Press Next call.")
    return Claim(event.id, servicer.id, event.happened_at, get_ticket(db, event.ticket_id))


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
    db: Connection, at: float, slug: str, token: str, list_slug: str | None = None
) -> Ticket | None:
    """Claim the next call of a list, or of all lists that the caller works on, for them.

    Returns None when no call is to be made now. A caller has one call at a time: if they have one, it is
    returned again. Raises BadInput for a list that isn't theirs, and Conflict while a customer is at their
    desk or they are not on duty.
    """
    desk = open_desk(db, at, slug, token)
    if desk.call is not None:
        return desk.call
    lists = [call_list.id for call_list in choose_lists(db, desk.servicer, list_slug)]
    if desk.ticket is not None:
        raise Conflict(f"Finish {desk.ticket.number} first: it is at your desk.")
    if not desk.servicer.on_duty:
        raise Conflict("You are not on duty. Press Resume first.")
    _release_lapsed(db, at, lists)
    claim = secrets.token_urlsafe(16)
    # One statement, since twenty callers may press "Next call" in the same millisecond.
    result = run(
        db,
        f"""UPDATE ticket SET state = 'called', servicer_id = :servicer, called_at = :at, claim = :claim,
                              first_called_at = coalesce(first_called_at, :at),
                              claimed_until = :at + 60 * (SELECT claim_minutes FROM queue
                                                          WHERE queue.id = ticket.queue_id)
            WHERE id = ({_NEXT_CALL}) AND state = 'waiting' RETURNING *""",
        servicer=desk.servicer.id,
        at=at,
        claim=claim,
        lists=lists,
    )
    ticket = load_first(Ticket, result)
    if ticket is None:
        return None
    add_to_waiting_count(db, ticket.queue_id, -1)
    record_step(db, at, "claim", ticket, detail=claim)
    return ticket


def _release_lapsed(db: Connection, at: float, lists: list[int]) -> None:
    """Let the calls of these lists wait again whose claim has run out."""
    sql = f"""{SELECT_TICKETS} WHERE ticket.queue_id IN :lists
              AND claimed_until IS NOT NULL AND claimed_until <= :at"""
    for ticket in load_all(Ticket, run(db, sql, lists=lists, at=at)):
        release_call(db, at, ticket, "lapse")


def extend(db: Connection, at: float, slug: str, token: str, claim: str) -> Ticket:
    """Let a caller keep their call for `claim_minutes` from now. Raises Conflict if it isn't theirs."""
    desk = open_desk(db, at, slug, token)
    if desk.call is None or desk.call.claim != claim:
        raise Conflict("This call is not yours any more: its time was up. You can still report it.")
    claim_s = 60 * get_queue(db, desk.call.queue_id).claim_minutes
    ticket = load(Ticket, update(db, "ticket", desk.call.id, claimed_until=at + claim_s))
    record_step(db, at, "more-time", ticket)
    return ticket


def release(db: Connection, at: float, slug: str, token: str, claim: str) -> None:
    """Give a caller's call back: it waits behind those of its priority that are due.

    A second time changes nothing. Raises NotFound for a claim that isn't theirs, and Conflict if the call has
    ended.
    """
    desk = open_desk(db, at, slug, token)
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
    db: Connection, at: float, ticket: Ticket, *, due_at: float, tries: int, call_list: Queue | None = None
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
    )
    new_call = find_open_call(db, call_list, ticket.contact_id) if added else None
    if new_call is None:
        return
    update(db, "ticket", ticket.id, token=new_token(), request_key=None)  # first: they are unique
    update(
        db,
        "ticket",
        new_call.id,
        token=ticket.token,
        request_key=ticket.request_key,
        browser=ticket.browser,
        note=ticket.note,
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
) -> int:
    """Put contacts on a call list, to be called from `due_at` on (by default now), and return how many.

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
            AND contact_id = contact.id AND queue_id = :queue) ORDER BY id""",
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
    sql = f"""UPDATE ticket SET state = 'cancelled', ended_at = :at, claimed_until = NULL, browser = NULL
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
    sql = "UPDATE ticket SET name = NULL, phone = NULL, note = NULL WHERE contact_id IN :ids"
    run(db, sql, ids=contact_ids)
