"""Reports: what callers say about their calls, and what follows from it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from app.clock import DAY_S
from app.core import calls
from app.core.contacts import find_or_add_contact, forbid_calls
from app.core.contacts_on_lists import add_calls
from app.core.days import day_begins, local_time, next_day
from app.core.desks import Desk, update_desk
from app.core.history import record
from app.core.mail_addresses import MailLinks
from app.core.models import Contact, Outcome, Place, Queue, ReferralService, Report, Servicer, Ticket
from app.core.phones import ANY_READING
from app.core.queries import OPEN_CALL, OPEN_STATES, SELECT_TICKETS
from app.core.queues import get_queue
from app.core.request_mails import tell_news
from app.core.servicers import call_lists_served
from app.core.webhooks import post_call_report
from app.core.wordlists import outcomes_of, plain_name, services_of
from app.errors import BadInput, Conflict
from app.storage.database import Database
from app.storage.sql import insert_returning, load, load_all, load_first, run, update

BATCH = 1000  # reports in one query of a download
MAX_CALL_BACK_S = 366 * DAY_S  # a later time is a typing error: nobody promises a call in two years


@dataclass(frozen=True)
class ReportDetails:
    """What a caller says about a call, as they typed it."""

    outcome: str  # the name of one
    notes: str | None = None
    call_back_at: str | None = None  # 2026-11-23T14:30, by the contact's clocks, or with an offset
    refer_to: str | None = None  # the slug or the name of a call list, or the name of a service
    refer_note: str | None = None  # a note for whoever calls there


@dataclass(frozen=True)
class _ParsedDetails:
    """The details of a report, validated."""

    outcome: Outcome
    notes: str | None
    call_back_at: float | None
    target: Queue | ReferralService | None
    refer_note: str | None


@dataclass(frozen=True)
class _Subject:
    """What a report is about."""

    contact: Contact
    call_list: Queue | None  # None: the contact phoned in, and was on none of the caller's lists
    ticket: Ticket | None  # the call
    ends_call: bool  # or else the report is kept as a note


@dataclass(frozen=True)
class ReportRow:
    """A report as the owner downloads it."""

    id: int
    created_at: float
    servicer: str | None
    name: str | None
    phone: str | None
    reference: str | None
    number: str | None
    reason: str | None
    tries: int | None
    outcome: str
    effect: str
    notes: str | None
    call_back_at: float | None
    referred_to: str | None
    closed: bool
    incoming: bool
    seconds: int


# ----- reporting


def report_call(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    claim: str,
    details: ReportDetails,
    *,
    links: MailLinks | None = None,
) -> Report:
    """Store a report of the call that was claimed with `claim`, and return it.

    It ends the call, even if the claim has run out, unless the call ended or somebody else claimed it since:
    then the report is kept as a note. A second report of the same claim changes nothing, and returns the
    first. Raises NotFound for a claim that isn't the caller's, and BadInput.

    :param links: makes the URLs in a mail to who asked for the call; None if no mail server is configured
    """
    desk = update_desk(db, at, slug, token)
    earlier = _find_report(db, desk.servicer, claim)
    if earlier is not None:
        return earlier
    claimed = calls.find_claim(db, desk.servicer, claim)
    call = calls.get_call(db, claimed.ticket)
    parsed = _parse_details(db, at, desk, call.contact, details)
    ends_call = call.ticket.state in OPEN_STATES and call.ticket.claim == claim
    subject = _Subject(call.contact, call.call_list, call.ticket, ends_call)
    ended_at = min(at, calls.claim_ended_at(db, claimed, call.call_list))
    seconds = max(0, round(ended_at - claimed.claimed_at))
    report = _store(db, at, desk, subject, parsed, claim=claim, seconds=seconds, is_incoming=False)
    if ends_call:
        _follow_up(db, at, desk, subject, parsed)
        _tell_requester(db, at, desk, subject, parsed, links)
    elif parsed.outcome.effect == "never":
        # It counts however late it comes. A call that somebody is making now ends with their own report.
        forbid_calls(db, at, call.contact, include_claimed=False)
    return report


def log_incoming(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    details: ReportDetails,
    *,
    phone: str,
    name: str | None = None,
    list_slug: str | None = None,
    request_id: str | None = None,
    phone_confirmed: str = ANY_READING,
    links: MailLinks | None = None,
) -> Report:
    """Store a report of somebody who phoned in, and return it. The contact is found by the number, or added.

    Like report_call(), it ends an open call of the contact on one of the caller's lists, unless somebody else
    has claimed it; a call on the list `list_slug` comes first. That is also the list on which they are called
    back. The same request again returns the same report. Nothing changes on restricted lists on which the
    caller doesn't work. Raises BadInput and Conflict.
    """
    desk = update_desk(db, at, slug, token)
    claim = f"incoming {desk.servicer.id} {request_id or secrets.token_urlsafe(16)}"
    earlier = _find_report(db, desk.servicer, claim)
    if earlier is not None:
        return earlier
    own_lists = call_lists_served(db, desk.servicer)
    chosen_list = _choose_list(own_lists, list_slug)
    hidden_lists = calls.hidden_list_ids(db, desk.servicer)
    contact = find_or_add_contact(
        db, at, desk.place, phone=phone, name=name, phone_confirmed=phone_confirmed, hidden_lists=hidden_lists
    )
    ticket = _find_call_to_end(db, at, desk.servicer, contact, own_lists, chosen_list)
    call_list = chosen_list if ticket is None else get_queue(db, ticket.queue_id)
    subject = _Subject(contact, call_list, ticket, ends_call=ticket is not None)
    parsed = _parse_details(db, at, desk, contact, details)
    call_back_list = chosen_list or call_list
    if parsed.outcome.effect == "later":
        if call_back_list is None:
            raise BadInput("List: please choose the list on which the call back is to be.")
        if contact.do_not_call:
            raise BadInput("This contact must not be called. Ask the owner to change that first.")
    report = _store(db, at, desk, subject, parsed, claim=claim, seconds=0, is_incoming=True)
    _follow_up(db, at, desk, subject, parsed, chosen_list, kept_lists=hidden_lists)
    _tell_requester(db, at, desk, subject, parsed, links)
    if parsed.outcome.effect == "later" and call_back_list is not None:
        call = calls.find_open_call(db, call_back_list, contact.id)
        if call is None or call.joined_at != parsed.call_back_at:
            raise Conflict(
                f"Somebody else has their call on {call_back_list.name} now: let them note when to call."
            )
    return report


def _find_report(db: Connection, servicer: Servicer, claim: str) -> Report | None:
    sql = "SELECT * FROM report WHERE claim = :claim AND servicer_id = :servicer"
    return load_first(Report, run(db, sql, claim=claim, servicer=servicer.id))


def _choose_list(lists: list[Queue], slug: str | None) -> Queue | None:
    if not slug:
        return None
    for call_list in lists:
        if call_list.slug == slug:
            return call_list
    raise BadInput(f"List: no call list named {slug} is yours.")


def _find_call_to_end(
    db: Connection,
    at: float,
    servicer: Servicer,
    contact: Contact,
    own_lists: list[Queue],
    chosen_list: Queue | None,
) -> Ticket | None:
    """Return the open call that ends when a contact phones in: on the chosen list, else claimed, else any."""
    result = run(
        db,
        f"""{SELECT_TICKETS} WHERE {OPEN_CALL} AND contact_id = :contact AND ticket.queue_id IN :lists
            AND (state = 'waiting' OR ticket.servicer_id = :servicer OR claimed_until <= :at)
            ORDER BY CASE WHEN ticket.queue_id = :chosen THEN 0 WHEN state = 'called' THEN 1 ELSE 2 END,
                     priority, joined_at LIMIT 1""",
        contact=contact.id,
        lists=[call_list.id for call_list in own_lists],
        servicer=servicer.id,
        at=at,
        chosen=None if chosen_list is None else chosen_list.id,
    )
    return load_first(Ticket, result)


# ----- validating


def _parse_details(
    db: Connection, at: float, desk: Desk, contact: Contact, details: ReportDetails
) -> _ParsedDetails:
    place = desk.place
    outcome = _find_outcome(db, place, details.outcome)
    call_back_at = None
    if outcome.effect == "later":
        call_back_at = _parse_call_back(at, details.call_back_at, contact.timezone or place.timezone)
    target = _find_target(db, desk, details.refer_to) if details.refer_to else None
    if isinstance(target, Queue) and outcome.effect == "never":
        raise BadInput("Whom nobody may call again can't be put on another list.")
    return _ParsedDetails(outcome, details.notes, call_back_at, target, details.refer_note)


def _find_outcome(db: Connection, place: Place, name: str) -> Outcome:
    outcomes = outcomes_of(db, place)
    for outcome in outcomes:
        if plain_name(outcome.name) == plain_name(name):
            return outcome
    raise BadInput(f"Outcome: please choose {', '.join(outcome.name for outcome in outcomes)}.")


def _parse_call_back(at: float, text: str | None, timezone: str) -> float:
    if not text:
        raise BadInput("Call back at: choose a date and time.")
    call_back_at = _parse_time(text, timezone)
    if not at < call_back_at < at + MAX_CALL_BACK_S:
        raise BadInput("Call back at: please choose a time to come, within a year.")
    return call_back_at


def _parse_time(text: str, timezone: str) -> float:
    """Return a time such as 2026-11-23T14:30, in a time zone or with an offset. Raises BadInput."""
    try:
        if not re.search(r"[T ]\d", text):
            raise ValueError("a date alone is no time to call")
        when = datetime.fromisoformat(text)
        return when.timestamp() if when.tzinfo else local_time(timezone, when)
    except (ValueError, OverflowError):
        raise BadInput("Call back at: please write a date and a time, such as 2026-11-23T14:30.") from None


def _find_target(db: Connection, desk: Desk, name: str) -> Queue | ReferralService:
    lists = calls.lists_to_refer_to(db, desk.place, desk.servicer)
    for call_list in lists:
        if call_list.slug == name:
            return call_list
    targets: list[Queue | ReferralService] = [*lists, *services_of(db, desk.place)]
    for target in targets:
        if plain_name(target.name) == plain_name(name):
            return target
    raise BadInput(f"Refer to: there is no call list and no service named {name}.")


# ----- storing


def _store(
    db: Connection,
    at: float,
    desk: Desk,
    subject: _Subject,
    parsed: _ParsedDetails,
    *,
    claim: str,
    seconds: int,
    is_incoming: bool,
) -> Report:
    contact = subject.contact
    is_forgotten = contact.forgotten_at is not None  # then nothing about them may be stored any more
    queue_id = None if subject.call_list is None else subject.call_list.id
    ticket_id = None if subject.ticket is None else subject.ticket.id
    if not is_forgotten:
        update(db, "contact", contact.id, last_called_at=at, last_outcome=parsed.outcome.name)
    if not subject.ends_call:
        record(
            db,
            at,
            desk.place.id,
            "note",
            servicer_id=desk.servicer.id,
            queue_id=queue_id,
            contact_id=contact.id,
            ticket_id=ticket_id,
            detail="incoming" if is_incoming else "late",
        )
    row = insert_returning(
        db,
        "report",
        place_id=desk.place.id,
        queue_id=queue_id,
        contact_id=contact.id,
        ticket_id=ticket_id,
        servicer_id=desk.servicer.id,
        claim=claim,
        outcome=parsed.outcome.name,
        effect=parsed.outcome.effect,
        notes=None if is_forgotten else _notes(parsed),
        referred_to=None if parsed.target is None else parsed.target.name,
        closed=int(subject.ends_call),
        incoming=int(is_incoming),
        seconds=seconds,
        call_back_at=parsed.call_back_at,
        created_at=at,
    )
    post_call_report(db, at, subject.ticket, desk.place.id, parsed.outcome.name)
    return load(Report, row)


def _notes(parsed: _ParsedDetails) -> str | None:
    lines = [parsed.notes] if parsed.notes else []
    if parsed.refer_note:
        recipient = "others" if parsed.target is None else parsed.target.name
        lines.append(f"For {recipient}: {parsed.refer_note}")
    return "\n".join(lines) or None


# ----- what follows


def _follow_up(
    db: Connection,
    at: float,
    desk: Desk,
    subject: _Subject,
    parsed: _ParsedDetails,
    call_back_list: Queue | None = None,
    kept_lists: Collection[int] = (),
) -> None:
    """Do what a report leads to: end the call, plan the next one, forbid calls, refer to another list.

    A contact who is to be called later is called on `call_back_list`, or else on the list of the call.
    Nothing changes on `kept_lists`.
    """
    ended = subject.ticket if subject.ends_call else None
    if ended is not None:
        calls.end_call(db, at, ended, desk.servicer)
    effect = parsed.outcome.effect
    if effect == "never":
        forbid_calls(db, at, subject.contact, kept_lists=kept_lists)
    elif effect == "later" and parsed.call_back_at is not None:
        _call_back(db, at, subject, ended, parsed.call_back_at, call_back_list)
    elif effect == "again" and ended is not None and subject.call_list is not None:
        _retry(db, at, ended, subject.call_list)
    if isinstance(parsed.target, Queue):
        _refer(db, at, subject, parsed.target, parsed.refer_note)


def _call_back(
    db: Connection,
    at: float,
    subject: _Subject,
    ended: Ticket | None,
    call_back_at: float,
    call_back_list: Queue | None,
) -> None:
    if ended is not None:
        calls.call_again(
            db, at, ended, due_at=call_back_at, tries=ended.tries, call_list=call_back_list, agreed=True
        )
    elif subject.call_list is not None:
        add_calls(db, at, subject.call_list, [subject.contact.id], due_at=call_back_at, agreed=True)


def _retry(db: Connection, at: float, ended: Ticket, call_list: Queue) -> None:
    if ended.tries < call_list.most_tries:
        retry_at = at + 60 * call_list.retry_minutes
        calls.call_again(db, at, ended, due_at=retry_at, tries=ended.tries + 1)


def _refer(db: Connection, at: float, subject: _Subject, target: Queue, note: str | None) -> None:
    """Put the contact on another call list, with a note for whoever calls there."""
    source = subject.call_list
    # Who was on a restricted list is nobody else's business.
    reason = "Referred" if source is None or source.restricted else f"Referred from {source.name}"
    add_calls(db, at, target, [subject.contact.id], reason=reason)
    call = calls.find_open_call(db, target, subject.contact.id)
    if call is not None and note:
        calls.add_note(db, call, note)


def _tell_requester(
    db: Connection, at: float, desk: Desk, subject: _Subject, parsed: _ParsedDetails, links: MailLinks | None
) -> None:
    """Mail who asked for the call that ended what became of it, if they want that."""
    ended, call_list = subject.ticket, subject.call_list
    if ended is None or call_list is None or not subject.ends_call:
        return
    effect = parsed.outcome.effect
    if effect == "later":
        return  # they have just agreed on the time
    if effect == "wrong":
        news = "wrong"
    elif effect != "again":
        news = "done"
    elif ended.tries >= call_list.most_tries:
        news = "unreached"
    elif ended.tries == 0:
        news = "missed"
    else:
        return  # they know that they are being called
    tell_news(db, at, desk.place, ended, news, links)


# ----- reading


def recent_reports(db: Connection, servicer: Servicer, limit: int = 10) -> list[Report]:
    """Return the last reports of a servicer, newest first, without those about lists they may not see."""
    result = run(
        db,
        """SELECT report.*, contact.name, queue.name AS list FROM report
           LEFT JOIN contact ON contact.id = contact_id LEFT JOIN queue ON queue.id = report.queue_id
           WHERE servicer_id = :servicer AND (report.queue_id IS NULL OR report.queue_id NOT IN :hidden)
           ORDER BY report.created_at DESC, report.id DESC LIMIT :limit""",
        servicer=servicer.id,
        hidden=list(calls.hidden_list_ids(db, servicer)),
        limit=limit,
    )
    return load_all(Report, result)


def reports_of(db: Connection, contact_id: int, limit: int = 100) -> list[Report]:
    """Return the reports about a contact, newest first."""
    result = run(
        db,
        """SELECT report.*, servicer.name AS servicer, queue.name AS list
           FROM report LEFT JOIN servicer ON servicer.id = servicer_id
           LEFT JOIN queue ON queue.id = report.queue_id
           WHERE contact_id = :contact ORDER BY report.created_at DESC, report.id DESC LIMIT :limit""",
        contact=contact_id,
        limit=limit,
    )
    return load_all(Report, result)


def reports_of_days(
    database: Database, place: Place, call_list: Queue, first: str, last: str
) -> Iterator[list[ReportRow]]:
    """Yield the reports about calls of a list from `first` to `last`, both included, in batches."""
    after_at, after_id = day_begins(place, first), 0
    until = day_begins(place, next_day(last))
    while True:
        with database.read() as db:
            result = run(
                db,
                """SELECT report.*, contact.name, contact.phone, contact.reference,
                          servicer.name AS servicer, ticket.number, ticket.reason, ticket.tries
                   FROM report LEFT JOIN contact ON contact.id = report.contact_id
                   LEFT JOIN servicer ON servicer.id = report.servicer_id
                   LEFT JOIN ticket ON ticket.id = report.ticket_id
                   WHERE report.queue_id = :queue AND report.created_at < :until
                   AND (report.created_at, report.id) > (:after_at, :after_id)
                   ORDER BY report.created_at, report.id LIMIT :batch""",
                queue=call_list.id,
                until=until,
                after_at=after_at,
                after_id=after_id,
                batch=BATCH,
            )
            reports = load_all(ReportRow, result)
        if not reports:
            return
        yield reports
        after_at, after_id = reports[-1].created_at, reports[-1].id
