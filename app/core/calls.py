"""Calls of call lists: whose they are, claiming the next one, and giving it back.

A call is a ticket of a call list. A caller claims it, and then it is theirs until `claimed_until`; after that
others can claim it. Nothing runs at that moment: queries read a claim that has run out as a waiting call (see
queries.claim_is_over), and the next write of a caller stores it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.contacts_on_lists import add_calls
from app.core.desks import update_desk
from app.core.due_calls import next_call_id, requested_call_id
from app.core.models import Call, Contact, Place, Queue, Servicer, Ticket
from app.core.phones import without_extension
from app.core.places import find_place_for_owner, new_token
from app.core.queries import (
    CLAIM_IS_OVER,
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
from app.storage.sql import load, load_all, load_first, run, update

MAX_NOTE_LENGTH = 2000


@dataclass(frozen=True)
class Claim:
    """A claim that a servicer made, however long ago, and its call as it is now."""

    event_id: int
    servicer_id: int
    claimed_at: float
    ticket: Ticket


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
    ticket_id = next_call_id(db, at, lists)
    return None if ticket_id is None else get_call(db, get_ticket(db, ticket_id))


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
        return _claim(db, at, desk.servicer, requested_call_id(db, at, lists, call_id, name))
    while (ticket_id := next_call_id(db, at, lists)) is not None:
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
