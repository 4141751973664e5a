"""Call lists: whose call is next, reports of calls and what follows from them, requests of the public."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection, Row

from rooms.contacts import find_or_add_contact, never_call, phone_shown, read_phone, words_of
from rooms.line import (
    NORMAL,
    OPEN,
    OPEN_CALL,
    TICKETS,
    Desk,
    Taken,
    add_calls,
    annotate_call,
    call_again,
    call_me,
    claim_ended,
    current_ticket,
    end_call,
    find_call,
    find_claim,
    is_over,
    next_call,
    stand_in,
)
from rooms.mail import queue_mail
from rooms.places import (
    CALLS,
    EFFECTS,
    day_begins,
    day_of,
    find_place,
    find_queue,
    local_time,
    next_day,
    queues_of,
    queues_served,
)
from rooms.settings import BadInput, Conflict, NotFound, Refused
from rooms.storage import change, insert, record, run

FAR_S = 366 * 86400  # nobody promises a call in two years; it is a slip of the finger


def lists_of(db: Connection, servicer: Row) -> list[Row]:
    """The call lists that a servicer works on: hers, and open."""
    return [each for each in queues_served(db, servicer, CALLS) if each.open]


def closed_to(db: Connection, servicer: Row) -> set[int]:
    """The ids of the restricted lists that a servicer does not work on, also of those that were deleted."""
    sql = """SELECT id FROM queue WHERE place_id = :place AND restricted = 1
             AND id NOT IN (SELECT queue_id FROM caller WHERE servicer_id = :servicer)"""
    return {*run(db, sql, place=servicer.place_id, servicer=servicer.id).scalars()}


def call_of(db: Connection, at: float, servicer: Row) -> Row | None:
    """The call that is a servicer's now."""
    ticket = current_ticket(db, servicer)
    return ticket if ticket and ticket.contact_id and not is_over(ticket, at) else None


def about_call(db: Connection, ticket: Row) -> tuple[Row, Row]:
    """The list and the contact of a call."""
    queue, contact = "SELECT * FROM queue WHERE id = :id", "SELECT * FROM contact WHERE id = :id"
    return run(db, queue, id=ticket.queue_id).one(), run(db, contact, id=ticket.contact_id).one()


def slug_of_desk(db: Connection, token: str) -> str:
    """The place of a desk's token; raises Refused (401)."""
    sql = """SELECT slug FROM servicer JOIN place ON place.id = place_id
             WHERE token = :token AND removed_at IS NULL AND deleted_at IS NULL"""
    slug = run(db, sql, token=token).scalar()
    if slug is None:
        raise Refused("This is no desk's token, or not any more. Ask the owner for the staff link.", 401)
    return slug


def claim_next(db: Connection, at: float, desk: Desk, list: str | None = None) -> Row | None:
    """Makes the next call of a `list`, or of all hers, a servicer's; None when none is to be made now."""
    lists = [] if desk.call else asked_lists(db, desk.servicer, list)
    return next_call(db, at, desk, lists)


def asked_lists(db: Connection, servicer: Row, list: str | None) -> list[Row]:
    """The lists of a servicer's that a call is asked of: one, or all; raises BadInput for what isn't hers."""
    lists = [each for each in lists_of(db, servicer) if list in (None, each.slug)]
    if list and not lists:
        raise BadInput(f"No call list named {list} is yours now.")
    return lists


def not_due(db: Connection, at: float, queue: Row) -> tuple[int, float | None]:
    """How many calls of a list are not due yet, and when the first of them will be."""
    sql = """SELECT sum(many) AS many, min(due) AS due FROM (
             SELECT count(*) AS many, min(joined_at) AS due FROM ticket
             WHERE queue_id = :queue AND state = 'waiting' AND priority IN :levels AND joined_at > :at
             GROUP BY priority) AS each_priority"""
    found = run(db, sql, queue=queue.id, at=at, levels=[1, 2, 3, 4, 5]).one()
    return found.many or 0, found.due


def stats_of(db: Connection, at: float, place: Row, servicer: Row) -> dict[str, int]:
    """How many calls a servicer has reported, in all and today, and how many she reached today."""
    begins = day_begins(place.timezone, day_of(place, at), place.day_starts)
    sql = "SELECT count(*) FROM report WHERE servicer_id = :servicer AND created_at >= :begins"
    total, today = (run(db, sql, servicer=servicer.id, begins=each).scalar_one() for each in (-1e12, begins))
    sql += " AND effect = 'reached'"
    reached = run(db, sql, servicer=servicer.id, begins=begins).scalar_one()
    return {"total": total, "today": today, "reached_today": reached}


def recent_reports(db: Connection, servicer: Row, most: int = 10) -> list[Row]:
    """The last reports of a servicer, newest first."""
    sql = """SELECT report.*, contact.name, queue.name AS list FROM report
             LEFT JOIN contact ON contact.id = contact_id LEFT JOIN queue ON queue.id = report.queue_id
             WHERE servicer_id = :servicer ORDER BY report.created_at DESC, report.id DESC LIMIT :most"""
    return run(db, sql, servicer=servicer.id, most=most).all()


# ----- reports


class Said(NamedTuple):
    """What a caller says about a call, as it is understood: `target` is a list or a service to refer to."""

    outcome: Row
    notes: str | None
    call_back_at: float | None
    target: Row | None
    refer_note: str | None


def plain(name: str) -> str:
    """A name without its case, spaces and signs: what names typed by people are compared by."""
    return re.sub(r"[\W_]+", "", name.casefold()) or name


def read_time(text: str, timezone: str) -> float:
    """An instant such as 2026-11-23T14:30, by the clocks of a zone, or with an offset; raises BadInput."""
    try:
        if not re.search(r"[T ]\d", text):
            raise ValueError("a day is no time to call")
        when = datetime.fromisoformat(text)
        return when.timestamp() if when.tzinfo else local_time(timezone, when)
    except (ValueError, OverflowError):
        raise BadInput("Call back at: please write a date and a time, such as 2026-11-23T14:30.") from None


def _understand(db: Connection, at: float, place: Row, contact: Row, outcome: str, **said: Any) -> Said:
    words = words_of(db, place, "outcome")
    word = next((each for each in words if plain(each.name) == plain(outcome)), None)
    if word is None:
        raise BadInput(f"Outcome: please choose {', '.join(each.name for each in words)}.")
    when, zone = None, contact.timezone or place.timezone
    if word.effect == "later":
        if not said.get("call_back_at"):
            raise BadInput("Call back at: please say when.")
        when = read_time(said["call_back_at"], zone)
        if not at < when < at + FAR_S:
            raise BadInput("Call back at: please choose a time to come, within a year.")
    target = _find_target(db, place, said["refer_to"]) if said.get("refer_to") else None
    if target is not None and hasattr(target, "kind") and word.effect == "never":
        raise BadInput("Whom nobody may call again can't be put on another list.")
    return Said(word, said.get("notes"), when, target, said.get("refer_note"))


def _find_target(db: Connection, place: Row, name: str) -> Row:
    lists = queues_of(db, place, CALLS)
    found = [each for each in lists if each.slug == name]
    found += [each for each in [*lists, *words_of(db, place, "service")] if plain(each.name) == plain(name)]
    if not found:
        raise BadInput(f"Refer to: there is no call list and no service named {name}.")
    return found[0]


def report_call(db: Connection, at: float, desk: Desk, claim: str, outcome: str, **said: Any) -> Row:
    """Stores what the caller says about the call of a claim; `said` may hold notes, call_back_at, refer_to
    and refer_note.

    It ends the call, unless that has ended or somebody else has had it since: then it is kept as a note. The
    same claim again gives the same report. Raises NotFound for a claim that isn't hers, BadInput.
    """
    earlier = _find_report(db, desk, claim)
    if earlier:
        return earlier
    event, ticket = find_claim(db, desk.servicer, claim)
    queue, contact = about_call(db, ticket)
    understood = _understand(db, at, desk.place, contact, outcome, **said)
    closed = ticket if ticket.state in OPEN and ticket.claim == claim else None
    columns = {"claim": claim, "ticket_id": ticket.id, "incoming": 0}
    columns["seconds"] = max(0, round(min(at, claim_ended(db, event, queue)) - event.happened_at))
    report = _store(db, at, desk, contact, queue, closed, understood, **columns)
    if closed:
        _follow(db, at, contact, queue, closed, understood, desk)
    elif understood.outcome.effect == "never":  # that was said, however late; whose call it is now, ends it
        never_call(db, at, contact, held=False)
    return report


def _find_report(db: Connection, desk: Desk, claim: str) -> Row | None:
    sql = "SELECT * FROM report WHERE claim = :claim AND servicer_id = :servicer"
    return run(db, sql, claim=claim, servicer=desk.servicer.id).first()


def _store(
    db: Connection,
    at: float,
    desk: Desk,
    contact: Row,
    queue: Row | None,
    closed: Row | None,
    said: Said,
    **columns: Any,
) -> Row:
    known = contact.forgotten_at is None  # or nothing is to be noted of them any more
    columns |= {"place_id": desk.place.id, "queue_id": queue and queue.id, "contact_id": contact.id}
    columns |= {"servicer_id": desk.servicer.id, "created_at": at, "closed": int(closed is not None)}
    columns |= {
        "outcome": said.outcome.name,
        "effect": said.outcome.effect,
        "call_back_at": said.call_back_at,
    }
    passed_on = said.refer_note and f"For {said.target.name if said.target else 'others'}: {said.refer_note}"
    columns["notes"] = "\n".join(filter(None, (said.notes, passed_on))) or None if known else None
    columns["referred_to"] = said.target.name if said.target is not None else None
    if known:
        change(db, "contact", contact.id, last_called_at=at, last_outcome=said.outcome.name)
    if closed is None:
        more = {"queue_id": columns["queue_id"], "contact_id": contact.id, "detail": "late"}
        more |= {"detail": "incoming"} if columns["incoming"] else {"ticket_id": columns["ticket_id"]}
        record(db, at, desk.place.id, "note", servicer_id=desk.servicer.id, **more)
    return insert(db, "report", **columns).one()


def _follow(
    db: Connection,
    at: float,
    contact: Row,
    queue: Row | None,
    closed: Row | None,
    said: Said,
    desk: Desk,
    on: Row | None = None,
) -> None:
    # What a report leads to: the call ends, is made again (back `on` another list), or none is; somebody else
    # is to call.
    effect = said.outcome.effect
    if closed is not None:
        end_call(db, at, closed, desk.servicer)
    if effect == "never":
        never_call(db, at, contact)
    elif effect == "later" and closed is not None:
        call_again(db, at, closed, said.call_back_at, closed.tries, on)
    elif effect == "later" and queue is not None:
        add_calls(db, at, queue, [contact.id], None, NORMAL, said.call_back_at)
    elif effect == "again" and closed is not None and closed.tries < queue.most_tries:
        call_again(db, at, closed, at + 60 * queue.retry_minutes, closed.tries + 1)
    if said.target is not None and hasattr(said.target, "kind"):
        reason = f"Referred from {queue.name}" if queue is not None else "Referred"
        add_calls(db, at, said.target, [contact.id], reason)
        call = find_call(db, said.target, contact.id)
        if call and said.refer_note:
            _add_note(db, call, said.refer_note)


def log_incoming(db: Connection, at: float, desk: Desk, phone: str, outcome: str, **said: Any) -> Row:
    """Stores what is said about somebody who phoned in, whom it finds by the number, or adds.

    As a report would, it ends an open call of that contact which nobody else has now, on one of her lists:
    first on `list`, if one is given, which is also where a call back is then to be. `said` may hold name and
    list, request_id (the same again: the same report), and what report_call() takes.
    """
    request_id = said.pop("request_id", None)
    key = f"incoming {desk.servicer.id} {request_id or secrets.token_urlsafe(16)}"
    earlier = _find_report(db, desk, key)
    if earlier:
        return earlier
    name, slug = said.pop("name", None), said.pop("list", None)
    hers = {each.slug: each for each in queues_served(db, desk.servicer, CALLS)}
    if slug and slug not in hers:
        raise BadInput(f"List: no call list named {slug} is yours.")
    on = hers[slug] if slug else None
    contact = find_or_add_contact(db, at, desk.place, phone, name)
    closed = _call_to_end(db, at, desk, contact, [*hers.values()], on)
    queue, contact = about_call(db, closed) if closed is not None else (on, contact)
    understood = _understand(db, at, desk.place, contact, outcome, **said)
    later = understood.outcome.effect == "later"
    if later and queue is None:
        raise BadInput("List: please choose the list on which the call back is to be.")
    if later and contact.do_not_call:
        raise BadInput("This contact must not be called. Ask the owner to change that first.")
    columns = {"claim": key, "ticket_id": closed and closed.id, "incoming": 1, "seconds": 0}
    report = _store(db, at, desk, contact, queue, closed, understood, **columns)
    _follow(db, at, contact, queue, closed, understood, desk, on)
    if later and find_call(db, on or queue, contact.id).joined_at != understood.call_back_at:
        raise Conflict(
            f"Somebody else has their call on {(on or queue).name} now: let them note when to call."
        )
    return report


def _call_to_end(
    db: Connection, at: float, desk: Desk, contact: Row, hers: list[Row], on: Row | None
) -> Row | None:
    # The open call of somebody who phoned in: one on this list first, and none that somebody else has now.
    sql = f"""{TICKETS} WHERE {OPEN_CALL} AND contact_id = :contact AND ticket.queue_id IN :hers
              AND (state = 'waiting' OR ticket.servicer_id = :me OR claimed_until <= :at)
              ORDER BY CASE WHEN ticket.queue_id = :queue THEN 0 WHEN state = 'called' THEN 1 ELSE 2 END,
              priority, joined_at LIMIT 1"""
    values = {"contact": contact.id, "me": desk.servicer.id, "at": at, "queue": on and on.id}
    return run(db, sql, hers=[each.id for each in hers], **values).first()


# ----- requests of the public


def request_call(
    db: Connection, at: float, slug: str, line: str, phone: str, told: Callable | None, **asked: Any
) -> Taken:
    """Puts somebody who leaves a number on a call list; raises NotFound where that has no public form.

    `asked` may hold name, email, note, request_id and browser. The same request, and the same browser while
    its call is open, get the ticket that is there. Where somebody else has put the number on the list, or the
    owner, that call is made, now; who asks gets a ticket that tells nothing of it. `told(token)`, where mail
    is sent, makes the URL of the request's page.
    """
    place = find_place(db, slug)
    queue = find_queue(db, place, line, CALLS)
    if not queue.public_form:
        raise NotFound(f"{queue.name} takes no requests here.")
    request_id, browser, note = (asked.pop(each, None) for each in ("request_id", "browser", "note"))
    key = f"{place.id} {line} {request_id}" if request_id else None
    sql = f"""{TICKETS} WHERE ticket.queue_id = :queue AND ticket.contact_id IS NOT NULL
              AND (request_key = :key OR (ticket.browser = :browser AND state IN :open))"""
    mine = run(db, sql, queue=queue.id, key=key, browser=browser, open=OPEN).first()
    if mine and key == mine.request_key:
        return place, queue, mine, False
    if not queue.open or queue.waiting >= queue.max_waiting:
        raise Conflict(f"{queue.name} takes no requests now. Please try again later.")
    contact = about_call(db, mine)[1] if mine else find_or_add_contact(db, at, place, phone, **asked)
    if contact.do_not_call:
        raise Conflict("We may not call this number. Please come by, or reach us in another way.")
    own = mine or add_calls(db, at, queue, [contact.id], "Asked to be called")
    call = mine or find_call(db, queue, contact.id)
    more = {} if mine or not own else {"browser": browser, "request_key": key}
    fresh = (own and not mine) or call.joined_at > at
    # Who asks while a call is planned for later is called now.
    ticket = _add_note(db, call, note, joined_at=min(call.joined_at, at), **more)
    if not own:
        ticket = stand_in(db, at, call, key)
    if told and fresh:
        _tell(db, at, place, queue, contact, note, asked.get("email"), told(ticket.token))
    return place, queue, ticket, not mine


def _add_note(db: Connection, call: Row, note: str | None, **more: Any) -> Row:
    # What is said twice is noted once.
    lines = [line for text in (call.note, note) for line in (text or "").split("\n")]
    notes = "\n".join(dict.fromkeys(filter(None, lines)))
    return annotate_call(db, call, note=notes[-2000:] or None, **more)


def _tell(
    db: Connection,
    at: float,
    place: Row,
    queue: Row,
    contact: Row,
    note: str | None,
    email: str | None,
    url: str,
) -> None:
    # Mails of a new request: to the list's staff, and to who asked, if there is an address.
    if queue.staff_email:
        lines = [f"Somebody asks to be called: {contact.name or 'no name'}"]
        lines += [phone_shown(contact.phone, place.country), note or "", f"It is on the list {queue.name}."]
        subject = f"{place.name}: a new request on {queue.name}"
        queue_mail(db, at, contact, queue.staff_email, subject, "\n".join(filter(None, lines)))
    if email:
        lines = [f"{place.name} has your request and will call you.", "", f"Where it stands: {url}"]
        queue_mail(db, at, contact, email, f"{place.name}: we call you back", "\n".join(lines))


def call_instead(db: Connection, at: float, ticket: Row, phone: str) -> None:
    """Lets a customer in a walk-in line be called at her turn; raises BadInput for what is no number."""
    place = run(db, "SELECT * FROM place WHERE id = :id", id=ticket.place_id).one()
    call_me(db, at, ticket, read_phone(phone, place.country))


# ----- the owner's words


def count_contacts(db: Connection, place: Row) -> int:
    """How many contacts a place has."""
    sql = "SELECT count(*) FROM contact WHERE place_id = :place AND forgotten_at IS NULL"
    return run(db, sql, place=place.id).scalar_one()


def add_word(db: Connection, at: float, place: Row, table: str, name: str, **more: Any) -> Row:
    """Adds to the owner's `reason`s, `outcome`s (with an effect) or `service`s (with phone and link)."""
    for other in words_of(db, place, table):
        if plain(other.name) == plain(name):
            raise Conflict(f"There is “{other.name}” already.")
    if table == "outcome" and more.get("effect") not in EFFECTS:
        raise BadInput(f"Effect: please choose {', '.join(EFFECTS)}.")
    record(db, at, place.id, f"add-{table}")
    return insert(db, table, place_id=place.id, name=name, **more).one()


def remove_word(db: Connection, at: float, place: Row, table: str, word_id: int) -> None:
    """Takes one of them away; what was reported with it stays. Raises NotFound, Conflict."""
    words = words_of(db, place, table)
    if word_id not in [each.id for each in words]:
        raise NotFound("This was taken away already.")
    if table == "outcome" and len(words) == 1:
        raise Conflict("One outcome must stay, or nothing could be reported. Add another one first.")
    run(db, f"DELETE FROM {table} WHERE id = :id", id=word_id)
    record(db, at, place.id, f"remove-{table}")


# ----- the owner's page of a list

MOST_DAYS = 3660  # are shown at once
BY_CALLER = """
    SELECT servicer.name, count(*) AS calls, sum(CASE WHEN effect = 'reached' THEN 1 ELSE 0 END) AS reached,
           avg(CASE WHEN closed = 1 AND incoming = 0 THEN seconds END) AS average_s
    FROM report LEFT JOIN servicer ON servicer.id = servicer_id
    WHERE queue_id = :queue AND report.created_at >= :since AND report.created_at < :until
    GROUP BY servicer_id, servicer.name ORDER BY calls DESC, servicer_id"""
REFERRALS = """
    SELECT referred_to AS "to", count(*) AS total FROM report
    WHERE queue_id = :queue AND referred_to IS NOT NULL AND (closed = 1 OR incoming = 1)
    AND created_at >= :since AND created_at < :until GROUP BY referred_to ORDER BY total DESC, referred_to"""


def being_called(db: Connection, at: float, queue: Row) -> list[Row]:
    """The calls of a list that are somebody's now, oldest claim first."""
    sql = """SELECT ticket.*, contact.name AS contact_name, servicer.name AS caller FROM ticket
             JOIN contact ON contact.id = ticket.contact_id JOIN servicer ON servicer.id = ticket.servicer_id
             WHERE queue_id = :queue AND claimed_until IS NOT NULL AND claimed_until > :at
             ORDER BY called_at, ticket.id"""
    return run(db, sql, queue=queue.id, at=at).all()


def upcoming(db: Connection, queue: Row, most: int = 50) -> list[Row]:
    """The first calls that wait on a list, in the order in which they will be made when all are due."""
    sql = """SELECT ticket.*, contact.name AS contact_name FROM ticket
             JOIN contact ON contact.id = ticket.contact_id
             WHERE queue_id = :queue AND state = 'waiting'
             ORDER BY ticket.priority, ticket.joined_at, ticket.id LIMIT :most"""
    return run(db, sql, queue=queue.id, most=most).all()


def waits_on(db: Connection, at: float, queue: Row) -> dict[str, Any]:
    """How many calls of a list wait and are due, how many are not due yet, and when the first of those is."""
    later, due_at = not_due(db, at, queue)
    sql = """SELECT count(*) FROM ticket WHERE queue_id = :queue
             AND claimed_until IS NOT NULL AND claimed_until <= :at"""
    free = run(db, sql, queue=queue.id, at=at).scalar_one()  # nobody has asked since their time was up
    return {"due": queue.waiting - later + free, "not_due": later, "next_at": due_at}


def list_figures(db: Connection, at: float, place: Row, queue: Row, first: str, last: str) -> dict[str, Any]:
    """What was reported of a list on days of the place: by caller, by outcome and day, and referrals."""
    first, last = max(first, day_of(place, queue.created_at)), min(last, day_of(place, at))
    length = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
    days = [next_day(first, n) for n in range(min(length, MOST_DAYS))]
    begins = [
        day_begins(place.timezone, day, place.day_starts) for day in [*days, next_day(first, len(days))]
    ]
    outcomes: dict[str, Counter[str]] = {}
    sql = """SELECT outcome, count(*) AS many FROM report WHERE queue_id = :queue
             AND created_at >= :since AND created_at < :until GROUP BY outcome"""
    for day, since, until in zip(days, begins, begins[1:], strict=False):
        for outcome, many in run(db, sql, queue=queue.id, since=since, until=until):
            outcomes.setdefault(outcome, Counter())[day] += many
    by_day = [
        {"outcome": outcome, "days": dict(many), "total": many.total()}
        for outcome, many in sorted(outcomes.items(), key=lambda each: (-each[1].total(), each[0]))
    ]
    values = {"queue": queue.id, "since": begins[0], "until": begins[-1]}
    callers = [dict(row._mapping) for row in run(db, BY_CALLER, **values)]
    referrals = [dict(row._mapping) for row in run(db, REFERRALS, **values)]
    return {"days": days, "callers": callers, "outcomes": by_day, "referrals": referrals}


def done_since(db: Connection, queue: Row, since: float) -> int:
    """How many calls of a list have ended as done since then."""
    sql = """SELECT count(*) FROM ticket WHERE queue_id = :queue AND ended_at IS NOT NULL
             AND ended_at >= :since AND state = 'done'"""
    return run(db, sql, queue=queue.id, since=since).scalar_one()


def reports_between(
    db: Connection, queue: Row, since: float, until: float, after: int, most: int = 1000
) -> list[Row]:
    """The next reports about calls of a list, of those made between two instants, in their order."""
    sql = """SELECT report.*, report.created_at AS happened_at, contact.name, contact.phone,
                    contact.reference, servicer.name AS servicer, ticket.number, ticket.reason, ticket.tries
             FROM report LEFT JOIN contact ON contact.id = report.contact_id
             LEFT JOIN servicer ON servicer.id = report.servicer_id
             LEFT JOIN ticket ON ticket.id = report.ticket_id
             WHERE report.queue_id = :queue AND report.created_at < :until
             AND (report.created_at, report.id) > (:since, :after)
             ORDER BY report.created_at, report.id LIMIT :most"""
    return run(db, sql, queue=queue.id, since=since, until=until, after=after, most=most).all()
