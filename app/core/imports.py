"""Imports: contacts from a file, or from a program.

An import has two steps. First its rows are staged: each is read, matched with the known contacts, and kept in
the table import_row with what will become of it; see import_staging.py. If the columns can't be told by their
headings, the owner chooses them before that; see import_columns.py. Then, when the owner agrees, the rows are
stored; see import_storing.py. Both steps take many small writes, so that nobody has to wait long for the
writer.

add_contacts() does both steps, which may take minutes. So it takes a `clock`, which returns the time of each.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from app.core.import_columns import ColumnChoice, remember_choice, settles, with_remembered_choice
from app.core.import_files import (
    OUR_FAULT,
    ImportFile,
    begin_import,
    erase_rows,
    find_import,
    keep_columns,
    keep_sheet,
    kept_sheet,
    packed_text,
    reading_name,
    set_discarded,
    set_failed,
    set_rows,
    set_unmapped,
)
from app.core.import_preview import RefusedRow, refused_rows
from app.core.import_staging import InputRow, stage_contacts, stage_sheet
from app.core.import_storing import store_import
from app.core.import_upkeep import erase_old_imports
from app.core.models import Place
from app.core.places import find_place_for_owner
from app.core.sheets import Sheet, check_sheet, missing_columns, open_sheet
from app.core.spreadsheets import ZIP_MARK
from app.errors import BadInput, Conflict
from app.storage.database import Database
from app.storage.sql import run

log = logging.getLogger("takeanumber")

MAX_ROWS_IN_REQUEST = 1000  # up to this many rows are staged while the browser waits
MAX_SPREADSHEET_IN_REQUEST = 300_000  # bytes of an .xlsx file that is opened while the browser waits


# ----- from a file


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
        file = database.write(begin_import, at, slug, token, 0)
        _start_thread(_open_and_stage, database, place, file, content, is_opt_out_list)
        return file
    sheet = _open_for(database, place, content, is_opt_out_list)
    file = database.write(begin_import, at, slug, token, sheet.rows)
    _accept_sheet(database, place, file, sheet)
    return file


def _open_and_stage(
    database: Database, place: Place, file: ImportFile, content: bytes, is_opt_out_list: bool
) -> None:
    """Open a spreadsheet and stage it; an error ends up in the file's row, where its page shows it."""
    try:
        sheet = _open_for(database, place, content, is_opt_out_list)
        database.write_in(place.slug, set_rows, file.id, sheet.rows)
        _accept_sheet(database, place, file, sheet, in_thread=True)
    except BadInput as error:
        database.write_in(place.slug, set_failed, file.id, str(error))
    except Exception:
        log.exception("A spreadsheet could not be opened")
        database.write_in(place.slug, set_failed, file.id, OUR_FAULT)


def _open_for(database: Database, place: Place, content: bytes | str, is_opt_out_list: bool) -> Sheet:
    """Open a file, with the columns that the owner chose for the last one with these headings."""
    sheet = open_sheet(content, country=place.country, is_opt_out_list=is_opt_out_list)
    if not is_opt_out_list:
        with database.read() as db:
            sheet = with_remembered_choice(db, place, sheet)
    if sheet.is_usable or len(sheet.columns) == 1:
        check_sheet(sheet)
    return sheet


def _accept_sheet(
    database: Database, place: Place, file: ImportFile, sheet: Sheet, in_thread: bool = False
) -> None:
    """Keep the text of a file, then stage its rows if it is clear what its columns are."""
    database.write_in(place.slug, keep_sheet, file.id, sheet, packed_text(sheet))
    if not sheet.is_usable:
        database.write_in(place.slug, set_unmapped, file.id, missing_columns(sheet))
    elif in_thread:
        stage_sheet(database, place, file, sheet)
    elif sheet.rows <= MAX_ROWS_IN_REQUEST:
        with _held(database, file):
            stage_sheet(database, place, file, sheet)
    else:
        _start_thread(stage_sheet, database, place, file, sheet)


def _start_thread(
    target: Callable[..., None], database: Database, place: Place, file: ImportFile, *more: object
) -> None:
    """Read a file in the background."""

    def read() -> None:
        with _held(database, file):
            target(database, place, file, *more)

    threading.Thread(target=read, name="import", daemon=True).start()


@contextmanager
def _held(database: Database, file: ImportFile) -> Iterator[None]:
    """Let fail_lost_imports() know that a thread is reading a file."""
    database.engine.hold(reading_name(file.id))
    try:
        yield
    finally:
        database.engine.release(reading_name(file.id))


def discard_import(db: Connection, _at: float, slug: str, token: str, file_id: int) -> None:
    """Discard an import, for the owner; erase_old_imports() then erases its rows."""
    place = find_place_for_owner(db, slug, token)
    file = find_import(db, place, file_id)
    if file.state == "storing":
        raise Conflict("These contacts are being stored already.")
    if file.state != "stored":
        set_discarded(db, file.id)


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
        sheet = kept_sheet(db, file)
        sql = "SELECT DISTINCT why FROM import_remark WHERE import_file_id = :id"
        questions = set(run(db, sql, id=file.id).scalars())
    if is_opt_out_list is not None:
        sheet = replace(sheet, is_opt_out_list=is_opt_out_list)
    if len(choices) != len(sheet.columns):
        raise BadInput(f"Columns: this file has {len(sheet.columns)}, and {len(choices)} were given.")
    if file.state == "reading":
        return file  # pressed twice
    settled = [n for n, choice in enumerate(choices) if settles(choice, sheet.columns[n], questions)]
    sheet = sheet.with_fields([choice.field for choice in choices], settled)
    check_sheet(sheet)
    if database.write(_begin_again, at, slug, token, file, sheet):
        if sheet.rows <= MAX_ROWS_IN_REQUEST:
            with _held(database, file):
                _erase_rows_and_stage(database, place, file, sheet)
        else:
            _start_thread(_erase_rows_and_stage, database, place, file, sheet)
    return file


def _check_choosable(file: ImportFile) -> None:
    if file.state not in ("unmapped", "ready", "reading"):
        raise Conflict("The columns of this file can't be chosen any more. Please upload it again.")


def _begin_again(db: Connection, at: float, slug: str, token: str, file: ImportFile, sheet: Sheet) -> bool:
    """Let a file be read with other columns. Returns False if somebody else did so since."""
    place = find_place_for_owner(db, slug, token)
    sql = """UPDATE import_file SET state = 'reading', why = NULL, read = 0, add_rows = 0, change_rows = 0,
                    refuse_rows = 0, created_at = :at WHERE id = :id AND state = :state"""
    if run(db, sql, at=at, id=file.id, state=file.state).rowcount == 0:
        return False
    keep_columns(db, file.id, sheet)
    if sheet.layout.headings_row is not None and not sheet.is_opt_out_list:
        remember_choice(db, at, place, sheet)
    return True


def _erase_rows_and_stage(database: Database, place: Place, file: ImportFile, sheet: Sheet) -> None:
    while database.write_in(place.slug, erase_rows, file.id):
        pass
    stage_sheet(database, place, file, sheet)


# ----- from a program


@dataclass(frozen=True)
class AddedContacts:
    """The result of adding contacts without a preview."""

    added: int
    changed: int
    refused: list[RefusedRow]


def add_contacts(
    database: Database, clock: Callable[[], float], slug: str, token: str, contacts: Iterable[InputRow]
) -> AddedContacts:
    """Add or change contacts at once, for the owner; rows that can't be stored are refused one by one."""
    with database.read() as db:
        place = find_place_for_owner(db, slug, token)
    file = database.write(begin_import, clock(), slug, token, 0)
    with _held(database, file):
        stage_contacts(database, place, file, contacts)
    file = store_import(database, clock(), slug, token, file.id)
    with database.read() as db:
        refused = refused_rows(db, file)
    database.write_in(slug, set_discarded, file.id)
    erase_old_imports(database, clock())
    return AddedContacts(file.add_rows, file.change_rows, refused)
