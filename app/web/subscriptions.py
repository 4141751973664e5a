"""Customers ask to be told when it's their turn: by a notification of their browser, or by email."""

from __future__ import annotations

from flask import Blueprint

from app.core import subscriptions
from app.core.models import BY_MAIL, BY_PUSH
from app.errors import Conflict
from app.web.customer import back_to_ticket, show_ticket
from app.web.forms import AddressForm
from app.web.links import link
from app.web.mail_links import mail_links
from app.web.public_links import public_url
from app.web.push_subscriptions import limit_notifications, requested_browser, subscription_fields
from app.web.request import parse
from app.web.response import Answer, errors_on
from app.web.service import write

ticket_subscriptions = Blueprint("ticket_subscriptions", __name__)


@ticket_subscriptions.post("/<place>/t/<token>/notify")
@errors_on(show_ticket)
def notify(place: str, token: str) -> Answer:
    """Notify a browser when it's their turn. The body is its push subscription."""
    browser = requested_browser()
    url = public_url(link("customer.show_ticket", place=place, token=token))
    write(subscriptions.subscribe_browser, place, token, browser, url)
    return back_to_ticket(place, token)


@ticket_subscriptions.post("/<place>/t/<token>/notify/stop")
@errors_on(show_ticket)
def stop_notifying(place: str, token: str) -> Answer:
    """Notify a browser no more."""
    fields = subscription_fields("endpoint")
    write(subscriptions.unsubscribe, place, token, BY_PUSH, fields["endpoint"])
    return back_to_ticket(place, token)


@ticket_subscriptions.post("/<place>/t/<token>/email")
@errors_on(show_ticket)
def tell_by_mail(place: str, token: str) -> Answer:
    """Mail an address when it's their turn."""
    limit_notifications()
    links = mail_links(place)
    if links is None:
        raise Conflict("Email isn't configured on this server, so none is sent.")
    address = parse(AddressForm, "email")["email"]
    write(subscriptions.subscribe_address, place, token, address, links)
    return back_to_ticket(place, token)


@ticket_subscriptions.post("/<place>/t/<token>/email/stop")
@errors_on(show_ticket)
def stop_mailing(place: str, token: str) -> Answer:
    """Mail nothing about this ticket any more."""
    write(subscriptions.unsubscribe, place, token, BY_MAIL, None)
    return back_to_ticket(place, token)
