"""The public form of a call list: somebody leaves their phone number and asks to be called."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.calls import find_open_call, get_call, merged_note
from app.core.contacts import find_or_add_contact
from app.core.contacts_on_lists import add_calls
from app.core.history import record
from app.core.mail_addresses import MailLinks, address_key, ask_to_confirm, is_confirmed, remember_address
from app.core.mail_texts import new_request
from app.core.models import CALLS, Contact, Place, Queue, Ticket
from app.core.outbox import REQUEST, queue_mail
from app.core.phones import ANY_READING
from app.core.places import find_place, new_token
from app.core.queries import NORMAL_PRIORITY, OPEN_STATES, SELECT_TICKETS, get_ticket
from app.core.queues import call_lists, find_call_list
from app.core.request_mails import confirm_receipt
from app.core.tickets import Taken, request_key_of
from app.errors import BadInput, Conflict, NotFound
from app.storage.sql import insert_returning, load, load_first, run, update

REASON = "Asked to be called"


@dataclass(frozen=True)
class CallRequest:
    """The details of a request for a call; the phone number is as it was typed."""

    phone: str
    name: str | None = None
    email: str | None = None
    note: str | None = None
    mail_when_done: bool = False  # to the email address
    phone_confirmed: str = ANY_READING  # see read_phone()


def request_call(
    db: Connection,
    at: float,
    slug: str,
    queue_slug: str,
    request: CallRequest,
    *,
    request_id: str | None = None,
    browser: str | None = None,
    links: MailLinks | None = None,
) -> Taken:
    """Put somebody who asks for a call on a call list, and return their ticket.

    The same request, and the same browser while its call is open, get the ticket that they have. If somebody
    else put the phone number on the list, that call is made now, and this request gets a placeholder.

    `links` makes the URLs in mails; None if no mail server is configured. A placeholder is mailed no news:
    whoever knows a number would learn when it was called.
    Raises NotFound for a list without a public form, BadInput, and Conflict when the list takes no requests
    or the number must not be called.
    """
    place = find_place(db, slug)
    call_list = find_call_list(db, place, queue_slug)
    if not call_list.public_form:
        raise NotFound(f"{call_list.name} takes no requests here.")
    request_key = request_key_of(place, queue_slug, request_id)
    own_call = _earlier_request(db, call_list, request_key, browser)
    if own_call is not None and own_call.request_key == request_key:
        return Taken(place, call_list, own_call, is_new=False)
    if not call_list.open or call_list.waiting >= call_list.max_waiting:
        raise Conflict(f"{call_list.name} takes no requests now. Please try again later.")
    if own_call is not None:
        contact = get_call(db, own_call).contact
    else:
        contact = find_or_add_contact(
            db,
            at,
            place,
            phone=request.phone,
            name=request.name,
            email=request.email,
            phone_confirmed=request.phone_confirmed,
            # Or its callers would learn of the people on restricted lists by sending this form themselves.
            hidden_lists=[each.id for each in call_lists(db, place) if each.restricted and each != call_list],
        )
    if contact.do_not_call:
        raise Conflict("We may not call this number. Please come by, or reach us in another way.")
    mail_to = None if links is None else _address_for_news(request)
    if own_call is not None:
        is_news = own_call.joined_at > at
        ticket = _ask_again(db, at, own_call, request.note, mail_to)
    elif add_calls(db, at, call_list, [contact.id], reason=REASON):
        is_news = True
        ticket = _give_to_requester(
            db, _open_call(db, call_list, contact), request.note, browser, request_key, mail_to
        )
    else:
        call_of_others = _open_call(db, call_list, contact)
        is_news = call_of_others.joined_at > at
        _ask_again(db, at, call_of_others, request.note)
        ticket = _add_placeholder(db, at, call_of_others, request_key)
    if is_news and links is not None:
        _tell_staff(db, at, place, call_list, contact, request, links)
        if request.email:
            confirm_receipt(db, at, place, request.email, ticket, links)
    return Taken(place, call_list, ticket, is_new=own_call is None)


def _address_for_news(request: CallRequest) -> str | None:
    """Return the address to mail the outcome of a request to. Raises BadInput."""
    if not request.mail_when_done:
        return None
    if not request.email:
        raise BadInput("Email: please enter the address to which we should write.", field="email")
    return request.email


def _earlier_request(
    db: Connection, call_list: Queue, request_key: str | None, browser: str | None
) -> Ticket | None:
    sql = f"""{SELECT_TICKETS} WHERE ticket.queue_id = :queue AND ticket.contact_id IS NOT NULL
              AND (request_key = :key OR (ticket.browser = :browser AND state IN :open))"""
    result = run(db, sql, queue=call_list.id, key=request_key, browser=browser, open=OPEN_STATES)
    return load_first(Ticket, result)


def _open_call(db: Connection, call_list: Queue, contact: Contact) -> Ticket:
    call = find_open_call(db, call_list, contact.id)
    assert call is not None, "add_calls() added it, or left it out since it is there"
    return call


def _give_to_requester(
    db: Connection,
    call: Ticket,
    note: str | None,
    browser: str | None,
    request_key: str | None,
    mail_to: str | None,
) -> Ticket:
    """Give a new call to the browser and the request that asked for it."""
    note = merged_note(call.note, note)
    row = update(db, "ticket", call.id, note=note, browser=browser, request_key=request_key, mail_to=mail_to)
    return load(Ticket, row)


def _ask_again(
    db: Connection, at: float, call: Ticket, note: str | None, mail_to: str | None = None
) -> Ticket:
    """Add to the note of a call, and let it be due now if it was planned for later.

    :param mail_to: the address to mail in the end; None leaves it as it is
    """
    row = update(
        db,
        "ticket",
        call.id,
        note=merged_note(call.note, note),
        joined_at=min(call.joined_at, at),
        mail_to=mail_to or call.mail_to,
    )
    return load(Ticket, row)


def _add_placeholder(db: Connection, at: float, call: Ticket, request_key: str | None) -> Ticket:
    """Return a new placeholder: a ticket for a request whose phone number is on the list already.

    It is in no line, and only its own page shows it, as a waiting ticket: so knowing a phone number neither
    reveals nor cancels its call. transitions.is_placeholder() tells it from other tickets.
    """
    sql = "UPDATE queue SET last_number = last_number + 1 WHERE id = :id RETURNING *"
    call_list = load(Queue, run(db, sql, id=call.queue_id).one())
    row = insert_returning(
        db,
        "ticket",
        place_id=call_list.place_id,
        queue_id=call_list.id,
        contact_id=call.contact_id,
        token=new_token(),
        series=CALLS,
        ordinal=call_list.last_number,
        number=f"{call_list.prefix}{call_list.last_number}",
        state="expired",
        priority=NORMAL_PRIORITY,
        request_key=request_key,
        tries=0,
        by_phone=0,
        taken_at=at,
        joined_at=at,
        ended_at=at,
    )
    record(
        db,
        at,
        call_list.place_id,
        "note",
        queue_id=call_list.id,
        contact_id=call.contact_id,
        ticket_id=call.id,
        detail="asked",
    )
    return get_ticket(db, row.id)


def _tell_staff(
    db: Connection,
    at: float,
    place: Place,
    call_list: Queue,
    contact: Contact,
    request: CallRequest,
    links: MailLinks,
) -> None:
    """Mail the staff of a list about a new request, or ask them first whether the address is theirs."""
    address = call_list.staff_email
    if not address:
        return
    key = address_key(db, address)
    if is_confirmed(db, place.id, key):
        text = new_request(place, call_list, contact, request.note)
        queue_mail(db, at, place.id, REQUEST, address, key, text, contact.id)
    elif remember_address(db, at, place, key).asked_at is None:  # it is from before addresses were confirmed
        ask_to_confirm(db, at, place, address, links)
