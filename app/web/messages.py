"""Customers who want to be told when it's their turn: by a notification of their browser, or by e-mail."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from app.core import subscriptions
from app.core.notify import BY_MAIL, BY_PUSH
from app.core.outgoing import Hosts, check_push_endpoint
from app.core.web_push import Browser, read_browser
from app.errors import BadInput, Conflict
from app.web.customer import back_to_ticket, show_ticket
from app.web.forms import AddressForm, BrowserForm
from app.web.mail_links import mail_links
from app.web.messages_json import can_push
from app.web.public_links import public_url
from app.web.request import json_object, limit, parse, parse_json
from app.web.response import Answer, errors_on, link
from app.web.service import service, write

messages = Blueprint("messages", __name__)

MAX_PER_MINUTE = 60
WINDOW_S = 60


@messages.post("/<place>/t/<token>/notify")
@errors_on(show_ticket)
def notify(place: str, token: str) -> Answer:
    """Notify a browser when it's their turn. The body is its push subscription."""
    browser = requested_browser()
    url = public_url(link("customer.show_ticket", place=place, token=token))
    write(subscriptions.subscribe_browser, place, token, browser, url)
    return back_to_ticket(place, token)


@messages.post("/<place>/t/<token>/notify/stop")
@errors_on(show_ticket)
def stop_notifying(place: str, token: str) -> Answer:
    """Notify a browser no more."""
    fields = subscription_fields("endpoint")
    write(subscriptions.unsubscribe, place, token, BY_PUSH, fields["endpoint"])
    return back_to_ticket(place, token)


def requested_browser() -> Browser:
    """Return the browser that a page has subscribed. Raises Conflict, BadInput, and TooMany."""
    limit("notify", MAX_PER_MINUTE, WINDOW_S)
    if not can_push():
        raise Conflict("Browsers show notifications only for pages at an https:// address.")
    fields = subscription_fields("endpoint", "p256dh", "auth")
    endpoint = fields["endpoint"]
    check_push_endpoint(endpoint, Hosts.read(service().settings.push_hosts))
    return read_browser(endpoint, fields["p256dh"], fields["auth"])


def subscription_fields(*required: str) -> dict[str, Any]:
    """Return the fields of a push subscription, as its toJSON() returns it or flat. Raises BadInput."""
    if not request.is_json:
        return parse(BrowserForm, *required)
    content = json_object()
    keys = content.get("keys", {})
    if not isinstance(keys, dict):
        raise BadInput("Keys: this must be a JSON object.", field="keys")
    return parse_json(BrowserForm, {**content, **keys}, *required)


@messages.post("/<place>/t/<token>/email")
@errors_on(show_ticket)
def tell_by_mail(place: str, token: str) -> Answer:
    """Mail an address when it's their turn."""
    limit("notify", MAX_PER_MINUTE, WINDOW_S)
    links = mail_links(place)
    if links is None:
        raise Conflict("This server sends no e-mail.")
    address = parse(AddressForm, "email")["email"]
    write(subscriptions.subscribe_address, place, token, address, links)
    return back_to_ticket(place, token)


@messages.post("/<place>/t/<token>/email/stop")
@errors_on(show_ticket)
def stop_mailing(place: str, token: str) -> Answer:
    """Mail nothing about this ticket any more."""
    write(subscriptions.unsubscribe, place, token, BY_MAIL, None)
    return back_to_ticket(place, token)
