"""Call lists and the owner's words for calls as the owner sees them, in JSON."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from app.core.contacts import count_contacts
from app.core.mail_addresses import address_state
from app.core.models import Outcome, Place, Queue, Reason, ReferralService
from app.core.queues import callers_of
from app.core.tags import split_tags
from app.core.wordlists import outcomes_of, reasons_of, services_of
from app.web.links import action_links, link
from app.web.present import time_of_day
from app.web.service import service


def list_json(db: Connection, place: Place, call_list: Queue) -> dict[str, Any]:
    """Return what the owner sees of a call list."""
    url = link("owner_calls.show_list", place=place.slug, token=place.manage_token, queue=call_list.slug)
    links = {"queue": url, "list": url, **action_links(url, "open", "close", "delete")}
    if call_list.public_form:
        links["request"] = link("customer.take_number", place=place.slug, queue=call_list.slug)
    return {
        "slug": call_list.slug,
        "name": call_list.name,
        "kind": call_list.kind,
        "prefix": call_list.prefix,
        "open": call_list.open,
        "max_waiting": call_list.max_waiting,
        "claim_minutes": call_list.claim_minutes,
        "retry_minutes": call_list.retry_minutes,
        "most_tries": call_list.most_tries,
        "public_form": call_list.public_form,
        "staff_email": call_list.staff_email,
        "calling_from": time_of_day(call_list.calling_from),
        "calling_to": time_of_day(call_list.calling_to),
        "order": call_list.call_order,
        "requires": split_tags(call_list.requires),
        "staff_email_state": address_state(db, place, call_list.staff_email)
        if call_list.staff_email
        else None,
        "callers": callers_of(db, call_list),
        "waiting": call_list.waiting,
        "links": links,
    }


def words_json(db: Connection, place: Place) -> dict[str, Any]:
    """Return the owner's words for calls, the number of contacts, and whether mail is sent."""
    return {
        "reasons": [reason_json(reason) for reason in reasons_of(db, place)],
        "outcomes": [outcome_json(outcome) for outcome in outcomes_of(db, place)],
        "services": [service_json(each) for each in services_of(db, place)],
        "contacts": count_contacts(db, place),
        "mail": service().settings.mail_enabled,
    }


def reason_json(reason: Reason) -> dict[str, Any]:
    """Return a reason to call."""
    return {"id": reason.id, "name": reason.name}


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome."""
    return {"id": outcome.id, "name": outcome.name, "effect": outcome.effect}


def service_json(helper: ReferralService) -> dict[str, Any]:
    """Return a service that callers refer people to."""
    return {"id": helper.id, "name": helper.name, "phone": helper.phone, "link": helper.link}
