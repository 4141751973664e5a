"""Storing the rows of an import in many small writes.

Storing begins in one write, which lets the import be `storing`. Then each write stores the next rows and
erases them from import_row, so what is left there is what is left to do: if the server stops in between, the
next one goes on. Numbers that must not be called come first. A contact that appeared since the file was read
is changed instead of being added a second time.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.contacts import TEXT_FIELDS, ContactDetails
from app.core.history import record
from app.core.import_files import ImportFile, find_import
from app.core.import_matching import ADD, CHANGE, EarlierRows, StagedRow, match_rows
from app.core.models import Place
from app.core.opt_outs import forbid_numbers
from app.core.phones import without_extension
from app.core.places import find_place_for_owner
from app.errors import Conflict
from app.storage.database import Database
from app.storage.sql import load, load_all, load_first, run, update

log = logging.getLogger("takeanumber")

MAX_STORED = 500  # rows that one write stores
MAX_ROWS_IN_REQUEST = 10_000  # of a file that is stored before the request is answered


@dataclass(frozen=True)
class _RowToStore(StagedRow):
    """A staged row with its id."""

    id: int = 0


def store_import(database: Database, at: float, slug: str, token: str, file_id: int) -> ImportFile:
    """Store the rows of an import, for the owner, and return the import; a second press stores nothing more.

    A long file is stored by a thread of its own, while its page waits.

    Raises NotFound; and Conflict, before anything is stored, while the file is read, and when one of its
    contacts was added or changed since.
    """
    with database.read_long() as db:
        place = find_place_for_owner(db, slug, token)
        file = find_import(db, place, file_id)
        _check_state(file)
        if file.state == "ready":
            _check_unchanged(db, place, file)
    file = database.write(_begin_storing, slug, token, file_id)
    if file.state == "storing" and file.rows > MAX_ROWS_IN_REQUEST:
        threading.Thread(target=_store_in_background, args=(database, at, slug, file), daemon=True).start()
        return file
    return finish_storing(database, at, slug, file)


def _store_in_background(database: Database, at: float, slug: str, file: ImportFile) -> None:
    """Store a file; if that fails, the job that looks for interrupted imports tries again."""
    try:
        finish_storing(database, at, slug, file)
    except Exception:
        log.warning("An import was interrupted and will go on", exc_info=True)


def finish_storing(database: Database, at: float, slug: str, file: ImportFile) -> ImportFile:
    """Store what is left of an import."""
    if file.state == "stored":
        return file
    for only_opt_outs in (True, False):
        after: int | None = 0
        while after is not None:
            after = database.write_in(slug, _store_batch, at, file, after, only_opt_outs)
    return database.write_in(slug, _finish, at, file.id)


def _check_state(file: ImportFile) -> None:
    if file.state == "reading":
        raise Conflict("This file is being read still.")
    if file.state in ("failed", "unmapped"):
        raise Conflict(file.why or "")


def _begin_storing(db: Connection, slug: str, token: str, file_id: int) -> ImportFile:
    place = find_place_for_owner(db, slug, token)
    file = find_import(db, place, file_id)
    _check_state(file)
    if file.state == "stored":
        return file
    run(db, "DELETE FROM import_content WHERE import_file_id = :id", id=file.id)
    return load(ImportFile, update(db, "import_file", file.id, state="storing"))


def _finish(db: Connection, at: float, file_id: int) -> ImportFile:
    file = load(ImportFile, run(db, "SELECT * FROM import_file WHERE id = :id", id=file_id).one())
    if file.state != "storing":
        return file
    # An event with a contact is private; any contact of the place will do.
    last_id = run(db, "SELECT max(id) FROM contact WHERE place_id = :place", place=file.place_id).scalar()
    record(db, at, file.place_id, "import", contact_id=last_id, detail=f"{file.add_rows} {file.change_rows}")
    return load(ImportFile, update(db, "import_file", file.id, state="stored"))


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


# ----- one write


def _store_batch(db: Connection, at: float, file: ImportFile, after: int, only_opt_outs: bool) -> int | None:
    """Store the next rows, and erase them. Returns the number of the last one, or None if there was none."""
    place = load_first(
        Place, run(db, "SELECT * FROM place WHERE id = :id AND deleted_at IS NULL", id=file.place_id)
    )
    if place is None:
        return None
    condition = "AND do_not_call = 1" if only_opt_outs else ""
    sql = f"""SELECT * FROM import_row WHERE import_file_id = :file AND number > :after AND what <> 'refuse'
              {condition} ORDER BY number LIMIT :limit"""
    rows = load_all(_RowToStore, run(db, sql, file=file.id, after=after, limit=MAX_STORED))
    if not rows:
        return None
    _match_again(db, place, rows)
    ids = [row.id for row in rows]
    _add_contacts(db, at, place, ids)
    _change_contacts(db, at, place, ids)
    _forbid_numbers(db, at, place, ids)
    run(db, "DELETE FROM import_row WHERE id IN :ids", ids=ids)
    return rows[-1].number


def _match_again(db: Connection, place: Place, rows: list[_RowToStore]) -> None:
    """Let a row change a contact that appeared since the row was staged."""
    to_add = {row.number: row for row in rows if row.what == ADD}
    details = [(number, _details_of(row)) for number, row in to_add.items()]
    for staged in match_rows(db, place, details, EarlierRows()):
        if staged.what != ADD:
            kept = ("number", "other_phones")
            columns = {name: value for name, value in vars(staged).items() if name not in kept}
            update(db, "import_row", to_add[staged.number].id, **columns)


def _details_of(row: StagedRow) -> ContactDetails:
    details: ContactDetails = {"do_not_call": bool(row.do_not_call), "tags": row.tags or ""}
    for name in TEXT_FIELDS:
        details[name] = getattr(row, name)
    return details


def _add_contacts(db: Connection, at: float, place: Place, ids: list[int]) -> None:
    sql = f"""INSERT INTO contact (place_id, created_at, changed_at, name, phone, email, address, notes, tags,
                                  reference, timezone, search, do_not_call)
             SELECT :place, :at, :at, name, phone, email, address, notes, tags, reference, timezone, search,
                    do_not_call
             FROM import_row WHERE id IN :ids AND what = '{ADD}' ORDER BY number"""
    run(db, sql, place=place.id, at=at, ids=ids)


def _change_contacts(db: Connection, at: float, place: Place, ids: list[int]) -> None:
    # A reference that another contact got meanwhile stays there.
    sql = f"""UPDATE contact SET
                    name = coalesce(staged.name, contact.name),
                    phone = coalesce(staged.phone, contact.phone),
                    email = coalesce(staged.email, contact.email),
                    address = coalesce(staged.address, contact.address),
                    notes = coalesce(staged.notes, contact.notes),
                    reference = CASE WHEN EXISTS (SELECT 1 FROM contact AS other WHERE other.place_id = :place
                                                  AND other.reference = staged.reference)
                                     THEN contact.reference
                                     ELSE coalesce(staged.reference, contact.reference) END,
                    timezone = coalesce(staged.timezone, contact.timezone),
                    search = coalesce(staged.search, contact.search),
                    tags = CASE WHEN staged.tags IS NULL THEN contact.tags
                                WHEN contact.tags = '' THEN :separator || staged.tags
                                ELSE contact.tags || staged.tags END,
                    changed_at = :at
             FROM import_row AS staged
             WHERE staged.id IN :ids AND staged.what = '{CHANGE}'
             AND staged.contact = contact.id AND contact.forgotten_at IS NULL"""
    run(db, sql, place=place.id, at=at, ids=ids, separator="\n")


def _forbid_numbers(db: Connection, at: float, place: Place, ids: list[int]) -> None:
    """Opt out the numbers of the rows that say so, and mark those whose number is opted out already.

    An opt-out of a known contact moves along to a new number.
    """
    sql = """SELECT coalesce(import_row.phone, contact.phone) AS phone,
                    coalesce(import_row.do_not_call, 0) + coalesce(contact.do_not_call, 0) AS says_no,
                    other_phones
             FROM import_row LEFT JOIN contact ON contact.id = import_row.contact
             WHERE import_row.id IN :ids"""
    rows = run(db, sql, ids=ids).all()
    numbers = sorted({without_extension(row.phone) for row in rows if row.phone})
    sql = "SELECT phone FROM opt_out WHERE place_id = :place AND phone IN :phones"
    phones = list(run(db, sql, place=place.id, phones=numbers).scalars())
    phones += [row.phone for row in rows if row.says_no and row.phone]
    phones += [phone for row in rows if row.says_no for phone in (row.other_phones or "").split()]
    if phones:
        forbid_numbers(db, at, place.id, phones)
