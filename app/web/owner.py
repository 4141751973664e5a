"""The owner's home, which shows what happens today; and how all sections of the owner are shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import flask
from flask import Blueprint, request, session, url_for
from sqlalchemy.engine import Connection

from app.clock import now
from app.core import notices, places, tickets
from app.core.days import day_of
from app.core.models import Place
from app.core.notices import NewNotice
from app.core.places import find_place_for_owner
from app.errors import ServiceError
from app.web.forms import ChecklistForm, MessageForm, NumberForm
from app.web.owner_json import manage_json, place_json
from app.web.request import parse, wants_json
from app.web.response import Answer, errors_on, page, see_other
from app.web.service import service, write
from app.web.today_json import today_json
from app.web.urls import ID

owner = Blueprint("owner", __name__)

SAVED = "Saved."
ADDED = "Added."
NEW_LINK = "The old link has stopped working. This is the new one."


# ----- the sections


def show_section(
    template: str,
    place: str,
    token: str,
    error: ServiceError | None,
    content_of: Callable[[Connection, float, Place], dict[str, Any]],
    **context: Any,
) -> Answer:
    """Show a section of the owner's pages. In JSON, each answers with everything that the owner sees."""
    at = now()
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        content = manage_json(db, at, row) if wants_json() else place_json(row) | content_of(db, at, row)
    return page(
        template, content, row, error, owner=content, panel=_panel(), today=day_of(row, at), **context
    )


def back_to(
    endpoint: str, place: str, token: str, message: str | None = None, *, keep_panel: bool = True
) -> Answer:
    """Answer a press of the owner's: everything in JSON, or a redirect to the section that it came from.

    The panel that holds the form stays open, unless it is gone with what it was about.
    """
    if wants_json():
        return show_manage(place, token)
    panel = _panel() if keep_panel else None
    values = {"panel": panel, "_anchor": panel} if panel else {}
    return see_other(endpoint, message, place=place, token=token, **values)


def _panel() -> str | None:
    """Return the id of the panel that the request came from, or that the page is to open."""
    panel = request.form.get("panel") or request.args.get("panel")
    return panel if panel and re.fullmatch(r"[\w-]{1,80}", panel) else None


# ----- today


@owner.get("/<place>/manage/<token>")
def show_manage(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show what happens today."""
    fresh = not wants_json() and session.pop("fresh", None) == place
    return show_section("today.html", place, token, error, today_json, fresh=fresh)


@owner.post("/<place>/manage/<token>/steps")
@errors_on(show_manage)
def finish_checklist_item(place: str, token: str) -> Answer:
    """Note that an item of the first checklist is done. The poster's item leads to the poster."""
    step = parse(ChecklistForm, "step")["step"]
    write(places.finish_checklist_item, place, token, step)
    if step == "poster" and not wants_json():
        return flask.redirect(url_for("screens.show_poster", place=place), 303)
    return back_to("owner.show_manage", place, token)


@owner.post("/<place>/manage/<token>/queues/<queue>/restore")
@errors_on(show_manage)
def restore_ticket(place: str, token: str, queue: str) -> Answer:
    """Let a customer who was called wait again, first in line."""
    ticket = write(tickets.restore_ticket, place, token, queue, parse(NumberForm, "number")["number"])
    return back_to("owner.show_manage", place, token, f"{ticket.number} is back in the queue, first in line.")


# ----- messages to everybody who waits


@owner.get("/<place>/manage/<token>/messages")
def show_messages(place: str, token: str) -> Answer:
    """Show the messages, which are part of Today."""
    return (
        show_manage(place, token)
        if wants_json()
        else see_other("owner.show_manage", place=place, token=token)
    )


@owner.post("/<place>/manage/<token>/messages")
@errors_on(show_manage)
def add_message(place: str, token: str) -> Answer:
    """Show a message to everybody who waits."""
    write(notices.add_for_owner, place, token, NewNotice(**parse(MessageForm, "text")))
    return back_to("owner.show_manage", place, token, "Everybody can read it now.")


@owner.post(f"/<place>/manage/<token>/messages/<{ID}:message>/remove")
@errors_on(show_manage)
def remove_message(place: str, token: str, message: int) -> Answer:
    """Remove a message."""
    write(notices.remove_for_owner, place, token, message)
    return back_to("owner.show_manage", place, token, "Message removed.")
