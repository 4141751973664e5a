"""The words of the mails that the service sends."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.models import Contact, Place, Queue
from app.core.phones import format_phone


@dataclass(frozen=True)
class MailText:
    """The subject and the content of a mail."""

    subject: str
    content: str


def new_request(place: Place, call_list: Queue, contact: Contact, note: str | None) -> MailText:
    """Return the mail that tells the staff of a call list about a new request."""
    lines = [
        f"Somebody asks to be called: {contact.name or 'no name'}",
        format_phone(contact.phone, place.country),
        note,
        f"It is on the list {call_list.name}.",
    ]
    subject = f"{place.name}: a new request on {call_list.name}"
    return MailText(subject, "\n".join(line for line in lines if line))


def confirm_address(confirm_url: str, not_me_url: str) -> MailText:
    """Return the mail that asks to confirm an address. Nothing in it was written by who entered it."""
    content = (
        "Somebody entered this address on a Take A Number server,"
        " to be told when people ask to be called.\n\n"
        f"To get these mails, open this page and confirm the address: {confirm_url}\n\n"
        f"{_not_me(not_me_url)}"
    )
    return MailText("Please confirm your e-mail address", content)


def request_received(place: Place | None, url: str, not_me_url: str) -> MailText:
    """Return the mail for the person who asked to be called. Without a place, it names none.

    :param url: where the request stands
    """
    subject = "We call you back" if place is None else f"{place.name}: we call you back"
    received = "Your request was received" if place is None else f"{place.name} has your request"
    content = f"{received}, and you will be called.\n\nWhere it stands: {url}\n\n{_not_me(not_me_url)}"
    return MailText(subject, content)


def ticket_news(place: str, title: str, body: str, ticket_url: str, not_me_url: str) -> MailText:
    """Return the mail that tells a customer how far their line is. `place` is its name, or empty."""
    subject = f"{title} · {place}" if place else title
    return MailText(subject, f"{title}. {body}.\n\nYour ticket: {ticket_url}\n\n{_not_me(not_me_url)}")


def _not_me(url: str) -> str:
    return f"Not you? Then do nothing. To get no more mail from this server, open this page: {url}"
