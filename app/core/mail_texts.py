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
        " to be told when people ask to be called, or wait too long.\n\n"
        f"To get these mails, open this page and confirm the address: {confirm_url}\n\n"
        f"{_not_me(not_me_url)}"
    )
    return MailText("Please confirm your email address", content)


def request_received(
    place: Place | None, url: str, not_me_url: str, *, is_more_to_come: bool = False
) -> MailText:
    """Return the mail for the person who asked to be called. Without a place, it names none.

    :param url: where the request stands
    """
    subject = "We'll call you back" if place is None else f"{place.name}: we'll call you back"
    received = "Your request was received" if place is None else f"{place.name} has your request"
    more = " You get another mail when it is done, or if you can't be reached." if is_more_to_come else ""
    content = f"{received}, and you will be called.{more}\n\n{_where_it_stands(url)}\n\n{_not_me(not_me_url)}"
    return MailText(subject, content)


def ticket_notification(place: str, title: str, body: str, ticket_url: str, not_me_url: str) -> MailText:
    """Return the mail that tells a customer how far their line is. `place` is its name, or empty."""
    subject = f"{title} · {place}" if place else title
    return MailText(
        subject, f"{title}. {body.rstrip('.')}.\n\nYour ticket: {ticket_url}\n\n{_not_me(not_me_url)}"
    )


def owner_alert(place: Place, title: str, body: str) -> MailText:
    """Return the mail that tells the owner of a place, at a confirmed address, what needs attention."""
    content = (
        f"{title}. {body}\n\n"
        f"You get these mails since this address is in the settings of {place.name}, under Alerts."
        " The link by which you confirmed it also stops them."
    )
    return MailText(f"{place.name}: {title}", content)


# What became of a request to be called: the end of the subject, and the content.
NEWS_OF_REQUEST = {
    "done": ("your request is done", "Your request to be called is done."),
    "missed": ("we couldn't reach you", "We tried to call you, and couldn't reach you. We will try again."),
    "unreached": (
        "we couldn't reach you",
        "We tried to call you, and couldn't reach you. We won't try again by ourselves:"
        " if you still want to be called, please ask once more.",
    ),
    "wrong": (
        "we couldn't reach you",
        "We couldn't reach you: the phone number that we have of you seems to be wrong."
        " Please ask again with the right one.",
    ),
}


def request_news(place: Place | None, url: str, not_me_url: str, news: str) -> MailText:
    """Return the mail that tells somebody what became of their request. Without a place, it names none.

    :param news: a key of NEWS_OF_REQUEST
    """
    title, content = NEWS_OF_REQUEST[news]
    subject = title[0].upper() + title[1:] if place is None else f"{place.name}: {title}"
    return MailText(subject, f"{content}\n\n{_where_it_stands(url)}\n\n{_not_me(not_me_url)}")


def _where_it_stands(url: str) -> str:
    return f"Where it stands: {url}"


def _not_me(url: str) -> str:
    return f"Not you? Then do nothing. To get no more mail from this server, open this page: {url}"
