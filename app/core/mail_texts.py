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


def request_received(place: Place, ticket_url: str) -> MailText:
    """Return the mail for the person who asked to be called; it holds the link to their ticket."""
    content = f"{place.name} has your request and will call you.\n\nWhere it stands: {ticket_url}"
    return MailText(f"{place.name}: we call you back", content)
