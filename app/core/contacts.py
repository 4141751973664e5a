"""Contacts: the people and places that can be called.

What somebody writes about a contact (`ContactFields`) is validated into what is stored (`ContactDetails`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

from sqlalchemy.engine import Connection

from app.clock import DAY_S
from app.core.contacts_on_lists import cancel_calls, erase_call_details
from app.core.days import time_zones
from app.core.history import record
from app.core.models import Contact, Place
from app.core.opt_outs import forbid_numbers, is_opted_out, lift_numbers
from app.core.phones import ANY_READING, read_phone, read_phones
from app.core.places import find_place_for_owner
from app.core.queries import OPEN_CALL
from app.core.tags import join_tags
from app.errors import BadInput, Conflict, NotFound
from app.storage.database import Database
from app.storage.sql import insert_returning, load, load_all, load_first, run, update
from app.text import EMAIL_ADDRESS, tidy

TextField = Literal["name", "phone", "email", "address", "notes", "reference", "timezone"]
TEXT_FIELDS: tuple[TextField, ...] = get_args(TextField)
MULTILINE_FIELDS = ("address", "notes")
MAX_LENGTHS = {  # characters
    "name": 120,
    "phone": 60,
    "email": 200,
    "address": 300,
    "notes": 2000,
    "reference": 80,
    "timezone": 60,
    "tags": 500,
}
# What is said when one of these is left out
MISSING_SENTENCES = {"name": "Please enter a name.", "phone": "Please enter a phone number."}
LABELS = {  # what error messages call the fields
    "name": "Name",
    "phone": "Phone",
    "email": "Email",
    "address": "Address",
    "notes": "Notes",
    "reference": "Reference",
    "timezone": "Time zone",
    "tags": "Tags",
}

MAX_FORGOTTEN = 500  # contacts that one write forgets


class ContactFields(TypedDict, total=False):
    """A contact as somebody writes it. An absent field stays as it is; None empties it."""

    name: str | None
    phone: str | None
    email: str | None
    address: str | None
    notes: str | None
    reference: str | None
    timezone: str | None
    tags: list[str] | str | None  # a text may hold several, with commas between them
    do_not_call: bool | None  # None leaves it as it is
    phone_confirmed: str  # from a form: the number that a person was asked about; see read_phone()


class ContactDetails(TypedDict, total=False):
    """A contact as it is stored, validated. An absent field stays as it is; None is empty."""

    name: str | None
    phone: str | None
    email: str | None
    address: str | None
    notes: str | None
    reference: str | None
    timezone: str | None
    tags: str
    do_not_call: bool


@dataclass(frozen=True)
class OpenCall:
    """A call that a contact waits for, or that a caller has now."""

    contact_id: int
    slug: str  # of the call list
    name: str  # of the call list
    state: str
    due_at: float


# ----- validation


def validate_contact(fields: ContactFields, country: str) -> ContactDetails:
    """Return the fields as they are stored. Raises BadInput for the first one that can't be used."""
    details: ContactDetails = {}
    for field in TEXT_FIELDS:
        if field in fields:
            details[field] = _tidy_field(field, fields[field])
    if "tags" in fields:
        details["tags"] = join_tags(fields["tags"])
    _check_lengths(details)
    phone, email, timezone = details.get("phone"), details.get("email"), details.get("timezone")
    if phone:
        details["phone"] = read_phone(phone, country, fields.get("phone_confirmed", ANY_READING))
    if email and not re.fullmatch(EMAIL_ADDRESS, email):
        raise BadInput("Email: please write an address such as ana@example.org.", field="email")
    if timezone and timezone not in time_zones():
        raise BadInput("Time zone: please choose one such as Europe/Berlin.", field="timezone")
    do_not_call = fields.get("do_not_call")
    if do_not_call is not None:
        details["do_not_call"] = do_not_call
    return details


def _tidy_field(field: TextField, value: str | None) -> str | None:
    text = tidy(value)
    if text is None or field in MULTILINE_FIELDS:
        return text
    return " ".join(text.split())


def _check_lengths(details: ContactDetails) -> None:
    lengths: dict[str, int] = {field: len(details.get(field) or "") for field in TEXT_FIELDS}
    lengths["tags"] = len(details.get("tags", ""))
    for field, max_length in MAX_LENGTHS.items():
        if lengths[field] > max_length:
            raise BadInput(f"{LABELS[field]}: please use at most {max_length:,} characters.", field=field)


def search_text(name: str | None, phone: str | None, reference: str | None, email: str | None) -> str:
    """Return what the owner's search looks through: a line for each of these, the phone as bare digits."""
    digits = re.sub(r"\D", "", phone or "")
    return "\n".join(
        ((name or "").casefold(), digits, (reference or "").casefold(), (email or "").casefold())
    )


# ----- reading


def find_contact(db: Connection, place: Place, contact_id: int) -> Contact:
    """Return a contact of a place. Raises NotFound, also for one that was forgotten."""
    sql = "SELECT * FROM contact WHERE id = :id AND place_id = :place AND forgotten_at IS NULL"
    contact = load_first(Contact, run(db, sql, id=contact_id, place=place.id))
    if contact is None:
        raise NotFound("There is no such contact. It may have been forgotten.")
    return contact


def count_contacts(db: Connection, place: Place) -> int:
    """Return how many contacts a place has."""
    sql = "SELECT count(*) FROM contact WHERE place_id = :place AND forgotten_at IS NULL"
    return int(run(db, sql, place=place.id).scalar_one())


def open_calls_of(db: Connection, at: float, contact_ids: Sequence[int]) -> dict[int, list[OpenCall]]:
    """Return the open calls of contacts, by the id of the contact.

    A call with a claim that has run out is waiting again.
    """
    if not contact_ids:
        return {}
    sql = f"""SELECT ticket.contact_id, joined_at AS due_at, queue.slug, queue.name,
                     CASE WHEN claimed_until <= :at THEN 'waiting' ELSE state END AS state
              FROM ticket JOIN queue ON queue.id = queue_id
              WHERE {OPEN_CALL} AND contact_id IN :ids ORDER BY ticket.id"""
    calls: dict[int, list[OpenCall]] = {}
    for call in load_all(OpenCall, run(db, sql, ids=list(contact_ids), at=at)):
        calls.setdefault(call.contact_id, []).append(call)
    return calls


# ----- adding and changing


def find_or_add_contact(
    db: Connection,
    at: float,
    place: Place,
    *,
    phone: str | None,
    name: str | None = None,
    email: str | None = None,
    address: str | None = None,
    notes: str | None = None,
    phone_confirmed: str = ANY_READING,
    hidden_lists: Collection[int] = (),
) -> Contact:
    """Return the contact with this phone number, as somebody typed it, or add one. Raises BadInput.

    `phone_confirmed` is the number that they were asked about; see read_phone().

    Of several contacts with the number it is the one with this name, else one that is on a call list, else
    the oldest. The other values fill empty fields of a known contact; only the owner can overwrite a field.

    Somebody who only was on `hidden_lists` counts as unknown: whoever knows the number of such a contact must
    neither learn anything about them nor change it. "Do not call" belongs to the number, so it is taken over.
    """
    fields: ContactFields = {"name": name, "phone": phone, "email": email, "address": address, "notes": notes}
    fields["phone_confirmed"] = phone_confirmed
    details = validate_contact(fields, place.country)
    if not details["phone"]:
        raise BadInput(MISSING_SENTENCES["phone"], field="phone")
    sharing = _find_by_phone(db, place, details["phone"])
    hidden = _only_on(db, sharing, hidden_lists)
    known = _best_match([each for each in sharing if each.id not in hidden], details["name"])
    if known is None:
        details["do_not_call"] = any(each.do_not_call for each in sharing)
        return _add_contact(db, at, place, details)
    missing: ContactDetails = {}
    for field in TEXT_FIELDS:
        if details.get(field) and not getattr(known, field):
            missing[field] = details[field]
    return _store_changes(db, at, known, missing) if missing else known


def _find_by_phone(db: Connection, place: Place, phone: str) -> list[Contact]:
    sql = f"""SELECT * FROM contact WHERE place_id = :place AND phone = :phone AND forgotten_at IS NULL
              ORDER BY EXISTS (SELECT 1 FROM ticket WHERE contact_id = contact.id AND {OPEN_CALL}) DESC, id"""
    return load_all(Contact, run(db, sql, place=place.id, phone=phone))


def _only_on(db: Connection, sharing: list[Contact], lists: Collection[int]) -> set[int]:
    """Return the ids of those contacts who are or were on one of these call lists, and on no other."""
    if not sharing or not lists:
        return set()
    result = run(
        db,
        """SELECT contact_id FROM ticket WHERE contact_id IN :ids GROUP BY contact_id
           HAVING sum(CASE WHEN queue_id IN :lists THEN 0 ELSE 1 END) = 0""",
        ids=[contact.id for contact in sharing],
        lists=list(lists),
    )
    return set(result.scalars())


def _best_match(sharing: list[Contact], name: str | None) -> Contact | None:
    for contact in sharing:
        if contact.name.casefold() == (name or "").casefold():
            return contact
    return sharing[0] if sharing else None


def columns_of_new(details: ContactDetails) -> dict[str, Any]:
    """Return what the table of contacts stores of a new contact, by column."""
    name, phone = details.get("name") or "", details["phone"]
    reference, email = details.get("reference"), details.get("email")
    return {
        "name": name,
        "phone": phone,
        "email": email,
        "address": details.get("address"),
        "notes": details.get("notes"),
        "tags": details.get("tags", ""),
        "reference": reference,
        "timezone": details.get("timezone"),
        "search": search_text(name, phone, reference, email),
        "do_not_call": int(details.get("do_not_call", False)),
    }


def _add_contact(db: Connection, at: float, place: Place, details: ContactDetails) -> Contact:
    row = insert_returning(
        db, "contact", place_id=place.id, **columns_of_new(details), created_at=at, changed_at=at
    )
    contact = load(Contact, row)
    record(db, at, place.id, "add-contact", contact_id=contact.id)
    if contact.do_not_call or is_opted_out(db, place.id, contact.phone):
        forbid_numbers(db, at, place.id, [contact.phone])
        return find_contact(db, place, contact.id)
    return contact


def change_contact(
    db: Connection, at: float, slug: str, token: str, contact_id: int, fields: ContactFields
) -> Contact:
    """Change the fields that are given, for the owner.

    "Do not call" belongs to the number: it is set, or lifted, for everybody who has it. Raises BadInput, and
    Conflict for a reference that another contact has.
    """
    place = find_place_for_owner(db, slug, token)
    contact = find_contact(db, place, contact_id)
    if fields.get("phone_confirmed") == "":
        fields = {**fields, "phone_confirmed": contact.phone}  # the number that it has needs no question
    details = validate_contact(fields, place.country)
    if "phone" in details and not details["phone"]:
        raise BadInput(MISSING_SENTENCES["phone"], field="phone")
    reference = details.get("reference")
    if reference:
        _check_reference_is_free(db, contact, reference)
    if details.get("do_not_call") and fields.get("phone"):
        forbid_numbers(db, at, place.id, read_phones(fields["phone"] or "", place.country))
    return _store_changes(db, at, contact, details)


def _check_reference_is_free(db: Connection, contact: Contact, reference: str) -> None:
    sql = "SELECT name FROM contact WHERE place_id = :place AND reference = :reference AND id <> :id"
    other = run(db, sql, place=contact.place_id, reference=reference, id=contact.id).first()
    if other:
        raise Conflict(
            f"Reference: {other.name or 'another contact'} has this one already.", field="reference"
        )


def _store_changes(db: Connection, at: float, contact: Contact, details: ContactDetails) -> Contact:
    columns: dict[str, Any] = dict(details)
    columns.pop("do_not_call", None)
    if "name" in details:
        columns["name"] = details["name"] or ""
    search = search_text(
        details.get("name", contact.name),
        details.get("phone", contact.phone),
        details.get("reference", contact.reference),
        details.get("email", contact.email),
    )
    changed = load(Contact, update(db, "contact", contact.id, changed_at=at, search=search, **columns))
    record(db, at, contact.place_id, "change-contact", contact_id=contact.id, detail=" ".join(details))
    forbids = details.get("do_not_call", contact.do_not_call)  # it moves along to a new number
    if contact.do_not_call and not forbids:
        lift_numbers(db, at, contact.place_id, [changed.phone])
    elif forbids or is_opted_out(db, contact.place_id, changed.phone):
        forbid_numbers(db, at, contact.place_id, [changed.phone])
    return load(Contact, run(db, "SELECT * FROM contact WHERE id = :id", id=contact.id).one())


def forbid_calls(
    db: Connection,
    at: float,
    contact: Contact,
    include_claimed: bool = True,
    kept_lists: Collection[int] = (),
) -> None:
    """Set "do not call" for the number of a contact, and end the calls of everybody who has it.

    Without `include_claimed`, the calls that callers have now go on. The calls on `kept_lists` stay there,
    but nobody is given them.
    """
    if contact.forgotten_at is None:
        forbid_numbers(db, at, contact.place_id, [contact.phone], include_claimed, kept_lists)
    else:
        cancel_calls(db, at, [contact.id], include_claimed=include_claimed, kept_lists=kept_lists)


# ----- forgetting


def forget_contact(db: Connection, at: float, slug: str, token: str, contact_id: int) -> None:
    """Erase everything that is known of a contact, for the owner. Raises NotFound."""
    place = find_place_for_owner(db, slug, token)
    contact = find_contact(db, place, contact_id)
    forget_contacts(db, at, place.id, [contact.id])
    erase_import_details(db, place.id)


def erase_import_details(db: Connection, place_id: int) -> None:
    """Erase what the files of a place say beside contacts: a contact that was forgotten may be in there."""
    files = "import_file_id IN (SELECT id FROM import_file WHERE place_id = :place)"
    run(db, f"DELETE FROM import_content WHERE {files}", place=place_id)
    run(
        db,
        f"UPDATE import_remark SET value = '', sentence = why WHERE {files} AND value <> ''",
        place=place_id,
    )
    run(
        db,
        f"UPDATE import_row SET value = NULL, cells = NULL WHERE {files} AND what = 'refuse'",
        place=place_id,
    )


def forget_contacts(db: Connection, at: float, place_id: int, contact_ids: list[int]) -> None:
    """Erase everything that is known of contacts, and take them off every list.

    The rows stay without their content, so that the figures of calls stay as they are.
    """
    cancel_calls(db, at, contact_ids)
    erase_call_details(db, contact_ids)
    run(db, "DELETE FROM mail WHERE contact_id IN :ids", ids=contact_ids)
    run(db, "UPDATE report SET notes = NULL WHERE contact_id IN :ids AND notes IS NOT NULL", ids=contact_ids)
    # Of a row that isn't stored yet, only an opt-out stays: it belongs to the number.
    sql = """UPDATE import_row SET what = 'do-not-call', contact = NULL,
                    phone = coalesce(phone, (SELECT phone FROM contact WHERE id = import_row.contact)),
                    name = NULL, email = NULL, address = NULL, notes = NULL, tags = NULL, reference = NULL,
                    timezone = NULL, search = NULL
             WHERE contact IN :ids AND do_not_call = 1"""
    run(db, sql, ids=contact_ids)
    run(db, "DELETE FROM import_row WHERE contact IN :ids", ids=contact_ids)
    sql = """UPDATE contact SET name = '', phone = '', email = NULL, address = NULL, notes = NULL, tags = '',
                    reference = NULL, timezone = NULL, search = '', last_called_at = NULL,
                    last_outcome = NULL, changed_at = :at, forgotten_at = :at WHERE id IN :ids"""
    run(db, sql, at=at, ids=contact_ids)
    record(db, at, place_id, "forget", contact_id=contact_ids[0], detail=str(len(contact_ids)))


# A contact that neither changed nor was called since `before`, and that no list has.
_OLD = f"""forgotten_at IS NULL AND changed_at < :before
           AND (last_called_at IS NULL OR last_called_at < :before)
           AND NOT EXISTS (SELECT 1 FROM ticket WHERE contact_id = contact.id AND {OPEN_CALL})"""


def forget_old_contacts(database: Database, at: float, keep_days: int) -> bool:
    """Forget contacts that neither changed nor were called for `keep_days` and have no open call.

    Also erases the notes of reports that are as old. Returns True when there is more to do.
    """
    before = at - keep_days * DAY_S
    with database.read_long() as db:  # reading first, so that nothing is written when there is nothing to do
        sql = f"SELECT id, place_id FROM contact WHERE {_OLD} ORDER BY changed_at LIMIT :limit"
        old = run(db, sql, before=before, limit=MAX_FORGOTTEN).all()
        sql = "SELECT id FROM report WHERE notes IS NOT NULL AND created_at < :before LIMIT :limit"
        report_ids = list(run(db, sql, before=before, limit=MAX_FORGOTTEN).scalars())
    for place_id in {contact.place_id for contact in old}:
        contact_ids = [contact.id for contact in old if contact.place_id == place_id]
        database.write(_forget_if_still_old, at, place_id, contact_ids, before)
    if report_ids:
        database.write(_erase_notes, report_ids)
    return MAX_FORGOTTEN in (len(old), len(report_ids))


def _forget_if_still_old(
    db: Connection, at: float, place_id: int, contact_ids: list[int], before: float
) -> None:
    # Checked again: somebody may have put a contact on a list since they were looked up.
    sql = f"SELECT id FROM contact WHERE id IN :ids AND {_OLD}"
    still_old = list(run(db, sql, ids=contact_ids, before=before).scalars())
    if still_old:
        forget_contacts(db, at, place_id, still_old)


def _erase_notes(db: Connection, report_ids: list[int]) -> None:
    run(db, "UPDATE report SET notes = NULL WHERE id IN :ids", ids=report_ids)
