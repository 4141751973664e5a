"""The owner's contacts: the list, one contact, and actions on many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, request

from app.clock import now
from app.core import contact_actions, contact_search, contacts, imports
from app.core.columns import is_may_call_heading, is_opt_out_heading
from app.core.contact_actions import ActionOptions, ActionResult
from app.core.contact_search import ContactFilter
from app.core.contacts import TEXT_FIELDS, ContactFields
from app.core.countries import country_names
from app.core.days import time_zones
from app.core.import_staging import InputRow
from app.core.places import find_place_for_owner
from app.core.queues import find_call_list
from app.core.reports import reports_of
from app.core.sheets import MAX_ROWS
from app.errors import BadInput, ServiceError, TooLarge
from app.text import tidy
from app.web.contact_json import (
    CSV_COLUMNS,
    choices_json,
    contact_report_json,
    contacts_json,
    contacts_link,
    csv_batches,
)
from app.web.csv_export import stream_csv
from app.web.forms import UNTICKED, ContactActionForm, ContactFilterForm, ContactForm, PageForm
from app.web.owner import ADDED, SAVED
from app.web.owner_json import owner_link
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

MAX_REPORTS = 100  # on the page of a contact


# ----- the list


@owner_contacts.get("/<place>/manage/<token>/contacts")
def show_contacts(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the contacts that match the filters, a page at a time."""
    filters = _filters_of_request()
    page_number = parse_query(PageForm).get("page", 1)
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        found = contact_search.contacts_page(db, row, ContactFilter(**filters), page_number)
        choices = choices_json(db, row)
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
    return stream_csv(CSV_COLUMNS, csv_batches(database, row, wanted))


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
    return back_to_contacts(
        place, token, ADDED if added.added else "This contact was known, and was changed."
    )


def back_to_contacts(place: str, token: str, message: str, **query: Any) -> Answer:
    """Answer a press: the contacts as JSON, or a redirect to their page.

    :param query: the filters that stay
    """
    if wants_json():
        return show_contacts(place, token)
    return see_other("owner_contacts.show_contacts", message, place=place, token=token, **query)


# ----- one contact


@owner_contacts.get(f"/<place>/manage/<token>/contacts/<{ID}:contact_id>")
def show_contact(place: str, token: str, contact_id: int, error: ServiceError | None = None) -> Answer:
    """Show a contact with its calls, and the form to change it."""
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        contact = contacts.find_contact(db, row, contact_id)
        content = contacts_json(db, now(), row, [contact])[0]
        content["reports"] = [
            contact_report_json(row, each) for each in reports_of(db, contact.id, MAX_REPORTS)
        ]
        choices = choices_json(db, row)
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
    return back_to_contacts(place, token, "Erased permanently.")


# ----- actions on many


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
    return back_to_contacts(place, token, _action_message(action, result, options), **query)


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
