"""The owner's contacts: the list, one contact, actions on many, and files of contacts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, request
from sqlalchemy.engine import Connection

from app.clock import now
from app.core import (
    contact_actions,
    contact_search,
    contacts,
    import_preview,
    import_storing,
    imports,
    opt_outs,
)
from app.core.columns import is_may_call_heading, is_opt_out_heading
from app.core.contact_actions import ActionOptions, ActionResult
from app.core.contact_search import ContactFilter
from app.core.contacts import TEXT_FIELDS, ContactFields, OpenCall, open_calls_of
from app.core.countries import country_names
from app.core.days import time_zones
from app.core.import_columns import ColumnChoice, column_samples, parse_choices
from app.core.import_files import ImportFile, find_import
from app.core.import_preview import PreviewRow, RemarkGroup
from app.core.import_staging import InputRow
from app.core.models import Contact, Place, Report
from app.core.phones import format_phone
from app.core.places import find_place_for_owner
from app.core.queues import call_lists, find_call_list
from app.core.reports import reports_of
from app.core.sheets import MAX_ROWS
from app.core.tags import split_tags
from app.core.wordlists import outcomes_of, reasons_of
from app.errors import BadInput, ServiceError, TooLarge
from app.storage.database import Database
from app.text import tidy
from app.web.csv_export import stream_csv
from app.web.forms import (
    UNTICKED,
    ContactActionForm,
    ContactFilterForm,
    ContactForm,
    OptOutForm,
    PageForm,
    PastedTextForm,
    SearchForm,
)
from app.web.owner import ADDED, SAVED
from app.web.owner_json import owner_link
from app.web.present import iso, slug_and_name
from app.web.request import (
    accepts_contacts,
    fields_of,
    form_ids,
    json_object,
    json_values,
    parse,
    parse_json,
    parse_query,
    parse_values,
    phone_confirmed,
    refuse_unknown_fields,
    wants_json,
)
from app.web.response import Answer, errors_on, json_response, page, see_other
from app.web.service import service, write
from app.web.urls import ID, MAX_ID

owner_contacts = Blueprint("owner_contacts", __name__)

# What a column of a file can be, in the words of the page.
COLUMN_FIELDS = {
    "name": "Name",
    "first_name": "First name",
    "middle_name": "Middle name",
    "last_name": "Last name",
    "company": "Company",
    "phone": "Phone",
    "country_code": "Country code",
    "area_code": "Area code",
    "extension": "Extension",
    "email": "Email",
    "address": "Address",
    "notes": "Notes",
    "tags": "Tags",
    "reference": "Your reference",
    "timezone": "Time zone",
    "do_not_call": "Do not call",
    "may_call": "May be called",
}

MAX_REPORTS = 100  # on the page of a contact
MAX_REFUSED_ROWS = 200  # on the page of an import
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


# ----- the list


@owner_contacts.get("/<place>/manage/<token>/contacts")
def show_contacts(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the contacts that match the filters, a page at a time."""
    filters = _filters_of_request()
    page_number = parse_query(PageForm).get("page", 1)
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        found = contact_search.contacts_page(db, row, ContactFilter(**filters), page_number)
        choices = _choices(db, row)
        content = {
            "contacts": contacts_json(db, now(), row, found.contacts),
            "total": found.total,
            "page": found.page,
            "pages": found.pages,
            "filters": filters,
            "tags": contact_search.all_tags(db, row),
            **choices,
        }
    url = contacts_link(row)
    content["links"] = {
        "contacts": url,
        "csv": f"{url}.csv",
        "actions": f"{url}/actions",
        "import": f"{url}/import",
        "do_not_call": f"{url}/do-not-call",
        "manage": owner_link(row),
    }
    return page(
        "contacts.html",
        content,
        row,
        error,
        contacts=content,
        timezones=time_zones(),
        countries=country_names(),
        **choices,
        panel=None,
    )


@owner_contacts.get("/<place>/manage/<token>/contacts.csv")
def download_contacts(place: str, token: str) -> Answer:
    """Send the contacts that match the filters as a CSV file."""
    wanted = ContactFilter(**_filters_of_request())
    database = service().database
    with database.read() as db:
        row = find_place_for_owner(db, place, token)
        if wanted.in_list:
            find_call_list(db, row, wanted.in_list)  # better a 404 than half a file
    return stream_csv(CSV_COLUMNS, _csv_batches(database, row, wanted))


@owner_contacts.post("/<place>/manage/<token>/contacts")
@accepts_contacts
@errors_on(show_contacts)
def add_contacts(place: str, token: str) -> Answer:
    """Add the contact of a form, or a JSON list of contacts; known contacts are changed."""
    if request.is_json:
        rows = _contacts_from_json()
        added = imports.add_contacts(service().database, now, place, token, rows)
        refused = [{"row": each.row, "why": each.why} for each in added.refused]
        return json_response({"added": added.added, "changed": added.changed, "refused": refused})
    row = InputRow(1, _checked_contact(place, token, _contact_from_form()))
    added = imports.add_contacts(service().database, now, place, token, [row])
    if added.refused:
        raise BadInput(added.refused[0].why)
    return _back_to_contacts(
        place, token, ADDED if added.added else "This contact was known, and was changed."
    )


@owner_contacts.post("/<place>/manage/<token>/contacts/actions")
@errors_on(show_contacts)
def act_on_contacts(place: str, token: str) -> Answer:
    """Run an action with the contacts that were chosen."""
    refuse_unknown_fields(ContactActionForm, "ids", "match")
    fields = parse(ContactActionForm, "action")
    action = fields.pop("action")
    if not request.is_json and "tag_named" in request.form:
        fields["tag"] = tidy(request.form["tag_named"])  # in a form, `tag` is one of the filters
    options = ActionOptions(**fields)
    result = contact_actions.run_action(
        service().database, now, place, token, action, _chosen_contacts(), options
    )
    if wants_json():
        changed = "added" if action == "add_to_list" else "changed"
        return json_response({changed: result.changed, "skipped": dict(result.skipped)})
    filters = {} if request.is_json else _filters_of_request()
    query = {name: 1 if value is True else value for name, value in filters.items()}
    return _back_to_contacts(place, token, _action_message(action, result, options), **query)


# ----- one contact


@owner_contacts.get(f"/<place>/manage/<token>/contacts/<{ID}:contact_id>")
def show_contact(place: str, token: str, contact_id: int, error: ServiceError | None = None) -> Answer:
    """Show a contact with its calls, and the form to change it."""
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        contact = contacts.find_contact(db, row, contact_id)
        content = contacts_json(db, now(), row, [contact])[0]
        content["reports"] = [_report_json(row, each) for each in reports_of(db, contact.id, MAX_REPORTS)]
        choices = _choices(db, row)
    content["links"] |= {"forget": f"{content['links']['contact']}/forget", "contacts": contacts_link(row)}
    return page("contact.html", content, row, error, contact=content, timezones=time_zones(), **choices)


@owner_contacts.post(f"/<place>/manage/<token>/contacts/<{ID}:contact_id>")
@errors_on(show_contact, "place", "token", "contact_id")
def change_contact(place: str, token: str, contact_id: int) -> Answer:
    """Save what was changed about a contact."""
    fields = _contact_from_json(json_object()) if request.is_json else _contact_from_form()
    write(contacts.change_contact, place, token, contact_id, fields)
    if wants_json():
        return show_contact(place, token, contact_id)
    return see_other("owner_contacts.show_contact", SAVED, place=place, token=token, contact_id=contact_id)


@owner_contacts.post(f"/<place>/manage/<token>/contacts/<{ID}:contact_id>/forget")
@errors_on(show_contact, "place", "token", "contact_id")
def forget_contact(place: str, token: str, contact_id: int) -> Answer:
    """Erase everything that is known of a contact."""
    write(contacts.forget_contact, place, token, contact_id)
    return _back_to_contacts(place, token, "Erased permanently.")


# ----- numbers that must not be called


@owner_contacts.get("/<place>/manage/<token>/contacts/do-not-call")
def show_opt_outs(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the numbers that must not be called, the newest first."""
    search = parse_query(SearchForm).get("q")
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        found, total = opt_outs.opt_outs_page(db, row, search)
    url = contacts_link(row)
    content = {
        "numbers": [
            {
                "phone": format_phone(each.phone, row.country),
                "tel": f"tel:{each.phone}",
                "contacts": each.contacts,
                "since": iso(each.created_at, row),
            }
            for each in found
        ],
        "total": total,
        "links": {"do_not_call": f"{url}/do-not-call", "lift": f"{url}/do-not-call/lift", "contacts": url},
    }
    return page("opt_outs.html", content, row, error, opt_outs=content, search=search, panel=None)


@owner_contacts.post("/<place>/manage/<token>/contacts/do-not-call")
@errors_on(show_opt_outs)
def forbid_number(place: str, token: str) -> Answer:
    """Let nobody call a number."""
    refuse_unknown_fields(OptOutForm)
    write(opt_outs.forbid_number, place, token, parse(OptOutForm, "phone")["phone"], phone_confirmed())
    return _back_to_opt_outs(place, token, ADDED)


@owner_contacts.post("/<place>/manage/<token>/contacts/do-not-call/lift")
@errors_on(show_opt_outs)
def lift_number(place: str, token: str) -> Answer:
    """Let a number be called again."""
    refuse_unknown_fields(OptOutForm)
    phone = parse(OptOutForm, "phone")["phone"]
    write(opt_outs.lift_number, place, token, phone)
    return _back_to_opt_outs(place, token, f"Calls to {phone} are allowed again.")


def _back_to_opt_outs(place: str, token: str, message: str) -> Answer:
    if wants_json():
        return show_opt_outs(place, token)
    return see_other("owner_contacts.show_opt_outs", message, place=place, token=token)


# ----- files


@owner_contacts.post("/<place>/manage/<token>/contacts/import")
@accepts_contacts
@errors_on(show_contacts)
def upload_contacts(place: str, token: str) -> Answer:
    """Read a file, or rows that were pasted; nothing is stored yet."""
    refuse_unknown_fields(PastedTextForm)
    content = _uploaded_content()
    is_opt_out_list = parse(PastedTextForm).get("do_not_call", False)
    file = imports.upload(service().database, now(), place, token, content, is_opt_out_list)
    return _back_to_import(place, token, file.id, status=201)


@owner_contacts.get(f"/<place>/manage/<token>/contacts/import/<{ID}:file_id>")
def show_import(place: str, token: str, file_id: int, error: ServiceError | None = None) -> Answer:
    """Show what would be stored of a file."""
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        file = find_import(db, row, file_id)
        content = _import_json(db, row, file)
    return page("import.html", content, row, error, upload=content, column_fields=COLUMN_FIELDS)


@owner_contacts.post(f"/<place>/manage/<token>/contacts/import/<{ID}:file_id>/columns")
@errors_on(show_import, "place", "token", "file_id")
def choose_columns(place: str, token: str, file_id: int) -> Answer:
    """Say what each column of a file is; it is then read again."""
    database = service().database
    with database.read() as db:
        file = find_import(db, find_place_for_owner(db, place, token), file_id)
    choices, is_opt_out_list = _chosen_columns(file)
    imports.choose_columns(database, now(), place, token, file_id, choices, is_opt_out_list)
    return _back_to_import(place, token, file_id)


@owner_contacts.get(f"/<place>/manage/<token>/contacts/import/<{ID}:file_id>/refused.csv")
def download_refused(place: str, token: str, file_id: int) -> Answer:
    """Download the rows of a file that can't be stored, with the reasons; they can be uploaded again."""
    database = service().database
    with database.read() as db:
        file = find_import(db, find_place_for_owner(db, place, token), file_id)
    return stream_csv(import_preview.refused_headings(file), import_preview.refused_cells(database, file))


@owner_contacts.post(f"/<place>/manage/<token>/contacts/import/<{ID}:file_id>/store")
@errors_on(show_import, "place", "token", "file_id")
def store_import(place: str, token: str, file_id: int) -> Answer:
    """Store the contacts of a file."""
    file = import_storing.store_import(service().database, now(), place, token, file_id)
    message = None  # the page says that it takes a while
    if file.state != "storing":
        message = f"Added {file.add_rows:,}, changed {file.change_rows:,}, skipped {file.refuse_rows:,}."
    return _back_to_import(place, token, file_id, message)


@owner_contacts.post(f"/<place>/manage/<token>/contacts/import/<{ID}:file_id>/discard")
@errors_on(show_import, "place", "token", "file_id")
def discard_import(place: str, token: str, file_id: int) -> Answer:
    """Discard a file."""
    write(imports.discard_import, place, token, file_id)
    return _back_to_contacts(place, token, "Import discarded. Nothing was stored.")


# ----- answering


def contacts_link(place: Place) -> str:
    """Return the link of a place's list of contacts."""
    return f"{owner_link(place)}/contacts"


def _back_to_contacts(place: str, token: str, message: str, **query: Any) -> Answer:
    if wants_json():
        return show_contacts(place, token)
    return see_other("owner_contacts.show_contacts", message, place=place, token=token, **query)


def _back_to_import(
    place: str, token: str, file_id: int, message: str | None = None, status: int = 200
) -> Answer:
    if not wants_json():
        return see_other("owner_contacts.show_import", message, place=place, token=token, file_id=file_id)
    response = show_import(place, token, file_id)
    response.status_code = status
    return response


# What the page says after an action.
ACTION_MESSAGES = {
    "add_to_list": "Added {changed} to {list}",
    "take_off": "Removed {changed} from {list}",
    "raise": "Raised the priority of {changed} on {list}",
    "lower": "Lowered the priority of {changed} on {list}",
    "do_not_call": "Set “do not call” for {changed}",
    "may_call": "Allowed calls again for {changed}",
    "tag": "Tagged {changed} with {tag}",
    "untag": "Removed {tag} from {changed}",
    "forget": "Erased {changed}",
}


# Why contacts were skipped, as the page says it; the keys are those of the JSON.
SKIPPED = {
    "must not be called": "do-not-call",
    "so already": "already set",
    "not there any more": "no longer there",
    "first already": "already first",
    "last already": "already last",
    "tagged so already": "already tagged",
    "without it already": "without this tag",
}


def _action_message(action: str, result: ActionResult, options: ActionOptions) -> str:
    message = ACTION_MESSAGES[action].format(
        changed=f"{result.changed:,}", list=result.list_name, tag=options.tag
    )
    if result.skipped:
        reasons = ", ".join(
            f"{count:,} {SKIPPED.get(reason, reason)}" for reason, count in result.skipped.items()
        )
        message += f", {result.skipped.total():,} skipped: {reasons}"
    return f"{message}."


# ----- JSON and CSV


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


def _report_json(place: Place, report: Report) -> dict[str, Any]:
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


def _choices(db: Connection, place: Place) -> dict[str, list[dict[str, Any]]]:
    """Return the lists, reasons and outcomes that can be chosen on the pages of contacts."""
    return {
        "lists": [slug_and_name(call_list) for call_list in call_lists(db, place)],
        "reasons": [{"id": reason.id, "name": reason.name} for reason in reasons_of(db, place)],
        "outcomes": [{"id": outcome.id, "name": outcome.name} for outcome in outcomes_of(db, place)],
    }


def _import_json(db: Connection, place: Place, file: ImportFile) -> dict[str, Any]:
    refused = import_preview.refused_rows(db, file, MAX_REFUSED_ROWS)
    remarks = import_preview.remarked_rows(db, file, MAX_REFUSED_ROWS)
    url = contacts_link(place)
    import_url = f"{url}/import/{file.id}"
    return {
        "id": file.id,
        "state": file.state,
        "rows": file.rows,
        "read": file.read,
        "why": file.why,
        "add": file.add_rows,
        "change": file.change_rows,
        "refuse": file.refuse_rows,
        "columns": file.column_fields,
        "column_list": [
            {"heading": column.heading, "field": column.field, "cells": column.cells}
            for column in column_samples(db, file)
        ],
        "is_opt_out_list": file.is_opt_out_list,
        "preview": [_preview_json(place, row) for row in import_preview.preview_rows(db, file)],
        "refused": [{"row": each.row, "why": each.why, "value": each.value} for each in refused],
        "refused_groups": _groups_json(import_preview.remark_groups(db, file, refused=True)),
        "remarks": [
            {"row": each.row, "remark": each.remark, "why": each.why, "value": each.value} for each in remarks
        ],
        "remark_groups": _groups_json(import_preview.remark_groups(db, file, refused=False)),
        "links": {
            "import": import_url,
            "columns": f"{import_url}/columns",
            "refused_csv": f"{import_url}/refused.csv",
            "store": f"{import_url}/store",
            "discard": f"{import_url}/discard",
            "contacts": url,
        },
    }


def _groups_json(groups: list[RemarkGroup]) -> list[dict[str, Any]]:
    return [
        {
            "why": group.why,
            "rows": group.rows,
            "examples": [
                {"row": each.row, "value": each.value, "remark": each.sentence} for each in group.examples
            ],
        }
        for group in groups
    ]


def _preview_json(place: Place, row: PreviewRow) -> dict[str, Any]:
    return {
        "row": row.row,
        "what": row.what,
        "name": row.name,
        "phone": format_phone(row.phone, place.country),
        "email": row.email,
        "address": row.address,
        "notes": row.notes,
        "reference": row.reference,
        "timezone": row.timezone,
        "why": row.why,
        "tags": split_tags(row.tags),
    }


def _csv_batches(database: Database, place: Place, wanted: ContactFilter) -> Iterator[list[list[Any]]]:
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
    """Return the cells of CSV_COLUMNS."""
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


# ----- reading requests


def _filters_of_request() -> dict[str, Any]:
    """Return the fields of ContactFilter in the query string; blank ones are left out.

    The form for actions repeats the filters of the page that it is on.
    """
    names = fields_of(ContactFilterForm)
    values: dict[str, list[str] | None] = {
        name: request.args.getlist(name) for name in names if request.args.get(name)
    }
    if request.endpoint == "owner_contacts.act_on_contacts" and not request.is_json:
        for name in names:
            sent_as = f"filter-{name}" if name in ("reason", "priority") else name  # the action has these too
            if request.form.get(sent_as):
                values[name] = request.form.getlist(sent_as)
    filters = parse_values(ContactFilterForm, values)
    return {name: value for name, value in filters.items() if value}


def _chosen_contacts() -> list[int] | ContactFilter:
    """Return the ids of the contacts that an action is for, or a filter for all that match."""
    if not request.is_json:
        if request.form.get("all"):
            return ContactFilter(**_filters_of_request())
        return _contact_ids(form_ids("ids"))
    content = json_object()
    ids, match = content.get("ids"), content.get("match")
    if (ids is None) == (match is None):
        raise BadInput('Contacts: give either "ids", or "match": "all" or filters.')
    if match is None:
        return _contact_ids(ids)
    if match == "all":
        return ContactFilter()
    known = fields_of(ContactFilterForm)
    if isinstance(match, dict) and match.keys() - known.keys():
        # If a misspelled filter were ignored, the action would run with everybody.
        raise BadInput(f"Match: the filters are {', '.join(known)}.")
    if match == {}:
        # A program whose filters came to nothing must not forget everybody.
        raise BadInput('Match: give at least one filter, or "all" for everybody.')
    return ContactFilter(**parse_json(ContactFilterForm, match))


def _contact_ids(ids: Any) -> list[int]:
    """Return a list of ids, each once. Raises BadInput for anything else."""
    # type() instead of isinstance(): true is no id.
    if not isinstance(ids, list) or any(type(each) is not int or abs(each) > MAX_ID + 1 for each in ids):
        raise BadInput("Ids: this must be a list of whole numbers.")
    if not ids:
        raise BadInput("Choose at least one contact.")
    return list(dict.fromkeys(ids))


def _contact_from_form() -> ContactFields:
    """Return the fields of a contact in a form; their content is checked when they are stored."""
    fields: ContactFields = {"phone_confirmed": phone_confirmed()}
    for name in TEXT_FIELDS:
        if name in request.form:
            fields[name] = request.form[name]
    if "tags" in request.form:
        fields["tags"] = request.form["tags"]
    ticked = request.form.get("do_not_call", "") not in UNTICKED
    # Unticking lifts it only if the page showed it ticked: somebody may have said no since.
    if ticked or request.form.get("was_do_not_call"):
        fields["do_not_call"] = ticked
    return fields


def _checked_contact(place: str, token: str, fields: ContactFields) -> ContactFields:
    """Return the fields of a new contact. Raises BadInput with the name of the field that is wrong."""
    with service().database.read() as db:
        country = find_place_for_owner(db, place, token).country
    details = contacts.validate_contact(fields, country)
    for name in ("name", "phone"):
        if not details.get(name):
            raise BadInput(contacts.MISSING_SENTENCES[name], field=name)
    return fields


def _contacts_from_json() -> Iterator[InputRow]:
    """Return the contacts of a JSON list, with an error for each that can't be read."""
    rows = json_object().get("contacts")
    if not isinstance(rows, list):
        raise BadInput("Contacts: this must be a list of contacts, such as [].")
    if len(rows) > MAX_ROWS:
        raise TooLarge(f"At most {MAX_ROWS:,} contacts at once, please: send the others after them.")
    return (_row_from_json(number, content) for number, content in enumerate(rows, 1))


def _row_from_json(number: int, content: Any) -> InputRow:
    try:
        return InputRow(number, _contact_from_json(content))
    except BadInput as error:
        return InputRow(number, error)


def _contact_from_json(content: Any) -> ContactFields:
    """Return the fields of a contact in a JSON object, whose types are checked here. Raises BadInput.

    Their content is checked when they are stored.
    """
    if isinstance(content, dict) and isinstance(content.get("tags"), str):
        content = content | {"tags": [content["tags"]]}
    if isinstance(content, dict):
        for key in content:
            if key != "do_not_call" and (is_opt_out_heading(key) or is_may_call_heading(key)):
                raise BadInput(f"Do not call: write do_not_call for {key}.")
    values = json_values(ContactForm, content)
    fields: ContactFields = {}
    for name in TEXT_FIELDS:
        if name in values:
            fields[name] = _first(values[name])
    if "tags" in values:
        fields["tags"] = values["tags"]
    do_not_call = _first(values.get("do_not_call"))
    if do_not_call is not None:
        fields["do_not_call"] = do_not_call == "true"
    return fields


def _first(texts: list[str] | None) -> str | None:
    return texts[0] if texts else None


def _chosen_columns(file: ImportFile) -> tuple[list[ColumnChoice], bool | None]:
    """Return what each column of a file is, and whether it is a list of numbers not to call. Raises BadInput.

    In a form, each column has a menu: column-0, column-1 and so on.
    """
    if request.is_json:
        content = json_object()
        unknown = content.keys() - {"columns", "do_not_call"}
        if unknown:
            raise BadInput(f"There is no field {min(unknown)} here: the fields are columns, do_not_call.")
        is_opt_out_list = content.get("do_not_call")
        if is_opt_out_list is not None and type(is_opt_out_list) is not bool:
            raise BadInput("Do not call: this must be true or false.")
        if "columns" not in content:
            raise BadInput("Columns: please fill this in.")
        return parse_choices(file, content["columns"]), is_opt_out_list
    names = [name for name in request.form if re.fullmatch("column-[0-9]{1,3}", name)]
    chosen = [request.form.get(f"column-{number}") or None for number in range(len(names))]
    return parse_choices(file, chosen), "do_not_call" in request.form


def _uploaded_content() -> bytes | str:
    """Return the file that was uploaded, or the text that was pasted. Raises BadInput."""
    if request.is_json:
        content: bytes | str | None = parse(PastedTextForm, "text")["text"]
    else:
        file = request.files.get("file")
        content = file.read() if file and file.filename else request.form.get("text")
    if not content:
        raise BadInput("File: please choose one, or paste the rows.")
    return content
