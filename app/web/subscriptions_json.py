"""Who is told when it's a customer's turn, as JSON, with the links to ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import current_app
from sqlalchemy.engine import Connection

from app.core.models import BY_MAIL, BY_PUSH, Queue, Subscription, Ticket
from app.core.notifications import subscriptions_of
from app.core.queries import OPEN_STATES
from app.core.web_push import public_key_of
from app.web.push_subscriptions import can_push
from app.web.service import service


def subscriptions_json(
    db: Connection, queue: Queue, ticket: Ticket, state: str, url: str
) -> dict[str, Any] | None:
    """Return who is told about a ticket, and the links to ask for it; None once there is nothing to tell."""
    if queue.is_call_list or state not in OPEN_STATES:
        return None
    return _known_json(subscriptions_of(db, ticket.id), url)


def subscriptions_of_new_ticket(url: str) -> dict[str, Any]:
    """Return the same for a ticket that was just taken in a walk-in queue."""
    return _known_json([], url)


def _known_json(known: Sequence[Subscription], url: str) -> dict[str, Any]:
    content: dict[str, Any] = {
        "browsers": sum(each.channel == BY_PUSH for each in known),
        "addresses": [each.endpoint for each in known if each.channel == BY_MAIL],
        "push_key": None,
        "links": {},
    }
    if can_push():
        content["push_key"] = public_key_of(current_app.config["PUSH_KEY"])
        content["links"]["notify"] = f"{url}/notify"
    if service().settings.mail_enabled:
        content["links"]["email"] = f"{url}/email"
    return content
