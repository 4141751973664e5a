"""How a customer can be told when it's their turn, as JSON."""

from __future__ import annotations

from typing import Any

from flask import request
from sqlalchemy.engine import Connection

from app.addresses import is_loopback
from app.core.models import Queue, Ticket
from app.core.notify import BY_MAIL, BY_PUSH, subscriptions_of
from app.core.queries import OPEN_STATES
from app.core.web_push import public_key_of
from app.storage.facts import PUSH_KEY, get_fact
from app.web.response import is_https
from app.web.service import service


def can_push() -> bool:
    """Return True where browsers offer notifications to pages: by https, and on this computer itself."""
    return is_https() or is_loopback(request.host)


def messages_json(
    db: Connection, queue: Queue, ticket: Ticket, state: str, url: str
) -> dict[str, Any] | None:
    """Return who is told about a ticket, and the links to ask for it; None once there is nothing to tell."""
    if queue.is_call_list or state not in OPEN_STATES:
        return None
    known = subscriptions_of(db, ticket.id)
    content: dict[str, Any] = {
        "browsers": sum(each.channel == BY_PUSH for each in known),
        "addresses": [each.endpoint for each in known if each.channel == BY_MAIL],
        "push_key": None,
        "links": {},
    }
    if can_push():
        content["push_key"] = public_key_of(get_fact(db, PUSH_KEY))
        content["links"]["notify"] = f"{url}/notify"
    if service().settings.mail_enabled:
        content["links"]["email"] = f"{url}/email"
    return content
