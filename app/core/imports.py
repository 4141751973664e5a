"""Imports: contacts from a file, or from a program.

An import has two steps. First its rows are staged: each is read, matched with the known contacts, and kept in
the table import_row with what will become of it. If the columns can't be told by their headings, the owner
chooses them before that. Then, when the owner agrees, the rows are stored; see import_storing.py. Both steps
take many small writes, so that nobody has to wait long for the writer.

add_contacts() does both steps, which may take minutes. So it takes a `clock`, which returns the time of each.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from app.clock import DAY_S
from app.core.columns import FIELDS, NAME_PARTS, Column
from app.core.contacts import ContactDetails, ContactFields, validate_contact
from app.core.import_matching import ADD, CHANGE, REFUSE, SAME_CONTACT, EarlierRows, StagedRow, match_rows
from app.core.import_rows import ONLY_OPT_OUT, ReadRow, Remark, question_about, read_number, read_row
from app.core.import_storing import ImportFile, find_import, finish_storing, store_import
from app.core.models import Place
from app.core.phones import read_phone, read_phones
from app.core.places import find_place_for_owner, slug_of
from app.core.sheets import (
    PROBLEM,
    BadCell,
    Layout,
    Sheet,
    check_sheet,
    first_rows,
    missing_columns,
    open_sheet,
    reopen_sheet,
    rows_of,
)
from app.core.spreadsheets import ZIP_MARK
from app.errors import BadInput, Conflict, NotFound
from app.storage.database import Database
from app.storage.sql import insert, insert_many, insert_returning, load, load_all, run

log = logging.getLogger("takeanumber")

MAX_BATCH = 500  # rows that one write stages
MAX_ERASED = 2000  # rows that one write erases
MAX_ROWS_IN_REQUEST = 1000  # up to this many rows are staged while the browser waits
MAX_SPREADSHEET_IN_REQUEST = 300_000  # bytes of an .xlsx file that is opened while the browser waits
KEPT_S = DAY_S  # how long an import can be stored, and looked at
MAX_CHOICES = 100  # choices of columns that a place remembers
MAX_GROUPS = 50  # groups of equal remarks on the page of an import
MAX_EXAMPLES = 5  # rows of each
BEGIN_S = 30.0  # so long after its upload, a file that is still being read has a thread that holds it
_SETTLED = ""  # a column that the owner has left out, where a choice is remembered
RENAMED = "Name: a known contact gets another name."
RENAMED_ADVICE = "If these are two people, give each a reference of their own."
SAMPLE_ROWS = 5  # rows that are shown while the owner chooses the columns


class InputRow(NamedTuple):
    """A contact from a program: what it says, or why it can't be read."""

    number: int
    contact: ContactFields | BadInput


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
    value: str | None  # the cell that is wrong


@dataclass(frozen=True)
class RemarkedRow:
    """A row that is stored, but that the owner should look at."""

    row: int
    remark: str
    why: str
    value: str


@dataclass(frozen=True)
class RemarkExample:
    """A row that a remark is about, and the cell."""

    row: int
    value: str
    sentence: str


@dataclass(frozen=True)
class RemarkGroup:
    """A remark that is about several rows."""

    why: str
    rows: int
    examples: list[RemarkExample]


@dataclass(frozen=True)
class AddedContacts:
    """What became of contacts that were sent to be stored at once."""

    added: int
    changed: int
    refused: list[RefusedRow]


class ColumnChoice(NamedTuple):
    """The owner's choice for one column. Without one, the column keeps its field."""

    field: str | None  # one of columns.FIELDS; None leaves the column out
    is_given: bool = True


@dataclass(frozen=True)
class ColumnSample:
    """A column of a file: its heading, what it is read as, and its first cells."""

    heading: str
    field: str | None
    cells: list[str]


# ----- uploading


def upload(
    database: Database, at: float, slug: str, token: str, content: bytes | str, is_opt_out_list: bool = False
) -> ImportFile:
    """Stage the rows of a file, for the owner. Raises BadInput for a file that holds no contacts.

    With `is_opt_out_list`, the file holds numbers that must not be called, and no contact is added. If it
    isn't clear what its columns are, nothing is staged until the owner has chosen them; see choose_columns().

    A long file is staged by a thread of its own, while its page shows the progress.
    """
    with database.read() as db:
        place = find_place_for_owner(db, slug, token)
    is_spreadsheet = isinstance(content, bytes) and content.startswith(ZIP_MARK)
    if is_spreadsheet and len(content) > MAX_SPREADSHEET_IN_REQUEST:
        file = database.write(_begin_import, at, slug, token, 0)
        _start_thread(_open_and_stage, database, place, file, content, is_opt_out_list)
        return file
    sheet = _open_for(database, place, content, is_opt_out_list)
    file = database.write(_begin_import, at, slug, token, sheet.rows)
    _accept_sheet(database, place, file, sheet)
    return file


def add_contacts(
    database: Database, clock: Callable[[], float], slug: str, token: str, contacts: Iterable[InputRow]
) -> AddedContacts:
    """Add or change contacts at once, for the owner; rows that can't be stored are refused one by one."""
    with database.read() as db:
        place = find_place_for_owner(db, slug, token)
    file = database.write(_begin_import, clock(), slug, token, 0)
    _stage_rows(database, place, file, (_read_input(row, place.country) for row in contacts))
    file = store_import(database, clock(), slug, token, file.id)
    with database.read() as db:
        refused = refused_rows(db, file)
    database.write_in(slug, _set_discarded, file.id)
    erase_old_imports(database, clock())
    return AddedContacts(file.add_rows, file.change_rows, refused)


def fail_unread_imports(db: Connection) -> None:
    """Mark the imports as failed that a server was staging when it stopped; called when a server starts."""
    sql = "UPDATE import_file SET state = 'failed', why = :why WHERE state = 'reading'"
    run(db, sql, why=_INTERRUPTED)


def fail_lost_imports(database: Database, at: float) -> bool:
    """Mark the imports as failed that an instance was staging when it ended. Returns False: none is left."""
    with database.read() as db:
        sql = "SELECT id, place_id FROM import_file WHERE state = 'reading' AND created_at < :before"
        files = [(file.id, slug_of(db, file.place_id)) for file in run(db, sql, before=at - BEGIN_S)]
    for file_id, slug in files:
        if not database.engine.is_held(_reading(file_id)):
            database.write_in(slug, _set_failed, file_id, _INTERRUPTED)
    return False


def _reading(file_id: int) -> str:
    """Return the name of the work that a thread holds while it reads a file; see Engine.hold()."""
    return f"read import {file_id}"


def _open_and_stage(
    database: Database, place: Place, file: ImportFile, content: bytes, is_opt_out_list: bool
) -> None:
    """Open a spreadsheet and stage it; an error ends up in the file's row, where its page shows it."""
    try:
        sheet = _open_for(database, place, content, is_opt_out_list)
        database.write_in(place.slug, _set_rows, file.id, sheet.rows)
        _accept_sheet(database, place, file, sheet, in_thread=True)
    except BadInput as error:
        database.write_in(place.slug, _set_failed, file.id, str(error))
    except Exception:
        log.exception("A spreadsheet could not be opened")
        database.write_in(place.slug, _set_failed, file.id, _OUR_FAULT)


def _open_for(database: Database, place: Place, content: bytes | str, is_opt_out_list: bool) -> Sheet:
    """Open a file, with the columns that the owner chose for the last one with these headings."""
    sheet = open_sheet(content, country=place.country, is_opt_out_list=is_opt_out_list)
    if not is_opt_out_list:
        with database.read() as db:
            fields = _remembered_fields(db, place, sheet)
        if fields is not None:
            settled = {n for n, name in enumerate(fields) if name == _SETTLED}
            sheet = sheet.with_fields([name or None for name in fields], settled)
    if sheet.is_usable or len(sheet.columns) == 1:
        check_sheet(sheet)
    return sheet


def _accept_sheet(
    database: Database, place: Place, file: ImportFile, sheet: Sheet, in_thread: bool = False
) -> None:
    """Keep the text of a file, then stage its rows if it is clear what its columns are."""
    content = zlib.compress(sheet.text.encode("utf-8", "surrogatepass"), level=3)
    database.write_in(place.slug, _keep_sheet, file.id, sheet, content)
    if not sheet.is_usable:
        database.write_in(place.slug, _set_unmapped, file.id, missing_columns(sheet))
    elif in_thread or sheet.rows <= MAX_ROWS_IN_REQUEST:
        _stage_sheet(database, place, file, sheet)
    else:
        _start_thread(_stage_sheet, database, place, file, sheet)


def _start_thread(
    target: Callable[..., None], database: Database, place: Place, file: ImportFile, *more: object
) -> None:
    """Read a file in the background, and let other instances know."""

    def read() -> None:
        database.engine.hold(_reading(file.id))
        try:
            target(database, place, file, *more)
        finally:
            database.engine.release(_reading(file.id))

    threading.Thread(target=read, name="import", daemon=True).start()


def _begin_import(db: Connection, at: float, slug: str, token: str, rows: int) -> ImportFile:
    place = find_place_for_owner(db, slug, token)
    row = insert_returning(
        db,
        "import_file",
        place_id=place.id,
        state="reading",
        columns="{}",
        rows=rows,
        read=0,
        add_rows=0,
        change_rows=0,
        refuse_rows=0,
        created_at=at,
    )
    return load(ImportFile, row)


def _set_rows(db: Connection, file_id: int, rows: int) -> None:
    run(db, "UPDATE import_file SET rows = :rows WHERE id = :id", id=file_id, rows=rows)


def _keep_sheet(db: Connection, file_id: int, sheet: Sheet, content: bytes) -> None:
    _keep_columns(db, file_id, sheet)
    insert(db, "import_content", import_file_id=file_id, content=content)


def _keep_columns(db: Connection, file_id: int, sheet: Sheet) -> None:
    fields = {
        column.heading: "name" if column.field in (*NAME_PARTS, "company") else column.field
        for column in sheet.columns
    }
    layout = {
        "layout": sheet.layout._asdict(),
        "columns": [[column.heading, column.field, column.group] for column in sheet.columns],
        "settled": [n for n, column in enumerate(sheet.columns) if column.is_settled],
        "is_opt_out_list": sheet.is_opt_out_list,
    }
    sql = "UPDATE import_file SET columns = :columns, layout = :layout WHERE id = :id"
    run(db, sql, id=file_id, columns=json.dumps(fields), layout=json.dumps(layout))


# ----- choosing columns


def choose_columns(
    database: Database,
    at: float,
    slug: str,
    token: str,
    file_id: int,
    choices: Sequence[ColumnChoice],
    is_opt_out_list: bool | None = None,
) -> ImportFile:
    """Say what each column of a file is, for the owner, and stage its rows.

    There is one of `choices` for each column; `is_opt_out_list` says whether the file holds numbers that
    must not be called, None leaves that as it is. The choice is remembered for the next file with the same
    headings. The same choice again, while the file is read, changes nothing. Raises BadInput for columns that
    can't be used, and Conflict.
    """
    with database.read() as db:
        place = find_place_for_owner(db, slug, token)
        file = find_import(db, place, file_id)
        _check_choosable(file)
        sheet = _kept_sheet(db, file)
        sql = "SELECT DISTINCT why FROM import_remark WHERE import_file_id = :id"
        questions = set(run(db, sql, id=file.id).scalars())
    if is_opt_out_list is not None:
        sheet = replace(sheet, is_opt_out_list=is_opt_out_list)
    if len(choices) != len(sheet.columns):
        raise BadInput(f"Columns: this file has {len(sheet.columns)}, and {len(choices)} were given.")
    if file.state == "reading":
        return file  # pressed twice
    settled = [n for n, choice in enumerate(choices) if _settles(choice, sheet.columns[n], questions)]
    sheet = sheet.with_fields([choice.field for choice in choices], settled)
    check_sheet(sheet)
    if database.write(_begin_again, at, slug, token, file, sheet):
        if sheet.rows <= MAX_ROWS_IN_REQUEST:
            _erase_rows_and_stage(database, place, file, sheet)
        else:
            _start_thread(_erase_rows_and_stage, database, place, file, sheet)
    return file


def _settles(choice: ColumnChoice, column: Column, questions: Collection[str]) -> bool:
    """Return True if the owner leaves out a column that says who must not be called, or was asked about."""
    if choice.field is not None:
        return False
    is_known = column.field is not None or question_about(column.heading) in questions
    return column.is_settled or (choice.is_given and is_known)


def column_samples(db: Connection, file: ImportFile) -> list[ColumnSample]:
    """Return the columns of a file with the cells of its first rows; none if the file isn't kept any more."""
    try:
        sheet = _kept_sheet(db, file)
    except Conflict:
        return []
    rows = first_rows(sheet, SAMPLE_ROWS)
    return [
        ColumnSample(column.heading, column.field, [row[number] for row in rows])
        for number, column in enumerate(sheet.columns)
    ]


def _check_choosable(file: ImportFile) -> None:
    if file.state not in ("unmapped", "ready", "reading"):
        raise Conflict("The columns of this file can't be chosen any more. Please upload it again.")


def _kept_sheet(db: Connection, file: ImportFile) -> Sheet:
    sql = """SELECT content, layout FROM import_content JOIN import_file ON import_file.id = import_file_id
             WHERE import_file_id = :id"""
    row = run(db, sql, id=file.id).first()
    if row is None:
        raise Conflict("This file is not kept any more. Please upload it again.")
    kept: dict[str, Any] = json.loads(row.layout)
    text = zlib.decompress(row.content).decode("utf-8", "surrogatepass")
    settled = kept.get("settled", ())
    columns = [
        Column(heading, field, group, n in settled)
        for n, (heading, field, group) in enumerate(kept["columns"])
    ]
    return reopen_sheet(text, Layout(**kept["layout"]), columns, kept["is_opt_out_list"])


def _begin_again(db: Connection, at: float, slug: str, token: str, file: ImportFile, sheet: Sheet) -> bool:
    """Let a file be read with other columns. Returns False if somebody else did so since."""
    place = find_place_for_owner(db, slug, token)
    sql = """UPDATE import_file SET state = 'reading', why = NULL, read = 0, add_rows = 0, change_rows = 0,
                    refuse_rows = 0, created_at = :at WHERE id = :id AND state = :state"""
    if run(db, sql, at=at, id=file.id, state=file.state).rowcount == 0:
        return False
    _keep_columns(db, file.id, sheet)
    if sheet.layout.headings_row is not None and not sheet.is_opt_out_list:
        _remember_fields(db, at, place, sheet)
    return True


def _remembered_fields(db: Connection, place: Place, sheet: Sheet) -> list[str | None] | None:
    """Return what the owner chose for the columns of the last file with these headings."""
    sql = "SELECT fields FROM column_choice WHERE place_id = :place AND headings = :headings"
    headings = [*sheet.headings]
    is_download = headings[:1] == [PROBLEM]  # the rejected rows of a file have a column before its own
    key = json.dumps(headings[1:] if is_download else headings)
    row = run(db, sql, place=place.id, headings=key).first()
    if row is None:
        return None
    fields: list[str | None] = json.loads(row.fields)
    return [None, *fields] if is_download else fields


def _remember_fields(db: Connection, at: float, place: Place, sheet: Sheet) -> None:
    headings = sheet.headings
    fields = [_SETTLED if column.is_settled else column.field for column in sheet.columns]
    if headings[:1] == [PROBLEM]:
        headings, fields = headings[1:], fields[1:]
    key, chosen = json.dumps(headings), json.dumps(fields)
    sql = """UPDATE column_choice SET fields = :fields, used_at = :at
             WHERE place_id = :place AND headings = :headings"""
    if run(db, sql, place=place.id, headings=key, fields=chosen, at=at).rowcount == 0:
        insert(db, "column_choice", place_id=place.id, headings=key, fields=chosen, used_at=at)
    sql = """DELETE FROM column_choice WHERE place_id = :place AND id NOT IN
             (SELECT id FROM column_choice WHERE place_id = :place ORDER BY used_at DESC, id DESC
              LIMIT :most)"""
    run(db, sql, place=place.id, most=MAX_CHOICES)


def parse_choices(file: ImportFile, columns: object) -> list[ColumnChoice]:
    """Return the choices that a JSON list, or an object with headings as keys, chooses. Raises BadInput.

    A column that an object leaves out stays what it is.
    """
    kept: list[list[str]] = json.loads(file.layout or "{}").get("columns", [])
    headings = [column[0] for column in kept]
    if isinstance(columns, list):
        choices = [ColumnChoice(each) for each in columns]
    elif isinstance(columns, dict):
        unknown = [heading for heading in columns if heading not in headings]
        if unknown:
            raise BadInput(f"Columns: this file has no column “{unknown[0]}”.")
        choices = [
            ColumnChoice(columns.get(heading, field), is_given=heading in columns)
            for heading, field, _ in kept
        ]
    else:
        raise BadInput('Columns: this must be a list, or an object such as {"Heading": "name"}.')
    for choice in choices:
        if choice.field is not None and choice.field not in FIELDS:
            raise BadInput(f"Columns: each must be null or one of {', '.join(FIELDS)}.")
    return choices


# ----- staging

_INTERRUPTED = (
    "The server was started again while it read this file. Nothing was stored; please upload it again."
)
_OUR_FAULT = "Something went wrong on our side. Nothing was stored; please try again."


def _erase_rows_and_stage(database: Database, place: Place, file: ImportFile, sheet: Sheet) -> None:
    while database.write_in(place.slug, _erase_staged, file.id):
        pass
    _stage_sheet(database, place, file, sheet)


def _stage_sheet(database: Database, place: Place, file: ImportFile, sheet: Sheet) -> None:
    """Stage a file; an error ends up in the file's row, where its page shows it."""
    read = read_number if sheet.is_opt_out_list else read_row
    try:
        _stage_rows(database, place, file, _read_sheet(sheet, place.country, read))
    except NotFound:
        log.info("An import was discarded while it was read")
    except Exception:
        log.exception("An import failed")
        database.write_in(place.slug, _set_failed, file.id, _OUR_FAULT)


@dataclass(frozen=True)
class _Row:
    """A row that was read, with its cells if they come from a file."""

    read: ReadRow
    cells: list[str] | None = None


def _read_sheet(sheet: Sheet, country: str, read: Callable[[Any, str], ReadRow]) -> Iterator[_Row]:
    for row in rows_of(sheet):
        yield _Row(read(row, country), row.cells)


def _read_input(row: InputRow, country: str) -> _Row:
    """Return a contact from a program. Programs are told about every value that can't be used."""
    try:
        if isinstance(row.contact, BadInput):
            raise row.contact
        details = validate_contact(row.contact, country)
        for field, label in (("name", "Name"), ("phone", "Phone")):
            if not details.get(field):
                raise BadInput(f"{label}: please fill this in.")
    except BadInput as error:
        bad_cell = error if isinstance(error, BadCell) else BadCell(str(error), "")
        read = ReadRow(row.number, _opt_out_of(row.contact, country), bad_cell)
    else:
        read = ReadRow(row.number, details)
    read.other_phones = _forbidden_phones(row.contact, country)
    return _Row(read)


def _forbidden_phones(contact: ContactFields | BadInput, country: str) -> list[str]:
    """Return all numbers of a contact that must not be called: there may be several in one text."""
    if isinstance(contact, BadInput) or not contact.get("do_not_call"):
        return []
    try:
        return read_phones(contact.get("phone") or "", country)
    except BadInput:
        return []


def _opt_out_of(contact: ContactFields | BadInput, country: str) -> ContactDetails:
    """Return what counts of a contact that can't be stored: that somebody must not be called."""
    if isinstance(contact, BadInput) or not contact.get("do_not_call"):
        return {}
    details: ContactDetails = {"do_not_call": True, "phone": None, "reference": contact.get("reference")}
    with suppress(BadInput):
        details["phone"] = read_phone(contact.get("phone") or "", country)
    return details


def _stage_rows(database: Database, place: Place, file: ImportFile, rows: Iterable[_Row]) -> None:
    earlier = EarlierRows()
    rows = iter(rows)
    while batch := list(islice(rows, MAX_BATCH)):
        with database.read() as db:
            staged, remarks = _stage_batch(db, place, batch, earlier)
        database.write_in(place.slug, _insert_staged, file.id, staged, remarks)
    database.write_in(place.slug, _set_ready, file.id)


def _stage_batch(
    db: Connection, place: Place, batch: list[_Row], earlier: EarlierRows
) -> tuple[list[StagedRow], list[dict[str, Any]]]:
    """Return what becomes of each row, and the remarks about the rows."""
    by_number = {row.read.number: row for row in batch}
    usable: list[tuple[int, ContactDetails]] = []
    staged: list[StagedRow] = []
    for number, row in by_number.items():
        error, details = row.read.error, _usable_details(row.read)
        if details is not None:
            usable.append((number, details))
        elif error is not None:
            staged.append(StagedRow(number, REFUSE, why=str(error), value=error.value))
    staged += match_rows(db, place, usable, earlier)
    staged.sort(key=lambda row: row.number)
    for number, old_name, new_name in _renamed(db, staged):
        sentence = f"“{old_name}” becomes “{new_name}”. {RENAMED_ADVICE}"
        by_number[number].read.add_remark(RENAMED, new_name, sentence)
    remarks = [remark for row in staged for remark in _remarks_about(row, by_number[row.number].read)]
    return [_completed(row, by_number[row.number]) for row in staged], remarks


def _usable_details(read: ReadRow) -> ContactDetails | None:
    """Return what can be stored of a row. Of a row with an error, that is at most its opt-out.

    Then the error becomes a remark, because the row isn't refused.
    """
    if read.error is None:
        return read.details
    opt_out = read.opt_out
    if opt_out is not None:
        why = f"{read.error} {ONLY_OPT_OUT}"
        read.add_remark(why, read.error.value, None if read.error.value else why)
    return opt_out


def _remarks_about(row: StagedRow, read: ReadRow) -> list[dict[str, Any]]:
    """Return the remarks about a row for the table import_remark; about a refused row, only why it is."""
    is_refused = row.what == REFUSE
    remarks = [_refusal(row)] if is_refused else read.remarks
    return [{"number": row.number, "refused": int(is_refused), **remark._asdict()} for remark in remarks]


def _completed(staged: StagedRow, row: _Row) -> StagedRow:
    """Return a staged row with what is kept beside its details: its cells, or its other numbers."""
    if staged.what == REFUSE:
        return staged if row.cells is None else replace(staged, cells=json.dumps(row.cells))
    if staged.do_not_call and row.read.other_phones:
        return replace(staged, other_phones=" ".join(row.read.other_phones))
    return staged


def _renamed(db: Connection, staged: list[StagedRow]) -> list[tuple[int, str, str]]:
    """Return the rows that give a contact a name without a word of the old one, with both names."""
    names = {row.contact: (row.number, row.name) for row in staged if row.what == CHANGE and row.name}
    if not names:
        return []
    renamed = []
    for contact in run(db, "SELECT id, name FROM contact WHERE id IN :ids", ids=list(names)).all():
        number, new_name = names[contact.id]
        words = set(re.findall(r"\w+", contact.name.casefold()))
        if words and new_name and words.isdisjoint(re.findall(r"\w+", new_name.casefold())):
            renamed.append((number, contact.name, new_name))
    return renamed


def _refusal(row: StagedRow) -> Remark:
    """Return why a row is refused, in words that are the same for all rows of this kind."""
    why, value = row.why or "", row.value or ""
    return Remark(SAME_CONTACT if value.startswith("row ") else why, value, why)


def _insert_staged(
    db: Connection, file_id: int, rows: list[StagedRow], remarks: list[dict[str, Any]]
) -> None:
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
    insert_many(db, "import_remark", [{"import_file_id": file_id, **remark} for remark in remarks])


def _set_ready(db: Connection, file_id: int) -> None:
    run(db, "UPDATE import_file SET state = 'ready' WHERE id = :id AND state = 'reading'", id=file_id)


def _set_unmapped(db: Connection, file_id: int, why: str | None) -> None:
    sql = "UPDATE import_file SET state = 'unmapped', why = :why WHERE id = :id AND state = 'reading'"
    run(db, sql, id=file_id, why=why)


def _set_failed(db: Connection, file_id: int, why: str) -> None:
    sql = "UPDATE import_file SET state = 'failed', why = :why WHERE id = :id AND state = 'reading'"
    run(db, sql, id=file_id, why=why)


def _set_discarded(db: Connection, file_id: int) -> None:
    run(db, "UPDATE import_file SET state = 'discarded' WHERE id = :id", id=file_id)


# ----- reading


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
    """Return the first remarks about rows that are stored."""
    sql = """SELECT number AS row, sentence AS remark, why, value FROM import_remark
             WHERE import_file_id = :file AND refused = 0 ORDER BY number, id LIMIT :limit"""
    return load_all(RemarkedRow, run(db, sql, file=file.id, limit=limit))


def remark_groups(db: Connection, file: ImportFile, *, refused: bool) -> list[RemarkGroup]:
    """Return the remarks about refused rows, or about those that are stored; the most frequent first."""
    sql = """SELECT why, count(*) AS rows FROM import_remark
             WHERE import_file_id = :file AND refused = :refused
             GROUP BY why ORDER BY count(*) DESC, min(number) LIMIT :limit"""
    groups = run(db, sql, file=file.id, refused=int(refused), limit=MAX_GROUPS).all()
    sql = """SELECT number AS row, value, sentence FROM import_remark
             WHERE import_file_id = :file AND refused = :refused AND why = :why
             ORDER BY number, id LIMIT :limit"""
    return [
        RemarkGroup(
            group.why,
            group.rows,
            load_all(
                RemarkExample,
                run(db, sql, file=file.id, refused=int(refused), why=group.why, limit=MAX_EXAMPLES),
            ),
        )
        for group in groups
    ]


def refused_rows(db: Connection, file: ImportFile, limit: int | None = None) -> list[RefusedRow]:
    """Return the rows that can't be stored, or the first of them."""
    sql = """SELECT number AS row, why, value FROM import_row WHERE import_file_id = :file AND what = 'refuse'
             ORDER BY number LIMIT :limit"""
    limit = file.refuse_rows if limit is None else limit
    return load_all(RefusedRow, run(db, sql, file=file.id, limit=limit))


def refused_headings(file: ImportFile) -> list[str]:
    """Return the headings of a download of refused rows, which can be uploaded again."""
    kept: dict[str, Any] = json.loads(file.layout or "{}")
    has_headings = kept.get("layout", {}).get("headings_row") is not None
    columns = kept.get("columns", [])
    names = [heading if has_headings else (field or heading) for heading, field, _ in columns]
    return names if names[:1] == [PROBLEM] else [PROBLEM, *names]


def refused_cells(database: Database, file: ImportFile) -> Iterator[list[list[str]]]:
    """Yield the rows that can't be stored in batches: why, then the cells as they came."""
    headings = refused_headings(file)
    is_download = json.loads(file.layout or "{}").get("columns", [[None]])[0][0] == PROBLEM
    sql = """SELECT number, why, cells FROM import_row
             WHERE import_file_id = :file AND what = 'refuse' AND number > :after
             ORDER BY number LIMIT :limit"""
    after = 0
    while True:
        with database.read() as db:
            rows = run(db, sql, file=file.id, after=after, limit=MAX_ERASED).all()
        if not rows:
            return
        batch = []
        for row in rows:
            cells: list[str] = json.loads(row.cells or "[]")
            problem = f"Row {row.number}: {row.why}"
            line = [problem, *(cells[1:] if is_download else cells)]
            batch.append([*line, *[""] * (len(headings) - len(line))])
        yield batch
        after = rows[-1].number


# ----- storing and discarding


def finish_imports(database: Database, at: float) -> bool:
    """Store the rest of imports that a server was storing when it stopped. Returns False: none is left."""
    with database.read() as db:
        sql = "SELECT * FROM import_file WHERE state = 'storing' ORDER BY id"
        interrupted = [(slug_of(db, file.place_id), file) for file in load_all(ImportFile, run(db, sql))]
    for slug, file in interrupted:
        finish_storing(database, at, slug, file)
    return False


def discard_import(db: Connection, _at: float, slug: str, token: str, file_id: int) -> None:
    """Discard an import, for the owner; erase_old_imports() then erases its rows."""
    place = find_place_for_owner(db, slug, token)
    file = find_import(db, place, file_id)
    if file.state == "storing":
        raise Conflict("These contacts are being stored already.")
    if file.state != "stored":
        _set_discarded(db, file.id)


# ----- erasing


def erase_old_imports(database: Database, at: float) -> bool:
    """Erase one batch of what nobody needs any more. Returns True when there may be more.

    Those are the rows of imports that were discarded or failed, and of all that are a day old.
    """
    with database.read() as db:  # reading first, so that nothing is written when there is nothing to do
        next_file = _next_to_erase(db, before=at - KEPT_S)
    if next_file is None:
        return False
    file_id, slug = next_file
    if not database.write_in(slug, _erase_staged, file_id):
        database.write_in(slug, _erase_file, file_id, at - KEPT_S)
    return True


def _next_to_erase(db: Connection, before: float) -> tuple[int, str] | None:
    """Return the id of an import that nobody needs any more, and the slug of its place."""
    sql = """SELECT id, place_id, state, created_at FROM import_file
             WHERE state IN ('discarded', 'failed') OR (created_at < :before AND state <> 'storing')
             ORDER BY id"""
    for file in run(db, sql, before=before).all():
        # A failed import stays without rows for a day, because its page says why it failed.
        if file.state == "discarded" or file.created_at < before or _holds_anything(db, file.id):
            return int(file.id), slug_of(db, file.place_id)
    return None


def _holds_anything(db: Connection, file_id: int) -> bool:
    return any(
        run(db, f"SELECT 1 FROM {table} WHERE import_file_id = :id LIMIT 1", id=file_id).first()
        for table in ("import_row", "import_remark", "import_content")
    )


def _erase_staged(db: Connection, file_id: int) -> bool:
    """Erase some rows of an import, and the remarks about them. Returns True if there were any."""
    erased = 0
    for table in ("import_row", "import_remark"):
        sql = f"""DELETE FROM {table} WHERE id IN
                  (SELECT id FROM {table} WHERE import_file_id = :id LIMIT :limit)"""
        erased += run(db, sql, id=file_id, limit=MAX_ERASED).rowcount
    return erased > 0


def _erase_file(db: Connection, file_id: int, before: float) -> None:
    """Erase the text of an import without rows; and the import itself, unless its page says why it failed."""
    run(db, "DELETE FROM import_content WHERE import_file_id = :id", id=file_id)
    sql = "DELETE FROM import_file WHERE id = :id AND (state <> 'failed' OR created_at < :before)"
    run(db, sql, id=file_id, before=before)
