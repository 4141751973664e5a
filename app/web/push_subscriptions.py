"""Reading the push subscription that a browser sends when it asks for notifications."""

from __future__ import annotations

from typing import Any

from flask import request

from app.addresses import is_loopback
from app.core.outgoing import Hosts, check_push_endpoint
from app.core.web_push import Browser, read_browser
from app.errors import BadInput, Conflict
from app.web.forms import BrowserForm
from app.web.links import is_https
from app.web.request import json_object, limit, parse, parse_json
from app.web.service import service

MAX_PER_MINUTE = 60
WINDOW_S = 60


def limit_notifications() -> None:
    """Raise TooMany for a client who asks for notifications or mails too often."""
    limit("notify", MAX_PER_MINUTE, WINDOW_S)


def can_push() -> bool:
    """Return True where browsers offer notifications to pages: by https, and on this computer itself."""
    return is_https() or is_loopback(request.host)


def requested_browser() -> Browser:
    """Return the browser that a page has subscribed. Raises Conflict, BadInput, and TooMany."""
    limit_notifications()
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
