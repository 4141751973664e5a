"""Imports: contacts from a file or a program, read and staged in small writes, and stored at once."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from sqlalchemy.engine import Connection, Row

from rooms.contacts import EMPTY, FOUND_BY, MANY_LINES, read_contact, search_text, tags_of
from rooms.line import OPEN_CALL, cancel_calls
from rooms.places import by_owner, find_place
from rooms.settings import BadInput, Conflict, NotFound, Refused, now
from rooms.storage import Database, insert, insert_all, record, run

log = logging.getLogger("takeanumber")

MOST_ROWS = 50_000
AT_ONCE = 500  # rows in a write, so that nobody waits for long
AT_ONCE_READ = 1000  # up to so many rows are read while the browser waits
KEPT_S = 86400  # for so long an import can be stored, and looked at
Given = dict[str, Any] | Refused  # what a row says of a contact, or why it can't be read

# What a column is taken for, by its heading: without spaces, capitals and dashes.
HEADINGS = {
    "name": "name fullname contact contactname customer customername client clientname patient patientname "
    "person member membername",
    "first": "firstname givenname forename vorname",
    "last": "lastname surname familyname nachname",
    "phone": "phone phonenumber phoneno phones telephone telephonenumber tel telno mobile mobilephone "
    "mobilenumber cell cellphone cellnumber homephone workphone contactnumber telefon telefonnummer handy",
    "email": "email emailaddress mail mailaddress",
    "address": "address street streetaddress address1 address2 addressline1 addressline2 city town zip "
    "zipcode postcode postalcode state adresse anschrift strasse straße plz ort",
    "notes": "notes note comment comments remark remarks notiz notizen",
    "tags": "tags tag label labels group groups category categories",
    "reference": "reference ref id yourreference externalid customerid customernumber clientid clientnumber "
    "patientid patientnumber memberid membernumber referenz",
    "timezone": "timezone tz zone",
    "do_not_call": "donotcall dnc dontcall donotcontact nocalls optout optedout",
}
MEANT = {word: field for field, words in HEADINGS.items() for word in words.split()}
BETWEEN = {"address": ", ", "notes": "\n", "tags": ", "}  # where several columns make one field
YES_NO = dict.fromkeys(("", "no", "n", "false", "0", "nein"), False)
YES_NO |= dict.fromkeys(("yes", "y", "true", "1", "x", "✓", "ja"), True)
THE_END = "\0"  # a line after the last, which is in no text: an open quote swallows it
FORMULA = re.compile(r"''*(?=[=+\-@\t\r])")  # what our own files have before what looks like one


# ----- a file


@dataclass(frozen=True)
class Sheet:
    """A text with a row of headings, and what its columns are taken for."""

    text: str
    delimiter: str
    headings: list[str]
    fields: list[str | None]
    rows: int

    def columns(self) -> dict[str, str | None]:
        """The headings, and what of a contact each is."""
        named = {"first": "name", "last": "name"}
        return {
            heading: named.get(field or "", field)
            for heading, field in zip(self.headings, self.fields, strict=True)
        }


def open_sheet(content: bytes | str) -> Sheet:
    """Looks at a file of contacts; raises BadInput for what is none, saying what to do."""
    text = content if isinstance(content, str) else _decode(content)
    if "\0" in text:
        raise BadInput("This is not a text file. Please save the table as CSV, and upload that.")
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise BadInput("There is nothing in this file.")
    told = re.match(r"sep=(.)\r?\n", text)  # how Excel is told
    if told:
        text = text[told.end() :]
    sheets = [_headed(text, delimiter) for delimiter in ([told[1]] if told else ",;\t|")]
    sheet = max(sheets, key=lambda each: (len({*each.fields} - {None}), len(each.fields)))
    for field, name in (("name", "names"), ("phone", "phone numbers")):
        if field not in sheet.columns().values():
            raise BadInput(
                f"No column with {name} was found. The first row must hold headings such as name, phone."
            )
    return Sheet(sheet.text, sheet.delimiter, sheet.headings, sheet.fields, _count(sheet))


def _decode(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadInput(
            "This file is in UTF-16 (“Unicode text”). Please save it as “CSV UTF-8”, and upload that."
        )
    if content[:4] in (b"PK\3\4", b"%PDF", b"\xd0\xcf\x11\xe0") or b"\0" in content[:10_000]:
        raise BadInput("This is not a text file. Please save the table as CSV, and upload that.")
    try:
        return content.decode()
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        said = f"Line {line} has a letter that is not UTF-8. Please save the table as “CSV UTF-8” again."
        raise BadInput(said) from None


def _records(sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    # Its rows, numbered as a spreadsheet does, those without anything left out.
    lines = chain(io.StringIO(sheet.text, newline=""), [THE_END])
    number = 0
    try:
        for number, cells in enumerate(csv.reader(lines, delimiter=sheet.delimiter), 1):
            if cells == [THE_END]:
                return
            if THE_END in "".join(cells[-1:]):
                raise BadInput(f"Row {number}: a quote is not closed, so all under it would be in one cell.")
            if any(map(str.strip, cells)):
                yield number, cells
    except csv.Error as problem:
        raise BadInput(f"Row {number + 1} can't be read ({problem}). A quote may be missing there.") from None


def _headed(text: str, delimiter: str) -> Sheet:
    headings = next(_records(Sheet(text, delimiter, [], [], 0)), (1, []))[1]
    fields = [MEANT.get(re.sub(r"[\W_]+", "", heading.casefold())) for heading in headings]
    return Sheet(text, delimiter, headings, fields, 0)


def _count(sheet: Sheet) -> int:
    rows = sum(1 for _ in _records(sheet)) - 1
    if rows > MOST_ROWS:
        raise BadInput(
            f"This file has {rows:,} rows. Please upload at most {MOST_ROWS:,} at once, in several files."
        )
    if rows == 0:
        raise BadInput("There is nothing under the headings.")
    return rows


def rows_of(sheet: Sheet) -> Iterator[tuple[int, Given]]:
    """The rows of a sheet, each with its number as a spreadsheet has it, and what it says of a contact."""
    for number, cells in islice(_records(sheet), 1, None):
        try:
            yield number, _row(sheet, cells)
        except BadInput as problem:
            yield number, problem


def _row(sheet: Sheet, cells: list[str]) -> Given:
    width = len(sheet.headings)
    if any(map(str.strip, cells[width:])):
        raise BadInput(f"It has {len(cells)} cells, and there are {width} headings. A quote may be missing.")
    found: dict[str, list[str]] = {}
    for heading, field, cell in zip(sheet.headings, sheet.fields, cells, strict=False):
        if field not in MANY_LINES and re.search(r"[\r\n]", cell.strip()):
            raise BadInput(f"{heading.strip()}: it has a line break. A quote may be missing.")
        if field and cell.strip():
            found.setdefault(field, []).append(cell[1:] if FORMULA.match(cell) else cell)
    row: dict[str, Any] = {field: BETWEEN[field].join(found[field]) for field in BETWEEN if field in found}
    row |= {field: values[0] for field, values in found.items() if field not in row}
    first, last, whole = row.pop("first", ""), row.pop("last", ""), row.get("name", "")
    if first or last:
        row["name"] = whole if whole and last else f"{first} {last or whole}"  # Name, Vorname
    never = row.pop("do_not_call", "").strip().casefold()
    if never not in YES_NO:
        raise BadInput("Do not call: please write yes or no.")
    return row | {"do_not_call": YES_NO[never]}


# ----- reading it


def begin_import(db: Connection, at: float, place: Row, rows: int, sheet: Sheet | None = None) -> Row:
    """Makes room for the rows of a file, or (without a sheet) for contacts that a program sends."""
    columns = {"place_id": place.id, "state": "reading", "created_at": at, "rows": rows, "read": 0}
    columns |= dict.fromkeys(("add_rows", "change_rows", "refuse_rows"), 0)
    columns["columns"] = json.dumps(sheet.columns() if sheet else {})
    return insert(db, "import_file", **columns).one()


def read_file(database: Database, place: Row, file: Row, sheet: Sheet) -> None:
    """Reads a sheet: a long one in a thread of its own, while its page shows how far that is."""
    if sheet.rows <= AT_ONCE_READ:
        return _read(database, place, file, sheet)
    threading.Thread(target=_read, args=(database, place, file, sheet), name="import", daemon=True).start()


def _read(database: Database, place: Row, file: Row, sheet: Sheet) -> None:
    try:
        stage_rows(database, place, file, rows_of(sheet))
    except NotFound:  # discarded while it was read
        log.info("An import was discarded")
    except Exception:  # whatever it was, whoever waits for it is told
        log.exception("An import failed")
        database.write(
            _fail, now(), file, "Something went wrong on our side. Nothing was stored; please try again."
        )


def _fail(db: Connection, at: float, file: Row, why: str) -> None:
    sql = "UPDATE import_file SET state = 'failed', why = :why WHERE id = :id AND state = 'reading'"
    run(db, sql, id=file.id, why=why)


def fail_unread(db: Connection) -> None:
    """Says of files that were being read when the server ended that they were not; when it starts."""
    why = "The server was started again while it read this file. Nothing was stored; please upload it again."
    run(db, "UPDATE import_file SET state = 'failed', why = :why WHERE state = 'reading'", why=why)


def stage_rows(database: Database, place: Row, file: Row, rows: Iterable[tuple[int, Given]]) -> None:
    """Puts rows beside the contacts, each with what will become of it; nothing is stored by that."""
    seen: dict[tuple, int] = {}
    rows = iter(rows)
    while some := list(islice(rows, AT_ONCE)):
        checked = [(number, _checked(given, place.country)) for number, given in some]
        with database.read() as db:
            staged = _sort_out(db, place, checked, seen)
        database.write(_stage, now(), file, staged)
    database.write(_set_ready, now(), file)


def _checked(given: Given, country: str) -> Given:
    if isinstance(given, Refused):
        return given
    try:
        found = read_contact(given, country)
        for field in ("name", "phone"):
            if not found.get(field):
                raise BadInput(f"{field.capitalize()}: please fill this in.")
        return found
    except BadInput as problem:
        return problem


def _sort_out(
    db: Connection, place: Row, rows: list[tuple[int, Given]], seen: dict[tuple, int]
) -> list[dict[str, Any]]:
    # What becomes of each row: who has its reference is changed, or else who has its phone number and no
    # other reference. `seen` holds who was in an earlier row, and in which.
    good = [given for _, given in rows if isinstance(given, dict)]
    by_reference: dict[str, Row] = {}
    by_phone: dict[str, list[Row]] = {}
    there = "SELECT * FROM contact WHERE place_id = :place AND forgotten_at IS NULL AND"
    for column in ("reference", "phone"):
        values = sorted({given[column] for given in good if given.get(column)})
        found = run(db, f"{there} {column} IN :values ORDER BY id", place=place.id, values=values).all()
        for contact in found:
            if column == "reference":
                by_reference[contact.reference] = contact
            else:
                by_phone.setdefault(contact.phone, []).append(contact)
    staged = []
    for number, given in rows:
        if isinstance(given, Refused):
            staged.append(_refusal(number, str(given)))
            continue
        reference, phone = given.get("reference"), given["phone"]
        same = [each for each in by_phone.get(phone, ()) if not (reference and each.reference)]
        contact = by_reference.get(reference) or next(iter(same), None)
        keys = [("reference", reference)] if reference else [("phone", phone)]
        keys += [("contact", contact.id)] if contact else []
        asked = [*keys, ("phone alone" if reference else "phone of", phone)]
        twice = next((seen[key] for key in asked if key in seen), None)
        if twice:
            staged.append(_refusal(number, f"This is the same contact as in row {twice}."))
            continue
        seen |= dict.fromkeys([*keys, ("phone of" if reference else "phone alone", phone)], number)
        staged.append(_staged(number, given, contact))
    return staged


COLUMNS = ("name", "phone", "email", "address", "notes", "tags", "reference", "timezone")
NO_ROW = dict.fromkeys((*COLUMNS, "search", "why", "contact")) | {"do_not_call": 0}


def _refusal(number: int, why: str) -> dict[str, Any]:
    return NO_ROW | {"number": number, "what": "refuse", "why": why}


def _staged(number: int, given: dict[str, Any], contact: Row | None) -> dict[str, Any]:
    # The row as it is kept: a new contact in full; of a known one what changes, and the tags that come to it.
    row = NO_ROW | {"number": number, "do_not_call": given.get("do_not_call") or 0}
    if contact is None:
        columns = EMPTY | {column: given.get(column) for column in COLUMNS if given.get(column)}
        search = search_text(**{each: columns[each] for each in FOUND_BY})
        return row | columns | {"what": "add", "search": search}
    fresh = {
        column: given[column]
        for column in COLUMNS
        if column != "tags" and given.get(column) and given[column] != getattr(contact, column)
    }
    has = {tag.casefold() for tag in tags_of(contact)}
    tags = [tag for tag in (given.get("tags") or "").split("\n")[1:-1] if tag.casefold() not in has]
    if tags:
        fresh["tags"] = "".join(f"{tag}\n" for tag in tags)
    if not fresh and contact.do_not_call >= row["do_not_call"]:
        return row | {"what": "same", "contact": contact.id}
    search = search_text(**{each: fresh.get(each, getattr(contact, each)) for each in FOUND_BY})
    return row | fresh | {"what": "change", "contact": contact.id, "search": search}


def _stage(db: Connection, at: float, file: Row, rows: list[dict[str, Any]]) -> None:
    counts = {what: sum(row["what"] == what for row in rows) for what in ("add", "refuse")}
    counts["change"] = len(rows) - sum(counts.values())  # and those that are so already
    sql = """UPDATE import_file SET read = read + :rows, add_rows = add_rows + :add,
                    change_rows = change_rows + :change, refuse_rows = refuse_rows + :refuse
             WHERE id = :id AND state = 'reading'"""
    if not run(db, sql, id=file.id, rows=len(rows), **counts).rowcount:
        raise NotFound("This import is not there any more.")
    insert_all(db, "import_row", [{"import_file_id": file.id} | row for row in rows])


def _set_ready(db: Connection, at: float, file: Row) -> None:
    run(db, "UPDATE import_file SET state = 'ready' WHERE id = :id AND state = 'reading'", id=file.id)


# ----- looking at it


def find_import(db: Connection, place: Row, file_id: int) -> Row:
    """A place's import by its id; raises NotFound, also for one that was discarded."""
    sql = "SELECT * FROM import_file WHERE id = :id AND place_id = :place AND state <> 'discarded'"
    file = run(db, sql, id=file_id, place=place.id).first()
    if file is None:
        raise NotFound("There is no such import any more. Please upload the file again.")
    return file


def first_rows(db: Connection, file: Row, most: int = 20) -> list[Row]:
    """The first rows of an import; of those that change a contact, what else is known of it too."""
    columns = ", ".join(f"coalesce(import_row.{name}, contact.{name}) AS {name}" for name in COLUMNS)
    sql = f"""SELECT number AS row, what, why, {columns} FROM import_row
              LEFT JOIN contact ON contact.id = import_row.contact
              WHERE import_file_id = :file ORDER BY number LIMIT :most"""
    return run(db, sql, file=file.id, most=most).all()


def refused_rows(db: Connection, file: Row, most: int = -1) -> list[Row]:
    """The rows that can't be stored, and why."""
    sql = """SELECT number AS row, why FROM import_row WHERE import_file_id = :file AND what = 'refuse'
             ORDER BY number LIMIT :most"""
    return run(db, sql, file=file.id, most=MOST_ROWS if most < 0 else most).all()


# ----- storing it


def store_import(db: Connection, at: float, place: Row, file_id: int) -> Row:
    """Stores what an import holds, all of it or nothing; a second press stores nothing more.

    Raises Conflict while it is read, or where somebody added one of its contacts meanwhile.
    """
    file = find_import(db, place, file_id)
    if file.state == "stored":
        return file
    if file.state != "ready":
        raise Conflict("This file is being read still." if file.state == "reading" else file.why)
    _check_unchanged(db, place, file)
    columns = ", ".join((*COLUMNS, "search", "do_not_call"))
    sql = f"""INSERT INTO contact (place_id, created_at, changed_at, {columns})
              SELECT :place, :at, :at, {columns} FROM import_row
              WHERE import_file_id = :file AND what = 'add' ORDER BY number"""
    run(db, sql, place=place.id, at=at, file=file.id)
    kept = ", ".join(
        f"{name} = coalesce(fresh.{name}, contact.{name})" for name in (*COLUMNS, "search") if name != "tags"
    )
    sql = f"""UPDATE contact SET {kept}, changed_at = :at,
                     do_not_call = CASE WHEN fresh.do_not_call = 1 THEN 1 ELSE contact.do_not_call END,
                     tags = CASE WHEN fresh.tags IS NULL THEN contact.tags WHEN contact.tags = ''
                                 THEN :between || fresh.tags ELSE contact.tags || fresh.tags END
              FROM import_row AS fresh WHERE fresh.import_file_id = :file AND fresh.what = 'change'
              AND fresh.contact = contact.id AND contact.forgotten_at IS NULL"""
    run(db, sql, at=at, file=file.id, between="\n")
    _take_off(db, at, file)
    last = run(db, "SELECT max(id) FROM contact WHERE place_id = :place", place=place.id).scalar()
    # With a contact, so that the public sees nothing of it.
    record(db, at, place.id, "import", contact_id=last, detail=f"{file.add_rows} {file.change_rows}")
    sql = "UPDATE import_file SET state = 'stored' WHERE id = :id RETURNING *"
    return run(db, sql, id=file.id).one()


def _check_unchanged(db: Connection, place: Row, file: Row) -> None:
    # Whether a contact came or changed since the file was read that one of its rows would be.
    changed = """SELECT 1 FROM contact WHERE place_id = :place AND changed_at > :since
                 AND forgotten_at IS NULL"""
    sql = f"""SELECT min(number) FROM import_row AS fresh WHERE import_file_id = :file
              AND (EXISTS ({changed} AND contact.reference = fresh.reference)
                   OR what = 'add' AND EXISTS ({changed} AND contact.phone = fresh.phone
                                               AND (contact.reference IS NULL OR fresh.reference IS NULL)))"""
    row = run(db, sql, place=place.id, since=file.created_at, file=file.id).scalar()
    if row:
        why = "Contacts were changed since this file was read"
        raise Conflict(f"{why}, the one of row {row} too. Please upload it again.")


def _take_off(db: Connection, at: float, file: Row) -> None:
    # Whoever must not be called from now on.
    sql = f"""SELECT DISTINCT contact_id FROM ticket WHERE {OPEN_CALL} AND contact_id IN
              (SELECT contact FROM import_row WHERE import_file_id = :file AND do_not_call = 1)"""
    never = run(db, sql, file=file.id).scalars().all()
    for start in range(0, len(never), AT_ONCE):
        cancel_calls(db, at, never[start : start + AT_ONCE])


def add_contacts(database: Database, slug: str, token: str, rows: Iterable[Given]) -> tuple[Row, list[Row]]:
    """Adds or changes contacts for whoever holds the manage link; the counts, and the rows refused."""
    with database.read() as db:
        place = find_place(db, slug, manage_token=token)
    file = database.write(begin_import, now(), place, 0)
    stage_rows(database, place, file, enumerate(rows, 1))
    file = database.write(by_owner, now(), slug, token, store_import, file.id)
    with database.read() as db:
        refused = refused_rows(db, file)
    database.write(_drop, file)
    erase_imports(database)
    return file, refused


def _drop(db: Connection, file: Row) -> None:
    run(db, "UPDATE import_file SET state = 'discarded' WHERE id = :id", id=file.id)


def discard_import(db: Connection, at: float, place: Row, file_id: int) -> None:
    """Lets an import be; the clock erases its rows."""
    file = find_import(db, place, file_id)
    if file.state != "stored":
        _drop(db, file)


def erase_imports(database: Database) -> bool:
    """Erases the rows that nobody needs, a day after the upload at the latest; whether there is more."""
    sql = """SELECT * FROM import_file WHERE state IN ('discarded', 'failed') OR created_at < :before
             ORDER BY id"""
    with database.read() as db:  # first, so that nothing is written where there is nothing to do
        for file in run(db, sql, before=now() - KEPT_S).all():
            sql = "SELECT id FROM import_row WHERE import_file_id = :id ORDER BY number LIMIT 2000"
            ids = run(db, sql, id=file.id).scalars().all()
            if ids or file.state == "discarded" or file.created_at < now() - KEPT_S:
                break
        else:
            return False
    database.write(_erase, file.id, ids)
    return True


def _erase(db: Connection, file_id: int, ids: list[int]) -> None:
    run(db, "DELETE FROM import_row WHERE id IN :ids", ids=ids)
    if not ids:
        run(db, "DELETE FROM import_file WHERE id = :id", id=file_id)


def erase_stored(database: Database, file: Row) -> None:
    """Erases the rows that became contacts, in small writes; those refused can be read for a day."""
    sql = """SELECT id, number FROM import_row WHERE import_file_id = :id AND what <> 'refuse'
             AND number > :seen ORDER BY number LIMIT 2000"""
    seen = 0
    while True:
        with database.read() as db:
            rows = run(db, sql, id=file.id, seen=seen).all()
        if not rows:
            return
        seen = rows[-1].number
        database.write(_erase, file.id, [row.id for row in rows])
