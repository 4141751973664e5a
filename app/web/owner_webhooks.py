"""The owner's webhooks: URLs that every event of the place is posted to."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from sqlalchemy.engine import Connection

from app.core import webhooks
from app.core.models import Place
from app.core.outgoing import Hosts, check_field
from app.core.places import find_place_for_owner
from app.core.webhooks import Delivery, Webhook
from app.errors import ServiceError
from app.web.forms import WebhookForm
from app.web.owner import SAVED
from app.web.owner_json import owner_link, place_json
from app.web.present import iso, rounded
from app.web.request import parse, wants_json
from app.web.response import Answer, errors_on, json_response, page, see_other
from app.web.service import service, write
from app.web.urls import ID

owner_webhooks = Blueprint("owner_webhooks", __name__)


@owner_webhooks.get("/<place>/manage/<token>/webhooks")
def show_webhooks(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the webhooks, each with its latest deliveries."""
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        content = {"webhooks": [webhook_json(db, row, each) for each in webhooks.webhooks_of(db, row)]}
    return page("webhooks.html", content, row, error, owner=place_json(row), **content)


def webhook_json(db: Connection, place: Place, webhook: Webhook) -> dict[str, Any]:
    """Return what the owner sees of a webhook."""
    url = f"{owner_link(place)}/webhooks/{webhook.id}"
    return {
        "id": webhook.id,
        "url": webhook.url,
        "secret": webhook.secret,
        "personal": webhook.personal,
        "paused": webhook.paused_at is not None,
        "paused_because": webhook.paused_because,
        "failures": webhook.failures,
        "waiting": webhooks.count_posts(db, webhook),
        "next_at": iso(webhook.due_at, place) if webhook.failures else None,
        "deliveries": [_delivery_json(place, each) for each in webhooks.deliveries_of(db, webhook)],
        "links": {
            "webhook": url,
            "test": f"{url}/test",
            "pause": f"{url}/pause",
            "resume": f"{url}/resume",
            "remove": f"{url}/remove",
        },
    }


def _delivery_json(place: Place, delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.message_id,
        "type": delivery.kind,
        "ok": delivery.ok,
        "status": delivery.status,
        "answer": delivery.answer,
        "duration_s": rounded(delivery.duration_s),
        "at": iso(delivery.sent_at, place),
    }


@owner_webhooks.post("/<place>/manage/<token>/webhooks")
@errors_on(show_webhooks)
def add_webhook(place: str, token: str) -> Answer:
    """Add a webhook."""
    form = parse(WebhookForm, "url")
    check_field(form["url"], Hosts.read(service().settings.webhook_hosts), "url", "URL")
    added = write(webhooks.add_webhook, place, token, form["url"], form.get("personal", False))
    return _back(place, token, "Added. Send a test to see whether it works.", added.id, 201)


@owner_webhooks.post(f"/<place>/manage/<token>/webhooks/<{ID}:webhook>")
@errors_on(show_webhooks)
def change_webhook(place: str, token: str, webhook: int) -> Answer:
    """Choose whether names, phone numbers and notes are sent."""
    form = parse(WebhookForm, "personal")
    write(webhooks.change_webhook, place, token, webhook, form["personal"])
    return _back(place, token, SAVED, webhook)


@owner_webhooks.post(f"/<place>/manage/<token>/webhooks/<{ID}:webhook>/test")
@errors_on(show_webhooks)
def send_test(place: str, token: str, webhook: int) -> Answer:
    """Send a test."""
    write(webhooks.send_test, place, token, webhook)
    return _back(place, token, "The test is on its way. The response appears below.", webhook)


@owner_webhooks.post(f"/<place>/manage/<token>/webhooks/<{ID}:webhook>/pause")
@errors_on(show_webhooks)
def pause_webhook(place: str, token: str, webhook: int) -> Answer:
    """Post nothing until it is resumed."""
    write(webhooks.pause_webhook, place, token, webhook)
    return _back(place, token, "Paused. Events are left out until you resume it.", webhook)


@owner_webhooks.post(f"/<place>/manage/<token>/webhooks/<{ID}:webhook>/resume")
@errors_on(show_webhooks)
def resume_webhook(place: str, token: str, webhook: int) -> Answer:
    """Post again."""
    write(webhooks.resume_webhook, place, token, webhook)
    return _back(place, token, "Resumed.", webhook)


@owner_webhooks.post(f"/<place>/manage/<token>/webhooks/<{ID}:webhook>/remove")
@errors_on(show_webhooks)
def remove_webhook(place: str, token: str, webhook: int) -> Answer:
    """Remove a webhook."""
    write(webhooks.remove_webhook, place, token, webhook)
    return _back(place, token, "Removed.")


def _back(place: str, token: str, message: str, webhook: int | None = None, status: int = 200) -> Answer:
    """Answer a press: the webhook as JSON (or all, without one), or a redirect to the page."""
    if not wants_json():
        return see_other("owner_webhooks.show_webhooks", message, place=place, token=token)
    if webhook is None:
        return show_webhooks(place, token)
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        return json_response(webhook_json(db, row, webhooks.find_webhook(db, row, webhook)), status)
