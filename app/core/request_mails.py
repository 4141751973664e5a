"""Mails to those who asked to be called: that the request was received, and what became of it.

Anybody could have entered their address, so these mails hold no text that others have written, and a link
that blocks the address.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from app.core.mail_addresses import (
    MAX_PER_RECIPIENT,
    MailLinks,
    address_key,
    count_mail,
    is_blocked,
    remember_address,
)
from app.core.mail_texts import MailText, request_news, request_received
from app.core.models import Place, Ticket
from app.core.outbox import NEWS, RECEIPT, queue_mail
from app.storage.sql import run


def confirm_receipt(
    db: Connection, at: float, place: Place, email: str, ticket: Ticket, links: MailLinks
) -> None:
    """Mail somebody that their request was received, unless they had too many mails in the last hour."""
    key = address_key(db, email)
    if not count_mail(db, at, place.id, key):
        return
    named_place, url, not_me = _parts(db, at, place, key, ticket, links)
    text = request_received(named_place, url, not_me, is_more_to_come=ticket.mail_to is not None)
    queue_mail(db, at, place.id, RECEIPT, email, key, text, ticket.contact_id)


def tell_news(
    db: Connection, at: float, place: Place, ticket: Ticket, news: str, links: MailLinks | None
) -> None:
    """Mail somebody what became of their request, if they want that.

    :param news: a key of mail_texts.NEWS_OF_REQUEST
    :param links: None if no mail server is configured
    """
    if ticket.mail_to is None or links is None:
        return
    key = address_key(db, ticket.mail_to)
    if is_blocked(db, key) or _number_of_waiting_news(db, key) >= MAX_PER_RECIPIENT:
        return
    text: MailText = request_news(*_parts(db, at, place, key, ticket, links), news)
    queue_mail(db, at, place.id, NEWS, ticket.mail_to, key, text, ticket.contact_id)


def _number_of_waiting_news(db: Connection, key: str) -> int:
    """Return how many such mails wait for an address: those that are too many in an hour are postponed."""
    sql = "SELECT count(*) FROM mail WHERE address_key = :key AND kind = :kind"
    return int(run(db, sql, key=key, kind=NEWS).scalar_one())


def _parts(
    db: Connection, at: float, place: Place, key: str, ticket: Ticket, links: MailLinks
) -> tuple[Place | None, str, str]:
    """Return the place, if the mail may name it, and the URLs of the request and for blocking the address."""
    not_me = links.not_me(remember_address(db, at, place, key).token)
    if links.names_place:
        return place, links.ticket(ticket.token), not_me
    # The URL of the ticket holds a stranger's words, too: the slug is made of the name of the place.
    return None, links.any_ticket(ticket.token), not_me
