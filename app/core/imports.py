"""Imports: contacts from a file, or from a program.

An import has two steps. First its rows are staged: each is validated, matched with the known contacts, and
kept in the table import_row with what will become of it. Then, when the owner agrees, all rows are stored in
one transaction. Staging takes many small writes, so that nobody has to wait long for the writer.

add_contacts() does both steps, which may take minutes. So it takes a `clock`, which returns the time of each.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import attrgetter
from typing import Literal

from sqlalchemy.engine import Connection

from app.core.contacts import TEXT_FIELDS, ContactDetails, ContactFields, search_text, validate_contact
from app.core.history import record
from app.core.models import Contact, Place
from app.core.opt_outs import forbid_numbers, mark_opted_out
from app.core.phones import format_phone, read_phone, scan_phone
from app.core.places import find_place_for_owner
from app.core.sheets import InputRow, numbers_of, open_sheet, rows_of
from app.core.tags import split_tags
from app.errors import BadInput, Conflict, NotFound
from app.storage.database import Database
from app.storage.sql import insert_many, insert_returning, load, load_all, load_first, run

log = logging.getLogger("takeanumber")

MAX_BATCH = 500  # rows that one write stages
MAX_ERASED = 2000  # rows that one write erases
MAX_ROWS_IN_REQUEST = 1000  # up to so many rows are staged while the browser waits
KEPT_S = 86_400  # how long an import can be stored, and looked at

# What will become of a row.
ADD = "add"
CHANGE = "change"
SAME = "same"  # nothing in the row is new
REFUSE = "refuse"
FORBID = "do-not-call"  # nothing in the row is stored but that nobody may call the number


@dataclass(frozen=True)
class ImportFile:
    """An import and the figures of its rows."""

    id: int
    place_id: int
    state: str  # "reading", then "ready" or "failed", then "stored" or "discarded"
    columns: str  # as stored; see column_fields
    why: str | None  # why it failed
    rows: int  # of the file; 0 for contacts from a program
    read: int  # rows staged so far
    add_rows: int
    change_rows: int  # also counts rows in which nothing is new
    refuse_rows: int
    created_at: float

    @property
    def column_fields(self) -> dict[str, str | None]:
        """The field of a contact that each column is read as, by its heading."""
        fields: dict[str, str | None] = json.loads(self.columns or "{}")
        return fields


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
    remark: str | None = None  # what the owner should look at, though the row is stored


@dataclass(frozen=True)
class PreviewRow:
    """A staged row, completed with what is known of the contact that it changes."""

    row: int
    what: str
    why: str | None
    name: str | None
    phone: str | None
    email: str | None
    address: str | None
    notes: str | None
    tags: str | None
    reference: str | None
    timezone: str | None


@dataclass(frozen=True)
class RefusedRow:
    """A row that can't be stored, and why."""

    row: int
    why: str


@dataclass(frozen=True)
class RemarkedRow:
    """A row that is stored, but that the owner should look at."""

    row: int
    remark: str


@dataclass(frozen=True)
class AddedContacts:
    """What became of contacts that were sent to be stored at once."""

    added: int
    changed: int
    refused: list[RefusedRow]


# ----- staging


def upload(
    database: Database, at: float, slug: str, token: str, content: bytes | str, is_opt_out_list: bool = False
) -> ImportFile:
    """Stage the rows of a file, for the owner. Raises BadInput for a file that holds no contacts.

    With `is_opt_out_list`, the file holds numbers that must not be called, and no contact is added.

    A long file is staged by a thread of its own, while its page shows the progress.
    """
    with database.read() as db:
        place = find_place_for_owner(db, slug, token)
    sheet = open_sheet(content, is_opt_out_list=is_opt_out_list)
    rows = numbers_of(sheet) if is_opt_out_list else rows_of(sheet)
    file = database.write(_begin_import, at, slug, token, sheet.rows, sheet.columns())
    if sheet.rows <= MAX_ROWS_IN_REQUEST:
        _stage_sheet(database, place, file, rows)
    else:
        arguments = (database, place, file, rows)
        threading.Thread(target=_stage_sheet, args=arguments, name="import", daemon=True).start()
    return file


def add_contacts(
    database: Database, clock: Callable[[], float], slug: str, token: str, contacts: Iterable[InputRow]
) -> AddedContacts:
    """Add or change contacts at once, for the owner; rows that can't be stored are refused one by one."""
    with database.read() as db:
        place = find_place_for_owner(db, slug, token)
    file = database.write(_begin_import, clock(), slug, token, 0, {})
    _stage_rows(database, place, file, contacts)
    file = database.write(_store, clock(), slug, token, file.id)
    with database.read() as db:
        refused = refused_rows(db, file)
    database.write(_set_discarded, file.id)
    erase_old_imports(database, clock())
    return AddedContacts(file.add_rows, file.change_rows, refused)


def fail_unread_imports(db: Connection) -> None:
    """Mark the imports as failed that a server was staging when it stopped; called when a server starts."""
    why = "The server was started again while it read this file. Nothing was stored; please upload it again."
    run(db, "UPDATE import_file SET state = 'failed', why = :why WHERE state = 'reading'", why=why)


def _begin_import(
    db: Connection, at: float, slug: str, token: str, rows: int, columns: Mapping[str, str | None]
) -> ImportFile:
    place = find_place_for_owner(db, slug, token)
    row = insert_returning(
        db,
        "import_file",
        place_id=place.id,
        state="reading",
        columns=json.dumps(columns),
        rows=rows,
        read=0,
        add_rows=0,
        change_rows=0,
        refuse_rows=0,
        created_at=at,
    )
    return load(ImportFile, row)


def _stage_sheet(database: Database, place: Place, file: ImportFile, rows: Iterator[InputRow]) -> None:
    """Stage a file; an error ends up in the file's row, where its page shows it."""
    try:
        _stage_rows(database, place, file, rows)
    except NotFound:
        log.info("An import was discarded while it was read")
    except Exception:
        log.exception("An import failed")
        why = "Something went wrong on our side. Nothing was stored; please try again."
        database.write(_set_failed, file.id, why)


def _stage_rows(database: Database, place: Place, file: ImportFile, rows: Iterable[InputRow]) -> None:
    earlier = _EarlierRows()
    rows = iter(rows)
    while batch := list(islice(rows, MAX_BATCH)):
        valid, refused = _validate_rows(batch, place.country)
        remarks = {number: _remark(contact, place.country) for number, contact in batch}
        with database.read() as db:
            matched = _match_rows(db, place, valid, earlier)
        matched = [replace(row, remark=remarks[row.number]) if row.what != REFUSE else row for row in matched]
        staged = sorted(refused + matched, key=attrgetter("number"))
        database.write(_insert_staged, file.id, staged)
    database.write(_set_ready, file.id)


def _validate_rows(
    rows: list[InputRow], country: str
) -> tuple[list[tuple[int, ContactDetails]], list[StagedRow]]:
    """Return the valid rows with their numbers, and the others as they are staged."""
    valid: list[tuple[int, ContactDetails]] = []
    refused: list[StagedRow] = []
    for number, contact in rows:
        try:
            valid.append((number, _validate_row(contact, country)))
        except BadInput as error:
            opt_out = _opt_out_of(contact, country)
            if opt_out is None:
                refused.append(StagedRow(number, REFUSE, why=str(error)))
            else:
                valid.append((number, opt_out))
    return valid, refused


def _validate_row(contact: ContactFields | BadInput, country: str) -> ContactDetails:
    if isinstance(contact, BadInput):
        raise contact
    details = validate_contact(contact, country)
    if not details.get("name"):
        raise BadInput("Name: please fill this in.")
    if not details.get("phone"):
        raise BadInput("Phone: please fill this in.")
    return details


def _opt_out_of(contact: ContactFields | BadInput, country: str) -> ContactDetails | None:
    """Return what counts of a row that can't be stored: that somebody must not be called."""
    if isinstance(contact, BadInput) or not contact.get("do_not_call"):
        return None
    phone, reference = contact.get("phone"), contact.get("reference")
    try:
        return {"do_not_call": True, "phone": read_phone(phone or "", country), "reference": reference}
    except BadInput:
        return {"do_not_call": True, "phone": None, "reference": reference} if reference else None


def _remark(contact: ContactFields | BadInput, country: str) -> str | None:
    """Return what the owner should know of how a number was read."""
    phone = None if isinstance(contact, BadInput) else contact.get("phone")
    if not phone:
        return None
    try:
        reading = scan_phone(phone, country)
    except BadInput:
        return None
    shown = format_phone(reading.phone, country)
    if reading.others:
        return f"“{phone.strip()}” was read as {shown}. Also there: {', '.join(reading.others)}."
    return None if reading.is_certain else f"“{phone.strip()}” was read as {shown}. Please check it."


@dataclass
class _EarlierRows:
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


def _match_rows(
    db: Connection, place: Place, rows: list[tuple[int, ContactDetails]], earlier: _EarlierRows
) -> list[StagedRow]:
    """Return what becomes of each row.

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
            staged.append(StagedRow(number, REFUSE, why=f"This is the same contact as in row {same_as}."))
            continue
        earlier.add(number, phone, reference, known)
        staged.append(
            _row_to_add(number, details) if known is None else _row_to_change(number, details, known)
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


def _row_to_add(number: int, details: ContactDetails) -> StagedRow:
    name, phone = details["name"], details["phone"]
    reference, email = details.get("reference"), details.get("email")
    return StagedRow(
        number,
        ADD,
        do_not_call=int(details.get("do_not_call", False)),
        name=name,
        phone=phone,
        email=email,
        address=details.get("address"),
        notes=details.get("notes"),
        tags=details.get("tags", ""),
        reference=reference,
        timezone=details.get("timezone"),
        search=search_text(name, phone, reference, email),
    )


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


def _insert_staged(db: Connection, file_id: int, rows: list[StagedRow]) -> None:
    added = sum(row.what == ADD for row in rows)
    refused = sum(row.what == REFUSE for row in rows)
    sql = """UPDATE import_file SET read = read + :rows, add_rows = add_rows + :added,
                    change_rows = change_rows + :changed, refuse_rows = refuse_rows + :refused
             WHERE id = :id AND state = 'reading'"""
    changed = len(rows) - added - refused
    result = run(db, sql, id=file_id, rows=len(rows), added=added, changed=changed, refused=refused)
    if result.rowcount == 0:
        raise NotFound("This import is not there any more.")
    insert_many(db, "import_row", [{"import_file_id": file_id, **vars(row)} for row in rows])


def _set_ready(db: Connection, file_id: int) -> None:
    run(db, "UPDATE import_file SET state = 'ready' WHERE id = :id AND state = 'reading'", id=file_id)


def _set_failed(db: Connection, file_id: int, why: str) -> None:
    sql = "UPDATE import_file SET state = 'failed', why = :why WHERE id = :id AND state = 'reading'"
    run(db, sql, id=file_id, why=why)


def _set_discarded(db: Connection, file_id: int) -> None:
    run(db, "UPDATE import_file SET state = 'discarded' WHERE id = :id", id=file_id)


# ----- reading


def find_import(db: Connection, place: Place, file_id: int) -> ImportFile:
    """Return an import of a place. Raises NotFound, also for one that was discarded."""
    sql = "SELECT * FROM import_file WHERE id = :id AND place_id = :place AND state <> 'discarded'"
    file = load_first(ImportFile, run(db, sql, id=file_id, place=place.id))
    if file is None:
        raise NotFound("There is no such import any more. Please upload the file again.")
    return file


def preview_rows(db: Connection, file: ImportFile, limit: int = 20) -> list[PreviewRow]:
    """Return the first rows of an import."""
    sql = """SELECT number AS row, what, why,
                    coalesce(import_row.name, contact.name) AS name,
                    coalesce(import_row.phone, contact.phone) AS phone,
                    coalesce(import_row.email, contact.email) AS email,
                    coalesce(import_row.address, contact.address) AS address,
                    coalesce(import_row.notes, contact.notes) AS notes,
                    coalesce(import_row.tags, contact.tags) AS tags,
                    coalesce(import_row.reference, contact.reference) AS reference,
                    coalesce(import_row.timezone, contact.timezone) AS timezone
             FROM import_row LEFT JOIN contact ON contact.id = import_row.contact
             WHERE import_file_id = :file ORDER BY number LIMIT :limit"""
    return load_all(PreviewRow, run(db, sql, file=file.id, limit=limit))


def remarked_rows(db: Connection, file: ImportFile, limit: int) -> list[RemarkedRow]:
    """Return the first rows that the owner should look at."""
    sql = """SELECT number AS row, remark FROM import_row WHERE import_file_id = :file AND remark IS NOT NULL
             ORDER BY number LIMIT :limit"""
    return load_all(RemarkedRow, run(db, sql, file=file.id, limit=limit))


def refused_rows(db: Connection, file: ImportFile, limit: int | None = None) -> list[RefusedRow]:
    """Return the rows that can't be stored, or the first of them."""
    sql = """SELECT number AS row, why FROM import_row WHERE import_file_id = :file AND what = 'refuse'
             ORDER BY number LIMIT :limit"""
    limit = file.refuse_rows if limit is None else limit
    return load_all(RefusedRow, run(db, sql, file=file.id, limit=limit))


# ----- storing


def store_import(database: Database, at: float, slug: str, token: str, file_id: int) -> ImportFile:
    """Store the rows of an import, all or none, for the owner; a second press stores nothing more.

    Raises Conflict while the file is read, and when one of its contacts was added or changed meanwhile.
    """
    file = database.write(_store, at, slug, token, file_id)
    _erase_stored_rows(database, file)
    return file


def discard_import(db: Connection, _at: float, slug: str, token: str, file_id: int) -> None:
    """Discard an import, for the owner; erase_old_imports() then erases its rows."""
    place = find_place_for_owner(db, slug, token)
    file = find_import(db, place, file_id)
    if file.state != "stored":
        _set_discarded(db, file.id)


def _store(db: Connection, at: float, slug: str, token: str, file_id: int) -> ImportFile:
    place = find_place_for_owner(db, slug, token)
    file = find_import(db, place, file_id)
    if file.state == "stored":
        return file
    if file.state == "reading":
        raise Conflict("This file is being read still.")
    if file.state != "ready":
        raise Conflict(file.why or "")
    _check_unchanged(db, place, file)
    _add_new_contacts(db, at, place, file)
    _change_known_contacts(db, at, file)
    _forbid_numbers(db, at, place, file)
    # An event with a contact is private; any contact of the place will do.
    last_id = run(db, "SELECT max(id) FROM contact WHERE place_id = :place", place=place.id).scalar()
    record(db, at, place.id, "import", contact_id=last_id, detail=f"{file.add_rows} {file.change_rows}")
    sql = "UPDATE import_file SET state = 'stored' WHERE id = :id RETURNING *"
    return load(ImportFile, run(db, sql, id=file.id).one())


def _check_unchanged(db: Connection, place: Place, file: ImportFile) -> None:
    """Raise Conflict if a contact was added or changed since the upload that a row would be matched with."""
    changed = "SELECT 1 FROM contact WHERE place_id = :place AND changed_at > :since AND forgotten_at IS NULL"
    sql = f"""SELECT min(number) FROM import_row AS staged WHERE import_file_id = :file
              AND (EXISTS ({changed} AND contact.reference = staged.reference)
                   OR what = 'add' AND EXISTS (
                       {changed} AND contact.phone = staged.phone
                       AND (contact.reference IS NULL OR staged.reference IS NULL)))"""
    row = run(db, sql, place=place.id, since=file.created_at, file=file.id).scalar()
    if row is not None:
        raise Conflict(
            f"Contacts were changed since this file was read, the one of row {row} too. "
            "Please upload it again."
        )


def _add_new_contacts(db: Connection, at: float, place: Place, file: ImportFile) -> None:
    sql = """INSERT INTO contact (place_id, created_at, changed_at, name, phone, email, address, notes, tags,
                                  reference, timezone, search, do_not_call)
             SELECT :place, :at, :at, name, phone, email, address, notes, tags, reference, timezone, search,
                    do_not_call
             FROM import_row WHERE import_file_id = :file AND what = 'add' ORDER BY number"""
    run(db, sql, place=place.id, at=at, file=file.id)


def _change_known_contacts(db: Connection, at: float, file: ImportFile) -> None:
    sql = """UPDATE contact SET
                    name = coalesce(staged.name, contact.name),
                    phone = coalesce(staged.phone, contact.phone),
                    email = coalesce(staged.email, contact.email),
                    address = coalesce(staged.address, contact.address),
                    notes = coalesce(staged.notes, contact.notes),
                    reference = coalesce(staged.reference, contact.reference),
                    timezone = coalesce(staged.timezone, contact.timezone),
                    search = coalesce(staged.search, contact.search),
                    tags = CASE WHEN staged.tags IS NULL THEN contact.tags
                                WHEN contact.tags = '' THEN :separator || staged.tags
                                ELSE contact.tags || staged.tags END,
                    changed_at = :at
             FROM import_row AS staged
             WHERE staged.import_file_id = :file AND staged.what = 'change'
             AND staged.contact = contact.id AND contact.forgotten_at IS NULL"""
    run(db, sql, at=at, file=file.id, separator="\n")


def _forbid_numbers(db: Connection, at: float, place: Place, file: ImportFile) -> None:
    """Opt out the numbers of the rows that say so, then mark who has them.

    An opt-out of a known contact moves along to a new number.
    """
    sql = """SELECT coalesce(import_row.phone, contact.phone) FROM import_row
             LEFT JOIN contact ON contact.id = import_row.contact
             WHERE import_file_id = :file AND what <> 'refuse'
             AND (import_row.do_not_call = 1 OR contact.do_not_call = 1)"""
    phones = list(run(db, sql, file=file.id).scalars())
    if phones:
        forbid_numbers(db, at, place.id, phones)
    mark_opted_out(db, at, place.id)


# ----- erasing


def erase_old_imports(database: Database, at: float) -> bool:
    """Erase one batch of rows that nobody needs any more. Returns True when there may be more.

    Those are the rows of imports that were discarded or failed, and of all that are a day old.
    """
    with database.read() as db:  # reading first, so that nothing is written when there is nothing to do
        batch = _next_batch_to_erase(db, before=at - KEPT_S)
    if batch is None:
        return False
    file_id, row_ids = batch
    database.write(_erase, file_id, row_ids)
    return True


def _next_batch_to_erase(db: Connection, before: float) -> tuple[int, list[int]] | None:
    sql = """SELECT * FROM import_file WHERE state IN ('discarded', 'failed') OR created_at < :before
             ORDER BY id"""
    for file in load_all(ImportFile, run(db, sql, before=before)):
        sql = "SELECT id FROM import_row WHERE import_file_id = :id ORDER BY number LIMIT :limit"
        row_ids = list(run(db, sql, id=file.id, limit=MAX_ERASED).scalars())
        # A failed import stays without rows for a day, because its page says why it failed.
        if row_ids or file.state == "discarded" or file.created_at < before:
            return file.id, row_ids
    return None


def _erase(db: Connection, file_id: int, row_ids: list[int]) -> None:
    """Erase rows of an import, or the import itself when no rows are left."""
    if row_ids:
        run(db, "DELETE FROM import_row WHERE id IN :ids", ids=row_ids)
    else:
        run(db, "DELETE FROM import_file WHERE id = :id", id=file_id)


def _erase_stored_rows(database: Database, file: ImportFile) -> None:
    """Erase the rows that became contacts; those that were refused can be read for a day."""
    sql = """SELECT id, number FROM import_row WHERE import_file_id = :id AND what <> 'refuse'
             AND number > :after ORDER BY number LIMIT :limit"""
    after = 0
    while True:
        with database.read() as db:
            rows = run(db, sql, id=file.id, after=after, limit=MAX_ERASED).all()
        if not rows:
            return
        after = rows[-1].number
        database.write(_erase, file.id, [row.id for row in rows])
