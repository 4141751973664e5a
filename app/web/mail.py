"""The pages that links in mails lead to: confirming an address, blocking it, finding a request."""

from __future__ import annotations

from typing import Any

import flask
from flask import Blueprint, url_for

from app.core import mail_addresses
from app.core.mail_addresses import MailAddress, find_address, is_blocked
from app.core.tickets import find_slug_of_ticket
from app.errors import ServiceError
from app.web.links import link
from app.web.request import wants_json
from app.web.response import Answer, errors_on, page, see_other
from app.web.service import service, write

mail = Blueprint("mail", __name__)

# As long as a token. A place may have the slug "mail" since before these pages.
TOKEN = "string(length=22)"


@mail.get(f"/mail/<{TOKEN}:token>")
def show_address(token: str, error: ServiceError | None = None) -> Answer:
    """Ask whether an address belongs to somebody who wants to be mailed."""
    return _page(token, "confirm", error)


@mail.post(f"/mail/<{TOKEN}:token>")
@errors_on(show_address)
def confirm_address(token: str) -> Answer:
    """Confirm an address."""
    write(mail_addresses.confirm, token)
    return show_address(token) if wants_json() else see_other("mail.show_address", token=token)


@mail.get(f"/mail/<{TOKEN}:token>/not-me")
def show_block(token: str, error: ServiceError | None = None) -> Answer:
    """Ask whether to send no more mail to an address."""
    return _page(token, "block", error)


@mail.post(f"/mail/<{TOKEN}:token>/not-me")
@errors_on(show_block)
def block_address(token: str) -> Answer:
    """Block an address."""
    write(mail_addresses.block, token)
    return show_block(token) if wants_json() else see_other("mail.show_block", token=token)


@mail.get(f"/mail/<{TOKEN}:token>/ticket")
def show_ticket(token: str) -> Answer:
    """Redirect to the request that a mail is about: its URL must not hold the name of the place."""
    with service().database.read() as db:
        slug = find_slug_of_ticket(db, token)
    return flask.redirect(url_for("customer.show_ticket", place=slug, token=token))


def _page(token: str, action: str, error: ServiceError | None) -> Answer:
    with service().database.read() as db:
        address = find_address(db, token)
        content = _address_json(address, is_blocked(db, address.address_key))
    return page("mail.html", content, None, error, address=content, action=action)


def _address_json(address: MailAddress, blocked: bool) -> dict[str, Any]:
    url = link("mail.show_address", token=address.token)
    return {
        "asked": address.asked_at is not None,
        "confirmed": address.confirmed_at is not None and not blocked,
        "blocked": blocked,
        "links": {"confirm": url, "not_me": f"{url}/not-me"},
    }
