"""Contacts as the owner sees them, in JSON and as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy.engine import Connection

from app.clock import now
from app.core import contact_search
from app.core.contact_search import ContactFilter
from app.core.contacts import OpenCall, open_calls_of
from app.core.models import Contact, Place, Report
from app.core.phones import format_phone
from app.core.queues import call_lists
from app.core.wordlists import outcomes_of, reasons_of
from app.storage.database import Database
from app.web.owner_json import owner_link
from app.web.present import iso, slug_and_name

EXPORT_BATCH = 500  # contacts read at once for a CSV file
CSV_COLUMNS = [
    "name",
    "phone",
    "email",
    "address",
    "notes",
    "tags",
    "reference",
    "timezone",
    "do_not_call",
    "last_called_at",
    "last_outcome",
    "lists",
]


def contacts_link(place: Place) -> str:
    """Return the link of a place's list of contacts."""
    return f"{owner_link(place)}/contacts"


def contacts_json(db: Connection, at: float, place: Place, found: list[Contact]) -> list[dict[str, Any]]:
    """Return what the owner sees of contacts."""
    calls = open_calls_of(db, at, [contact.id for contact in found])
    return [_contact_json(place, contact, calls.get(contact.id, [])) for contact in found]


def _contact_json(place: Place, contact: Contact, calls: list[OpenCall]) -> dict[str, Any]:
    return {
        "id": contact.id,
        "name": contact.name,
        "phone": format_phone(contact.phone, place.country),
        "tel": f"tel:{contact.phone}",
        "email": contact.email,
        "address": contact.address,
        "notes": contact.notes,
        "tags": contact.tag_list,
        "reference": contact.reference,
        "timezone": contact.timezone,
        "do_not_call": contact.do_not_call,
        "last_called_at": iso(contact.last_called_at, place),
        "last_outcome": contact.last_outcome,
        "lists": [
            {"slug": call.slug, "name": call.name, "state": call.state, "due_at": iso(call.due_at, place)}
            for call in calls
        ],
        "links": {"contact": f"{contacts_link(place)}/{contact.id}"},
    }


def contact_report_json(place: Place, report: Report) -> dict[str, Any]:
    """Return what the owner sees of a report about a contact."""
    return {
        "at": iso(report.created_at, place),
        "servicer": report.servicer,
        "list": report.list,
        "outcome": report.outcome,
        "effect": report.effect,
        "notes": report.notes,
        "incoming": report.incoming,
        "closed": report.closed,
        "call_back_at": iso(report.call_back_at, place),
        "referred_to": report.referred_to,
        "seconds": report.seconds,
    }


def choices_json(db: Connection, place: Place) -> dict[str, list[dict[str, Any]]]:
    """Return the lists, reasons and outcomes that can be chosen on the pages of contacts."""
    return {
        "lists": [slug_and_name(call_list) for call_list in call_lists(db, place)],
        "reasons": [{"id": reason.id, "name": reason.name} for reason in reasons_of(db, place)],
        "outcomes": [{"id": outcome.id, "name": outcome.name} for outcome in outcomes_of(db, place)],
    }


# ----- CSV


def csv_batches(database: Database, place: Place, wanted: ContactFilter) -> Iterator[list[list[Any]]]:
    """Yield the contacts that match a filter in batches of rows, each with the cells of CSV_COLUMNS."""
    after_id = 0
    while True:
        with database.read() as db:
            batch = contact_search.contacts_after(db, place, wanted, after_id, EXPORT_BATCH)
            calls = open_calls_of(db, now(), [contact.id for contact in batch])
        if not batch:
            return
        yield [_csv_row(place, contact, calls.get(contact.id, [])) for contact in batch]
        after_id = batch[-1].id


def _csv_row(place: Place, contact: Contact, calls: list[OpenCall]) -> list[Any]:
    return [
        contact.name,
        format_phone(contact.phone, place.country),
        contact.email,
        contact.address,
        contact.notes,
        ", ".join(contact.tag_list),
        contact.reference,
        contact.timezone,
        contact.do_not_call,
        iso(contact.last_called_at, place),
        contact.last_outcome,
        ", ".join(call.name for call in calls),
    ]
