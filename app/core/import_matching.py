"""What becomes of the rows of an import: each adds a contact, changes one, or is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy.engine import Connection

from app.core.contacts import TEXT_FIELDS, ContactDetails, columns_of_new, search_text
from app.core.models import Contact, Place
from app.core.tags import split_tags
from app.storage.sql import load_all, run

ADD = "add"
CHANGE = "change"
SAME = "same"  # nothing in the row is new
REFUSE = "refuse"
FORBID = "do-not-call"  # nothing in the row is stored but that nobody may call the number

SAME_CONTACT = "This is the same contact as in an earlier row."


@dataclass(frozen=True)
class StagedRow:
    """A row of the table import_row.

    A row to add holds the new contact in full. A row to change holds only what changes, and the tags that
    are added, as "a\\nb\\n".
    """

    number: int
    what: str
    why: str | None = None  # why it is refused
    contact: int | None = None  # id of the known contact
    do_not_call: int = 0
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    address: str | None = None
    notes: str | None = None
    tags: str | None = None
    reference: str | None = None
    timezone: str | None = None
    search: str | None = None
    value: str | None = None  # of a refused row: the cell that is wrong
    cells: str | None = None  # of a refused row: its cells, as JSON
    other_phones: str | None = None  # of somebody who must not be called: their other numbers


@dataclass
class EarlierRows:
    """Which row of an import had a reference, a phone number or a known contact before.

    Several contacts can share a phone number if their references differ. So two rows with the same number
    are about the same contact if one of them has no reference.
    """

    references: dict[str, int] = field(default_factory=dict)
    contacts: dict[int, int] = field(default_factory=dict)  # by the id of the known contact
    phones_with_reference: dict[str, int] = field(default_factory=dict)
    phones_without_reference: dict[str, int] = field(default_factory=dict)

    def find(self, phone: str, reference: str | None, contact: Contact | None) -> int | None:
        """Return the number of an earlier row about the same contact."""
        matches = [self.contacts.get(contact.id)] if contact else []
        matches.append(self.phones_without_reference.get(phone))
        if reference:
            matches.append(self.references.get(reference))
        else:
            matches.append(self.phones_with_reference.get(phone))
        return next((number for number in matches if number is not None), None)

    def add(self, number: int, phone: str, reference: str | None, contact: Contact | None) -> None:
        """Remember a row."""
        if reference:
            self.references[reference] = number
            self.phones_with_reference[phone] = number
        else:
            self.phones_without_reference[phone] = number
        if contact:
            self.contacts[contact.id] = number


def match_rows(
    db: Connection, place: Place, rows: list[tuple[int, ContactDetails]], earlier: EarlierRows
) -> list[StagedRow]:
    """Return what becomes of each row, given those before it.

    It changes the contact that has its reference, or else one that has its phone number, if not both have
    a reference. Otherwise it adds a contact.
    """
    known_references = _known_contacts(
        db, place, "reference", [details.get("reference") for _, details in rows]
    )
    by_reference = {contact.reference: contact for contact in known_references}
    by_phone: dict[str, list[Contact]] = {}
    for contact in _known_contacts(db, place, "phone", [details["phone"] for _, details in rows]):
        by_phone.setdefault(contact.phone, []).append(contact)

    staged: list[StagedRow] = []
    for number, details in rows:
        phone, reference = details["phone"] or "", details.get("reference")
        known = by_reference.get(reference) if reference else None
        forbids = details.get("do_not_call", False)
        if not details.get("name"):
            staged.append(_row_to_forbid(number, phone or (known.phone if known else "")))
            continue
        if known is None:
            known = _sharing_contact(by_phone.get(phone, []), details)
            # Whoever says no at a number need not be the contact that has it.
            if forbids and known is not None and known.name.casefold() != (details["name"] or "").casefold():
                staged.append(_row_to_forbid(number, phone))
                continue
        same_as = earlier.find(phone, reference, known)
        if same_as is not None and forbids:
            staged.append(_row_to_forbid(number, phone))
            continue
        if same_as is not None:
            why = f"This is the same contact as in row {same_as}."
            staged.append(StagedRow(number, REFUSE, why=why, value=f"row {same_as}"))
            continue
        earlier.add(number, phone, reference, known)
        staged.append(
            StagedRow(number, ADD, **columns_of_new(details))
            if known is None
            else _row_to_change(number, details, known)
        )
    return staged


def _sharing_contact(sharing: list[Contact], details: ContactDetails) -> Contact | None:
    """Return the contact with the phone number of a row that the row is about, by its name if it can be."""
    possible = [each for each in sharing if not (details.get("reference") and each.reference)]
    name = (details.get("name") or "").casefold()
    return next((each for each in possible if each.name.casefold() == name), next(iter(possible), None))


def _row_to_forbid(number: int, phone: str) -> StagedRow:
    if not phone:
        return StagedRow(number, REFUSE, why="Do not call: there is no number that this can be about.")
    return StagedRow(number, FORBID, do_not_call=1, phone=phone)


def _known_contacts(
    db: Connection, place: Place, column: Literal["reference", "phone"], values: Iterable[str | None]
) -> list[Contact]:
    """Return the contacts that have one of these references or phone numbers, by id."""
    present = sorted({value for value in values if value})
    sql = f"""SELECT * FROM contact WHERE place_id = :place AND forgotten_at IS NULL AND {column} IN :values
              ORDER BY id"""
    return load_all(Contact, run(db, sql, place=place.id, values=present))


def _row_to_change(number: int, details: ContactDetails, contact: Contact) -> StagedRow:
    """Return a row with what is new in it.

    An empty cell erases nothing, and an import never clears "do not call".
    """
    new: dict[str, str | None] = {
        name: details[name]
        for name in TEXT_FIELDS
        if details.get(name) and details[name] != getattr(contact, name)
    }
    known_tags = {tag.casefold() for tag in contact.tag_list}
    tags = [tag for tag in split_tags(details.get("tags")) if tag.casefold() not in known_tags]
    if tags:
        new["tags"] = "".join(f"{tag}\n" for tag in tags)
    do_not_call = details.get("do_not_call", False)
    if not new and (contact.do_not_call or not do_not_call):
        return StagedRow(number, SAME, contact=contact.id, do_not_call=int(do_not_call))
    search = search_text(
        new.get("name", contact.name),
        new.get("phone", contact.phone),
        new.get("reference", contact.reference),
        new.get("email", contact.email),
    )
    return StagedRow(number, CHANGE, contact=contact.id, do_not_call=int(do_not_call), search=search, **new)
