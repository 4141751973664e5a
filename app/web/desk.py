"""Servicers: getting a desk, and serving customers there."""

from __future__ import annotations

from typing import Any

import flask
from flask import Blueprint, request, session, url_for

from app.clock import now
from app.core import calls, desks, notices, servicers
from app.core.desks import PlanChanges
from app.core.models import Queue
from app.core.notices import NewNotice
from app.core.places import find_place, find_place_for_staff
from app.core.queues import call_lists, walk_in_queues
from app.core.servicers import queues_served
from app.errors import ServiceError
from app.web.desk_json import customer_json, desk_json, servicer_json
from app.web.forms import (
    CustomerForm,
    MessageForm,
    MoveForm,
    NextForm,
    NumberForm,
    PlanForm,
    ServicerForm,
    customer_details,
)
from app.web.links import link
from app.web.present import clock_time_at, slug_and_name
from app.web.request import browser_id, parse, wants_json
from app.web.response import Answer, errors_on, json_response, page, see_other
from app.web.service import service, write
from app.web.urls import ID

desk = Blueprint("desk", __name__)


# ----- getting a desk


@desk.get("/<place>/staff/<token>")
def show_staff(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the form with which a servicer starts, or lead a browser to the desk that it has."""
    with service().database.read() as db:
        row = find_place_for_staff(db, place, token)
        known = servicers.servicer_of_browser(db, row, session.get("browser"))
        walk_in = walk_in_queues(db, row)
        open_lists = [each for each in call_lists(db, row) if not each.restricted]
    if known and not wants_json() and "new" not in request.args and error is None:
        return flask.redirect(url_for("desk.show_desk", place=place, token=known.token))
    choices = [*walk_in, *open_lists]
    ticked = request.form.getlist("queues") if request.form else _ticked_at_first(choices)
    content = {
        "queues": [slug_and_name(queue) for queue in choices],
        "links": {"staff": link("desk.show_staff", place=place, token=token)},
    }
    values = {**request.form.to_dict(), "queues": ticked}
    return page("staff.html", content, row, error, queues=content["queues"], values=values)


def _ticked_at_first(choices: list[Queue]) -> list[str]:
    """Return the slugs of the queues that have desks: those that no counter admits, or else all."""
    at_desks = [queue.slug for queue in choices if not queue.counter_id]
    return at_desks or [queue.slug for queue in choices]


@desk.post("/<place>/staff/<token>")
@errors_on(show_staff)
def start_serving(place: str, token: str) -> Answer:
    """Give a desk to a servicer."""
    form = parse(ServicerForm, "name")
    servicer = write(
        servicers.start_serving,
        place,
        token,
        form["name"],
        desk=form.get("desk"),
        queues=form.get("queues"),
        browser=None if request.is_json else browser_id(),
    )
    if not wants_json():
        return see_other("desk.show_desk", place=place, token=servicer.token)
    with service().database.read() as db:
        content = servicer_json(db, find_place(db, place), servicer)
    return json_response(content, 201)


# ----- the desk


@desk.get("/<place>/desk/<token>")
def show_desk(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show a desk: the customer there, who waits, and who was there last.

    A browser of a servicer who only makes calls is led to the page for calls.
    """
    with service().database.read() as db:
        row, servicer = desks.find_desk(db, place, token)
        served = queues_served(db, servicer)
        lists = calls.lists_of(db, servicer)
        content = desk_json(db, now(), row, servicer, served, lists)
        all_queues = walk_in_queues(db, row)
    if lists and not served and not wants_json() and error is None:
        return flask.redirect(url_for("caller.show_calls", place=place, token=token))
    return page(
        "desk.html",
        content,
        row,
        error,
        desk=content,
        all_queues=[slug_and_name(queue) for queue in all_queues],
    )


def back_to_desk(place: str, token: str, message: str | None = None) -> Answer:
    """Answer an action at a desk: the desk as JSON, or a redirect to its page."""
    if wants_json():
        return show_desk(place, token)
    return see_other("desk.show_desk", message, place=place, token=token)


# ----- calling, and the ticket at the desk


@desk.post("/<place>/desk/<token>/next")
@errors_on(show_desk)
def call_next(place: str, token: str) -> Answer:
    """Finish the current customer and call the next one."""
    form = parse(NextForm, "finished")
    pressed = write(
        desks.call_next,
        place,
        token,
        finished=form["finished"],
        queue=form.get("queue"),
        number=form.get("number"),
    )
    messages = []
    if pressed.goes_on_to:
        messages.append(f"{form['finished']} goes on to {pressed.goes_on_to.name}.")
    if not pressed.called:
        messages.append(_why_nobody(place, token, form.get("queue")))
    return back_to_desk(place, token, " ".join(messages) or None)


def _why_nobody(place: str, token: str, queue: str | None) -> str:
    """Return why nobody was called, and until when those who wait let others go first."""
    with service().database.read() as db:
        line = desks.passed_over(db, place, token, queue)
        row = find_place(db, place)
    away = [
        f"{ticket.number} lets others go first until {clock_time_at(ticket.away_until, row)}."
        for ticket in line
        if ticket.away_until is not None and ticket.away_until > now()
    ]
    if away:
        return " ".join(["No one to call yet.", *away])
    return "No one else waiting." if line else "No one waiting."


@desk.post("/<place>/desk/<token>/start")
@errors_on(show_desk)
def start(place: str, token: str) -> Answer:
    """Note that the customer has reached the desk."""
    write(desks.start, place, token, parse(NumberForm, "number")["number"])
    return back_to_desk(place, token)


@desk.post("/<place>/desk/<token>/done")
@errors_on(show_desk)
def finish(place: str, token: str) -> Answer:
    """Finish the customer at the desk: they go on to the next step of their plan, or are done."""
    write(desks.finish, place, token, parse(NumberForm, "number")["number"])
    return back_to_desk(place, token)


@desk.post("/<place>/desk/<token>/no-show")
@errors_on(show_desk)
def no_show(place: str, token: str) -> Answer:
    """End the ticket of a customer who didn't come."""
    write(desks.no_show, place, token, parse(NumberForm, "number")["number"])
    return back_to_desk(place, token)


@desk.post("/<place>/desk/<token>/call-again")
@errors_on(show_desk)
def call_again(place: str, token: str) -> Answer:
    """Announce the ticket at the desk once more."""
    write(desks.call_again, place, token, parse(NumberForm, "number")["number"])
    return back_to_desk(place, token)


@desk.post("/<place>/desk/<token>/put-back")
@errors_on(show_desk)
def put_back(place: str, token: str) -> Answer:
    """Let the customer at the desk wait again."""
    write(desks.put_back, place, token, parse(NumberForm, "number")["number"])
    return back_to_desk(place, token)


@desk.post("/<place>/desk/<token>/undo")
@errors_on(show_desk)
def undo(place: str, token: str) -> Answer:
    """Undo a no-show or a move, within ten seconds."""
    write(desks.undo, place, token, parse(NumberForm, "number")["number"])
    return back_to_desk(place, token)


# ----- other tickets


@desk.post("/<place>/desk/<token>/bring-back")
@errors_on(show_desk)
def bring_back(place: str, token: str) -> Answer:
    """Let a customer whose ticket ended at the desk wait again."""
    write(desks.bring_back, place, token, parse(NumberForm, "number")["number"])
    return back_to_desk(place, token)


@desk.post("/<place>/desk/<token>/move")
@errors_on(show_desk)
def move_ticket(place: str, token: str) -> Answer:
    """Move a customer to another queue, perhaps with a note and further steps."""
    form = parse(MoveForm, "number", "queue")
    write(
        desks.move_ticket, place, token, form["number"], form["queue"], _plan_changes(form), form.get("step")
    )
    return back_to_desk(place, token)


@desk.post("/<place>/desk/<token>/plan")
@errors_on(show_desk)
def change_plan(place: str, token: str) -> Answer:
    """Change the note about a customer for the other desks, and the steps that follow."""
    form = parse(PlanForm, "number")
    write(desks.change_plan, place, token, form["number"], _plan_changes(form), form.get("step"))
    return back_to_desk(place, token, "Saved.")


def _plan_changes(form: dict[str, Any]) -> PlanChanges:
    changes: PlanChanges = {}
    if "note" in form:
        changes["note"] = form["note"]
    if "steps" in form:
        changes["steps"] = form["steps"]
    return changes


@desk.post("/<place>/desk/<token>/add")
@errors_on(show_desk)
def add_customer(place: str, token: str) -> Answer:
    """Take a number for a customer without a phone."""
    form = parse(CustomerForm, "queue")
    taken = write(
        desks.add_customer,
        place,
        token,
        form["queue"],
        customer_details(form),
        request_id=form.get("request_id"),
    )
    ticket = taken.ticket
    if not wants_json():
        return back_to_desk(place, token, f"Added {ticket.number}. Tell the customer this number.")
    content = {
        **customer_json(taken.place, ticket),
        "state": ticket.state,
        "series": ticket.series,
        "phone": ticket.phone,
        "queue": taken.queue.slug,
        "links": {"desk": link("desk.show_desk", place=place, token=token)},
    }
    return json_response(content, 201 if taken.is_new else 200)


# ----- messages to everybody


@desk.post("/<place>/desk/<token>/messages")
@errors_on(show_desk)
def add_message(place: str, token: str) -> Answer:
    """Show a message to everybody who waits."""
    write(notices.add_at_desk, place, token, NewNotice(**parse(MessageForm, "text")))
    return back_to_desk(place, token, "Everybody can read it now.")


@desk.post(f"/<place>/desk/<token>/messages/<{ID}:message>/remove")
@errors_on(show_desk)
def remove_message(place: str, token: str, message: int) -> Answer:
    """Remove a message."""
    write(notices.remove_at_desk, place, token, message)
    return back_to_desk(place, token, "Message removed.")


# ----- the servicer


@desk.post("/<place>/desk/<token>/pause")
@errors_on(show_desk)
def pause(place: str, token: str) -> Answer:
    """Go off duty."""
    write(desks.set_duty, place, token, on_duty=False)
    return back_to_desk(place, token)


@desk.post("/<place>/desk/<token>/resume")
@errors_on(show_desk)
def resume(place: str, token: str) -> Answer:
    """Go on duty again."""
    write(desks.set_duty, place, token, on_duty=True)
    return back_to_desk(place, token)


@desk.post("/<place>/desk/<token>/rename")
@errors_on(show_desk)
def rename(place: str, token: str) -> Answer:
    """Correct the name of the servicer and of their desk."""
    form = parse(ServicerForm, "name")
    write(desks.rename_desk, place, token, form["name"], form.get("desk"))
    return back_to_desk(place, token, "Saved.")


@desk.post("/<place>/desk/<token>/end-shift")
@errors_on(show_desk)
def end_shift(place: str, token: str) -> Answer:
    """End the shift. The customer at the desk waits again, first in line."""
    write(desks.end_own_shift, place, token)
    return back_to_desk(place, token, "Your shift has ended. Press Resume to start again.")


@desk.post("/<place>/desk/<token>/hand-over")
@errors_on(show_desk)
def hand_over(place: str, token: str) -> Answer:
    """Hand the desk to somebody else, who gets a link of their own."""
    form = parse(ServicerForm, "name")
    browser = None if request.is_json else browser_id()
    successor = write(desks.hand_over, place, token, form["name"], form.get("desk"), browser)
    if not wants_json():
        return see_other("desk.show_desk", place=place, token=successor.token)
    with service().database.read() as db:
        content = servicer_json(db, find_place(db, place), successor)
    return json_response(content, 201)
