"""Customers: taking a number, following their ticket, leaving the line, and asking to be called."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import flask
from flask import Blueprint, Response, request, session, url_for

from app.clock import now
from app.core import call_requests, calls, more_time, plans, queues, tickets, transitions
from app.core.call_requests import CallRequest
from app.core.models import Place, Queue, Step, Ticket, WaitRange
from app.core.phones import format_phone
from app.core.places import find_place
from app.core.position import NO_POSITION, Position, position_of
from app.core.queries import cancelled_by_owner
from app.errors import NotFound, ServiceError
from app.web.compressed import accepts_gzip
from app.web.forms import (
    TICKET_DETAILS,
    CallRequestForm,
    CustomerForm,
    MoreTimeForm,
    PhoneForm,
    customer_details,
)
from app.web.links import base_url, link
from app.web.mail_links import mail_links
from app.web.picture_json import RenderedPicture, current_content, current_picture, line_event_json
from app.web.present import details_json, iso, plan_json, seconds_to_undo, slug_and_name, wait_json
from app.web.request import browser_id, limit, parse, phone_confirmed, wants_json
from app.web.response import Answer, errors_on, json_response, page, see_other
from app.web.service import service, write
from app.web.subscriptions_json import subscriptions_json, subscriptions_of_new_ticket

customer = Blueprint("customer", __name__)

TAKES_WINDOW_S = 60


# ----- the page of a place


@customer.get("/<place>")
def show_place(place: str, error: ServiceError | None = None) -> Answer:
    """Show where customers take a number; in JSON, the picture of the place."""
    picture = current_picture(place)
    if wants_json() and error is None:
        return _picture_response(picture)
    with service().database.read() as db:
        row = find_place(db, place)
        own_tickets = []
        if "browser" in session:
            own_tickets = tickets.tickets_of_browser(db, now(), place, session["browser"])
        lists = queues.call_lists(db, row)
    if own_tickets and "stay" not in request.args and error is None:
        return flask.redirect(url_for("customer.show_ticket", place=place, token=own_tickets[0].token))
    content = picture.content(base_url())
    return page(
        "customers.html",
        content,
        row,
        error,
        picture=content,
        mine=own_tickets,
        values=request.form if "code" not in request.form else {},
        request_id=secrets.token_hex(8),
        forms=[slug_and_name(each) for each in lists if each.public_form and each.open],
    )


def _picture_response(picture: RenderedPicture) -> Response:
    """Return the picture as JSON, or 304 if the client has it already."""
    if accepts_gzip():
        response = flask.Response(picture.gzipped_text(base_url()), mimetype="application/json")
        response.headers["Content-Encoding"] = "gzip"
        response.set_etag(f"{picture.etag}.gzip")
    else:
        response = flask.Response(picture.text(base_url()), mimetype="application/json")
        response.set_etag(picture.etag)
    response.headers["Vary"] = "Accept, Accept-Encoding"
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


# ----- taking a number, or leaving a phone number


@customer.get("/<place>/<queue>/tickets")
def show_request_form(place: str, queue: str, error: ServiceError | None = None) -> Answer:
    """Show the public form of a call list. The form of a walk-in queue is on the page of the place."""
    with service().database.read() as db:
        row = find_place(db, place)
        requested = queues.find_queue(db, row, queue)
    if not requested.is_call_list and error is not None:
        return show_place(place, error=error)
    if not requested.is_call_list and not wants_json():
        return flask.redirect(url_for("customer.show_place", place=place))
    if not requested.public_form:
        raise NotFound("There is no form at this address. Look at the page of the place.")
    content = {
        **slug_and_name(requested),
        "open": requested.open,
        "links": {"request": link("customer.take_number", place=place, queue=queue)},
    }
    return page(
        "request.html",
        content,
        row,
        error,
        queue=content,
        values=request.form,
        request_id=secrets.token_hex(8),
        mail=service().settings.mail_enabled,  # without it, no address is asked for
    )


@customer.post("/<place>/<queue>/tickets")
@errors_on(show_request_form, "place", "queue")
def take_number(place: str, queue: str) -> Answer:
    """Take a number in a walk-in queue, or ask for a call on a call list."""
    limit("take", service().settings.takes_per_minute, TAKES_WINDOW_S)
    estimate = service().waits.for_newcomers(service().database, now(), place, queue)
    if estimate is None:  # this is a call list
        return _request_call(place, queue)
    form = parse(CustomerForm)
    taken = write(
        tickets.take_number,
        place,
        queue,
        customer_details(form),
        request_id=form.get("request_id"),
        browser=None if request.is_json else browser_id(),
        estimate=estimate,
    )
    ticket = taken.ticket
    if not wants_json():
        # The tablet goes back to the start; the customer's own phone opens the ticket without this.
        tablet = 1 if taken.queue.shared_tablet else None
        return see_other("customer.show_ticket", place=place, token=ticket.token, tablet=tablet)
    if not taken.is_new:
        return show_ticket(place, ticket.token)
    wait = None
    if ticket.wait_from is not None and ticket.wait_to is not None:
        wait = WaitRange(ticket.wait_from, ticket.wait_to)
    content = ticket_json(taken.place, taken.queue, ticket, Position(taken.queue.waiting - 1, wait))
    _add_subscriptions(content, subscriptions_of_new_ticket(content["links"]["ticket"]))
    return json_response(content, 201)


def _request_call(place: str, call_list: str) -> Answer:
    """Ask for a call; see take_number()."""
    form = parse(CallRequestForm, "phone")
    taken = write(
        call_requests.request_call,
        place,
        call_list,
        CallRequest(
            form["phone"],
            form.get("name"),
            form.get("email"),
            form.get("note"),
            form.get("mail_when_done", False),
            phone_confirmed(),
        ),
        request_id=form.get("request_id"),
        browser=None if request.is_json else browser_id(),
        links=mail_links(place),
    )
    if not wants_json():
        return see_other("customer.show_ticket", place=place, token=taken.ticket.token)
    content = ticket_json(taken.place, taken.queue, taken.ticket)
    return json_response(content, 201 if taken.is_new else 200)


# ----- the customer's ticket


@customer.get("/<place>/t/<token>")
def show_ticket(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show a customer their ticket."""
    at = now()
    with service().database.read() as db:
        row, queue, ticket = tickets.find_ticket(db, place, token)
        may_call_back = tickets.may_call_back(db, at, row, queue, ticket)
        can_rejoin = tickets.can_rejoin(db, at, ticket)
        was_cancelled = bool(cancelled_by_owner(db, [ticket]))
        told = subscriptions_json(
            db, queue, ticket, transitions.state_at(ticket, row, at), _ticket_url(row, ticket)
        )
        plan = plans.plan_of(db, ticket)
        position, phone = NO_POSITION, None
        if queue.is_call_list:
            phone = format_phone(calls.get_call(db, ticket).contact.phone, row.country)
        elif ticket.state == "waiting":
            position = position_of(db, at, row, queue, ticket, service().waits)
    content = ticket_json(row, queue, ticket, position, plan)
    _add_subscriptions(content, told)
    if queue.is_call_list:
        content["phone"] = phone
    if may_call_back:
        url = content["links"]["ticket"]
        if ticket.by_phone:
            content["links"]["wait_here"] = f"{url}/wait-here"
        else:
            content["links"]["call_me"] = f"{url}/call-me"
    if was_cancelled:
        content["cancelled_by_owner"] = True
    if can_rejoin:
        content["links"]["rejoin"] = f"{content['links']['ticket']}/rejoin"
    if wants_json():
        return page("ticket.html", content, row, error)
    picture = current_content(place)
    return page(
        "ticket.html",
        content,
        row,
        error,
        ticket=content,
        picture=picture,
        several=len(picture["queues"]) > 1,
        on_tablet=queue.shared_tablet and "tablet" in request.args,
        undo_s=seconds_to_undo(at, ticket.ended_at) if can_rejoin else 0,
    )


@customer.post("/<place>/t/<token>/cancel")
@errors_on(show_ticket)
def cancel_ticket(place: str, token: str) -> Answer:
    """Leave the line."""
    write(tickets.cancel_ticket, place, token)
    return back_to_ticket(place, token)


@customer.post("/<place>/t/<token>/rejoin")
@errors_on(show_ticket)
def rejoin(place: str, token: str) -> Answer:
    """Undo leaving the line, within ten seconds: the customer has their place again."""
    write(tickets.rejoin, place, token, browser=None if request.is_json else browser_id())
    return back_to_ticket(place, token)


@customer.post("/<place>/t/<token>/call-me")
@errors_on(show_ticket)
def call_me(place: str, token: str) -> Answer:
    """Go home, and be phoned when it's their turn."""
    write(tickets.request_phone_call, place, token, parse(PhoneForm, "phone")["phone"], phone_confirmed())
    return back_to_ticket(place, token)


@customer.post("/<place>/t/<token>/wait-here")
@errors_on(show_ticket)
def wait_here(place: str, token: str) -> Answer:
    """Wait in the line again, without a phone call."""
    write(tickets.wait_here, place, token)
    return back_to_ticket(place, token)


@customer.post("/<place>/t/<token>/more-time")
@errors_on(show_ticket)
def ask_for_more_time(place: str, token: str) -> Answer:
    """Let others go first for some minutes."""
    write(more_time.ask_for_more_time, place, token, parse(MoreTimeForm, "minutes")["minutes"])
    return back_to_ticket(place, token)


@customer.post("/<place>/t/<token>/back")
@errors_on(show_ticket)
def come_back(place: str, token: str) -> Answer:
    """Wait like the others again, before that time is over."""
    write(more_time.come_back, place, token)
    return back_to_ticket(place, token)


def back_to_ticket(place: str, token: str) -> Answer:
    """Answer an action of a customer: their ticket as JSON, or a redirect to its page."""
    if wants_json():
        return show_ticket(place, token)
    return see_other("customer.show_ticket", place=place, token=token)


def _add_subscriptions(content: dict[str, Any], told: dict[str, Any] | None) -> None:
    """Add to a ticket's JSON who is told about it, and the links to ask for it."""
    content["messages"] = told
    content["links"].update(told["links"] if told else {})


def _ticket_url(place: Place, ticket: Ticket) -> str:
    return link("customer.show_ticket", place=place.slug, token=ticket.token)


def ticket_json(
    place: Place, queue: Queue, ticket: Ticket, position: Position = NO_POSITION, plan: Sequence[Step] = ()
) -> dict[str, Any]:
    """Return what a customer sees of their ticket; its position is shown while it waits.

    `plan` holds the queues that they pass through.
    """
    state = transitions.state_at(ticket, place, now())
    is_waiting = state == "waiting"
    is_called = state in ("called", "serving") and not queue.is_call_list
    is_placeholder = transitions.is_placeholder(ticket)
    is_away = is_waiting and ticket.away_until is not None and ticket.away_until > now()
    phone = format_phone(ticket.phone, place.country) if ticket.by_phone else None
    url = _ticket_url(place, ticket)
    links = {
        "ticket": url,
        "cancel": f"{url}/cancel",
        "customers": link("customer.show_place", place=place.slug),
    }
    if is_away:
        links["back"] = f"{url}/back"
    elif is_waiting and not queue.is_call_list and ticket.delays < place.max_delays:
        links["more_time"] = f"{url}/more-time"
    if is_placeholder:
        del links["cancel"]
    return {
        "number": ticket.number,
        "series": ticket.series,
        **details_json(ticket, TICKET_DETAILS),
        "taken_at": iso(ticket.taken_at, place),
        "called_at": iso(ticket.called_at, place),
        "started_at": iso(ticket.started_at, place),
        "ended_at": None if is_placeholder else iso(ticket.ended_at, place),
        "state": state,
        "queue": queue.slug,
        "queue_name": queue.name,
        "ahead": position.ahead if is_waiting else None,
        "estimated_wait": wait_json(position.wait) if is_waiting else None,
        "steps": [line_event_json(each, place) for each in position.line_events] if is_waiting else [],
        "plan": plan_json(ticket, plan),
        "desk": ticket.desk if is_called else None,
        "door": ticket.door if is_called else None,
        "held_until": iso(ticket.held_until, place) if is_called else None,
        "kind": queue.kind,
        "by_phone": ticket.by_phone,
        "away_until": iso(ticket.away_until, place) if is_away else None,
        "phone": phone,
        "links": links,
    }
